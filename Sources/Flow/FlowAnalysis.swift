package import ELF
package import Unwind
package import X86

/// What a function's instructions do to the stack, from its entry to each of them: where the CFA is, and where the registers lie that
/// calls keep. It is what a compiler writes into CFI, found where it wrote none.
///
/// The function is followed as it may run: both ways of each branch, jump tables as they stand in the file, calls that return. Where two
/// ways meet, what both agree upon is known. A call after which SP would not fit what another way brings does not return.
package struct FlowAnalysis {
  /// clang's largest function has some 100,000 instructions.
  static let maxInstructions = 1 << 18
  /// Calls that do not return, of one function, found one by one.
  static let maxRestarts = 32
  /// One for each instruction that changes something; some 100 MB, and as much for what they know of the stack.
  static let maxStates = 1 << 18
  static let maxKeptSlots = 1 << 21

  struct Edge {
    var target: ImageAddress
    var state: Int
    /// Where the call ends that has to return for this way to exist; nil where there is another way here.
    var call: ImageAddress?
  }

  let entry: ImageAddress
  /// Where the function's instructions may lie, split-off parts included. Jumps to elsewhere leave the function.
  let bounds: AddressRange
  /// Where its main part lies.
  let extent: AddressRange
  /// Other functions begin here: a jump to one is a call in the place of a return.
  private let isEntry: (ImageAddress) -> Bool

  var code: Code
  var states: [State] = [State()]
  var visited = AddressMap()
  /// By return address: the state that the call returns to, if it does.
  private(set) var calls = AddressMap()
  /// By the address that only a call's return leads to: where that call ends.
  private var afterCall = AddressMap()
  var ways: [Edge] = []
  private var returns: [Edge] = []
  private var nextReturn = 0
  private var withoutReturn: Set<ImageAddress> = []
  /// What holds at all jumps that could not be resolved.
  var unresolved: State?
  /// It jumps to a part of itself that lies elsewhere, which is not followed.
  private(set) var hasOtherParts = false
  private var keptSlots = 0
  private var mustRestart = false
  var boundaries: Set<ImageAddress>?
  /// Up to here everything that an unresolved jump may lead to has been reached.
  var searched: ImageAddress

  package init(
    of file: ObjectFile, from entry: ImageAddress, within bounds: AddressRange, extent: AddressRange? = nil, decoder: OperationDecoder,
    budget: inout Budget, isEntry: @escaping (ImageAddress) -> Bool = { _ in false }
  ) throws(UnwindError) {
    self.entry = entry
    self.bounds = bounds
    self.extent = extent ?? bounds
    self.isEntry = isEntry
    searched = entry
    code = Code(file, decoder)
    for _ in 0..<FlowAnalysis.maxRestarts {
      try run(&budget)
      if !mustRestart { return }
    }
    // So many contradictions are no compiler's code.
    (visited, calls) = (AddressMap(), AddressMap())
  }

  /// The state of the function while the call that returns to `address` runs, else before the instruction there.
  func state(at address: ImageAddress, returned: Bool) -> State? { (returned ? calls : visited)[address].map { states[$0] } }

  private mutating func run(_ budget: inout Budget) throws(UnwindError) {
    mustRestart = false
    (visited, calls, afterCall, states, unresolved) = (AddressMap(), AddressMap(), AddressMap(), [State()], nil)
    (keptSlots, searched) = (0, entry)
    (ways, returns, nextReturn) = ([Edge(target: entry, state: 0, call: nil)], [], 0)
    try followAll(&budget)
    // A jump that could not be resolved goes somewhere within the function: to what nothing else reaches.
    while !mustRestart, let edge = try unreached(&budget) {
      ways.append(edge)
      try followAll(&budget)
    }
  }

  private mutating func followAll(_ budget: inout Budget) throws(UnwindError) {
    while !mustRestart {
      if let edge = ways.popLast() {
        try follow(edge, &budget)
      } else if nextReturn < returns.count {
        // Last: whether a call returns shows by what the other ways bring.
        nextReturn += 1
        try follow(returns[nextReturn - 1], &budget)
      } else {
        return
      }
    }
  }

  private mutating func follow(_ edge: Edge, _ budget: inout Budget) throws(UnwindError) {
    if let call = edge.call, withoutReturn.contains(call) { return }
    var (address, index, call) = (edge.target, edge.state, edge.call)
    while bounds.contains(address) {
      if let known = visited[address] {
        if known == index { return }
        guard let met = try meet(known, index, at: address, call, &budget), met != known else { return }
        (index, call) = (met, nil)
      } else {
        guard visited.count < FlowAnalysis.maxInstructions else { throw .exhausted }
        if let call { afterCall[address] = Int(truncatingIfNeeded: call.value) }
      }
      visited[address] = index
      guard let operation = try decoded(at: address, &budget) else { return }
      let next = address + UInt64(operation.length)
      let before = index
      index = try state(after: operation, from: index, next: next, &budget)
      switch operation.transfer {
      case .next, .syscall: break
      case .jump(let displacement):
        address = next + UInt64(bitPattern: displacement)
        noteLeaving(to: address, index)
        if address != entry, isEntry(address) { return }
        call = nil
        continue
      case .branch(let displacement):
        let target = next + UInt64(bitPattern: displacement)
        noteLeaving(to: target, index)
        if target == entry || !isEntry(target) { ways.append(Edge(target: target, state: index, call: nil)) }
      case .call, .callIndirect:
        calls[next] = if let known = calls[next] { try merged(known, index, &budget) } else { index }
        returns.append(Edge(target: next, state: index, call: next))
        return
      case .jumpRegister, .jumpMemory:
        try dispatch(operation, before, next, &budget)
        return
      case .ret, .halt: return
      }
      address = next
      // What falls through into another function is a call that does not return.
      if isEntry(address) { return }
    }
  }

  /// With everything taken off the stack a jump is a call in the place of a return.
  private mutating func noteLeaving(to target: ImageAddress, _ index: Int) {
    if !bounds.contains(target), states[index].stackPointer != .frame(-8) { hasOtherParts = true }
  }

  /// The instruction at `address`, paid for; nil where there is none.
  mutating func decoded(at address: ImageAddress, _ budget: inout Budget) throws(UnwindError) -> Operation? {
    let found: Operation?
    do throws(ELFError) { found = try code.operation(at: address) } catch { throw .file(error) }
    if let found { try budget.spend(found.length) }
    return found
  }

  /// The state after one instruction; the same one where nothing changes that is followed.
  private mutating func state(
    after operation: Operation, from index: Int, next: ImageAddress, _ budget: inout Budget
  ) throws(UnwindError) -> Int {
    if operation.effect == .none, operation.transfer == .next, !states[index].knows(operation.written) { return index }
    var state = states[index]
    state.execute(operation, next: next)
    // Hand-written code may keep its frame in a register that calls may change, where it knows that the callee does not.
    if case .call(let displacement) = operation.transfer, state.cfa == nil, states[index].cfa != nil {
      state = states[index]
      state.forget(try written(by: next + UInt64(bitPattern: displacement), &budget))
    }
    return state == states[index] ? index : try keep(state, &budget)
  }

  /// The registers that a function changes which calls nothing and goes on nowhere else; all that calls may change for any other.
  private mutating func written(by function: ImageAddress, _ budget: inout Budget) throws(UnwindError) -> UInt16 {
    var mask: UInt16 = 0
    var (address, farthest) = (function, function)
    // No farther than hand-written helpers reach.
    while address.value - function.value < 4096 {
      guard let operation = try decoded(at: address, &budget) else { return State.scratch }
      address = address + UInt64(operation.length)
      switch operation.transfer {
      case .next: mask |= operation.written
      case .branch(let displacement), .jump(let displacement):
        let target = address + UInt64(bitPattern: displacement)
        guard target >= function, target.value - function.value < 4096 else { return State.scratch }
        mask |= operation.written
        farthest = max(farthest, target)
      case .ret: if address > farthest { return mask & State.scratch }
      default: return State.scratch
      }
    }
    return State.scratch
  }

  /// Two ways meet at `address`; nil where the new one does not exist.
  private mutating func meet(
    _ known: Int, _ new: Int, at address: ImageAddress, _ call: ImageAddress?, _ budget: inout Budget
  ) throws(UnwindError) -> Int? {
    try budget.spend(states[known].costOfMeeting(states[new]))
    var met = states[known]
    let isChanged = met.meet(states[new])
    // A function with a frame pointer may well have taken different amounts of stack (alloca).
    if states[known].stackPointer != states[new].stackPointer, !met.keepsFrame, states[known].cfa != nil, states[new].cfa != nil {
      if let call {
        withoutReturn.insert(call)
        return nil
      }
      if let call = afterCall[address] {
        withoutReturn.insert(ImageAddress(UInt64(truncatingIfNeeded: call)))
        mustRestart = true
        return nil
      }
    }
    return isChanged ? try keep(met, &budget) : known
  }

  private mutating func merged(_ known: Int, _ new: Int, _ budget: inout Budget) throws(UnwindError) -> Int {
    try budget.spend(states[known].costOfMeeting(states[new]))
    var met = states[known]
    return met.meet(states[new]) ? try keep(met, &budget) : known
  }

  mutating func keep(_ state: State, _ budget: inout Budget) throws(UnwindError) -> Int {
    keptSlots += state.slots.count
    guard states.count < FlowAnalysis.maxStates, keptSlots <= FlowAnalysis.maxKeptSlots else { throw .exhausted }
    try budget.spend(state.costOfKeeping)
    states.append(state)
    return states.count - 1
  }
}
