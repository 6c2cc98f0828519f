package import Wire

/// A call of clone(2) that gives the task it makes a stack of its own: where that begins, and what the task's fs base will be.
package struct ThreadStart: Equatable, Sendable {
  package var stackPointer: UInt64
  /// nil where the task keeps that of its maker (a child of posix_spawn).
  package var threadPointer: UInt64?

  package init(stackPointer: UInt64, threadPointer: UInt64? = nil) {
    self.stackPointer = stackPointer
    self.threadPointer = threadPointer
  }

  /// nil for any other call, and for a fork. The arguments are flags, stack, parent_tid, child_tid and tls (clone(2), x86-64).
  package init?(number: Int32, arguments: [6 of UInt64]) {
    guard number == ThreadStart.clone, arguments[1] != 0 else { return nil }
    self.init(stackPointer: arguments[1], threadPointer: arguments[0] & ThreadStart.setTLS != 0 ? arguments[4] : nil)
  }

  /// asm/unistd_64.h.
  static let clone: Int32 = 56
  /// CLONE_SETTLS of linux/sched.h.
  private static let setTLS: UInt64 = 0x80000
}

/// A thread for as long as it lives: numbers are given again, but not to a thread that was made in the same hundredth of a second.
package struct ThreadIdentity: Hashable, Sendable {
  package var thread: UInt32
  /// Clock ticks since the machine was booted.
  package var made: UInt64

  package init(thread: UInt32, made: UInt64) {
    self.thread = thread
    self.made = made
  }
}

extension Snapshot {
  var identity: ThreadIdentity? { made.map { ThreadIdentity(thread: thread, made: $0) } }
}

/// What may be asked about the machine's other processes and threads.
package struct Population {
  package var isAlive: (ThreadIdentity) -> Bool
  package var hasProcess: (UInt32) -> Bool
  package var shareMemory: (_ process: UInt32, _ other: UInt32) -> Bool

  package init(
    isAlive: @escaping (ThreadIdentity) -> Bool, hasProcess: @escaping (UInt32) -> Bool, shareMemory: @escaping (UInt32, UInt32) -> Bool
  ) {
    self.isAlive = isAlive
    self.hasProcess = hasProcess
    self.shareMemory = shareMemory
  }
}

/// Where threads were started, by address space: the places at which their chains have to end, and whose each is.
///
///         │ …                    │
///         ├──────────────────────┤ ◄─ SP at the outermost call, which the inspector tells: at most 32 bytes above it, as the child pops
///         │ function, argument   │    what clone's wrapper left for it: two words in glibc's (clone.S), one in musl's, none in clone3
///         ├──────────────────────┤ ◄─ the stack argument of clone
///         │ return address       │
///         │ start_thread's frame │
///
/// Every clone with a stack is heard of before it happens, so every thread's start is known here, except for those that a profile lets
/// programs make by clone3 (`seesAll` is false), and those that were forgotten. A start is the thread's that first ends there; once that
/// thread has ended, it is nobody's until another clone names the place. A failed clone leaves a start that nothing begins at.
///
/// **Address spaces** are told apart as JITRegions does: by where the kernel put their first stack. A fork keeps the places with the
/// memory, and its threads have claims of their own. A child that borrows memory (vfork) runs on its parent's stack and claims nothing.
package struct ThreadStarts {
  /// In all address spaces together, some 20 MB. Of more, those of ended processes are forgotten first, then those of the processes that
  /// were quiet longest; whoever made that many alone loses the oldest half.
  package static let maxStarts = 1 << 17
  package static let maxSpaces = 1 << 13
  /// Forks of one another that each end at one place, and processes of one address space that are asked after.
  private static let maxClaims = 64
  /// Threads of one place with different fs bases.
  private static let maxAlternatives = 4
  /// Of the outermost call above the stack argument.
  private static let maxPopped: UInt64 = 32

  fileprivate struct Claim {
    var process: UInt32
    var thread: ThreadIdentity
  }

  fileprivate struct Start {
    var threadPointer: UInt64?
    var claims: [Claim] = []
    var lastUse: UInt64
  }

  fileprivate struct Space {
    /// By the stack argument. More than one where a fork and its parent have each made threads there.
    var starts: [UInt64: [Start]] = [:]
    var processes: Set<UInt32> = []
    var lastUse: UInt64 = 0
  }

  private let seesAll: Bool
  private var spaces: [UInt64: Space] = [:]
  package private(set) var count = 0
  private var clock: UInt64 = 0
  /// How often a place or whose it is has changed.
  private(set) var changes: UInt64 = 0

  package init(seesAll: Bool) { self.seesAll = seesAll }

  /// Takes note of a clone that is allowed to go on: `startStack` and `process` are its maker's.
  package mutating func note(_ start: ThreadStart, startStack: UInt64, process: UInt32, among population: Population) {
    clock += 1
    changes += 1
    if spaces[startStack] == nil ? spaces.count >= ThreadStarts.maxSpaces : count >= ThreadStarts.maxStarts {
      forget(except: startStack, population)
    }
    spaces[startStack, default: Space()].lastUse = clock
    if (spaces[startStack]?.processes.count ?? 0) < ThreadStarts.maxClaims { spaces[startStack]?.processes.insert(process) }
    // Nobody makes a thread on a stack that is in use: who had been there has ended, or is about to.
    var here = spaces[startStack]?.starts[start.stackPointer] ?? []
    count -= here.count
    here.removeAll { $0.threadPointer == start.threadPointer }
    here.append(Start(threadPointer: start.threadPointer, lastUse: clock))
    if here.count > ThreadStarts.maxAlternatives { here.removeFirst() }
    count += here.count
    spaces[startStack]?.starts[start.stackPointer] = here
  }

  /// What `base` objects to in a chain that ended at a thread's start, `outermost`.
  package func objection(to outermost: Outermost, of snapshot: Snapshot, among population: Population) -> Reason? {
    guard let startStack = snapshot.startStack else { return nil }
    let here = places(below: outermost.stackPointer).flatMap { spaces[startStack]?.starts[$0] ?? [] }
    guard !here.isEmpty else { return seesAll ? .noThreadStarted : nil }
    let fitting = here.filter { $0.fits(snapshot) }
    guard !fitting.isEmpty else { return .otherThread }
    guard snapshot.borrowsMemory != true, let own = snapshot.identity else { return nil }
    var reason: Reason?
    for start in fitting {
      guard let found = start.objection(to: own, of: snapshot.process, population) else { return nil }
      reason = found
    }
    return reason
  }

  /// The start at which a faultless chain ended is the thread's from now on.
  package mutating func claim(_ outermost: Outermost, by snapshot: Snapshot) {
    guard let startStack = snapshot.startStack, let own = snapshot.identity, snapshot.borrowsMemory != true else { return }
    clock += 1
    for place in places(below: outermost.stackPointer) {
      guard let here = spaces[startStack]?.starts[place] else { continue }
      for (index, start) in here.enumerated() where start.fits(snapshot) {
        spaces[startStack]?.lastUse = clock
        spaces[startStack]?.starts[place]?[index].lastUse = clock
        if start.claims.contains(where: { $0.thread == own }) { return }
        changes += 1
        if start.claims.count >= ThreadStarts.maxClaims { spaces[startStack]?.starts[place]?[index].claims.removeFirst() }
        spaces[startStack]?.starts[place]?[index].claims.append(Claim(process: snapshot.process, thread: own))
        return
      }
    }
  }

  private func places(below stackPointer: UInt64) -> [UInt64] {
    stride(from: 0, through: ThreadStarts.maxPopped, by: 8).map { stackPointer &- $0 }
  }

  private mutating func forget(except current: UInt64, _ population: Population) {
    let others = spaces.filter { $0.key != current }
      .map { (key: $0.key, isLiving: $0.value.processes.contains(where: population.hasProcess), lastUse: $0.value.lastUse) }
      .sorted { ($0.isLiving ? 1 : 0, $0.lastUse) < ($1.isLiving ? 1 : 0, $1.lastUse) }
    for other in others {
      guard count > ThreadStarts.maxStarts / 2 || spaces.count > ThreadStarts.maxSpaces / 2 else { return }
      count -= spaces.removeValue(forKey: other.key)?.count ?? 0
    }
    guard count > ThreadStarts.maxStarts / 2, let starts = spaces[current]?.starts else { return }
    let kept = starts.sorted { ($0.value.last?.lastUse ?? 0) > ($1.value.last?.lastUse ?? 0) }.prefix(starts.count / 2)
    spaces[current]?.starts = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
    count = spaces.values.reduce(0) { $0 + $1.count }
  }
}

extension ThreadStarts.Space {
  fileprivate var count: Int { starts.values.reduce(0) { $0 + $1.count } }
}

extension ThreadStarts.Start {
  /// User code can change its fs base (wrfsbase): that it fits proves nothing, that it does not fit says enough.
  fileprivate func fits(_ snapshot: Snapshot) -> Bool {
    guard let expected = threadPointer, let found = snapshot.threadPointer else { return true }
    return expected == found
  }

  /// Why it is not `own`'s, nil where it is, or may become it.
  fileprivate func objection(to own: ThreadIdentity, of process: UInt32, _ population: Population) -> Reason? {
    for claim in claims where claim.thread != own {
      if population.isAlive(claim.thread) {
        // A fork of the thread goes on in its own copy of the stack.
        if claim.process == process || population.shareMemory(process, claim.process) { return .otherThread }
      } else if claim.process == process, own.thread != process {
        // A process's first thread may be a fork that got the number of one that has ended.
        return .noThreadStarted
      }
    }
    return nil
  }
}
