import ELF
import Inspection
import Wire

/// A process made of arrays: one file, a stack, and what a target adds.
struct Space: AddressSpace {
  static let stackStart: UInt64 = 0x7ff0_0000_0000
  static let stackBytes: UInt64 = 0x4000
  /// SP when the process began.
  static let startStack = stackStart + 0x2000

  var memory: [(start: UInt64, bytes: [UInt8])]
  var mappings: [Mapping]
  let image: Image?

  init(_ file: File, path: String = "/program", stack: [UInt8]) {
    image = attempt { () throws(ELFError) in try Image(Source(file.bytes)) }
    memory = [(Space.stackStart, stack), (File.dataAddress, file.data), (File.codeAddress, file.code)]
    func end(_ start: UInt64, _ count: Int) -> UInt64 { start + UInt64((count + 4095) / 4096 * 4096) }
    mappings = [
      Mapping(
        start: File.codeAddress, end: end(File.codeAddress, file.code.count), fileOffset: UInt64(file.codeOffset), isExecutable: true,
        backing: .file, inode: 1, path: path),
      Mapping(
        start: File.dataAddress, end: end(File.dataAddress, file.data.count), fileOffset: UInt64(File.dataOffset), isWritable: true,
        backing: .file, inode: 1, path: path),
      Mapping(
        start: Space.stackStart, end: Space.stackStart + Space.stackBytes, isWritable: true, backing: .mainStack, path: "[stack]"),
    ]
  }

  func mapping(at address: UInt64) -> Mapping? { mappings.first { $0.contains(address) } }

  /// A mapping's bytes that nobody gave are zero.
  func read(at address: UInt64, upTo count: Int) throws(Unreadable) -> [UInt8] {
    guard let mapping = mapping(at: address) else { throw Unreadable() }
    let wanted = Int(min(UInt64(count), mapping.end - address))
    var bytes = [UInt8](repeating: 0, count: wanted)
    for piece in memory where piece.start == mapping.start {
      let from = Int(address - piece.start)
      if from < piece.bytes.count {
        let found = piece.bytes[from...].prefix(wanted)
        bytes.replaceSubrange(0..<found.count, with: found)
      }
    }
    return bytes
  }

  func image(of mapping: Mapping) throws(Unreadable) -> Image? {
    guard let image else { throw Unreadable() }
    return image
  }

  func codeMappings() -> [Mapping] { mappings.filter { $0.isExecutable && $0.backing == .file } }

  func ownPages(from address: UInt64, count: Int) -> [Int]? { nil }
}

extension Input {
  /// A stack, mostly of words that lead somewhere.
  mutating func stack(made: UInt64 = 0x7e00_0000_0000, _ words: Int = 256) -> [UInt8] {
    var stack = [UInt8](repeating: 0, count: 0x1000)
    for _ in 0..<words where !isAtEnd {
      let kind = byte()
      let value: UInt64 =
        switch kind & 7 {
        case 0, 1: File.codeAddress + UInt64(number(UInt16.self) & 0xfff)
        case 2: Space.stackStart + UInt64(number(UInt16.self) & 0x3fff)
        case 3: made + UInt64(number(UInt16.self) & 0xfff)
        case 4: File.dataAddress + UInt64(number(UInt16.self) & 0xfff)
        case 5: number(UInt64.self)
        case 6: UInt64(byte())
        default: 0
        }
      for index in 0..<8 { stack.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * index))) }
      // Else frames would be as large as the input has words.
      if kind & 0x80 != 0 { stack += [UInt8](repeating: 0, count: Int(kind >> 3 & 15) * 8) }
    }
    return Array(stack.prefix(Int(Space.stackBytes)))
  }

  /// A thread that stands in the file's code.
  mutating func snapshot() -> Snapshot {
    var snapshot = Snapshot()
    let flags = byte()
    snapshot.instruction = File.codeAddress + UInt64(number(UInt16.self) & 0xfff)
    snapshot.isInterrupted = flags & 1 != 0
    for register in 0..<16 where flags & 2 == 0 { snapshot.registers[register] = Space.stackStart + 0x1000 + UInt64(register) * 8 }
    snapshot.registers[Registers.rsp] = Space.stackStart + 0x1000 + UInt64(byte() & 0xf8)
    snapshot.registers[Registers.rbp] = Space.stackStart + 0x1000 + UInt64(number(UInt16.self) & 0x1fff)
    snapshot.startStack = flags & 4 != 0 ? nil : Space.startStack
    snapshot.threadPointer = flags & 8 != 0 ? nil : Space.stackStart + 0x3000
    snapshot.borrowsMemory = flags & 16 != 0
    snapshot.thread = flags & 32 != 0 ? 1 : 0
    return snapshot
  }
}

/// Inspects twice: the answer is the same, whatever was kept in between, and holds no more than it may.
func inspectTwice(_ snapshot: Snapshot, in space: Space, jit: JITMemory = JITMemory()) {
  var limits = Limits()
  limits.maxFrames = 512
  limits.maxWork = 1 << 20
  var space = space
  let first = inspect(snapshot, in: &space, limits: limits, jit: jit, explain: true)
  let second = inspect(snapshot, in: &space, limits: limits, jit: jit, explain: true)
  check(Int(first.depth) <= limits.maxFrames, "no more frames than the limit")
  check(first.frames.count <= Finding.maxListedFrames, "no more frames are listed than the limit")
  check(first.violations.allSatisfy { Int($0.frame) < max(1, first.frames.count) }, "a violation's frame is listed")
  check(!first.isClean || first.end != nil, "a clean chain has an end")
  // What the first has read need not be paid for again, so that only one that was cut short may go on.
  check(first == second || first.unknown?.reason == .tooCostly, "the same stack is judged the same way again")
  let bytes = Message.finding(first).encode()
  check(bytes.count <= Message.limit, "a finding fits into a message")
  check(attempt { () throws(WireError) in try Message(decoding: bytes) } == .finding(first), "a finding comes back as it was")
}
