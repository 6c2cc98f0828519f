private import CZydis

/// One operand as it stands in an instruction. Registers by DWARF number, whatever part of them is meant.
package enum Operand: Equatable, Sendable {
  case register(UInt8)
  /// `isThreadLocal`: relative to fs_base.
  case memory(Memory, isThreadLocal: Bool)
  /// A displacement, where the instruction is a jump or a call.
  case constant(Int64)
  /// A vector or segment register.
  case other
}

/// One instruction for whoever runs it with the values that a process has: those that move SP about, and what tests decide on.
package struct Assembly: Equatable, Sendable {
  package enum Mnemonic: Equatable, Sendable {
    case mov, lea, add, sub, and, or, xor, cmp, test, push, pushf, pop, popf, jz, jnz, jmp, call, ret
    /// `ud2`, `hlt`, `int3`.
    case stop
    case other
  }

  /// 1 to 15.
  package var length: Int
  package var mnemonic: Mnemonic
  /// Those that an assembler writes.
  package var operands: [Operand]
  /// Of the first operand, in bits; 0 without one.
  package var width: Int
  /// Bit n: general register n is written to.
  package var written: UInt16
  /// The first operand is written to.
  package var writesFirst: Bool
}

extension OperationDecoder {
  /// The instruction at `offset`, or nil where the bytes are none, or end too early.
  package func assembly(at offset: Int, in code: [UInt8]) -> Assembly? {
    guard let operation = decode(at: offset, in: code) else { return nil }
    let count = visibleOperands
    return Assembly(
      length: operation.length, mnemonic: mnemonic, operands: (0..<count).map(operand), width: count > 0 ? bits(0) : 0,
      written: operation.written, writesFirst: count > 0 && isWritten(0))
  }
}
