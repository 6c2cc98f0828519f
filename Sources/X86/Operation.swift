/// A memory operand: base + index · scale + displacement. Registers by DWARF number (psABI, figure 3.36).
package struct Memory: Equatable, Sendable {
  package enum Base: Equatable, Sendable {
    case none
    case register(UInt8)
    /// The instruction's end.
    case instruction
  }

  package var base: Base
  package var index: UInt8?
  package var scale: UInt8
  package var displacement: Int64

  package init(base: Base, index: UInt8? = nil, scale: UInt8 = 0, displacement: Int64) {
    self.base = base
    self.index = index
    self.scale = scale
    self.displacement = displacement
  }
}

/// Where one instruction passes control.
package enum Transfer: Equatable, Sendable {
  case next
  /// `displacement` bytes past the instruction's end.
  case jump(displacement: Int64)
  case branch(displacement: Int64)
  /// Through a register, or through memory.
  case jumpRegister(UInt8)
  case jumpMemory(Memory)
  case call(displacement: Int64)
  case callIndirect
  case syscall
  case ret
  /// `hlt`, `ud2`, `int3`: nothing goes on from here.
  case halt
}

/// What one instruction does to general registers and to stack slots, as far as it can be followed. What is not listed here shows in
/// `Operation.written` alone.
package enum Effect: Equatable, Sendable {
  case none
  /// SP goes down by eight; nil where the value comes from elsewhere.
  case push(UInt8?)
  case pushConstant(Int64)
  case pushMemory(Memory)
  case pop(UInt8?)
  case move(to: UInt8, from: UInt8)
  /// The lower four bytes; the upper ones become zero.
  case moveHalf(to: UInt8, from: UInt8)
  /// `cmov`: the register stays what it is, or becomes the other. `isHalf`: what it is then has its upper four bytes zero.
  case moveIf(to: UInt8, from: UInt8, isHalf: Bool)
  case exchange(UInt8, UInt8)
  case constant(to: UInt8, Int64)
  /// The lowest byte alone.
  case constantByte(to: UInt8, UInt8)
  /// The register becomes the operand's address.
  case address(to: UInt8, Memory)
  /// Eight bytes.
  case load(to: UInt8, Memory)
  /// Eight bytes from fs_base + 0x28, where the compilers' stack protector has its canary.
  case canary(to: UInt8)
  /// Four bytes, sign-extended: an entry of a jump table.
  case loadSigned(to: UInt8, Memory)
  /// `count` bytes; `from` where they are one whole register.
  case store(Memory, from: UInt8?, count: UInt16)
  case add(to: UInt8, Int64)
  case addRegister(to: UInt8, from: UInt8)
  /// `and` with a negative constant, or `sub` of a register: it goes down by an amount that is not known here.
  case lower(UInt8)
  case leave
  /// Of a register with a constant: what comes before a jump through a table.
  case compare(Int64)
}

/// One instruction, as flow analysis needs it.
package struct Operation: Equatable, Sendable {
  /// 1 to 15.
  package var length: Int
  package var transfer: Transfer
  package var effect: Effect
  /// Bit n: general register n is written to, whether `effect` says how or not.
  package var written: UInt16
  /// `nop` of any length, or `int3`: what fills the space between functions.
  package var isPadding: Bool

  package init(length: Int, transfer: Transfer = .next, effect: Effect = .none, written: UInt16 = 0, isPadding: Bool = false) {
    self.length = length
    self.transfer = transfer
    self.effect = effect
    self.written = written
    self.isPadding = isPadding
  }
}
