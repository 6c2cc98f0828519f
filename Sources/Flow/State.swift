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

/// What is known before one instruction: the sixteen registers, and the slots of the frame that were written.
struct State: Equatable {
  struct Slot: Equatable {
    /// `.frame` or `.aligned`.
    var place: Value
    var value: Value
  }

  /// What saves registers are the first stores of a function: later ones share the last slot.
  static let maxSlots = 48

  private var registers: [16 of Value]
  private(set) var slots: [Slot] = []

  /// The constant of the last comparison: the highest index, where a jump through a table follows.
  var compared: Int64?

  /// The syscall that starts a task on a stack of its own has been made: this may be that task.
  var mayBeNewTask = false

  /// At a function's entry.
  init() {
    registers = .init { .entry(UInt8($0)) }
    registers[Registers.rsp] = .frame(-8)
    slots = [Slot(place: .frame(-8), value: .returnAddress)]
  }

  subscript(register: UInt8) -> Value {
    get { registers[Int(register & 15)] }
    set { registers[Int(register & 15)] = newValue }
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
    if self == other { return self }
    var result = self
    for index in 0..<16 where registers[index] != other.registers[index] { result.registers[index] = .unknown }
    if compared != other.compared { result.compared = nil }
    result.mayBeNewTask = mayBeNewTask || other.mayBeNewTask
    result.slots.removeAll { slot in !other.slots.contains(slot) }
    return result
  }

  static func == (a: State, b: State) -> Bool {
    for index in 0..<16 where a.registers[index] != b.registers[index] { return false }
    return a.slots == b.slots && a.compared == b.compared && a.mayBeNewTask == b.mayBeNewTask
  }
}
