package import ELF
package import Unwind
import Wire
package import X86

/// The numbers of the system calls that can leave from one `syscall` instruction.
package enum Numbers: Equatable, Sendable {
  /// The number comes from outside the function, or is computed in a way that is not followed.
  case any
  /// Sorted.
  case only([Int32])
}

/// What rax can hold at a `syscall` instruction, on any way that leads there through its function.
///
/// Whoever is told `.only` may take a call with another number for an attack: so everything that is not followed makes it `.any`, and every
/// way is taken to exist. FlowAnalysis, which looks for the one row that holds, may leave out ways that contradict the others.
///
/// A function is entered at its start and at whatever else `entries` names, with nothing known. What no way reaches is taken to be entered
/// from elsewhere, as an exception's landing pad is. Direct jumps are followed wherever they lead: a part that was split off jumps back.
package struct NumberAnalysis {
  /// Of the function and of what it jumps to; what is longer gets `.any`. The largest function of glibc that makes a system call has
  /// some 3,000.
  static let maxInstructions = 1 << 13

  private let site: ImageAddress
  private let function: AddressRange
  /// What calls leave as it was.
  private let kept: UInt16

  private var code: Code
  private var known: [ImageAddress: NumberState] = [:]
  private var ways: [(target: ImageAddress, state: NumberState)] = []
  /// Some way may lead anywhere.
  private var isOpen = false

  /// nil where no way leads to `site`, the instruction's address. `isFunction`: a jump there is a call in the place of a return.
  package static func numbers(
    at site: ImageAddress, in function: AddressRange, entries: [ImageAddress], keptByCalls: [Int] = Registers.keptByCalls,
    of file: ObjectFile, decoder: OperationDecoder, budget: inout Budget, isFunction: (ImageAddress) throws(UnwindError) -> Bool
  ) throws(UnwindError) -> Numbers? {
    var analysis = NumberAnalysis(site: site, function: function, keptByCalls, Code(file, decoder))
    for entry in entries { analysis.ways.append((entry, NumberState(isAtEntry: entry == function.start))) }
    analysis.ways.append((function.start, NumberState(isAtEntry: true)))
    try analysis.followAll(&budget, isFunction)
    try analysis.followUnreached(&budget, isFunction)
    return analysis.result
  }

  private init(site: ImageAddress, function: AddressRange, _ keptByCalls: [Int], _ code: Code) {
    self.site = site
    self.function = function
    self.code = code
    kept = keptByCalls.reduce(1 << UInt16(Registers.rsp)) { $0 | 1 << UInt16($1) }
  }

  private var result: Numbers? {
    if isOpen { return .any }
    guard let state = known[site] else { return nil }
    guard case .numbers(let values) = state[UInt8(Registers.rax)] else { return .any }
    // The kernel takes the lower half (`do_syscall_64`).
    return .only(Set(values.map { Int32(truncatingIfNeeded: $0) }).sorted())
  }

  private mutating func followAll(
    _ budget: inout Budget, _ isFunction: (ImageAddress) throws(UnwindError) -> Bool
  ) throws(UnwindError) {
    while !isOpen, let way = ways.popLast() { try follow(way.target, way.state, &budget, isFunction) }
  }

  /// From the start on instruction by instruction: compilers put no data between them.
  private mutating func followUnreached(
    _ budget: inout Budget, _ isFunction: (ImageAddress) throws(UnwindError) -> Bool
  ) throws(UnwindError) {
    var address = function.start
    while !isOpen, function.contains(address) {
      guard let operation = try decoded(at: address, &budget) else { return }
      if known[address] == nil, !operation.isPadding {
        ways.append((address, NumberState(isAtEntry: false)))
        try followAll(&budget, isFunction)
      }
      address = address + UInt64(operation.length)
    }
  }

  private mutating func follow(
    _ target: ImageAddress, _ arriving: NumberState, _ budget: inout Budget, _ isFunction: (ImageAddress) throws(UnwindError) -> Bool
  ) throws(UnwindError) {
    var (address, state) = (target, arriving)
    while true {
      if let before = known[address] {
        state = before.joined(state)
        if state == before { return }
      } else if known.count >= NumberAnalysis.maxInstructions {
        isOpen = true
        return
      }
      known[address] = state
      guard let operation = try decoded(at: address, &budget) else { return }
      let next = address + UInt64(operation.length)
      try budget.spend(state.cost)
      state.execute(operation, next: next, kept: kept)
      switch operation.transfer {
      case .next, .syscall, .call, .callIndirect: break
      case .jump(let displacement):
        let target = next + UInt64(bitPattern: displacement)
        if try leaves(to: target, isFunction) { return }
        address = target
        continue
      case .branch(let displacement):
        let target = next + UInt64(bitPattern: displacement)
        if try !leaves(to: target, isFunction) { ways.append((target, state)) }
      case .jumpRegister, .jumpMemory:
        // With everything taken off the stack it is a call in the place of a return.
        if state[UInt8(Registers.rsp)] != .place(0) { isOpen = true }
        return
      case .ret, .halt: return
      }
      // A function's last call does not return.
      if function.contains(address), !function.contains(next) { return }
      address = next
    }
  }

  private func leaves(to target: ImageAddress, _ isFunction: (ImageAddress) throws(UnwindError) -> Bool) throws(UnwindError) -> Bool {
    if function.contains(target) { return false }
    return try isFunction(target)
  }

  /// The instruction at `address`, paid for; where there is none, the way leads anywhere.
  private mutating func decoded(at address: ImageAddress, _ budget: inout Budget) throws(UnwindError) -> Operation? {
    let found: Operation?
    do throws(ELFError) { found = try code.operation(at: address) } catch { throw .file(error) }
    if let found { try budget.spend(found.length) } else { isOpen = true }
    return found
  }
}

/// What one register or stack slot holds.
private enum Held: Equatable {
  case any
  /// One of these: sorted, at most `maxNumbers`.
  case numbers([Int64])
  /// The address n above SP at the function's entry.
  case place(Int64)

  /// More than any function chooses among.
  static let maxNumbers = 16

  static func number(_ value: Int64) -> Held { .numbers([value]) }

  /// What holds where either may be.
  func joined(_ other: Held) -> Held {
    if self == other { return self }
    guard case .numbers(let a) = self, case .numbers(let b) = other else { return .any }
    let all = Set(a).union(b)
    return all.count <= Held.maxNumbers ? .numbers(all.sorted()) : .any
  }

  func mapped(_ change: (Int64) -> Int64) -> Held {
    if case .numbers(let values) = self { .numbers(Set(values.map(change)).sorted()) } else { .any }
  }

  var half: Held { mapped { Int64(UInt32(truncatingIfNeeded: $0)) } }

  /// `n` higher.
  func moved(_ n: Int64) -> Held {
    if case .place(let place) = self { .place(place &+ n) } else { mapped { $0 &+ n } }
  }
}

/// What is known before one instruction. A stack slot is known as long as nothing has been written that may lie anywhere.
private struct NumberState: Equatable {
  private var registers: [16 of Held] = .init(repeating: .any)
  private var slots: [Int64: Held] = [:]

  init(isAtEntry: Bool) { if isAtEntry { registers[Registers.rsp] = .place(0) } }

  subscript(register: UInt8) -> Held {
    get { registers[Int(register & 15)] }
    set { registers[Int(register & 15)] = newValue }
  }

  private var stackPointer: Held {
    get { registers[Registers.rsp] }
    set { registers[Registers.rsp] = newValue }
  }

  /// In the budget's units.
  var cost: Int { 8 + 2 * slots.count }

  func joined(_ other: NumberState) -> NumberState {
    var result = self
    for index in 0..<16 { result.registers[index] = registers[index].joined(other.registers[index]) }
    result.slots = [:]
    for (place, held) in slots {
      if let met = other.slots[place]?.joined(held), met != .any { result.slots[place] = met }
    }
    return result
  }

  static func == (a: NumberState, b: NumberState) -> Bool {
    for index in 0..<16 where a.registers[index] != b.registers[index] { return false }
    return a.slots == b.slots
  }

  /// The state after one instruction that ends at `next`; `kept` are the registers that calls leave alone.
  mutating func execute(_ operation: Operation, next: ImageAddress, kept: UInt16) {
    switch operation.effect {
    case .none: executeUnfollowed(operation, kept)
    case .compare: break
    case .push(let register): push(register.map { self[$0] } ?? .any)
    case .pushConstant(let value): push(.number(value))
    case .pushMemory(let memory): push(load(memory))
    case .pop(let register):
      let value = word(at: stackPointer)
      stackPointer = stackPointer.moved(8)
      if let register { self[register] = value }
    case .move(let to, let from): self[to] = self[from]
    case .moveHalf(let to, let from): self[to] = self[from].half
    case .moveIf(let to, let from, let isHalf):
      let (own, other) = (self[to], self[from])
      self[to] = isHalf ? own.half.joined(other.half) : own.joined(other)
    case .exchange(let a, let b): (self[a], self[b]) = (self[b], self[a])
    case .constant(let to, let value): self[to] = .number(value)
    case .constantByte(let to, let byte): self[to] = self[to].mapped { $0 & ~0xff | Int64(byte) }
    case .address(let to, let memory): self[to] = address(memory)
    case .load(let to, let memory): self[to] = load(memory)
    case .canary(let to), .loadSigned(let to, _): self[to] = .any
    case .store(let memory, let from, let count):
      // An exchange writes a register as well.
      let value = from.map { self[$0] } ?? .any
      forget(operation.written)
      store(value, at: address(memory), count: Int64(count))
    case .add(let to, let n): self[to] = self[to].moved(n)
    case .addRegister(let to, _), .lower(let to): self[to] = .any
    case .leave:
      let frame = self[UInt8(Registers.rbp)]
      self[UInt8(Registers.rbp)] = word(at: frame)
      stackPointer = frame.moved(8)
    }
  }

  private mutating func executeUnfollowed(_ operation: Operation, _ kept: UInt16) {
    switch operation.transfer {
    case .call, .callIndirect:
      forget(~kept)
      slots = [:]
    // The kernel may write to what a pointer leads to; clone's child has other memory below its SP.
    case .syscall:
      forget(1 << UInt16(Registers.rax) | 1 << UInt16(Registers.rcx) | 1 << 11)
      slots = [:]
    case .next:
      forget(operation.written)
      // `rep stos` and its like write where rdi points.
      if operation.written != 0 { slots = [:] }
    case .jump, .branch, .jumpRegister, .jumpMemory: forget(operation.written)
    case .ret, .halt: break
    }
  }

  private mutating func forget(_ mask: UInt16) {
    for index in 0..<16 where mask & 1 << UInt16(index) != 0 { registers[index] = .any }
  }

  private mutating func push(_ value: Held) {
    stackPointer = stackPointer.moved(-8)
    store(value, at: stackPointer, count: 8)
  }

  private mutating func store(_ value: Held, at place: Held, count: Int64) {
    guard case .place(let start) = place else {
      slots = [:]
      return
    }
    slots = slots.filter { $0.key >= start &+ count || $0.key &+ 8 <= start }
    if count == 8, value != .any { slots[start] = value }
  }

  private func word(at place: Held) -> Held {
    if case .place(let start) = place { slots[start] ?? .any } else { .any }
  }

  private func load(_ memory: Memory) -> Held { word(at: address(memory)) }

  private func address(_ memory: Memory) -> Held {
    guard memory.index == nil, case .register(let number) = memory.base else { return .any }
    return self[number].moved(memory.displacement)
  }
}
