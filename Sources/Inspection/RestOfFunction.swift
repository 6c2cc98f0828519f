import ELF
import Unwind
import Wire
import X86

/// Where a function goes on to when it returns, found by following its instructions from where it is to its return.
///
/// Go's runtime goes from stack to stack in a handful of functions of assembly. Where the caller of such a function lies its
/// instructions say, and nothing else does: `systemstack` loads SP from `g.m.curg.sched.sp`, `asmcgocall` computes it from a depth that
/// it put aside, `cgocallback` puts back the system stack's SP on its way, `crosscall2` restores the registers that C code keeps. Following
/// the instructions of the file needs no table of what lies where in which release. What they load is the process's memory, and with
/// it the attacker's: the chain goes on where it says, and is checked there as anywhere.
struct RestOfFunction {
  /// The longest rest, cgocallback's, has some thirty instructions.
  private static let maxInstructions = 256
  /// Words that functions on the way out have written: some ten each, for some hundred crossings between Go and C.
  static let maxWritten = 4096

  let image: Image
  let range: AddressRange
  /// What is added to the file's addresses when it is loaded.
  let bias: UInt64
  let threadPointer: UInt64?
  private(set) var registers: Registers
  private(set) var returnAddress: UInt64 = 0
  /// SP was set, not just raised.
  private(set) var isElsewhere = false
  /// The last result was zero; nil where it is not known.
  private var isZero: Bool?
  /// What the process's memory would hold by now; nil where that is not known.
  var written: [UInt64: UInt64?]

  init(
    of range: AddressRange, image: Image, bias: UInt64, registers: Registers, threadPointer: UInt64?, written: [UInt64: UInt64?]
  ) {
    self.image = image
    self.range = range
    self.bias = bias
    self.registers = registers
    self.threadPointer = threadPointer
    self.written = written
  }

  /// Follows the instructions from `start` to the return. Throws where one is not known, or leads to a value that is not.
  mutating func follow(
    from start: ImageAddress, budget: inout Budget, memory: (UInt64) throws(UnwindError) -> UInt64
  ) throws(UnwindError) {
    var at = start
    for _ in 0..<RestOfFunction.maxInstructions {
      guard range.contains(at) else { break }
      let code: [UInt8]
      do throws(ELFError) { code = try image.file.bytes(at: at, upTo: 16) } catch { throw .file(error) }
      try budget.spend(code.count)
      guard let instruction = image.assembler.assembly(at: 0, in: code), let operation = GoInstruction(instruction) else {
        throw .unsupported(.instructions)
      }
      let next = at + UInt64(instruction.length)
      if operation.setsStackPointer { isElsewhere = true }
      switch operation {
      case .leave:
        try popReturnAddress(memory)
        return
      case .jump(let distance): at = next + UInt64(bitPattern: distance)
      case .branch(let ifZero, let distance):
        guard let isZero else { throw .unsupported(.instructions) }
        at = isZero == ifZero ? next + UInt64(bitPattern: distance) : next
      case .stop: throw .unsupported(.instructions)
      // A tail call: what is called returns to this function's caller.
      case .jumpOther:
        try popReturnAddress(memory)
        return
      default:
        try apply(operation, next: next, memory)
        at = next
      }
    }
    // A tail call out of the function.
    guard !range.contains(at) else { throw .unsupported(.instructions) }
    try popReturnAddress(memory)
  }

  private mutating func apply(
    _ operation: GoInstruction, next: ImageAddress, _ memory: (UInt64) throws(UnwindError) -> UInt64
  ) throws(UnwindError) {
    switch operation {
    case .move(let target, let source, let isWide):
      try set(target, to: try value(source, isWide, next, memory), isWide, next)
    case .address(let number, let place): registers[number] = address(of: place, next)
    case .arithmetic(let kind, let target, let source, let isWide):
      let (a, b) = (try value(target, isWide, next, memory), try value(source, isWide, next, memory))
      let result = combined(kind, a, b, isSame: target == source).map { isWide ? $0 : $0 & 0xffff_ffff }
      isZero = result.map { $0 == 0 }
      if kind != .compare { try set(target, to: result, isWide, next) }
    case .test(let a, let b, let isWide):
      let result = combined(.and, registers[a], registers[b], isSame: false)
      isZero = result.map { (isWide ? $0 : $0 & 0xffff_ffff) == 0 }
    case .push(let source):
      try push(try value(source, true, next, memory))
    case .pushFlags: try push(nil)
    case .pop(let number): registers[number] = try pop(memory)
    case .popFlags:
      _ = try pop(memory)
      isZero = nil
    case .call: forget(allBut: [Registers.rsp, Registers.rbp])
    // C's functions are called through pointers. Of Go's own, only dropm is, by cgocallback: what it does not keep, crosscall2 restores.
    case .callOther: forget(allBut: [Registers.rsp] + Registers.keptByCalls)
    case .loses(let target):
      try set(target, to: nil, true, next)
      isZero = nil
    case .nothing: break
    case .branch, .jump, .jumpOther, .leave, .stop: throw .unsupported(.instructions)
    }
  }

  /// Something was called, and has put SP back.
  private mutating func forget(allBut kept: [Int]) {
    let before = registers
    registers = Registers()
    for number in kept { registers[number] = before[number] }
    isZero = nil
  }

  private func combined(_ kind: GoInstruction.Arithmetic, _ a: UInt64?, _ b: UInt64?, isSame: Bool) -> UInt64? {
    if isSame, kind == .exclusiveOr || kind == .subtract || kind == .compare { return 0 }
    guard let a, let b else { return nil }
    return switch kind {
    case .add: a &+ b
    case .subtract, .compare: a &- b
    case .and: a & b
    case .or: a | b
    case .exclusiveOr: a ^ b
    }
  }

  // MARK: - Operands

  private func address(of place: GoInstruction.Place, _ next: ImageAddress) -> UInt64? {
    var sum = UInt64(bitPattern: place.displacement)
    if place.isRelative { sum = sum &+ next.value &+ bias }
    if let base = place.base {
      guard let value = registers[base] else { return nil }
      sum = sum &+ value
    }
    if place.isThreadLocal {
      guard let threadPointer else { return nil }
      sum = sum &+ threadPointer
    }
    return sum
  }

  private func value(
    _ operand: GoInstruction.Operand, _ isWide: Bool, _ next: ImageAddress, _ memory: (UInt64) throws(UnwindError) -> UInt64
  ) throws(UnwindError) -> UInt64? {
    let whole: UInt64?
    switch operand {
    case .constant(let value): whole = value
    case .register(let number): whole = registers[number]
    case .unknown: return nil
    case .memory(let place):
      guard let address = address(of: place, next) else { return nil }
      whole = if let word = written[address] { word } else { try memory(address) }
    }
    return isWide ? whole : whole.map { $0 & 0xffff_ffff }
  }

  private mutating func set(
    _ operand: GoInstruction.Operand, to value: UInt64?, _ isWide: Bool, _ next: ImageAddress
  ) throws(UnwindError) {
    switch operand {
    case .register(let number): registers[number] = value
    case .memory(let place):
      // Where it is not known what is written over, nothing is known any more.
      guard let address = address(of: place, next) else { throw .unsupported(.instructions) }
      // Half a word is nothing that SP comes from.
      try write(isWide ? value : nil, at: address)
    case .constant, .unknown: throw .unsupported(.instructions)
    }
  }

  private mutating func write(_ value: UInt64?, at address: UInt64) throws(UnwindError) {
    guard written.count < RestOfFunction.maxWritten else { throw .exhausted }
    written[address] = .some(value)
  }

  private mutating func push(_ value: UInt64?) throws(UnwindError) {
    guard let stackPointer = registers[Registers.rsp] else { throw .unknownRegister(UInt8(Registers.rsp)) }
    registers[Registers.rsp] = stackPointer &- 8
    try write(value, at: stackPointer &- 8)
  }

  private mutating func pop(_ memory: (UInt64) throws(UnwindError) -> UInt64) throws(UnwindError) -> UInt64? {
    guard let stackPointer = registers[Registers.rsp] else { throw .unknownRegister(UInt8(Registers.rsp)) }
    registers[Registers.rsp] = stackPointer &+ 8
    if let known = written[stackPointer] { return known }
    return try memory(stackPointer)
  }

  private mutating func popReturnAddress(_ memory: (UInt64) throws(UnwindError) -> UInt64) throws(UnwindError) {
    guard let found = try pop(memory) else { throw .malformed(.returnAddress) }
    returnAddress = found
  }
}
