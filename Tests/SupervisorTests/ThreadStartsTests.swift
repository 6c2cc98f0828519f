import Supervisor
import Testing
import Wire

@Suite struct ThreadStartsTests {
  private let program: UInt64 = 0x7ffc_1234_5670
  private let stack: UInt64 = 0x7f00_0000_f6f0
  private let tls: UInt64 = 0x7f00_0000_f700
  /// Threads that have ended; all others live.
  private final class Deaths { var threads: Set<UInt32> = [] }
  private let deaths = Deaths()

  private var population: Population {
    Population(
      isAlive: { [deaths] in !deaths.threads.contains($0.thread) }, hasProcess: { [deaths] in !deaths.threads.contains($0) },
      // Processes that differ by 1000 share one memory.
      shareMemory: { process, other in process % 1000 == other % 1000 })
  }

  private func snapshot(
    _ thread: UInt32, of process: UInt32 = 7, made: UInt64? = 100, tls: UInt64? = 0x7f00_0000_f700, startStack: UInt64? = 0x7ffc_1234_5670
  ) -> Snapshot {
    var snapshot = Snapshot()
    snapshot.thread = thread
    snapshot.process = process
    snapshot.made = made
    snapshot.threadPointer = tls
    snapshot.startStack = startStack
    snapshot.borrowsMemory = false
    return snapshot
  }

  private func starts(_ all: ThreadStart..., seesAll: Bool = true) -> ThreadStarts {
    var starts = ThreadStarts(seesAll: seesAll)
    for start in all { starts.note(start, startStack: program, process: 7, among: population) }
    return starts
  }

  private var thread: ThreadStart { ThreadStart(stackPointer: stack, threadPointer: tls) }

  /// Where glibc's chains end: two words were popped.
  private func end(_ popped: UInt64 = 16) -> Outermost { Outermost(stackPointer: stack + popped) }

  @Test func `a clone with a stack is a start, a fork and any other call is none`() {
    let arguments: [6 of UInt64] = [0x3d0f00, stack, 1, 2, tls, 0]
    #expect(ThreadStart(number: 56, arguments: arguments) == thread)
    #expect(ThreadStart(number: 56, arguments: [0x4111, stack, 0, 0, tls, 0]) == ThreadStart(stackPointer: stack))
    #expect(ThreadStart(number: 56, arguments: [0x120_0011, 0, 0, 0, tls, 0]) == nil)
    #expect(ThreadStart(number: 59, arguments: arguments) == nil)
  }

  @Test(arguments: [(0, nil), (8, nil), (16, nil), (32, nil), (40, .noThreadStarted), (12, .noThreadStarted)] as [(UInt64, Reason?)])
  func `a chain ends a few words above the stack that clone was given`(popped: UInt64, reason: Reason?) {
    #expect(starts(thread).objection(to: end(popped), of: snapshot(8), among: population) == reason)
  }

  @Test func `where no thread was started none ends`() {
    #expect(starts().objection(to: end(), of: snapshot(8), among: population) == .noThreadStarted)
    #expect(starts(thread).objection(to: Outermost(stackPointer: stack - 8), of: snapshot(8), among: population) == .noThreadStarted)
    let elsewhere = snapshot(8, startStack: program + 16)
    #expect(starts(thread).objection(to: end(), of: elsewhere, among: population) == .noThreadStarted)
  }

  @Test func `who does not hear of every start, or knows no address space, says nothing of unknown ones`() {
    #expect(starts(seesAll: false).objection(to: end(), of: snapshot(8), among: population) == nil)
    #expect(starts().objection(to: end(), of: snapshot(8, startStack: nil), among: population) == nil)
  }

  @Test func `a thread has the fs base that it was started with`() {
    #expect(starts(thread).objection(to: end(), of: snapshot(8, tls: tls + 64), among: population) == .otherThread)
    #expect(starts(thread).objection(to: end(), of: snapshot(8, tls: nil), among: population) == nil)
    #expect(starts(ThreadStart(stackPointer: stack)).objection(to: end(), of: snapshot(8, tls: 1), among: population) == nil)
  }

  @Test func `a start is the thread's that first ends there, as long as it lives`() {
    var starts = starts(thread)
    starts.claim(end(), by: snapshot(8))
    #expect(starts.objection(to: end(), of: snapshot(8), among: population) == nil)
    #expect(starts.objection(to: end(), of: snapshot(9), among: population) == .otherThread)
    #expect(starts.objection(to: end(), of: snapshot(8, made: 101), among: population) == .otherThread)
    deaths.threads = [8]
    #expect(starts.objection(to: end(), of: snapshot(9), among: population) == .noThreadStarted)
  }

  @Test func `a stack that is used again is the new thread's, even while the old one is about to end`() {
    var starts = starts(thread)
    starts.claim(end(), by: snapshot(8))
    starts.note(thread, startStack: program, process: 7, among: population)
    #expect(starts.objection(to: end(), of: snapshot(9), among: population) == nil)
    #expect(starts.count == 1)
  }

  @Test func `forks of a thread go on where it began, and so do their forks`() {
    var starts = starts(thread)
    for process: UInt32 in [7, 20, 21, 22] {
      let fork = snapshot(process == 7 ? 8 : process, of: process)
      #expect(starts.objection(to: end(), of: fork, among: population) == nil)
      starts.claim(end(), by: fork)
    }
    // The number of one that has ended is given again.
    deaths.threads = [20]
    #expect(starts.objection(to: end(), of: snapshot(20, of: 20, made: 500), among: population) == nil)
  }

  @Test func `a process that shares the memory is no fork`() {
    var starts = starts(thread)
    starts.claim(end(), by: snapshot(8))
    #expect(starts.objection(to: end(), of: snapshot(1007, of: 1007), among: population) == .otherThread)
  }

  @Test func `a child of vfork runs on its parent's stack, and claims nothing`() {
    var starts = starts(thread)
    starts.claim(end(), by: snapshot(8))
    var child = snapshot(1007, of: 1007)
    child.borrowsMemory = true
    #expect(starts.objection(to: end(), of: child, among: population) == nil)
    starts.claim(end(), by: child)
    #expect(starts.objection(to: end(), of: snapshot(8), among: population) == nil)
  }

  @Test func `a fork may start a thread where its parent has one with another fs base`() {
    var starts = starts(thread)
    starts.claim(end(), by: snapshot(8))
    starts.note(ThreadStart(stackPointer: stack, threadPointer: 1), startStack: program, process: 20, among: population)
    #expect(starts.objection(to: end(), of: snapshot(8), among: population) == nil)
    #expect(starts.objection(to: end(), of: snapshot(21, of: 20, tls: 1), among: population) == nil)
  }

  @Test func `of too many starts those of ended processes are forgotten first`() {
    var starts = ThreadStarts(seesAll: true)
    for space in 0..<UInt64(ThreadStarts.maxSpaces) {
      starts.note(thread, startStack: program + space * 16, process: UInt32(space), among: population)
    }
    // The oldest lives.
    deaths.threads = Set(1..<UInt32(ThreadStarts.maxSpaces))
    starts.note(thread, startStack: 16, process: 7, among: population)
    #expect(starts.objection(to: end(), of: snapshot(8), among: population) == nil)
    #expect(starts.objection(to: end(), of: snapshot(8, startStack: 16), among: population) == nil)
    #expect(starts.objection(to: end(), of: snapshot(8, startStack: program + 16), among: population) == .noThreadStarted)
    #expect(starts.count <= ThreadStarts.maxSpaces / 2 + 1)
  }

  @Test func `whoever starts too many threads alone loses the oldest`() {
    var starts = ThreadStarts(seesAll: true)
    for index in 0...UInt64(ThreadStarts.maxStarts) {
      starts.note(ThreadStart(stackPointer: index * 4096 + 4096), startStack: program, process: 7, among: population)
    }
    #expect(starts.count == ThreadStarts.maxStarts / 2 + 1)
    let last = Outermost(stackPointer: UInt64(ThreadStarts.maxStarts) * 4096 + 4096)
    #expect(starts.objection(to: last, of: snapshot(8), among: population) == nil)
    #expect(starts.objection(to: Outermost(stackPointer: 4096), of: snapshot(8), among: population) == .noThreadStarted)
  }
}
