internal import BPF
package import Diagnostics
internal import Kernel
internal import ProcFS
internal import Report
package import Wire

/// What one thread was doing, and what the inspector saw on its stack.
package struct Examination: Sendable {
  package enum State: String, Sendable {
    /// Executing instructions of its own.
    case running
    /// In a system call, and not waiting.
    case calling
    /// Waiting in a system call.
    case blocked
    /// Waiting in the kernel for something else: a page, say.
    case waiting
    /// Stopped by a signal (SIGSTOP), or by a terminal.
    case stopped
  }

  package var thread: UInt32
  /// The thread's name as it gives it itself.
  package var command: String
  package var state: State
  package var call: Int32?
  package var copying: Copying
  /// It could not be held, and did something else before the inspection was over.
  package var hasMoved: Bool
  package var isInterrupted: Bool
  package var finding: Finding
}

/// Looks at the stacks of any process, one thread at a time, with an inspector of its own: not a byte of theirs is interpreted here.
package final class Examiner {
  private let inspectorProgram: String
  private let bpfObject: String
  private let permissions: Set<Permission>
  private var inspector: Inspector?
  private var bpf: BPFSource?
  private let opener = PatientOpener()
  /// Threads that did not stop, and are still traced: when they stop, they must go on.
  private var unreleased: Set<UInt32> = []

  /// No profile's limit: a puzzling stack is to be shown to its end. The inspector's own limits of work and time hold.
  static let depth: UInt32 = 65536

  /// `permissions` are what the stacks are judged by.
  package init(inspectorProgram: String, bpfObject: String, permissions: Set<Permission>) throws(Refusal) {
    self.inspectorProgram = inspectorProgram
    self.permissions = permissions
    self.bpfObject = bpfObject
    inspector = try start()
  }

  deinit { _ = unreleased.filter { !releaseInterrupted($0) } }

  /// Refuses with `.noSuchProcess` where the thread has ended, with `.notTraceable` where it may not be looked at.
  package func examine(_ thread: UInt32, of process: UInt32) throws(Refusal) -> Examination {
    // A thread that was not taken at all counts as released.
    unreleased.insert(thread)
    defer { unreleased = unreleased.filter { !releaseInterrupted($0) } }
    let handle = try refusing(thread) { () throws(SnapshotError) in
      try SnapshotError.wrap { () throws(SyscallError) in try PidFD(process) }
    }
    let before = try refusing(thread) { () throws(SnapshotError) in try Activity(of: thread) }
    // A thread that waits, and goes on waiting, is best left alone.
    if case .blocked(let call) = before.call, before.stat.state == UInt8(ascii: "S") || before.stat.state == UInt8(ascii: "D") {
      let copied = try refusing(thread) { () throws(SnapshotError) in try HeldThread.copied(thread, call, bpf: snapshotProgram) }
      if copied.copying == .bpf {
        let seen = try examination(of: copied, handle, before)
        if !seen.hasMoved { return seen }
      }
    }
    let held = try refusing(thread) { () throws(SnapshotError) in try HeldThread.held(thread, bpf: snapshotProgram) }
    return try examination(of: held, handle, before)
  }

  private func examination(
    of held: borrowing HeldThread, _ handle: borrowing PidFD, _ before: Activity
  ) throws(Refusal) -> Examination {
    let (thread, finding) = (held.snapshot.thread, try inspect(held, handle))
    return Examination(
      thread: thread, command: before.stat.command, state: before.state(in: held.call), call: held.call, copying: held.copying,
      hasMoved: held.mayMove && !before.isStill(thread), isInterrupted: held.snapshot.isInterrupted, finding: finding)
  }

  private func inspect(_ held: borrowing HeldThread, _ handle: borrowing PidFD) throws(Refusal) -> Finding {
    let inspector = try currentInspector()
    let request = Request(
      snapshot: held.snapshot, depth: Examiner.depth, explain: true, jit: JITMemory.assumed(of: held.snapshot.process),
      permissions: permissions)
    do throws(InspectorError) {
      return try inspector.inspect(request, memory: held.memory, map: held.map, pages: held.pages, opener: opener) { handle.isAlive }
    } catch {
      self.inspector = nil
      throw Refusal(Trouble.inspector(error).code, "the stack could not be inspected: \(error)")
    }
  }

  /// One that failed at a thread is not shown the next.
  private func currentInspector() throws(Refusal) -> Inspector {
    if let inspector { return inspector }
    let started = try start()
    inspector = started
    return started
  }

  private func start() throws(Refusal) -> Inspector {
    do throws(InspectorError) { return try Inspector(program: inspectorProgram) } catch {
      throw Refusal(.inspectorLost, "the inspector did not start: \(error)")
    }
  }

  private func snapshotProgram() throws(SyscallError) -> BPFSource {
    if let bpf { return bpf }
    let loaded = BPFSource(try BPFSnapshot.loaded(from: bpfObject))
    bpf = loaded
    return loaded
  }
}

extension PidFD {
  fileprivate var isAlive: Bool {
    do throws(SyscallError) { return try !hasEnded() } catch { return false }
  }
}

/// What /proc says of a thread before it is touched.
private struct Activity {
  let stat: ProcessStat
  let call: CallState
  private let switches: UInt64

  init(of thread: UInt32) throws(SnapshotError) {
    stat = try processStat(thread)
    let status = try SnapshotError.wrap { () throws(SyscallError) in try procText(thread, "status") }
    do throws(ProcFSError) { switches = try contextSwitches(status: status) } catch { throw .text(error) }
    call = try callState(thread)
  }

  func state(in number: Int32?) -> Examination.State {
    if stat.state == UInt8(ascii: "T") { return .stopped }
    switch (call, number) {
    case (.waiting, nil): return .waiting
    case (_, nil): return .running
    case (.blocked(let blocked), let number?) where blocked.number == Int(number): return .blocked
    case (_, _?): return .calling
    }
  }

  func isStill(_ thread: UInt32) -> Bool {
    do throws(SnapshotError) {
      let now = try Activity(of: thread)
      return now.call == call && now.switches == switches
    } catch { return false }
  }
}

private func callState(_ thread: UInt32) throws(SnapshotError) -> CallState {
  let text = try SnapshotError.wrap { () throws(SyscallError) in try procText(thread, "syscall") }
  do throws(ProcFSError) { return try CallState(text) } catch { throw .text(error) }
}

private func refusing<Value: ~Copyable>(_ thread: UInt32, _ body: () throws(SnapshotError) -> Value) throws(Refusal) -> Value {
  do throws(SnapshotError) { return try body() } catch { throw refusal(thread, error) }
}

/// In words that help: an errno of ptrace(2) alone does not say who is in the way.
private func refusal(_ thread: UInt32, _ error: SnapshotError) -> Refusal {
  let ended = Refusal(.noSuchProcess, "thread \(thread) has ended")
  let hindrance: (tracer: UInt32, state: UInt8)
  do {
    hindrance = (try tracer(status: try procText(thread, "status")), try processStat(thread).state)
  } catch { return ended }
  if hindrance.state == UInt8(ascii: "Z") || hindrance.state == UInt8(ascii: "X") { return ended }
  if hindrance.tracer != 0, hindrance.tracer != UInt32(bitPattern: processID) {
    return Refusal(
      .notTraceable, "thread \(thread) is traced by process \(hindrance.tracer)\(named(hindrance.tracer)), and can have one tracer only")
  }
  guard case .system(let failure) = error else { return Refusal(.notTraceable, "thread \(thread) cannot be looked at: \(error)") }
  switch failure.errno {
  case Errno.noProcess, Errno.noChild: return ended
  case Errno.notPermitted, Errno.accessDenied:
    return Refusal(.notTraceable, "thread \(thread) may not be looked at: \(failure)")
  case Errno.notSupported: return Refusal(.notTraceable, "thread \(thread) runs a 32-bit program")
  default: return Refusal(.notTraceable, "thread \(thread) cannot be looked at: \(failure)")
  }
}

private func named(_ process: UInt32) -> String {
  do { return ", \(escaped(try processStat(process).command))" } catch { return "" }
}
