import ELF
import Inspection
import Samples
import Wire

/// A process made of arrays: the sample image's code, a first stack of its own, and whatever else a test adds.
struct ArraySpace: AddressSpace {
  static let stackStart: UInt64 = 0x7ff0_0000_0000
  static let stackBytes: UInt64 = 0x1000
  /// SP when the process began.
  static let startStack = stackStart + 0x800

  var memory: [(start: UInt64, bytes: [UInt8])]
  var mappings: [Mapping]
  var image: Image?
  /// Other files', by the number of their inode.
  private var others: [UInt64: Image] = [:]
  /// The pages of the code that the process has copies of, nil where the kernel does not tell.
  var own: [Int]? = []

  /// `words` lie from the stack's start on.
  init(_ image: SampleImage, words: [UInt64]) {
    self.init(file: image.bytes, codeBytes: image.code.count, words: words)
  }

  init(file: [UInt8], codeBytes: Int, words: [UInt64]) {
    // With a time of change, as a file on a disk has it: without one a finding has no basis.
    do throws(ELFError) { self.image = try Image(Source(file), changed: 1) } catch { self.image = nil }
    var stack = words.flatMap { le($0) }
    stack += [UInt8](repeating: 0, count: Int(ArraySpace.stackBytes) - stack.count)
    memory = [(ArraySpace.stackStart, stack)]
    mappings = [
      Mapping(
        start: SampleImage.codeAddress, end: SampleImage.codeAddress + UInt64((codeBytes + 4095) / 4096 * 4096),
        fileOffset: SampleImage.codeOffset, isExecutable: true, backing: .file, inode: 1, path: "/sample"),
      Mapping(
        start: ArraySpace.stackStart, end: ArraySpace.stackStart + ArraySpace.stackBytes, isWritable: true, backing: .mainStack,
        path: "[stack]"),
    ]
  }

  /// Maps another file's code, `bias` above the addresses that the file gives.
  mutating func map(_ image: SampleImage, bias: UInt64, path: String) throws {
    let inode = UInt64(others.count + 2)
    others[inode] = try Image(Source(image.bytes))
    let start = SampleImage.codeAddress + bias
    mappings.append(
      Mapping(
        start: start, end: start + UInt64((image.code.count + 4095) / 4096 * 4096), fileOffset: SampleImage.codeOffset,
        isExecutable: true, backing: .file, inode: inode, path: path))
  }

  func mapping(at address: UInt64) -> Mapping? { mappings.first { $0.contains(address) } }

  func read(at address: UInt64, upTo count: Int) throws(Unreadable) -> [UInt8] {
    for piece in memory where address >= piece.start && address - piece.start < UInt64(piece.bytes.count) {
      return Array(piece.bytes[Int(address - piece.start)...].prefix(count))
    }
    throw Unreadable()
  }

  func codeMappings() -> [Mapping] { mappings.filter { $0.isExecutable && $0.backing == .file } }

  func ownPages(from address: UInt64, count: Int) -> [Int]? { own?.filter { (0..<count).contains($0) } }

  func image(of mapping: Mapping) throws(Unreadable) -> Image? {
    if let other = others[mapping.inode] { return other }
    guard let image else { throw Unreadable() }
    return image
  }
}

extension SampleImage {
  /// Three functions that call one another:
  ///
  ///     0x00  _start   xor %ebp,%ebp; nop...; call 0x20 (ends at 0x10); hlt          RA undefined
  ///     0x20  middle   sub $24,%rsp; call 0x40 (ends at 0x29); add $24,%rsp; ret
  ///     0x40  leaf     mov $59,%eax; syscall (ends at 0x47); ret
  ///     0x60  handler's return: nop; mov $15,%rax; syscall                           signal frame, from 0x60 on
  static var chain: SampleImage {
    var image = SampleImage(code: [UInt8](repeating: 0x90, count: 256))
    image.put([0x31, 0xed], at: 0)
    image.put([0xe8, 0x10, 0, 0, 0, 0xf4], at: 0x0b)
    image.put([0x48, 0x83, 0xec, 24, 0xe8, 0x17, 0, 0, 0, 0x48, 0x83, 0xc4, 24, 0xc3], at: 0x20)
    image.put([0xb8, 59, 0, 0, 0, 0x0f, 0x05, 0xc3], at: 0x40)
    image.put([0x90, 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05], at: 0x60)
    // lea leaf(%rip), %rax: the leaf's address is taken, as a handler's is.
    image.put([0x48, 0x8d, 0x05], to: codeAddress + 0x40, at: 0xc0)
    image.entries = [
      .init(offset: 0, count: 0x11, instructions: [0x07, 16]),
      .init(offset: 0x20, count: 14, instructions: [0x44, 0x0e, 32, 0x49, 0x0e, 8]),
      .init(offset: 0x40, count: 8, instructions: []),
      .init(offset: 0x60, count: 10, instructions: [0x0f, 3, 0x77, 0xa0, 1], isSignalFrame: true),
    ]
    return image
  }
}
