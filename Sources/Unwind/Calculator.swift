import Bytes
import Wire

/// Evaluates DWARF expressions (DWARF 5, 2.5) as CFI uses them: on registers, constants and stack memory.
struct Calculator {
  /// gcc's longest in `.eh_frame` are some 20 bytes, OpenSSL's hand-written ones below 30.
  static let maxBytes = 512
  static let maxDepth = 64
  /// `skip` and `bra` may go back.
  static let maxSteps = 1024

  let registers: Registers
  /// The frame's own address: DWARF register 16, which PLT entries' CFA asks for.
  let instruction: UInt64
  private var stack: [UInt64] = []

  init(registers: Registers, instruction: UInt64) {
    self.registers = registers
    self.instruction = instruction
  }

  /// The value on top of the stack after `expression`; `first` is pushed before it.
  mutating func value(
    of expression: [UInt8], pushing first: UInt64?, budget: inout Budget,
    memory: (UInt64) throws(UnwindError) -> UInt64
  ) throws(UnwindError) -> UInt64 {
    stack = []
    if let first { stack.append(first) }
    var cursor = Cursor(expression.span)
    var steps = 0
    while !cursor.isAtEnd {
      steps += 1
      guard steps <= Calculator.maxSteps else { throw UnwindError.tooLarge(.expression, UInt64(steps)) }
      try budget.spend(1)
      do {
        let operation = try cursor.u8()
        if let constant = try constant(operation, &cursor) {
          try push(constant)
          continue
        }
        switch operation {
        case 0x70...0x8f:  // breg
          try push(try register(UInt64(operation - 0x70)) &+ UInt64(bitPattern: try cursor.sleb()))
        case 0x92:  // bregx
          let number = try cursor.uleb()
          try push(try register(number) &+ UInt64(bitPattern: try cursor.sleb()))
        case 0x06: try push(try memory(try pop()))  // deref
        case 0x94:  // deref_size
          let count = try cursor.u8()
          guard count >= 1, count <= 8 else { throw UnwindError.malformed(.expression) }
          let word = try memory(try pop())
          try push(count == 8 ? word : word & (1 << (8 * UInt64(count)) - 1))
        case 0x23: try push(try pop() &+ (try cursor.uleb()))  // plus_uconst
        case 0x2f: try jump(&cursor, by: try cursor.i16())  // skip
        case 0x28:  // bra
          let distance = try cursor.i16()
          if try pop() != 0 { try jump(&cursor, by: distance) }
        case 0x15: try push(try pick(Int(try cursor.u8())))  // pick
        case 0x96: break  // nop
        default: try calculate(operation)
        }
      } catch let error as UnwindError {
        throw error
      } catch {
        throw UnwindError.malformed(.expression)
      }
    }
    return try pop()
  }

  /// The value that `operation` pushes by itself, or nil where it is not one of the constants.
  private func constant(_ operation: UInt8, _ cursor: inout Cursor) throws(BytesError) -> UInt64? {
    switch operation {
    case 0x30...0x4f: UInt64(operation - 0x30)  // lit
    case 0x08: UInt64(try cursor.u8())
    case 0x09: UInt64(bitPattern: Int64(try cursor.i8()))
    case 0x0a: UInt64(try cursor.u16())
    case 0x0b: UInt64(bitPattern: Int64(try cursor.i16()))
    case 0x0c: UInt64(try cursor.u32())
    case 0x0d: UInt64(bitPattern: Int64(try cursor.i32()))
    case 0x0e, 0x0f: try cursor.u64()
    case 0x10: try cursor.uleb()
    case 0x11: UInt64(bitPattern: try cursor.sleb())
    default: nil
    }
  }

  private mutating func calculate(_ operation: UInt8) throws(UnwindError) {
    switch operation {
    case 0x12: try push(try pick(0))  // dup
    case 0x13: _ = try pop()  // drop
    case 0x14: try push(try pick(1))  // over
    case 0x16:  // swap
      let (b, a) = (try pop(), try pop())
      try push(b)
      try push(a)
    case 0x17:  // rot: the top goes under the two below it
      let (c, b, a) = (try pop(), try pop(), try pop())
      try push(c)
      try push(a)
      try push(b)
    case 0x19:  // abs
      let a = Int64(bitPattern: try pop())
      try push(a.magnitude)
    case 0x1f: try push(0 &- (try pop()))  // neg
    case 0x20: try push(~(try pop()))  // not
    case 0x1a...0x1e, 0x21, 0x22, 0x24...0x27, 0x29...0x2e:
      let (b, a) = (try pop(), try pop())
      try push(try Calculator.combine(operation, a, b))
    default: throw .unsupported(.expression)
    }
  }

  /// `a operation b`, where b was on top.
  private static func combine(_ operation: UInt8, _ a: UInt64, _ b: UInt64) throws(UnwindError) -> UInt64 {
    let (signedA, signedB) = (Int64(bitPattern: a), Int64(bitPattern: b))
    switch operation {
    case 0x1a: return a & b
    case 0x1b:  // div, signed
      let (quotient, overflow) = signedA.dividedReportingOverflow(by: signedB)
      guard !overflow else { throw .malformed(.expression) }
      return UInt64(bitPattern: quotient)
    case 0x1c: return a &- b
    case 0x1d:  // mod, unsigned
      guard b != 0 else { throw .malformed(.expression) }
      return a % b
    case 0x1e: return a &* b
    case 0x21: return a | b
    case 0x22: return a &+ b
    // Swift's smart shifts give 0 (or the sign) for distances of 64 and more, as DWARF means them.
    case 0x24: return a << b
    case 0x25: return a >> b
    case 0x26: return UInt64(bitPattern: signedA >> b)
    case 0x27: return a ^ b
    case 0x29: return a == b ? 1 : 0
    case 0x2a: return signedA >= signedB ? 1 : 0
    case 0x2b: return signedA > signedB ? 1 : 0
    case 0x2c: return signedA <= signedB ? 1 : 0
    case 0x2d: return signedA < signedB ? 1 : 0
    case 0x2e: return a != b ? 1 : 0
    default: throw .unsupported(.expression)
    }
  }

  private func register(_ number: UInt64) throws(UnwindError) -> UInt64 {
    if number == 16 { return instruction }
    guard number < 16 else { throw .unsupported(.expression) }
    guard let value = registers[Int(number)] else { throw .unknownRegister(UInt8(number)) }
    return value
  }

  private func jump(_ cursor: inout Cursor, by distance: Int16) throws(BytesError) {
    try cursor.seek(to: cursor.offset + Int(distance))
  }

  private mutating func push(_ value: UInt64) throws(UnwindError) {
    guard stack.count < Calculator.maxDepth else { throw .tooLarge(.expression, UInt64(stack.count)) }
    stack.append(value)
  }

  private mutating func pop() throws(UnwindError) -> UInt64 {
    guard let value = stack.popLast() else { throw .malformed(.expression) }
    return value
  }

  private func pick(_ index: Int) throws(UnwindError) -> UInt64 {
    guard index < stack.count else { throw .malformed(.expression) }
    return stack[stack.count - 1 - index]
  }
}
