import ELF
import Flow
import Unwind
import Wire

extension Walk {
  /// What one such question may cost.
  private static let maxNumberWork = 1 << 20
  /// What the kernel puts into rax itself where a signal interrupted a call that it has to go on with (asm/unistd_64.h).
  private static let restartSyscall: Int32 = 219

  /// `site`: the function that holds the trapped instruction makes this system call there.
  mutating func judgeNumber() {
    guard trail.count == 1, let visited = trail.last, visited.place.arrival == .trapped, visited.point.objections.isEmpty,
      snapshot.number >= 0, snapshot.number != Walk.restartSyscall
    else { return }
    let (image, address, point) = (visited.code.image, visited.code.address, visited.point)
    if point.numbers == nil {
      point.numbers = budget.lending(upTo: Walk.maxNumberWork) { (budget) throws(UnwindError) in
        try image.numbers(at: address - 2, budget: &budget)
      }
    }
    if point.numbers == nil { resting.giveUp() }
    // Of a site that may make any call, or of which that is not known, nothing can be objected to.
    guard case .only(let numbers)? = point.numbers, !numbers.contains(snapshot.number) else { return }
    object(.site, .otherNumber, detail: numbers.map { String($0) }.joined(separator: ", "))
  }
}

extension Image {
  /// A function of more bytes gets no answer. glibc's largest that makes a system call has 16 KiB.
  private static let maxNumberedBytes: UInt64 = 1 << 16

  /// The numbers that can leave from the `syscall` instruction at `site`. Nothing but the file decides.
  func numbers(at site: ImageAddress, budget: inout Budget) throws(UnwindError) -> Numbers {
    if let range = try goRange(of: site, &budget) {
      // Go's functions keep no register for their callers.
      return try numbers(at: site, in: range, keptByCalls: [], budget: &budget) ?? .any
    }
    switch try frames.find(site, budget: &budget) {
    case .entry(let entry): return try numbers(at: site, in: entry, entry.range.count, budget: &budget)
    // As in glibc's clone, whose FDE ends right before the instruction.
    case .gap(let below?, _) where below.end == site && below.range.count > 0:
      return try numbers(at: site, in: below, below.range.count + 2, budget: &budget)
    case .gap: break
    }
    if let function = try isNamed(site) {
      if try flow.isPart(function) { return .any }
      return try numbers(at: site, in: AddressRange(start: function.start, count: function.count), budget: &budget) ?? .any
    }
    // Whichever function it is.
    var all: Set<Int32> = []
    for candidate in try flow.extents(around: site, &budget) {
      switch try numbers(at: site, in: candidate, budget: &budget) {
      case .any?: return .any
      case .only(let numbers)?: all.formUnion(numbers)
      case nil: break
      }
    }
    return all.isEmpty ? .any : .only(all.sorted())
  }

  private func numbers(
    at site: ImageAddress, in entry: FrameEntry, _ count: UInt64, budget: inout Budget
  ) throws(UnwindError) -> Numbers {
    // Its first row is not that of a function that has just been called: it is a part, which jumps enter anywhere.
    guard try entry.startsFunction(&budget) else { return .any }
    return try numbers(at: site, in: AddressRange(start: entry.range.start, count: count), budget: &budget) ?? .any
  }

  private func numbers(
    at site: ImageAddress, in function: AddressRange, keptByCalls: [Int] = Registers.keptByCalls, budget: inout Budget
  ) throws(UnwindError) -> Numbers? {
    guard function.count <= Image.maxNumberedBytes else { return .any }
    let symbols: Functions
    do throws(ELFError) { symbols = try file.functions() } catch { throw .file(error) }
    return try NumberAnalysis.numbers(
      at: site, in: function, entries: symbols.starting(in: function).map(\.start), keptByCalls: keptByCalls, of: file, decoder: assembler,
      budget: &budget
    ) { (target) throws(UnwindError) in
      guard let symbol = symbols.starting(in: AddressRange(start: target, count: 1)).first else { return false }
      return try !flow.isPart(symbol)
    }
  }
}

extension FrameEntry {
  /// What its range begins with is a function that is called, not a part of one that was split off.
  func startsFunction(_ budget: inout Budget) throws(UnwindError) -> Bool {
    try row(at: range.start, budget: &budget).cfa == .register(UInt8(Registers.rsp), offset: 8)
  }
}

extension Budget {
  /// Asks a question that the walk can do without: it may cost no more than `units`, and half of what is left. nil where that was too
  /// little, or where the answer cannot be found.
  mutating func lending<Answer>(upTo units: Int, _ question: (inout Budget) throws(UnwindError) -> Answer) -> Answer? {
    let lent = min(units, left / 2)
    var own = Budget(lent)
    var answer: Answer?
    do throws(UnwindError) { answer = try question(&own) } catch {}  // the check that asks does not apply
    do throws(UnwindError) { try spend(lent - own.left) } catch {}  // no more than half
    return answer
  }
}
