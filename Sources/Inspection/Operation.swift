import Wire

/// One instruction of the few that Go's assembly switches stacks with, with its operands. Registers by their DWARF numbers.
enum Operation: Equatable {
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
  }

  enum Arithmetic: UInt8 {
    case add = 0
    case or = 1
    case and = 4
    case subtract = 5
    case exclusiveOr = 6
    case compare = 7
  }

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

  /// DWARF's numbers in the order of the instruction set's.
  private static let numbers = [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15]

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

  /// `bytes` are one whole instruction; nil where it is none of these.
  init?(_ bytes: [UInt8]) {
    var reader = Reader(bytes: bytes)
    guard let operation = reader.operation(), reader.offset == bytes.count else { return nil }
    self = operation
  }

  /// Reads the encoding (Intel SDM 2, chapter 2).
  private struct Reader {
    let bytes: [UInt8]
    var offset = 0
    var isThreadLocal = false
    var rex: UInt8 = 0

    mutating func byte() -> UInt8? {
      guard offset < bytes.count else { return nil }
      defer { offset += 1 }
      return bytes[offset]
    }

    /// A signed number of `count` bytes.
    mutating func number(_ count: Int) -> Int64? {
      guard bytes.count - offset >= count else { return nil }
      var value: UInt64 = 0
      for index in 0..<count { value |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
      offset += count
      let shift = UInt64(64 - 8 * count)
      return Int64(bitPattern: value << shift) >> Int64(shift)
    }

    mutating func constant(_ count: Int) -> Operand? { number(count).map { .constant(UInt64(bitPattern: $0)) } }

    func register(_ low: UInt8, extendedBy bit: UInt8) -> Int {
      Operation.numbers[Int(low & 7) + (rex & bit != 0 ? 8 : 0)]
    }

    /// ModRM and what follows it.
    mutating func operands() -> (register: UInt8, other: Operand)? {
      guard let form = byte() else { return nil }
      let (mode, middle, low) = (form >> 6, (form >> 3) & 7, form & 7)
      if mode == 3 { return (middle, .register(register(low, extendedBy: 1))) }
      var place = Place(isThreadLocal: isThreadLocal)
      var displacementBytes = mode == 1 ? 1 : mode == 2 ? 4 : 0
      if low == 4 {
        guard let scale = byte() else { return nil }
        // An index other than none.
        guard (scale >> 3) & 7 == 4, rex & 2 == 0 else { return nil }
        if scale & 7 == 5, mode == 0 { displacementBytes = 4 } else { place.base = register(scale, extendedBy: 1) }
      } else if low == 5, mode == 0 {
        place.isRelative = true
        displacementBytes = 4
      } else {
        place.base = register(low, extendedBy: 1)
      }
      if displacementBytes > 0 {
        guard let displacement = number(displacementBytes) else { return nil }
        place.displacement = displacement
      }
      return (middle, .memory(place))
    }

    mutating func operation() -> Operation? {
      var opcode = byte()
      while let prefix = opcode, [0x64, 0x66, 0xf2, 0xf3].contains(prefix) {
        if prefix == 0x64 { isThreadLocal = true }
        opcode = byte()
      }
      if let prefix = opcode, prefix & 0xf0 == 0x40 {
        rex = prefix
        opcode = byte()
      }
      guard let opcode else { return nil }
      let isWide = rex & 8 != 0
      switch opcode {
      case 0x50...0x57: return .push(.register(register(opcode, extendedBy: 1)))
      case 0x58...0x5f: return .pop(register(opcode, extendedBy: 1))
      case 0x9c: return .pushFlags
      case 0x9d: return .popFlags
      case 0x90: return .nothing
      case 0xc3: return .leave
      case 0xcc, 0xf4: return .stop
      case 0xb8...0xbf:
        let number = register(opcode, extendedBy: 1)
        return constant(isWide ? 8 : 4).map { .move(.register(number), $0, isWide: isWide) }
      case 0xe8: return number(4).map { _ in .call }
      case 0xe9: return number(4).map { .jump($0) }
      case 0xeb: return number(1).map { .jump($0) }
      case 0x74, 0x75: return number(1).map { .branch(ifZero: opcode == 0x74, $0) }
      case 0x0f: return twoBytes()
      case 0x01, 0x09, 0x21, 0x29, 0x31, 0x39, 0x03, 0x0b, 0x23, 0x2b, 0x33, 0x3b, 0x85, 0x69, 0x6b, 0x89, 0x8b, 0x8d:
        return two(opcode, isWide)
      case 0x81, 0x83, 0xc1, 0xc7, 0xd1, 0xf7, 0xff: return one(opcode, isWide)
      // Vector instructions of AVX.
      case 0xc4, 0xc5, 0x62: return skipped()
      default: return nil
      }
    }

    private mutating func skipped() -> Operation {
      offset = bytes.count
      return .nothing
    }

    /// A register and another operand.
    private mutating func two(_ opcode: UInt8, _ isWide: Bool) -> Operation? {
      guard let (middle, other) = operands() else { return nil }
      let own = register(middle, extendedBy: 4)
      switch opcode {
      case 0x89: return .move(other, .register(own), isWide: isWide)
      case 0x8b: return .move(.register(own), other, isWide: isWide)
      case 0x85:
        guard case .register(let number) = other else { return nil }
        return .test(number, own, isWide: isWide)
      // imul by a constant.
      case 0x69, 0x6b: return number(opcode == 0x69 ? 4 : 1).map { _ in .loses(.register(own)) }
      case 0x8d:
        guard case .memory(let place) = other, isWide, !place.isThreadLocal else { return nil }
        return .address(own, place)
      default:
        guard let kind = Arithmetic(rawValue: opcode >> 3) else { return nil }
        // Bit 1 says which operand is the result.
        return opcode & 2 == 0
          ? .arithmetic(kind, other, .register(own), isWide: isWide) : .arithmetic(kind, .register(own), other, isWide: isWide)
      }
    }

    /// One operand, and mostly a constant.
    private mutating func one(_ opcode: UInt8, _ isWide: Bool) -> Operation? {
      guard let (middle, other) = operands() else { return nil }
      switch (opcode, middle) {
      case (0xc7, 0): return constant(4).map { .move(other, $0, isWide: isWide) }
      // Shifts, not and neg.
      case (0xc1, _): return number(1).map { _ in .loses(other) }
      case (0xd1, _), (0xf7, 2), (0xf7, 3): return .loses(other)
      case (0xff, 2): return .callOther
      case (0xff, 4): return .jumpOther
      case (0xff, 6): return .push(other)
      case (0x81, _), (0x83, _):
        guard let kind = Arithmetic(rawValue: middle) else { return nil }
        return constant(opcode == 0x81 ? 4 : 1).map { .arithmetic(kind, other, $0, isWide: isWide) }
      default: return nil
      }
    }

    private mutating func twoBytes() -> Operation? {
      guard let opcode = byte() else { return nil }
      switch opcode {
      case 0x84, 0x85: return number(4).map { .branch(ifZero: opcode == 0x84, $0) }
      case 0x0b: return .stop
      // nop; movups, movaps, movdqa and movdqu in both directions, xorps and pxor.
      case 0x1f, 0x10, 0x11, 0x28, 0x29, 0x57, 0x6f, 0x7f, 0xef: return skipped()
      default: return nil
      }
    }
  }
}
