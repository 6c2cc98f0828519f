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

  init(_ file: ObjectFile, _ decoder: OperationDecoder) {
    self.file = file
    self.decoder = decoder
  }

  /// nil where the bytes are no instruction, or no code of the file.
  mutating func operation(at address: ImageAddress) throws(ELFError) -> Operation? {
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
