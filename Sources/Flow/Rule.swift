package import ELF
package import Unwind
import Wire

extension FlowAnalysis {
  /// The unwinding rules of a frame whose call returns to `address`, or else of one that stands there; nil where no way leads there, or
  /// the CFA cannot be told.
  package func row(at address: ImageAddress, returned: Bool) -> Row? {
    guard let state = state(at: address, returned: returned), let cfa = state.cfa else { return nil }
    var row = Row(start: address, end: address + 1)
    row.cfa = cfa
    for number in Registers.keptByCalls { row.registers[number] = state.rule(for: UInt8(number)) }
    switch state.stackPointer {
    case .frame(let depth) where depth > -8:
      // Taken off the stack: vfork keeps it in a register while its child runs on the same stack. Where a thread or a child begins on a
      // stack of its own nothing returns.
      if let holder = state.holder(of: .returnAddress) {
        row.returnAddress = .register(holder)
      } else if state.mayBeNewTask {
        row.returnAddress = .undefined
      } else {
        return nil
      }
    default:
      guard state.slot(.frame(-8)) == .returnAddress else { return nil }
      row.returnAddress = .saved(-8)
    }
    return row
  }
}

extension State {
  /// SP first, as it needs nothing else to be known; then the registers that calls keep, then the others.
  private static let bases: [UInt8] = [7, 6, 3, 12, 13, 14, 15, 10, 0, 1, 2, 4, 5, 8, 9, 11]

  var cfa: CFARule? {
    for base in State.bases {
      if case .frame(let depth) = self[base] { return .register(base, offset: 0 &- depth) }
    }
    // A function that rounds SP down keeps the CFA in its frame.
    for slot in slots {
      guard case .frame(let depth) = slot.value, case .aligned(let place) = slot.place else { continue }
      for base in State.bases {
        if case .aligned(let own) = self[base] { return .saved(register: base, offset: place &- own, plus: 0 &- depth) }
      }
    }
    return nil
  }

  /// rbp is a frame pointer: then SP need not be known.
  var keepsFrame: Bool {
    switch self[6] {
    case .frame, .aligned: cfa != nil
    default: false
    }
  }

  fileprivate func rule(for register: UInt8) -> Rule {
    if self[register] == .entry(register) { return .sameValue }
    for slot in slots where slot.value == .entry(register) {
      if let rule = rule(at: slot.place) { return rule }
    }
    if let holder = holder(of: .entry(register)) { return .register(holder) }
    return .undefined
  }

  /// How what lies at `place` is found at run time; nil where nothing known leads there.
  func rule(at place: Value) -> Rule? {
    switch place {
    case .frame(let offset): return .saved(offset)
    case .aligned(let place):
      for base in State.bases {
        if case .aligned(let own) = self[base] { return .savedFrom(base, place &- own) }
      }
      return nil
    default: return nil
    }
  }

  fileprivate func holder(of value: Value) -> UInt8? { State.bases.first { self[$0] == value } }
}

extension FlowAnalysis {
  /// The row of a task that has just been started on a stack of its own, where `address` may be such a task's.
  package func newTaskRow(at address: ImageAddress) -> Row? {
    guard let state = state(at: address, returned: false), state.mayBeNewTask else { return nil }
    var row = Row(start: address, end: address + 1)
    row.returnAddress = .undefined
    return row
  }

  package func reachesCall(before address: ImageAddress) -> Bool { state(at: address, returned: true) != nil }

  /// Whether the caller's value of `register` lies at CFA + `offset` here.
  package func keeps(_ register: UInt8, at offset: Int64, of address: ImageAddress) -> Bool {
    state(at: address, returned: true)?.slot(.frame(offset)) == .entry(register)
  }

  /// Whether `rule` gives the CFA here, too; nil where nothing is known of the register that it names.
  package func agrees(_ rule: CFARule, at address: ImageAddress) -> Bool? {
    guard let state = state(at: address, returned: true) else { return nil }
    switch rule {
    case .register(let number, let offset):
      guard case .frame(let depth) = state[number] else { return nil }
      return depth &+ offset == 0
    case .saved(let number, let offset, let plus):
      guard case .frame(let depth) = state.slot(state[number].moved(offset)) else { return nil }
      return depth &+ plus == 0
    case .computed: return nil
    }
  }
}
