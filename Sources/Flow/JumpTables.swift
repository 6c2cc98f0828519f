import Bytes
import ELF
import Unwind
import X86

extension FlowAnalysis {
  /// More entries than any switch has.
  private static let maxEntries = 4096

  mutating func dispatch(_ operation: Operation, _ index: Int, _ next: ImageAddress, _ budget: inout Budget) throws(UnwindError) {
    let state = states[index]
    var targets: [ImageAddress] = []
    switch operation.transfer {
    case .jumpRegister(let register):
      if case .tableTarget(let table, let base) = state[register] {
        targets = try entries(of: table, bytes: 4, upTo: state.compared, &budget) {
          ImageAddress(UInt64(bitPattern: base &+ Int64(Int32(truncatingIfNeeded: $0))))
        }
      }
    case .jumpMemory(let memory):
      if memory.index != nil, memory.scale == 8, case .constant(let table) = state.base(memory, next) {
        targets = try entries(of: table, bytes: 8, upTo: state.compared, &budget) { ImageAddress($0) }
      }
    default: break
    }
    for target in targets { ways.append(Edge(target: target, state: index, call: nil)) }
    // With everything taken off the stack it is a call in the place of a return.
    if targets.isEmpty, state.stackPointer != .frame(-8) {
      if let known = unresolved { try budget.spend(known.costOfMeeting(state)) }
      unresolved = unresolved?.meeting(state) ?? state
    }
  }

  /// The comparison before the jump says how many entries there are; some of them may lead to parts of the function that were split off.
  /// Without a fitting one the table ends where an entry leads out of the function.
  private mutating func entries(
    of table: Int64, bytes: Int, upTo highest: Int64?, _ budget: inout Budget, target: (UInt64) -> ImageAddress
  ) throws(UnwindError) -> [ImageAddress] {
    let boundaries = try instructions(&budget)
    let start = ImageAddress(UInt64(bitPattern: table))
    let table: [UInt8]
    do throws(ELFError) { table = try code.file.bytes(at: start, upTo: FlowAnalysis.maxEntries * bytes) } catch { return [] }
    let count = table.count / bytes
    try budget.spend(table.count / 8)
    func entry(_ index: Int) -> ImageAddress {
      target(littleEndian(table, at: index * bytes, count: bytes))
    }
    if let highest, highest >= 0, highest < Int64(count) {
      let all = (0...Int(highest)).map(entry)
      if all.allSatisfy({ bounds.contains($0) ? boundaries.contains($0) : code.file.isExecutable($0) }) {
        return Set(all.filter { bounds.contains($0) }).sorted()
      }
    }
    var targets: Set<ImageAddress> = []
    for index in 0..<count {
      let target = entry(index)
      guard boundaries.contains(target) else { break }
      targets.insert(target)
    }
    return targets.sorted()
  }

  /// Where instructions begin, one after the other from the entry on: compilers put no data between them.
  private mutating func instructions(_ budget: inout Budget) throws(UnwindError) -> Set<ImageAddress> {
    if let boundaries { return boundaries }
    var found: Set<ImageAddress> = []
    var address = entry
    while extent.contains(address), found.count < FlowAnalysis.maxInstructions {
      guard let operation = try decoded(at: address, &budget) else { break }
      found.insert(address)
      address = address + UInt64(operation.length)
    }
    boundaries = found
    return found
  }

  /// The first instruction that nothing has reached, where a jump that was not resolved may lead.
  mutating func unreached(_ budget: inout Budget) throws(UnwindError) -> Edge? {
    guard let state = unresolved, state.stackPointer != .unknown || state[6] != .unknown else { return nil }
    // What has been reached stays reached, so that the search goes on where it found something last.
    while extent.contains(searched) {
      guard let operation = try decoded(at: searched, &budget) else { return nil }
      if visited[searched] == nil, !operation.isPadding {
        return Edge(target: searched, state: try keep(state, &budget), call: nil)
      }
      searched = searched + UInt64(operation.length)
    }
    return nil
  }
}
