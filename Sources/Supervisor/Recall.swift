internal import BPF
internal import Kernel
internal import Report
internal import Wire

/// Answers repeated trails: from one run of the BPF snapshot to the trail whose words the thread's stack holds, and from a fresh finding to a
/// trail that later runs can be compared with.
///
/// **What makes a trail's facts hold.** The program (snapshot.bpf.c) looks up each mapping once, and again whenever the address space's
/// `mm_lock_seq` has moved, which every change of a mapping does; execve and fork give another address space. What moves no sequence, it
/// looks at in each run: whether the mapping has got an `anon_vma`, as it does before the first page of it is copied, and when the file
/// was changed. A trail is kept only where the sequence was the same before and after the inspection.
struct Recall {
  /// Of one address space, and of its forks.
  private struct Space {
    var startStack: UInt64
    var epoch: UInt64
    var generation: UInt32 = 0
    var facts: [Basis.Fact] = []
    var lastUse: UInt64 = 0
  }

  /// What is remembered of a thread to ask at once what will be asked.
  private final class Thread {
    let number: UInt32
    var made: UInt64 = 0
    var process: UInt32 = 0
    var space: Int?
    var last: Trail?
    /// A glance at as much costs little.
    static let wantAtFirst = 8192
    var want = wantAtFirst
    var lastUse: UInt64 = 0
    /// Its calls since it began, or executed a program.
    var calls = 0
    /// The outermost frames that nothing objected to, and what was known of threads then.
    var settled: (outermost: Int, generation: UInt64)?

    init(_ number: UInt32) { self.number = number }
  }

  private static let maxThreads = 4096
  /// Of a process, since it was made or has executed a program: the dynamic loader's calls, and those that it makes itself until it is ready,
  /// which are the same each time.
  private static let startingCalls = 256
  /// More than a trail needs: the next one may reach further.
  private static let granule = 1024

  private var cache = TrailCache()
  private var patterns = Patterns()
  /// What findings depend on besides, the paths of files, is not part of a pattern.
  private let hasPatterns: Bool
  private var spaces: [Space] = []
  private var threads: [UInt32: Thread] = [:]
  private var clock: UInt64 = 0
  /// The thread that was asked about last.
  private var current: Thread?
  /// What was good for the last thread that nothing was known of: a child of the same process makes the same call next, mostly.
  private var firstCall: Trail?
  /// The mappings' sequence before it is inspected, where it was not known.
  private var sequence: UInt64?

  /// `usesPaths`: the profile judges files by their paths, or declares runtimes, which are told by theirs.
  init(usesPaths: Bool) { hasPatterns = !usesPaths }

  mutating func takeCounts() -> Counts { cache.takeCounts() }

  // MARK: - Asking

  /// The trail of the thread of `notification`; nil where it is known by none.
  mutating func ask(_ notification: borrowing Kernel.Notification, _ copier: borrowing Copier) throws(SnapshotError) -> Trail? {
    switch copier.way {
    case .bpf(let bpf): return try ask(notification, bpf)
    case .proc: return nil
    case .open: return nil
    }
  }

  private mutating func ask(
    _ notification: borrowing Kernel.Notification, _ bpf: borrowing BPFSnapshot
  ) throws(SnapshotError) -> Trail? {
    clock &+= 1
    // Only what is said to be unknown is inspected by what is so now.
    sequence = nil
    let thread = remembered(notification.thread)
    thread.lastUse = clock
    let isFirstCall = thread.last == nil
    var need = thread.last?.facts ?? firstCall?.facts ?? .max
    // A program that was executed is in a space that nobody knows, and its stack begins near.
    if let last = thread.last, LifeCall.isExec(last.sight.number) {
      (thread.space, thread.want, thread.calls) = (nil, max(thread.want, Thread.wantAtFirst), 0)
    }
    thread.calls += 1
    try run(thread, need, bpf)
    if bpf.made != thread.made { begin(thread, bpf) }
    let sight = Sight(notification, bpf)
    if thread.space.map({ spaces[$0].startStack != sight.startStack }) ?? true {
      (thread.space, thread.process) = (place(of: sight.startStack), bpf.process)
      if firstCall.map({ $0.space != thread.space }) ?? true { need = .max }
      guard thread.space != nil else { return try recognise(thread, sight, bpf) }
      try run(thread, need, bpf)
    }
    for _ in 0..<2 {
      switch match(thread, sight, bpf) {
      case .found(let trail):
        if trail.facts & ~bpf.holds == 0 {
          use(trail, thread)
          if isFirstCall { firstCall = trail }
          return trail
        }
        // That it was not asked about says nothing.
        guard trail.facts & ~need != 0 else { return unknown(bpf) }
        need |= trail.facts
      case .short(let bytes): thread.want = bytes
      case .none: return try recognise(thread, sight, bpf)
      }
      try run(thread, need, bpf)
      // The thread's own registers stay; the number of a thread that has ended may be another's by now.
      guard bpf.made == thread.made, Sight(notification, bpf) == sight else { throw .gone }
    }
    return unknown(bpf)
  }

  /// All that is known of the address space of the thread that was asked about last; nil where that is nothing.
  var question: BPFSnapshot.Question? {
    guard let current, let space = current.space else { return nil }
    return BPFSnapshot.Question(space: UInt32(space), slot: current.process % UInt32(SpaceFacts.maxProcesses), need: .max)
  }

  /// The mappings of files' code in the address space of the thread that was asked about last of which, by what its last copy says, the
  /// process has copied no page.
  func untouched(_ copier: borrowing Copier) -> [Range<UInt64>] {
    guard let space = current?.space else { return [] }
    let holds = copier.holds
    return spaces[space].facts.enumerated().compactMap { index, fact in
      guard holds >> UInt64(index) & 1 != 0, case .text(let start, let end, _) = fact, start < end else { return nil }
      return start..<end
    }
  }

  /// Nothing has objected to the outermost frames of `trail`, which the thread that was asked about has, and nothing is known now
  /// (`generation`) that was not known then.
  func isSettled(_ trail: Trail, at generation: UInt64) -> Bool {
    guard let settled = current?.settled else { return false }
    return settled.outermost == trail.outermost && settled.generation == generation
  }

  func settle(_ trail: Trail, at generation: UInt64) { current?.settled = (trail.outermost, generation) }

  /// What is known of the thread comes from another finding now.
  func unsettle() { current?.settled = nil }

  /// What was answered by a trail: nothing, where the caller had taken its call back.
  func count(_ trail: Trail) { trail.repetitions &+= 1 }

  private mutating func use(_ trail: Trail, _ thread: Thread) {
    if thread.last !== trail {
      thread.last = trail
      thread.want = (trail.reach + Recall.granule / 2) & ~(Recall.granule - 1) | Recall.granule
    }
    if let space = thread.space { spaces[space].lastUse = clock }
    cache.use(trail)
  }

  private enum Match {
    case found(Trail)
    /// One that may match needs so many bytes from SP upward.
    case short(Int)
    case none
  }

  private func match(_ thread: Thread, _ sight: Sight, _ bpf: borrowing BPFSnapshot) -> Match {
    if let last = thread.last, last.sight == sight, isSame(last, thread, bpf) { return .found(last) }
    var needed = 0
    for trail in cache.candidates(at: sight) {
      if isSame(trail, thread, bpf) { return .found(trail) }
      if trail.reach > bpf.copied { needed = max(needed, trail.reach) }
    }
    return needed > bpf.copied && needed > thread.want ? .short(needed) : .none
  }

  private func isSame(_ trail: Trail, _ thread: Thread, _ bpf: borrowing BPFSnapshot) -> Bool {
    guard trail.space == thread.space, trail.epoch == spaces[trail.space].epoch else { return false }
    return bpf.withAnswer { registers, window in
      trail.matches(window, below: bpf.below, canary: bpf.canary, registers)
    }
  }

  /// No trail of this address space is the thread's, but perhaps another's is, moved.
  private mutating func recognise(_ thread: Thread, _ sight: Sight, _ bpf: borrowing BPFSnapshot) throws(SnapshotError) -> Trail? {
    guard hasPatterns, thread.calls <= Recall.startingCalls, sight.isFirst else { return unknown(bpf) }
    // The mapping was not asked for where trails of the thread were known.
    if bpf.code == nil {
      try run(thread, .max, bpf, isLocating: true)
      guard bpf.made == thread.made else { throw .gone }
    }
    guard let code = bpf.code, let sequence = bpf.sequence, bpf.stackPointer == sight.stackPointer else { return unknown(bpf) }
    let known = patterns.all(at: Pattern.Key(sight, code: Pattern.Code(start: code.start, end: code.end, identity: code.identity)))
    if let reach = known.map(\.reach).max(), reach > bpf.copied, reach > thread.want {
      thread.want = reach
      try run(thread, .max, bpf)
      guard bpf.made == thread.made, bpf.sequence == sequence, bpf.stackPointer == sight.stackPointer else { return unknown(bpf) }
    }
    let place = Pattern.Place(sight: sight, codeStart: code.start, canary: bpf.canary)
    for pattern in known {
      guard let moved = pattern.moved(to: place, word: { bpf.word(at: $0) }),
        let trail = Trail(moved.finding, moved.basis, of: pattern.syscall, at: sight, register: { moved.registers[$0] }),
        bpf.withAnswer({ trail.matches($1, below: bpf.below, canary: bpf.canary, $0) })
      else { continue }
      let required = (codes: moved.codes, stackFlags: pattern.stackFlags)
      guard try keep(trail, moved.basis.facts, outermost: moved.finding.outermost, sequence, thread, bpf, as: required) != nil
      else { return unknown(bpf) }
      return trail
    }
    return unknown(bpf)
  }

  /// Nobody knows it: what is so before it is inspected is remembered.
  private mutating func unknown(_ bpf: borrowing BPFSnapshot) -> Trail? {
    sequence = bpf.sequence
    return nil
  }

  private func run(
    _ thread: Thread, _ need: UInt64, _ bpf: borrowing BPFSnapshot, isLocating: Bool = false
  ) throws(SnapshotError) {
    let question = thread.space.map {
      BPFSnapshot.Question(space: UInt32($0), slot: thread.process % UInt32(SpaceFacts.maxProcesses), need: need)
    }
    let isNew = thread.calls <= Recall.startingCalls
    do throws(SyscallError) {
      try bpf.run(thread.number, want: thread.want, question, isGlance: true, isLocating: hasPatterns && (isNew || isLocating))
    } catch { throw .system(error) }
  }

  private mutating func remembered(_ number: UInt32) -> Thread {
    if let current, current.number == number { return current }
    if let known = threads[number] {
      current = known
      return known
    }
    if threads.count >= Recall.maxThreads {
      let uses = threads.values.map(\.lastUse).sorted()
      let middle = uses[uses.count / 2]
      threads = threads.filter { $0.value.lastUse > middle }
    }
    let thread = Thread(number)
    // It may well be a fork of the process that the last new thread was a fork of, or another thread of the one that made the last call.
    (thread.space, thread.process) =
      if let firstCall { (firstCall.space, number) } else { (current?.space, current?.process ?? 0) }
    threads[number] = thread
    current = thread
    return thread
  }

  /// Its number has come to mean another thread.
  private func begin(_ thread: Thread, _ bpf: borrowing BPFSnapshot) {
    thread.made = bpf.made
    thread.process = bpf.process
    (thread.last, thread.settled, thread.calls) = (nil, nil, 1)
  }

  private func place(of startStack: UInt64) -> Int? { spaces.firstIndex { $0.startStack == startStack } }

  // MARK: - Learning

  /// Keeps what was found as a trail, if all that it rests on can be told and still is so. `snapshot` is that which was inspected, of the
  /// thread that was asked about last.
  mutating func learn(_ finding: Finding, of syscall: String, _ snapshot: Snapshot, _ copier: borrowing Copier) {
    switch copier.way {
    case .bpf(let bpf):
      // A trail that is not made costs another inspection, and nothing else: a thread that is gone is found out when it is answered.
      do throws(SnapshotError) { try learn(finding, of: syscall, snapshot, bpf) } catch {}
    case .proc: return
    case .open: return
    }
  }

  private mutating func learn(
    _ finding: Finding, of syscall: String, _ snapshot: Snapshot, _ bpf: borrowing BPFSnapshot
  ) throws(SnapshotError) {
    guard finding.isClean, let basis = finding.basis, let sequence, let thread = current, let sight = Sight(snapshot) else { return }
    let register = { snapshot.registers[$0] ?? 0 }
    guard let trail = Trail(finding, basis, of: syscall, at: sight, register: register),
      let learnt = try keep(trail, basis.facts, outermost: finding.outermost, sequence, thread, bpf, as: nil)
    else { return }
    guard hasPatterns, thread.calls <= Recall.startingCalls, let stackFlags = learnt.stackFlags else { return }
    if let pattern = Pattern(finding, basis, of: syscall, at: sight, register: register, codes: learnt.codes, stackFlags: stackFlags) {
      patterns.insert(pattern)
    }
  }

  /// Keeps a trail, if all of `wanted` that it rests on holds, and the mappings are those of `sequence` still. `required`: what
  /// these have to be for a trail that was moved; nil for one that was just found. What was learnt of its mappings; nil where it was not kept.
  private mutating func keep(
    _ trail: Trail, _ wanted: [Basis.Fact], outermost: Outermost?, _ sequence: UInt64, _ thread: Thread, _ bpf: borrowing BPFSnapshot,
    as required: (codes: [Pattern.Code], stackFlags: UInt64)?
  ) throws(SnapshotError) -> Learnt? {
    let space = place(of: trail.sight.startStack) ?? made(trail.sight.startStack)
    guard let facts = facts(wanted, in: space, bpf.facts) else { return nil }
    (thread.space, thread.process) = (space, bpf.process)
    let question = BPFSnapshot.Question(space: UInt32(space), slot: thread.process % UInt32(SpaceFacts.maxProcesses), need: facts)
    try SnapshotError.wrap { () throws(SyscallError) in try bpf.run(thread.number, want: 0, question) }
    guard bpf.made == thread.made, bpf.sequence == sequence, bpf.stackPointer == trail.sight.stackPointer, hold(facts, in: space, bpf)
    else { return nil }
    let learnt = learnt(facts, in: space, bpf)
    if let required, learnt.stackFlags != required.stackFlags || !required.codes.allSatisfy(learnt.codes.contains) { return nil }
    trail.settle(in: space, epoch: spaces[space].epoch, facts: facts, outermost: cache.number(of: outermost))
    cache.insert(trail)
    use(trail, thread)
    return learnt
  }

  private typealias Learnt = (codes: [Pattern.Code], stackFlags: UInt64?)

  /// What was learnt of the mappings of code among `facts`, and of the one stack; nil where there are more.
  private func learnt(_ bits: UInt64, in space: Int, _ bpf: borrowing BPFSnapshot) -> Learnt {
    var (codes, stacks): ([Pattern.Code], [UInt64]) = ([], [])
    for (index, fact) in spaces[space].facts.enumerated() where bits >> UInt64(index) & 1 != 0 {
      guard let identity = bpf.facts.identity(at: index, of: UInt32(space)) else { continue }
      switch fact {
      case .text(let start, let end, _): codes.append(Pattern.Code(start: start, end: end, identity: identity))
      case .stack: stacks.append(identity.flags)
      case .notCode: break
      }
    }
    return (codes, stacks.count == 1 ? stacks[0] : nil)
  }

  private mutating func made(_ startStack: UInt64) -> Int {
    clock &+= 1
    let space = Space(startStack: startStack, epoch: clock, lastUse: clock)
    if spaces.count < SpaceFacts.maxSpaces {
      spaces.append(space)
      return spaces.count - 1
    }
    let oldest = spaces.indices.min { spaces[$0].lastUse < spaces[$1].lastUse } ?? 0
    let generation = spaces[oldest].generation
    // Its trails go with its epoch.
    spaces[oldest] = space
    spaces[oldest].generation = generation
    return oldest
  }

  /// The bits of `wanted` among the space's facts, which are added where they are new.
  private mutating func facts(_ wanted: [Basis.Fact], in space: Int, _ written: borrowing SpaceFacts) -> UInt64? {
    var known = spaces[space].facts
    var bits: UInt64 = 0
    var changed: [Int] = []
    for fact in wanted {
      if let index = known.firstIndex(where: { $0.implies(fact) }) {
        bits |= 1 << UInt64(index)
      } else if let (index, wider) = known.indices.lazy.compactMap({ index in known[index].widened(to: fact).map { (index, $0) } }).first {
        known[index] = wider
        changed.append(index)
        bits |= 1 << UInt64(index)
      } else if known.count < SpaceFacts.maxFacts {
        known.append(fact)
        changed.append(known.count - 1)
        bits |= 1 << UInt64(known.count - 1)
      } else {
        // Begin again: what is used still comes back.
        reset(space, written)
        return nil
      }
    }
    guard !changed.isEmpty else { return bits }
    spaces[space].facts = known
    for index in changed { written.write(known[index], at: index, of: UInt32(space)) }
    publish(space, written)
    return bits
  }

  private mutating func reset(_ space: Int, _ written: borrowing SpaceFacts) {
    // Its trails go with its epoch.
    clock &+= 1
    spaces[space].epoch = clock
    spaces[space].facts = []
    publish(space, written)
  }

  private mutating func publish(_ space: Int, _ written: borrowing SpaceFacts) {
    spaces[space].generation &+= 1
    written.publish(count: spaces[space].facts.count, generation: spaces[space].generation, of: UInt32(space))
  }

  /// The facts hold, and what was learnt of the files is what the inspector has seen.
  ///
  /// Where a stack is not what other trails rest on any more, or a file has become another, the space begins again.
  private mutating func hold(_ bits: UInt64, in space: Int, _ bpf: borrowing BPFSnapshot) -> Bool {
    let failing = bits & ~bpf.holds
    for (index, fact) in spaces[space].facts.enumerated() where bits >> UInt64(index) & 1 != 0 {
      let isOther =
        switch fact {
        case .text(_, _, let changed):
          failing >> UInt64(index) & 1 == 0 && bpf.facts.identity(at: index, of: UInt32(space))?.changed != changed
        case .stack: failing >> UInt64(index) & 1 != 0
        case .notCode: false
        }
      if isOther {
        reset(space, bpf.facts)
        return false
      }
    }
    return failing == 0
  }
}

extension Sight {
  fileprivate init(_ notification: borrowing Kernel.Notification, _ bpf: borrowing BPFSnapshot) {
    self.init(
      number: notification.number, instruction: notification.instruction, stackPointer: bpf.stackPointer,
      threadPointer: bpf.threadPointer, startStack: bpf.startStack, borrowsMemory: bpf.borrowsMemory, hasExecuted: bpf.hasExecuted,
      isFirst: notification.thread == bpf.process)
  }
}

extension Sight {
  /// nil where not all of it was seen.
  fileprivate init?(_ snapshot: Snapshot) {
    guard let stackPointer = snapshot.registers[Registers.rsp], let threadPointer = snapshot.threadPointer,
      let startStack = snapshot.startStack, let borrowsMemory = snapshot.borrowsMemory, let hasExecuted = snapshot.hasExecuted
    else { return nil }
    self.init(
      number: snapshot.number, instruction: snapshot.instruction, stackPointer: stackPointer, threadPointer: threadPointer,
      startStack: startStack, borrowsMemory: borrowsMemory, hasExecuted: hasExecuted, isFirst: snapshot.thread == snapshot.process)
  }
}

extension Snapshot {
  /// What the notification itself says.
  init(_ notification: borrowing Kernel.Notification) {
    self.init()
    thread = notification.thread
    architecture = notification.architecture
    number = notification.number
    instruction = notification.instruction
  }
}

extension Basis.Fact {
  /// Where this holds, `other` does.
  fileprivate func implies(_ other: Basis.Fact) -> Bool {
    if self == other { return true }
    guard case .stack(let start, let end, let without) = self, case .stack(let otherStart, let otherEnd, let otherWithout) = other else {
      return false
    }
    return start <= otherStart && otherEnd <= end && otherWithout.allSatisfy(without.contains)
  }

  /// Of the same stack, as far as both say; nil where it is another. Whether one mapping holds all of it the program finds out.
  fileprivate func widened(to other: Basis.Fact) -> Basis.Fact? {
    guard case .stack(let start, let end, let without) = self, case .stack(let otherStart, let otherEnd, let otherWithout) = other,
      without == otherWithout, start <= otherEnd, otherStart <= end
    else { return nil }
    return .stack(start: min(start, otherStart), end: max(end, otherEnd), without: without)
  }
}

extension SpaceFacts {
  fileprivate func write(_ fact: Basis.Fact, at index: Int, of space: UInt32) {
    switch fact {
    case .text(let start, let end, _): write(.text, start: start, end: end, at: index, of: space)
    case .stack(let start, let end, let without):
      write(.stack, start: start, end: end, outside: (without.first ?? 0, without.dropFirst().first ?? 0), at: index, of: space)
    case .notCode(let address): write(.notCode, start: address, end: address, at: index, of: space)
    }
  }
}
