import Inspection
import Samples
import Wire

/// Files whose functions call one another in the ways that `edge` and `seam` tell apart. A test fills in the call, and what it leads to:
///
///     0x00  _start   xor %ebp,%ebp; nop...; call 0x20 (ends at 0x10); hlt               RA undefined
///     0x20  middle   sub $24,%rsp; the call (ends at 0x2c); add $24,%rsp; ret
///     0x38  before   nop..., and on into the leaf
///     0x40  leaf     mov $59,%eax; syscall (ends at 0x47); ret
///     0x50  other    the same
///     0x60  (a stub of the PLT)
///     0x80  tail     (ends in a jump, or not at all)
///     0xa0  inner    as middle: its call ends at 0xac
///     0xc0  further  (takes addresses)
struct CallSample {
  static let code = SampleImage.codeAddress
  static let slot = SampleLinkage.dataAddress
  static let leaf = code + 0x40
  static let other = code + 0x50
  static let stub = code + 0x60
  static let tail = code + 0x80
  static let inner = code + 0xa0

  var image: SampleImage
  var linkage = SampleLinkage()

  /// It takes no address of its functions. Whether it exports any is for `names` to say.
  init(names: Set<String> = []) {
    image = SampleImage(code: [UInt8](repeating: 0x90, count: 256))
    image.isFixed = false
    image.put([0x31, 0xed], at: 0)
    image.put([0xe8], to: CallSample.code + 0x20, at: 0x0b)
    image.put([0xf4], at: 0x10)
    for start in [0x20, 0xa0] {
      image.put([0x48, 0x83, 0xec, 24], at: start)
      image.put([0x48, 0x83, 0xc4, 24, 0xc3], at: start + 12)
    }
    for start in [0x40, 0x50] { image.put([0xb8, 59, 0, 0, 0, 0x0f, 0x05, 0xc3], at: start) }
    image.put([0xc3], at: 0x8f)
    image.entries = [
      .init(offset: 0, count: 0x11, instructions: [0x07, 16]),
      .init(offset: 0x20, count: 17, instructions: [0x44, 0x0e, 32, 0x4c, 0x0e, 8]),
      .init(offset: 0x38, count: 8, instructions: []),
      .init(offset: 0x40, count: 8, instructions: []),
      .init(offset: 0x50, count: 8, instructions: []),
      .init(offset: 0x80, count: 16, instructions: []),
      .init(offset: 0xa0, count: 17, instructions: [0x44, 0x0e, 32, 0x4c, 0x0e, 8]),
      .init(offset: 0xc0, count: 16, instructions: []),
    ]
    for (name, offset, count) in [("leaf", 0x40, 8), ("other", 0x50, 8), ("tail", 0x80, 16), ("inner", 0xa0, 17)]
      as [(String, UInt64, UInt64)]
    where names.contains(name) { linkage.symbols.append(.function(name, at: offset, count: count)) }
  }

  var whole: SampleImage {
    var image = image
    image.linkage = linkage
    return image
  }

  // MARK: Instructions

  /// The middle's call, or that of the function at `start`: what ends in a distance.
  mutating func call(_ target: UInt64, by opcode: [UInt8] = [0xe8], in start: Int = 0x20) {
    image.put(opcode, to: target, at: start + 12 - opcode.count - 4)
  }

  /// `call *%rax`
  mutating func callPointer(in start: Int = 0x20) { image.put([0xff, 0xd0], at: start + 10) }

  mutating func jump(_ opcode: [UInt8] = [0xe9], to target: UInt64, at address: UInt64 = tail) {
    image.put(opcode, to: target, at: Int(address - CallSample.code))
  }

  /// `lea target(%rip), %rax`
  mutating func take(_ target: UInt64) { image.put([0x48, 0x8d, 0x05], to: target, at: 0xc0) }

  // MARK: Names

  /// A word of data, the `index`th, that the loader fills with the address of another file's function, or its own.
  mutating func bind(_ kind: SampleLinkage.Kind, _ name: String, index: UInt64 = 0) {
    let known = linkage.symbols.firstIndex { $0.name == name }
    if known == nil { linkage.symbols.append(.wanted(name)) }
    linkage.relocations.append(.init(kind, at: CallSample.slot + 8 * index, symbol: known ?? linkage.symbols.count - 1))
  }

  /// The stub of the PLT for the first word.
  mutating func stub(prefix: [UInt8] = []) { jump(prefix + [0xff, 0x25], to: CallSample.slot, at: CallSample.stub) }

  /// The file's constants hold `text`.
  mutating func say(_ text: String) { linkage.constants += Array(text.utf8) + [0] }
}

/// A process that has begun in one file, and whose thread is in the leaf's system call.
struct CallProcess {
  /// The other file's addresses are so much higher.
  static let bias: UInt64 = 0x1000_0000

  var space: ArraySpace
  var snapshot = Snapshot()

  /// Of the program's own leaf, or that of `library`; `throughInner`: the program's middle has called its inner function, and that the leaf.
  init(_ program: CallSample, library: CallSample? = nil, isInLibrary: Bool = false, throughInner: Bool = false) throws {
    let code = CallSample.code
    let frame: (UInt64) -> [UInt64] = { [$0, 1, 2, 3] }
    let words = (throughInner ? frame(code + 0xac) : []) + frame(code + 0x2c) + [code + 0x10]
    let stackPointer = ArraySpace.startStack - 16 - UInt64(8 * words.count)
    let before = [UInt64](repeating: 0, count: Int((stackPointer - ArraySpace.stackStart) / 8))
    space = ArraySpace(program.whole, words: before + words)
    if let library { try space.map(library.whole, bias: CallProcess.bias, path: "/library") }
    snapshot.number = 59
    snapshot.instruction = code + 0x47 + (isInLibrary ? CallProcess.bias : 0)
    snapshot.registers[Registers.rsp] = stackPointer
    snapshot.startStack = ArraySpace.startStack
    snapshot.threadPointer = 0x1000
    snapshot.borrowsMemory = false
  }

  func finding(_ permissions: Set<Permission> = []) -> Finding {
    var space = space
    return inspect(snapshot, in: &space, permissions: permissions)
  }
}
