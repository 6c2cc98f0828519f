package import ELF
package import Wire

/// The frame above: what holds in the caller, right after the return.
package struct Caller: Equatable, Sendable {
  /// The canonical frame address: SP in the caller after the return, unless a rule says otherwise.
  package var cfa: UInt64
  /// nil where the CFI says that there is none: the end of the stack.
  package var returnAddress: UInt64?
  package var registers: Registers

  package init(cfa: UInt64, returnAddress: UInt64?, registers: Registers) {
    self.cfa = cfa
    self.returnAddress = returnAddress
    self.registers = registers
  }
}

extension Registers {
  /// What a call keeps (psABI 3.2.1): rbx, rbp, r12 to r15.
  package static let keptByCalls: [Int] = [3, 6, 12, 13, 14, 15]
}

/// Applies `row` to a frame. `instruction` is the frame's own address as the process runs it; `memory` reads eight bytes of its
/// stack.
package func step(
  _ row: Row, in registers: Registers, at instruction: UInt64, file: ObjectFile, budget: inout Budget,
  memory: (UInt64) throws(UnwindError) -> UInt64
) throws(UnwindError) -> Caller {
  func calculate(_ expression: Expression, pushing cfa: UInt64?) throws(UnwindError) -> UInt64 {
    let bytes = try file.unwindBytes(at: expression.address, count: Int(expression.count))
    var calculator = Calculator(registers: registers, instruction: instruction)
    return try calculator.value(of: bytes, pushing: cfa, budget: &budget, memory: memory)
  }

  let cfa: UInt64
  switch row.cfa {
  case .register(let number, let offset):
    guard let base = registers[Int(number)] else { throw .unknownRegister(number) }
    cfa = base &+ UInt64(bitPattern: offset)
  case .saved(let number, let offset, let plus):
    guard let base = registers[Int(number)] else { throw .unknownRegister(number) }
    cfa = try memory(base &+ UInt64(bitPattern: offset)) &+ UInt64(bitPattern: plus)
  case .computed(let expression): cfa = try calculate(expression, pushing: nil)
  }

  /// The value a rule gives, or nil for unknown; `kept` is what an unspecified rule means.
  func value(_ rule: Rule, own: UInt64?, kept: Bool) throws(UnwindError) -> UInt64? {
    switch rule {
    case .unspecified: kept ? own : nil
    case .undefined: nil
    case .sameValue: own
    case .saved(let offset): try memory(cfa &+ UInt64(bitPattern: offset))
    case .value(let offset): cfa &+ UInt64(bitPattern: offset)
    case .register(let number): registers[Int(number)]
    case .savedFrom(let number, let offset):
      if let base = registers[Int(number)] { try memory(base &+ UInt64(bitPattern: offset)) } else { throw .unknownRegister(number) }
    case .savedAt(let expression): try memory(try calculate(expression, pushing: cfa))
    case .computed(let expression): try calculate(expression, pushing: cfa)
    }
  }

  var caller = Registers()
  for number in 0..<16 {
    // In a signal frame what no rule names is what it was: nothing was called.
    let kept = row.isSignalFrame || Registers.keptByCalls.contains(number)
    caller[number] = try value(row.registers[number], own: registers[number], kept: kept)
  }
  if row.registers[Registers.rsp] == .unspecified { caller[Registers.rsp] = cfa }

  let returnAddress: UInt64?
  switch row.returnAddress {
  case .undefined: returnAddress = nil
  case .unspecified: throw .malformed(.returnAddress)
  case .register(let number):
    guard let known = registers[Int(number)] else { throw .unknownRegister(number) }
    returnAddress = known
  case .sameValue, .saved, .value, .savedFrom, .savedAt, .computed:
    returnAddress = try value(row.returnAddress, own: nil, kept: false)
    guard returnAddress != nil else { throw .malformed(.returnAddress) }
  }
  return Caller(cfa: cfa, returnAddress: returnAddress, registers: caller)
}
