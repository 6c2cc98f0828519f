import ELF
import X86

/// A file's code, decoded where it is asked for.
struct Code {
  /// A page, and room for an instruction that begins in it.
  private static let pageBytes: UInt64 = 4096

  let file: ObjectFile
  private let decoder: OperationDecoder
  private var pages: [UInt64: [UInt8]] = [:]
  private var last: (number: UInt64, bytes: [UInt8])?
  /// What was decoded: an analysis comes to an instruction on several ways.
  private var places = AddressMap()
  private var operations: [Operation?] = []

  /// Some 2 MiB, for as long as one function is looked at.
  private static let maxOperations = 1 << 14

  init(_ file: ObjectFile, _ decoder: OperationDecoder) {
    self.file = file
    self.decoder = decoder
  }

  /// nil where the bytes are no instruction, or no code of the file.
  mutating func operation(at address: ImageAddress) throws(ELFError) -> Operation? {
    if let place = places[address] { return operations[place] }
    let operation = try decode(at: address)
    if operations.count >= Code.maxOperations { (places, operations) = (AddressMap(), []) }
    places[address] = operations.count
    operations.append(operation)
    return operation
  }

  private mutating func decode(at address: ImageAddress) throws(ELFError) -> Operation? {
    let number = address.value / Code.pageBytes
    let bytes: [UInt8]
    if let last, last.number == number {
      bytes = last.bytes
    } else {
      bytes = try page(number)
      last = (number, bytes)
    }
    return decoder.operation(at: Int(address.value % Code.pageBytes), in: bytes)
  }

  /// The page's bytes as its segment fills them; empty where no executable segment begins at or before it, and with zeroes, which decode
  /// to no call and no jump, where a segment begins within it.
  private mutating func page(_ number: UInt64) throws(ELFError) -> [UInt8] {
    if let known = pages[number] { return known }
    let start = ImageAddress(number &* Code.pageBytes)
    var bytes: [UInt8] = []
    if let segment = file.segments.first(where: { $0.isExecutable && $0.address < start + Code.pageBytes && start < $0.end }) {
      let from = max(start, segment.address)
      bytes = .init(repeating: 0, count: Int(from.value - start.value))
      bytes += try file.bytes(at: from, upTo: Int(start.value + Code.pageBytes + 15 - from.value))
    }
    pages[number] = bytes
    return bytes
  }
}
