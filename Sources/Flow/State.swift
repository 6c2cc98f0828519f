import Wire

/// What is known of one register or one stack slot, relative to the function's entry.
enum Value: Equatable {
  case unknown
  /// What register n held at the entry.
  case entry(UInt8)
  /// The word that the call pushed.
  case returnAddress
  /// CFA + n, where the CFA is SP at the entry + 8.
  case frame(Int64)
  /// n above the place that SP was last set to, how far from the CFA is not known (alignment, alloca).
  case aligned(Int64)
  case constant(Int64)
  /// The word that the stack protector compares with its copy before a function returns.
  case canary
  /// An entry of the jump table at an image address, as far as it has been computed.
  case tableEntry(table: Int64)
  case tableTarget(table: Int64, base: Int64)

  /// `n` higher.
  func moved(_ n: Int64) -> Value {
    switch self {
    case .frame(let offset): .frame(offset &+ n)
    case .aligned(let offset): .aligned(offset &+ n)
    case .constant(let value): .constant(value &+ n)
    case .unknown, .entry, .returnAddress, .canary, .tableEntry, .tableTarget: .unknown
    }
  }
}

/// Sixteen values, taken apart so that two sets of them are compared and met without a look at each one's case: at most instructions nearly all
/// of them are the same.
private struct Values: Equatable {
  /// 0: unknown.
  private var kinds: SIMD16<UInt8> = .zero
  /// What the cases carry; 0 where they carry nothing.
  private var first: SIMD16<Int64> = .zero
  private var second: SIMD16<Int64> = .zero

  subscript(number: Int) -> Value {
    get {
      switch kinds[number] {
      case 1: .entry(UInt8(truncatingIfNeeded: first[number]))
      case 2: .returnAddress
      case 3: .frame(first[number])
      case 4: .aligned(first[number])
      case 5: .constant(first[number])
      case 6: .canary
      case 7: .tableEntry(table: first[number])
      case 8: .tableTarget(table: first[number], base: second[number])
      default: .unknown
      }
    }
    set {
      (kinds[number], first[number], second[number]) =
        switch newValue {
        case .unknown: (0, 0, 0)
        case .entry(let register): (1, Int64(register), 0)
        case .returnAddress: (2, 0, 0)
        case .frame(let offset): (3, offset, 0)
        case .aligned(let offset): (4, offset, 0)
        case .constant(let value): (5, value, 0)
        case .canary: (6, 0, 0)
        case .tableEntry(let table): (7, table, 0)
        case .tableTarget(let table, let base): (8, table, base)
        }
    }
  }

  func isUnknown(_ number: Int) -> Bool { kinds[number] == 0 }

  /// What differs becomes unknown. Whether anything has.
  mutating func meet(_ other: Values) -> Bool {
    guard self != other else { return false }
    var isChanged = false
    for number in 0..<16 {
      let isSame = kinds[number] == other.kinds[number] && first[number] == other.first[number] && second[number] == other.second[number]
      if !isSame, kinds[number] != 0 {
        self[number] = .unknown
        isChanged = true
      }
    }
    return isChanged
  }

  /// As whole vectors: one by one it would take as long as all the rest of an analysis.
  static func == (a: Values, b: Values) -> Bool {
    let (others, kinds) = ((a.first ^ b.first) | (a.second ^ b.second), a.kinds ^ b.kinds)
    var (sum, small): (Int64, UInt8) = (0, 0)
    for number in 0..<16 {
      sum |= others[number]
      small |= kinds[number]
    }
    return sum == 0 && small == 0
  }
}

/// What is known before one instruction: the sixteen registers, and the slots of the frame that were written.
struct State: Equatable {
  struct Slot: Equatable {
    /// `.frame` or `.aligned`.
    var place: Value
    var value: Value
  }

  /// What saves registers are the first stores of a function: later ones share the last slot.
  static let maxSlots = 48

  private var registers = Values()
  private(set) var slots: [Slot] = []

  /// The constant of the last comparison: the highest index, where a jump through a table follows.
  var compared: Int64?

  /// The syscall that starts a task on a stack of its own has been made: this may be that task.
  var mayBeNewTask = false

  /// At a function's entry.
  init() {
    for number in 0..<16 { registers[number] = .entry(UInt8(number)) }
    registers[Registers.rsp] = .frame(-8)
    slots = [Slot(place: .frame(-8), value: .returnAddress)]
  }

  subscript(register: UInt8) -> Value {
    get { registers[Int(register & 15)] }
    set { registers[Int(register & 15)] = newValue }
  }

  /// Something is known of one of the registers that `mask` names.
  func knows(_ mask: UInt16) -> Bool {
    var mask = mask
    while mask != 0 {
      if !registers.isUnknown(mask.trailingZeroBitCount) { return true }
      mask &= mask - 1
    }
    return false
  }

  var stackPointer: Value {
    get { registers[Registers.rsp] }
    set { registers[Registers.rsp] = newValue }
  }

  func slot(_ place: Value) -> Value { slots.first { $0.place == place }?.value ?? .unknown }

  /// `count` bytes are written at `place`: `value` where they are one whole word.
  mutating func store(_ value: Value, at place: Value, count: Int64) {
    slots.removeAll { State.overlap($0.place, place, count) }
    guard count == 8, value != .unknown else { return }
    if slots.count >= State.maxSlots { slots.removeLast() }
    slots.append(Slot(place: place, value: value))
  }

  /// Forgets all that is known relative to where SP was set to.
  mutating func forgetAligned() {
    let isAligned = { (value: Value) in if case .aligned = value { true } else { false } }
    for index in 0..<16 where isAligned(registers[index]) { registers[index] = .unknown }
    slots.removeAll { isAligned($0.place) || isAligned($0.value) }
  }

  private static func overlap(_ slot: Value, _ place: Value, _ count: Int64) -> Bool {
    switch (slot, place) {
    case (.frame(let a), .frame(let b)), (.aligned(let a), .aligned(let b)): a < b &+ count && b < a &+ 8
    // Such a place lies below everything that had been pushed before.
    default: false
    }
  }

  /// What a state takes, and two of them to be compared, in the budget's units: sixteen registers, and the slots.
  var costOfKeeping: Int { 8 + 2 * slots.count }
  func costOfMeeting(_ other: State) -> Int { 8 + slots.count * other.slots.count / 4 }

  /// What holds on both of two ways to one instruction.
  func meeting(_ other: State) -> State {
    var result = self
    _ = result.meet(other)
    return result
  }

  /// Whether anything has changed by what holds on the other way.
  mutating func meet(_ other: State) -> Bool {
    var isChanged = registers.meet(other.registers)
    if compared != nil, compared != other.compared { (compared, isChanged) = (nil, true) }
    if !mayBeNewTask, other.mayBeNewTask { (mayBeNewTask, isChanged) = (true, true) }
    guard slots != other.slots else { return isChanged }
    // Mostly the same slots were written in the same order.
    let before = slots.count
    var place = 0
    slots.removeAll { slot in
      defer { place += 1 }
      return !(place < other.slots.count && other.slots[place] == slot) && !other.slots.contains(slot)
    }
    return isChanged || slots.count != before
  }
}
