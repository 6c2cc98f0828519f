package import ELF

/// A DWARF expression: its bytes stay in the file until it is evaluated.
package struct Expression: Equatable, Sendable {
  package var address: ImageAddress
  package var count: UInt16
}

/// How the caller's value of one register is found (DWARF 5, 6.4.1).
package enum Rule: Equatable, Sendable {
  /// The CFI is silent: the calling convention says whether a call keeps the register.
  case unspecified
  case undefined
  case sameValue
  /// *(CFA + n)
  case saved(Int64)
  /// CFA + n
  case value(Int64)
  /// The value of register n in this frame.
  case register(UInt8)
  /// *(register n + offset)
  case savedFrom(UInt8, Int64)
  /// *(expression), with the CFA pushed first
  case savedAt(Expression)
  /// expression, with the CFA pushed first
  case computed(Expression)
}

/// How the frame's canonical frame address, i.e. the caller's SP after the return, is found.
package enum CFARule: Equatable, Sendable {
  /// CFA = register n + offset
  case register(UInt8, offset: Int64)
  /// CFA = *(register n + offset) + plus: where a function has aligned its stack and keeps the old SP in its frame.
  case saved(register: UInt8, offset: Int64, plus: Int64)
  /// CFA = expression
  case computed(Expression)
}

/// One row of the unwind table: what holds for every address in [start, end) of one function.
package struct Row: Equatable, Sendable {
  package var start: ImageAddress
  package var end: ImageAddress
  package var cfa: CFARule = .register(7, offset: 8)
  /// By DWARF number.
  package var registers: [16 of Rule] = .init(repeating: .unspecified)
  package var returnAddress: Rule = .unspecified
  package var isSignalFrame = false

  /// Says nothing yet: CFA = rsp + 8, as at a function's entry.
  package init(start: ImageAddress, end: ImageAddress) {
    self.start = start
    self.end = end
  }

  package static func == (a: Row, b: Row) -> Bool {
    guard a.start == b.start, a.end == b.end, a.cfa == b.cfa, a.returnAddress == b.returnAddress else { return false }
    for number in 0..<16 where a.registers[number] != b.registers[number] { return false }
    return a.isSignalFrame == b.isSignalFrame
  }
}
