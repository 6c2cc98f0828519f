package import Wire

/// What the outer end of each thread's stack was at its last trapped call: it cannot have changed since.
///
/// The function at the base calls one other and never returns, so that as long as that call lasts, its return address, SP and the C
/// library's start function stay what they were. Their frames' places need no comparison: they follow from SP and the return addresses by the
/// unwinding itself. Another return address of the same base function is progress, and what lies below it is new. One base follows upon
/// another only where the loader, which has run constructors, goes over to the program.
///
/// Only chains that end at a process's entry or a thread's start take part: coroutines, goroutines and fibers have bases of their own. A fork
/// is another thread, with no past; so is a child of vfork. After an execve the address space is another one.
package struct Lineage {
  /// Of more, the half that was quiet longest is forgotten, and is not compared: some 10 MB.
  package static let maxThreads = 1 << 16

  private struct Entry {
    /// When the thread was made: its number may be another's by now.
    var made: UInt64
    var startStack: UInt64
    var outermost: Outermost
    var lastUse: UInt64
  }

  private var entries: [UInt32: Entry] = [:]
  private var clock: UInt64 = 0
  /// How often something was forgotten.
  private(set) var losses: UInt64 = 0

  package init() {}

  package func objection(to finding: Finding, of snapshot: Snapshot) -> Reason? {
    guard let (thread, startStack, now) = compared(finding, snapshot), let entry = entries[thread.thread], entry.made == thread.made,
      entry.startStack == startStack, let earlier = entry.outermost.links.first, let base = now.links.first,
      !entry.outermost.isInLoader
    else { return nil }
    guard base.function == earlier.function else {
      return now.stackPointer == entry.outermost.stackPointer ? .otherOutermostFrames : .otherBase
    }
    guard base.returnAddress == earlier.returnAddress else { return nil }
    guard now.stackPointer == entry.outermost.stackPointer else { return .otherBase }
    guard now.links.count > 1, entry.outermost.links.count > 1 else { return nil }
    return now.links[1].function == entry.outermost.links[1].function ? nil : .otherOutermostFrames
  }

  /// Takes note of a faultless chain.
  package mutating func note(_ finding: Finding, of snapshot: Snapshot) {
    guard let (thread, startStack, now) = compared(finding, snapshot), !now.links.isEmpty else { return }
    clock += 1
    if entries.count >= Lineage.maxThreads, entries[thread.thread] == nil {
      let kept = entries.sorted { $0.value.lastUse > $1.value.lastUse }.prefix(Lineage.maxThreads / 2)
      losses += 1
      entries = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
    }
    entries[thread.thread] = Entry(made: thread.made, startStack: startStack, outermost: now, lastUse: clock)
  }

  /// The process is about to execute a program, whose first thread has its number. Where the layout's randomness is off, its first stack may
  /// lie where the old one did.
  package mutating func forget(_ process: UInt32) {
    if entries.removeValue(forKey: process) != nil { losses += 1 }
  }

  private func compared(_ finding: Finding, _ snapshot: Snapshot) -> (ThreadIdentity, startStack: UInt64, Outermost)? {
    guard finding.end == .processEntry || finding.end == .threadStart, let thread = snapshot.identity, let startStack = snapshot.startStack,
      let outermost = finding.outermost
    else { return nil }
    return (thread, startStack, outermost)
  }
}
