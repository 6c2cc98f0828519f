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
    var made: UInt64 = 0
    var process: UInt32 = 0
    var space: Int?
    var last: Trail?
    var want = Copier.stackBytes
    var lastUse: UInt64 = 0
    /// The outermost frames that nothing objected to, and what was known of threads then.
    var settled: (outermost: Int, generation: UInt64)?
  }

  enum Answer {
    /// `isSettled`: nothing that is remembered of the thread objects to its base either, as it did not before.
    case known(Trail, isSettled: Bool)
    /// The snapshot was taken, and has to be inspected.
    case unknown(Snapshot, Inspected)
  }

  /// What was so when the snapshot was taken that is about to be inspected.
  struct Inspected {
    var sight: Sight
    var sequence: UInt64?
    fileprivate var registers: Registers
  }

  private static let maxThreads = 4096
  /// More than a trail needs: the next one may reach further.
  private static let granule = 1024

  private(set) var cache = TrailCache()
  private var spaces: [Space] = []
  private var threads: [UInt32: Thread] = [:]
  private var clock: UInt64 = 0

  mutating func takeCounts() -> Counts { cache.takeCounts() }

  // MARK: - Asking

  /// Copies the thread of `notification`, and looks for its trail.
  mutating func ask(
    _ notification: borrowing Kernel.Notification, _ bpf: borrowing BPFSnapshot, generation: UInt64
  ) throws(SnapshotError) -> Answer {
    clock &+= 1
    let number = notification.thread
    let thread = remembered(number)
    thread.lastUse = clock
    var need = thread.last?.facts ?? .max
    try run(number, thread, need, bpf)
    if bpf.made != thread.made { begin(thread, bpf) }
    let sight = Sight(notification, bpf)
    if thread.space.map({ spaces[$0].startStack != sight.startStack }) ?? true {
      (thread.space, thread.process, need) = (place(of: sight.startStack), bpf.process, .max)
      guard thread.space != nil else { return try unknown(notification, thread, sight, bpf) }
      try run(number, thread, need, bpf)
    }
    for _ in 0..<2 {
      switch match(thread, sight, bpf) {
      case .found(let trail):
        if trail.facts & ~bpf.holds == 0 {
          use(trail, thread)
          return .known(trail, isSettled: thread.settled.map { $0.outermost == trail.outermost && $0.generation == generation } ?? false)
        }
        // That it was not asked about says nothing.
        guard trail.facts & ~need != 0 else { return try unknown(notification, thread, sight, bpf) }
        need |= trail.facts
      case .short(let bytes): thread.want = bytes
      case .none: return try unknown(notification, thread, sight, bpf)
      }
      try run(number, thread, need, bpf)
      // The thread's own registers stay; the number of a thread that has ended may be another's by now.
      guard bpf.made == thread.made, Sight(notification, bpf) == sight else { throw .gone }
    }
    return try unknown(notification, thread, sight, bpf)
  }

  /// Nothing objects to the outermost frames of `trail`, which the thread of the last run has.
  mutating func settle(_ thread: UInt32, _ trail: Trail, generation: UInt64) {
    threads[thread]?.settled = (trail.outermost, generation)
  }

  /// What was found of a thread at its last inspection is another.
  mutating func unsettle(_ thread: UInt32) { threads[thread]?.settled = nil }

  private mutating func use(_ trail: Trail, _ thread: Thread) {
    if thread.last !== trail {
      thread.last = trail
      thread.want = (trail.reach + Recall.granule / 2) & ~(Recall.granule - 1) | Recall.granule
    }
    if let space = thread.space { spaces[space].lastUse = clock }
    cache.use(trail)
  }

  /// What was answered by a trail: nothing, where the caller had taken its call back.
  func count(_ trail: Trail) { trail.repetitions &+= 1 }

  private enum Match {
    case found(Trail)
    /// One that may match needs so many bytes from SP upward.
    case short(Int)
    case none
  }

  private func match(_ thread: Thread, _ sight: Sight, _ bpf: borrowing BPFSnapshot) -> Match {
    let (below, copied, canary) = (bpf.below, bpf.copied, bpf.canary)
    return bpf.withWindow { window in
      func isSame(_ trail: Trail) -> Bool {
        trail.space == thread.space && trail.epoch == spaces[trail.space].epoch
          && trail.matches(window, below: below, canary: canary) { bpf.register($0) }
      }
      if let last = thread.last, last.sight == sight, isSame(last) { return .found(last) }
      var needed = 0
      for trail in cache.candidates(at: sight) {
        if isSame(trail) { return .found(trail) }
        if trail.reach > copied { needed = max(needed, trail.reach) }
      }
      return needed > copied && needed > thread.want ? .short(needed) : .none
    }
  }

  private func unknown(
    _ notification: borrowing Kernel.Notification, _ thread: Thread, _ sight: Sight, _ bpf: borrowing BPFSnapshot
  ) throws(SnapshotError) -> Answer {
    // A glance is not what is inspected.
    try run(notification.thread, thread, 0, bpf, isGlance: false)
    guard bpf.made == thread.made, Sight(notification, bpf) == sight else { throw .gone }
    var snapshot = Snapshot(notification)
    snapshot.take(bpf)
    return .unknown(snapshot, Inspected(sight: sight, sequence: bpf.sequence, registers: snapshot.registers))
  }

  private func run(
    _ number: UInt32, _ thread: Thread, _ need: UInt64, _ bpf: borrowing BPFSnapshot, isGlance: Bool = true
  ) throws(SnapshotError) {
    let question = thread.space.map {
      BPFSnapshot.Question(space: UInt32($0), slot: thread.process % UInt32(SpaceFacts.maxProcesses), need: need)
    }
    let want = thread.want
    try SnapshotError.wrap { () throws(SyscallError) in try bpf.run(number, want: want, question, isGlance: isGlance) }
  }

  private mutating func remembered(_ number: UInt32) -> Thread {
    if let known = threads[number] { return known }
    if threads.count >= Recall.maxThreads {
      let uses = threads.values.map(\.lastUse).sorted()
      let middle = uses[uses.count / 2]
      threads = threads.filter { $0.value.lastUse > middle }
    }
    let thread = Thread()
    threads[number] = thread
    return thread
  }

  /// Its number has come to mean another thread.
  private func begin(_ thread: Thread, _ bpf: borrowing BPFSnapshot) {
    thread.made = bpf.made
    thread.process = bpf.process
    (thread.last, thread.settled) = (nil, nil)
  }

  private func place(of startStack: UInt64) -> Int? { spaces.firstIndex { $0.startStack == startStack } }

  // MARK: - Learning

  /// Keeps what was found as a trail, if all that it rests on can be told and still is so.
  mutating func learn(
    _ finding: Finding, of syscall: String, _ inspected: Inspected, thread number: UInt32, _ bpf: borrowing BPFSnapshot
  ) throws(SnapshotError) {
    let sight = inspected.sight
    guard finding.isClean, let basis = finding.basis, let sequence = inspected.sequence, let thread = threads[number] else { return }
    let space = place(of: sight.startStack) ?? made(sight.startStack)
    guard let facts = facts(basis.facts, in: space, bpf.facts) else { return }
    (thread.space, thread.process) = (space, bpf.process)
    let question = BPFSnapshot.Question(space: UInt32(space), slot: thread.process % UInt32(SpaceFacts.maxProcesses), need: facts)
    try SnapshotError.wrap { () throws(SyscallError) in try bpf.run(number, want: 0, question) }
    guard bpf.made == thread.made, bpf.sequence == sequence, hold(facts, in: space, bpf),
      let trail = Trail(
        finding, basis, of: syscall, at: sight, register: { inspected.registers[$0] ?? 0 }, facts: facts, space: space,
        epoch: spaces[space].epoch, outermost: cache.number(of: finding.outermost))
    else { return }
    cache.insert(trail)
    thread.last = trail
    thread.want = (trail.reach + Recall.granule / 2) & ~(Recall.granule - 1) | Recall.granule
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
    cache.forget(space: oldest)
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
    cache.forget(space: space)
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
        case .text(_, _, let changed): failing >> UInt64(index) & 1 == 0 && bpf.facts.changed(at: index, of: UInt32(space)) != changed
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
