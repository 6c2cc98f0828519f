import Wire
import X86

/// One instruction of the few that Go's assembly switches stacks with, with its operands. Registers by their DWARF numbers.
enum GoInstruction: Equatable {
  struct Place: Equatable {
    /// Thread-local: relative to fs_base.
    var isThreadLocal = false
    var base: Int?
    /// Relative to the next instruction.
    var isRelative = false
    var displacement: Int64 = 0

    func isPlain(_ register: Int) -> Bool { base == register && !isThreadLocal }
  }

  enum Operand: Equatable {
    case register(Int)
    case memory(Place)
    case constant(UInt64)
    /// Nothing that is followed here: an address with an index, or no general register.
    case unknown
  }

  enum Arithmetic { case add, subtract, and, or, exclusiveOr, compare }

  /// Of eight bytes, else four, which clear the upper half of a register.
  case move(Operand, Operand, isWide: Bool)
  case address(Int, Place)
  case arithmetic(Arithmetic, Operand, Operand, isWide: Bool)
  case test(Int, Int, isWide: Bool)
  case push(Operand)
  case pop(Int)
  case pushFlags
  case popFlags
  /// `je`, `jne`: jumps where the last result's being zero is `ifZero`.
  case branch(ifZero: Bool, Int64)
  case jump(Int64)
  /// Through a register or memory.
  case jumpOther
  /// To a place that the instruction names.
  case call
  /// Through a register or memory.
  case callOther
  /// It computes something that SP never comes from.
  case loses(Operand)
  case leave
  /// It changes no general register and no memory that matters here: vector moves and padding.
  case nothing
  /// `ud2`, `hlt`, `int3` and the like.
  case stop

  /// It gives SP a value that is not a fixed distance from what it had.
  var setsStackPointer: Bool {
    let rsp = Registers.rsp
    switch self {
    case .move(.register(rsp), _, _), .pop(rsp): return true
    case .address(rsp, let place): return !place.isPlain(rsp)
    case .arithmetic(.add, .register(rsp), .constant, _), .arithmetic(.subtract, .register(rsp), .constant, _): return false
    case .arithmetic(let kind, .register(rsp), _, _): return kind != .compare
    case .loses(.register(rsp)): return true
    default: return false
    }
  }

  /// nil where it is none of these.
  init?(_ assembly: Assembly) {
    let isWide = assembly.width == 64
    let operands = assembly.operands.map(Operand.init)
    func operand(_ index: Int) -> Operand? { index < operands.count ? operands[index] : nil }
    switch (assembly.mnemonic, operand(0), operand(1)) {
    case (.push, let source?, _): self = .push(source)
    case (.pop, .register(let number)?, _): self = .pop(number)
    case (.pushf, _, _): self = .pushFlags
    case (.popf, _, _): self = .popFlags
    case (.ret, nil, _): self = .leave
    case (.stop, _, _): self = .stop
    case (.jmp, .constant(let distance)?, _): self = .jump(Int64(bitPattern: distance))
    case (.jmp, _, _): self = .jumpOther
    case (.jz, .constant(let distance)?, _): self = .branch(ifZero: true, Int64(bitPattern: distance))
    case (.jnz, .constant(let distance)?, _): self = .branch(ifZero: false, Int64(bitPattern: distance))
    case (.call, .constant?, _): self = .call
    case (.call, _, _): self = .callOther
    case (.lea, .register(let number)?, .memory(let place)?) where isWide && !place.isThreadLocal: self = .address(number, place)
    case (.mov, let target?, let source?) where assembly.width >= 32: self = .move(target, source, isWide: isWide)
    case (.test, .register(let a)?, .register(let b)?) where assembly.width >= 32: self = .test(a, b, isWide: isWide)
    case (let mnemonic, let target?, let source?) where assembly.width >= 32 && Arithmetic(mnemonic) != nil:
      self = .arithmetic(Arithmetic(mnemonic)!, target, source, isWide: isWide)
    default: self.init(losing: assembly, target: operand(0))
    }
  }

  /// Any other instruction, by what it writes.
  private init?(losing assembly: Assembly, target: Operand?) {
    switch (target, assembly.written) {
    case (.memory?, 0) where assembly.writesFirst && assembly.width <= 64: self = .loses(target!)
    // Vector moves and padding.
    case (_, 0) where assembly.mnemonic == .other: self = .nothing
    case (.register(let number)?, let written) where written == 1 << UInt16(number): self = .loses(.register(number))
    default: return nil
    }
  }
}

extension GoInstruction.Operand {
  fileprivate init(_ operand: X86.Operand) {
    switch operand {
    case .register(let number): self = .register(Int(number))
    case .constant(let value): self = .constant(UInt64(bitPattern: value))
    case .memory(let memory, let isThreadLocal) where memory.index == nil:
      var place = GoInstruction.Place(isThreadLocal: isThreadLocal, displacement: memory.displacement)
      switch memory.base {
      case .none: break
      case .instruction: place.isRelative = true
      case .register(let number): place.base = Int(number)
      }
      self = .memory(place)
    case .memory, .other: self = .unknown
    }
  }
}

extension GoInstruction.Arithmetic {
  fileprivate init?(_ mnemonic: Assembly.Mnemonic) {
    switch mnemonic {
    case .add: self = .add
    case .sub: self = .subtract
    case .and: self = .and
    case .or: self = .or
    case .xor: self = .exclusiveOr
    case .cmp: self = .compare
    default: return nil
    }
  }
}
