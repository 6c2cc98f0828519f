internal import Diagnostics
package import Kernel
package import Plan
internal import Profile
internal import Report
internal import Wire

/// One container's supervisor: holds its listeners and answers what they bring.
package struct Supervisor: ~Copyable {
  private let plan: Plan
  /// By the system call's number; nil where it is not trapped.
  private let traps: [Trap?]
  private let door: UnixSocket
  private let poller: Poller
  private let doorbell: Doorbell?
  /// The session that is waited for alone: the poller does not watch its listener.
  private var alone: UInt64?
  private var copier: Copier
  private let inspectorProgram: String
  private var inspector: Inspector?
  private let perch: Perch
  private let opener = PatientOpener()
  private let journal: Journal
  private let started: Int64
  private var counts = Counts()
  private var regions: JITRegions
  private var threads: ThreadRecords
  private var recall: Recall
  private var recorder: Recorder?
  private var spaces = OpenSpaces()

  private var runtime: PidFD?
  private var connections: [UInt64: Connection] = [:]
  private var sessions: [UInt64: Session] = [:]
  private var nextToken = Token.firstFree
  private var hadListener = false
  /// The processes that listeners came from, the container's first one before all others.
  private var roots: [ProcessIdentity] = []
  /// What objected when the container was ended: since then no call of it goes on.
  private var endedBy: String?

  private enum Token {
    static let door: UInt64 = 1
    static let runtime: UInt64 = 2
    static let end: UInt64 = 3
    static let firstFree: UInt64 = 16
  }

  /// `started`: nanoseconds since 1970, before the low-level runtime was told to go on. Takes the listening socket, a sealed inspector, and the handle of the low-level runtime where one is to be watched.
  package init(
    plan: Plan, started: Int64, runtime: consuming PidFD?, door: consuming UnixSocket, inspector: Inspector, inspectorProgram: String,
    copier: consuming Copier
  ) throws(SyscallError) {
    let poller = try Poller()
    try poller.add(door.raw, token: Token.door)
    if let raw = runtime?.raw { try poller.add(raw, token: Token.runtime) }
    doorbell = (try kernelVersion()) >= (6, 11) ? try Doorbell(watching: poller) : nil
    self.poller = poller
    self.plan = plan
    self.started = started
    traps = Trap.table(plan.traps)
    self.door = door
    self.inspector = inspector
    perch = inspector.perch
    self.inspectorProgram = inspectorProgram
    journal = Journal(plan: plan)
    regions = JITRegions(declared: plan.jit)
    threads = ThreadRecords(seesAllStarts: plan.seesThreadStarts)
    recall = Recall(usesPaths: !plan.paths.isEmpty || !plan.jit.isEmpty || plan.recording != nil)
    recorder = plan.recording.map { Recorder($0, of: plan.id, profile: plan.profileName, version: plan.profileVersion) }
    self.runtime = runtime
    self.copier = copier
  }

  /// Runs until the last thread under the container's filters is gone, or the low-level runtime ended without ever handing one over.
  package mutating func run() throws(SyscallError) {
    defer {
      counts.add(recall.takeCounts())
      journal.write(counts)
      recorder?.finish()
      if case .failed(let error) = recorder?.end { journal.note(.recordingFailed, "the recording is not whole: \(error)") }
    }
    do throws(SyscallError) {
      try loop()
    } catch {
      // From here on every trapped call of the container fails with ENOSYS: closed, but not silently.
      journal.note(.supervisorLost, "the supervisor had to give up: \(error)")
      throw error
    }
  }

  private mutating func loop() throws(SyscallError) {
    while !isOver {
      if try waitAlone() { continue }
      if copier.hasUnreleased { copier.release() }
      try dispatch(poller.wait(milliseconds: copier.hasUnreleased ? 20 : -1))
    }
  }

  private mutating func dispatch(_ all: [Readiness]) throws(SyscallError) {
    for ready in all {
      switch ready.token {
      case Token.door: try admit()
      case Token.runtime: try runtimeEnded()
      default:
        if let session = sessions[ready.token] {
          try serve(session, ready)
        } else if let connection = connections[ready.token] {
          try hear(connection, ready.token)
        }
      }
    }
  }

  /// Where there is one listener only, waits for it and nothing else, as long as the doorbell does not ring. False where there are others,
  /// or where the kernel does not end such a wait with the last thread under the filter (before Linux 6.11).
  private mutating func waitAlone() throws(SyscallError) -> Bool {
    guard let doorbell, sessions.count == 1, !copier.hasUnreleased, let (token, session) = sessions.first else {
      if let token = alone.take(), let session = sessions[token] {
        doorbell?.pause()
        try poller.add(session.listener.raw, token: token)
      }
      return false
    }
    if alone != token {
      try poller.remove(session.listener.raw)
      alone = token
    }
    do throws(SyscallError) {
      if let notification = try doorbell.next(of: session.listener) {
        answer(notification, of: session)
        return true
      }
      if try session.listener.isHungUp() { end(token) }
    } catch {
      giveUp(token, error)
    }
    try dispatch(poller.wait(milliseconds: 0))
    return true
  }

  private mutating func end(_ token: UInt64) {
    sessions[token] = nil
    if alone == token { alone = nil }
  }

  /// Whatever this descriptor is, nobody can be answered through it; closing it fails the calls of those who wait.
  private mutating func giveUp(_ token: UInt64, _ error: SyscallError) {
    journal.note(.internalError, "a listener was given up: \(error)")
    end(token)
  }

  private var isOver: Bool {
    guard sessions.isEmpty, connections.isEmpty else { return false }
    return hadListener || runtime == nil
  }

  // MARK: The way in

  private mutating func admit() throws(SyscallError) {
    while let socket = try nextCaller() {
      let token = nextToken
      nextToken += 1
      let connection = Connection(socket)
      try poller.add(connection.socket.raw, token: token)
      connections[token] = connection
    }
  }

  /// A caller that cannot be let in, for want of descriptors say, is left standing; the container's other listeners go on.
  private mutating func nextCaller() throws(SyscallError) -> UnixSocket? {
    do throws(SyscallError) {
      return try door.accept()
    } catch {
      journal.note(.supervisorNotStarted, "a connection was not taken: \(error)")
      return nil
    }
  }

  private mutating func hear(_ connection: Connection, _ token: UInt64) throws(SyscallError) {
    switch connection.advance(expecting: plan.id) {
    case .more: return
    case .ended(let reason):
      if reason != .closed(afterBytes: 0) { journal.note(.supervisorNotStarted, "a connection brought no listener: \(reason)") }
    case .complete(let listener, let process):
      let session = Session(listener, runtime: process)
      let listenerToken = nextToken
      nextToken += 1
      try poller.add(session.listener.raw, token: listenerToken)
      sessions[listenerToken] = session
      hadListener = true
      if let root = process.flatMap(ProcessIdentity.init), !roots.contains(root) { roots.append(root) }
    }
    // The runtime waits for nothing from us; closing our end tells it nothing.
    try poller.remove(connection.socket.raw)
    connections[token] = nil
  }

  private mutating func prepare() {
    guard !copier.isReady, let fallback = copier.prepare(), plan.waitKillable else { return }
    journal.note(.snapshotFailed, "threads cannot be copied by BPF, nor stopped under this filter, so their calls are denied: \(fallback)")
  }

  private mutating func runtimeEnded() throws(SyscallError) {
    if let raw = runtime?.raw { try poller.remove(raw) }
    runtime = nil
    // What it had sent before it ended is still to be heard.
    try admit()
    // The container is there, and most often somebody has yet to start it.
    prepare()
  }

  // MARK: The way of one syscall

  private mutating func serve(_ session: Session, _ ready: Readiness) throws(SyscallError) {
    if ready.isReadable {
      do throws(SyscallError) {
        guard let notification = try session.listener.next() else { return }
        answer(notification, of: session)
      } catch {
        try poller.remove(session.listener.raw)
        giveUp(ready.token, error)
      }
    } else if ready.isHungUp {
      try poller.remove(session.listener.raw)
      end(ready.token)
    }
  }

  /// Receive, snapshot, inspect, decide, answer. Every way out of here answers: where none is written, dropping the notification
  /// denies it.
  private mutating func answer(_ notification: consuming Notification, of session: Session) {
    if let endedBy {
      refuse(notification, after: endedBy)
      return
    }
    do throws(Trouble) {
      let isRuntimes: Bool
      do throws(SnapshotError) { isRuntimes = try session.isRuntimes(notification) } catch { throw .snapshot(error) }
      if isRuntimes {
        notification.answer(.proceed)
        return
      }
      prepare()
      guard notification.architecture == x86_64 else {
        throw .unexpected(number: notification.number, architecture: notification.architecture)
      }
      let life = LifeCall(notification)
      let known = trap(notification.number)
      guard let trap = known, trap.applies(to: notification.arguments) else {
        guard life != nil || known != nil else {
          throw .unexpected(number: notification.number, architecture: notification.architecture)
        }
        if let life { threads.note(life, of: try origin(of: notification)) }
        notification.answer(.proceed)
        return
      }
      let memoryCall = trap.memory.flatMap { MemoryCall($0, notification.arguments) }
      let trail: Trail?
      do throws(SnapshotError) { trail = try recall.ask(notification, copier) } catch { throw .snapshot(error) }
      if let trail, repeats(trail, notification, memoryCall, life) {
        if notification.answer(.proceed) {
          recall.count(trail)
          recorder?.count(trail)
        } else {
          counts.count(.withdrawn, trap.syscall)
        }
        if let core = copier.core { perch.note(core) }
        return
      }
      let subject: Subject
      do throws(SnapshotError) {
        subject = try Subject.taken(of: notification, by: &copier, recall, &spaces)
      } catch { throw .snapshot(error) }
      let finding = try judge(subject, notification, trap.syscall)
      recall.learn(finding, of: trap.syscall, subject.snapshot, copier)
      // A process that was killed meanwhile has no stack any more: what was found of it says nothing.
      if finding.isClean || notification.isValid() {
        counts.count(finding)
        recorder?.note(finding, of: trap.syscall)
      }
      switch decide(finding, of: trap.syscall, at: wallMilliseconds() / 1000, under: plan) {
      case .allow:
        // Before it happens: no other thread can run the new code unknown. Should the call fail, nothing executable lies there.
        if let memoryCall { regions.note(memoryCall, of: subject.snapshot, finding) }
        threads.note(finding, of: subject.snapshot)
        recall.unsettle()
        if let life { threads.note(life, of: subject.snapshot) }
        counts.count(notification.answer(.proceed) ? .allowed : .withdrawn, trap.syscall)
      case .audit(let grounds):
        if let memoryCall { regions.note(memoryCall, of: subject.snapshot, finding) }
        if let life { threads.note(life, of: subject.snapshot) }
        let event = journal.event(.audited, grounds, finding, subject, trap.syscall, notification)
        let isTaken = notification.answer(.proceed)
        counts.count(isTaken ? .audited : .withdrawn, trap.syscall)
        if isTaken { journal.write(event) }
      case .deny(let grounds, let action): deny(notification, grounds, action, finding, subject, trap.syscall)
      }
    } catch {
      refuse(notification, error)
    }
  }

  private func trap(_ number: Int32) -> Trap? { traps.indices.contains(Int(number)) ? traps[Int(number)] : nil }

  /// Does what a faultless stack's call is followed by, for one that a trail says is faultless. False where something that is remembered of
  /// threads objects to it: then it has to be inspected.
  private mutating func repeats(
    _ trail: Trail, _ notification: borrowing Notification, _ memoryCall: MemoryCall?, _ life: LifeCall?
  ) -> Bool {
    let isSettled = recall.isSettled(trail, at: threads.generation)
    guard !isSettled || memoryCall != nil || life != nil else { return true }
    var snapshot = Snapshot(notification)
    guard copier.identify(&snapshot) else { return false }
    if !isSettled {
      guard threads.objections(to: trail.finding, of: snapshot).isEmpty else { return false }
      threads.note(trail.finding, of: snapshot)
      recall.settle(trail, at: threads.generation)
    }
    if let memoryCall { regions.note(memoryCall, of: snapshot, trail.finding) }
    if let life { threads.note(life, of: snapshot) }
    return true
  }

  /// Where a call comes from that is let go on unseen.
  private func origin(of notification: borrowing Notification) throws(Trouble) -> Snapshot {
    let origin = try Trouble.wrap { () throws(SnapshotError) in try copier.origin(of: notification.thread) }
    guard notification.isValid() else { throw .snapshot(.gone) }
    return origin
  }

  /// What the inspector saw, and what is remembered against it.
  private mutating func judge(
    _ subject: Subject, _ notification: borrowing Notification, _ name: String
  ) throws(Trouble) -> Finding {
    var finding = try inspect(subject, notification, name)
    let objections = threads.objections(to: finding, of: subject.snapshot)
    guard !objections.isEmpty else { return finding }
    // Whoever reads of them wants the names, too, that a faultless stack comes without.
    if finding.isClean { finding = try inspect(subject, notification, name, explain: true) }
    finding.violations += objections
    return finding
  }

  private mutating func inspect(
    _ subject: Subject, _ notification: borrowing Notification, _ name: String, explain: Bool = false
  ) throws(Trouble) -> Finding {
    let request = Request(
      snapshot: subject.snapshot, depth: UInt32(clamping: plan.depth), text: pathArgument(notification, name: name), explain: explain,
      wantsRoute: recorder != nil, jit: regions.memory(of: subject.snapshot), permissions: plan.permissions,
      paths: Paths(to: name, by: plan.paths, in: plan.modules), started: started, space: subject.view)
    do throws(InspectorError) {
      return try currentInspector().inspect(request, in: subject.space, opener: opener) { notification.isValid() }
    } catch {
      // Whatever it was: the next inspection meets a new process. This one is denied; what ended an inspector is not shown to a second.
      inspector = nil
      throw .inspector(error)
    }
  }

  /// One that ended between two questions is replaced before the next is asked.
  private mutating func currentInspector() throws(InspectorError) -> Inspector {
    if let inspector, inspector.isAlive { return inspector }
    let started = try Inspector(program: inspectorProgram, perch: perch)
    inspector = started
    return started
  }

  /// A violation: what the profile says, before or instead of the answer.
  private mutating func deny(
    _ notification: consuming Notification, _ grounds: Grounds, _ action: Action, _ finding: Finding, _ subject: Subject, _ name: String
  ) {
    switch action {
    // `decide` makes an audit of it, and never a denial.
    case .audit: notification.answer(.fail(Errno.notPermitted))
    case .errno(let number):
      let event = journal.event(.failed(errnoName(number)), grounds, finding, subject, name, notification)
      let isTaken = notification.answer(.fail(number))
      counts.count(isTaken ? .denied(by: grounds.name) : .withdrawn, name)
      if isTaken { journal.write(event) }
    case .killProcess, .killContainer:
      let event = journal.event(action == .killContainer ? .containerKilled : .killed, grounds, finding, subject, name, notification)
      do throws(SyscallError) {
        let process = try PidFD(subject.snapshot.process)
        // The handle means this process only if the thread still waits: its pid cannot have been used again meanwhile.
        guard notification.isValid() else { return counts.count(.withdrawn, name) }
        counts.count(.denied(by: grounds.name), name)
        // Who waits for the process reads the reason as soon as it is dead.
        journal.write(event)
        journal.recordExit(event)
        // Among all others: whoever waits for this process may end, and leave its orphans to somebody else, as soon as it is dead.
        if action == .killContainer { endContainer(by: grounds.name, with: subject.snapshot.process) }
        if try !process.hasEnded() { try process.kill() }
      } catch {
        journal.note(.internalError, "the process could not be killed: \(error)")
      }
      // The kill is pending before the answer: the thread never returns to its program.
      notification.answer(.fail(Errno.notPermitted))
    }
  }

  /// Ends all of the container's processes. Whichever is left makes no trapped call any more.
  private mutating func endContainer(by name: String, with violator: UInt32) {
    endedBy = name
    if let last = ProcessIdentity(violator), !roots.contains(last) { roots.append(last) }
    let end = ContainerEnd(
      roots: roots, starter: plan.isCommand ? plan.runtimeProcess.map(UInt32.init(bitPattern:)) : nil, cgroup: plan.cgroup,
      spared: inspector.map { [UInt32(bitPattern: $0.pid)] } ?? [])
    let (left, trouble) = end.run()
    if left > 0 || !trouble.isEmpty {
      let reason = trouble.first.map { ": \($0)" } ?? ""
      journal.note(.internalError, "of the container that was killed \(left) processes are left; their trapped calls fail\(reason)")
    }
  }

  /// A call of a container that was ended. Whoever makes it has escaped the kill until now.
  private mutating func refuse(_ notification: consuming Notification, after name: String) {
    do throws(SyscallError) {
      let process: UInt32
      do throws(SnapshotError) { process = try processOf(notification.thread) } catch {
        return counts.count(.withdrawn, callName(notification))
      }
      let handle = try PidFD(process)
      guard notification.isValid() else { return counts.count(.withdrawn, callName(notification)) }
      try handle.kill()
    } catch {
      journal.note(.internalError, "a process of a container that was killed is left: \(error)")
    }
    let call = callName(notification)
    counts.count(notification.answer(.fail(Errno.notPermitted)) ? .denied(by: name) : .withdrawn, call)
  }

  private func callName(_ notification: borrowing Notification) -> String {
    trap(notification.number)?.syscall ?? "system call \(notification.number)"
  }

  /// What could not be judged at all is denied with EPERM, and says which part failed. Where the mode is audit, or while the profile
  /// only complains, nothing is denied.
  private mutating func refuse(_ notification: consuming Notification, _ trouble: Trouble) {
    let name = callName(notification)
    // Nobody waits any more: a signal or a kill took the call back.
    guard notification.isValid() else { return counts.count(.withdrawn, name) }
    counts.count(.unjudged, name)
    recorder?.noteUnjudged(trouble.sentence)
    let leniency = plan.leniency(at: wallMilliseconds() / 1000)
    let event = journal.refusal(trouble, syscall: name, thread: notification.thread, leniency: leniency)
    if notification.answer(leniency == nil ? .fail(Errno.notPermitted) : .proceed) { journal.write(event) }
  }
}

/// AUDIT_ARCH_X86_64, linux/audit.h.
private let x86_64: UInt32 = 0xC000_003E

/// What the loop asks of a trapped system call at each call.
final class Trap {
  let syscall: String
  private let condition: Condition?
  /// How it may change what executable memory holds, if it may.
  let memory: MemoryCall.Kind?

  private init(_ trap: ResolvedTrap) {
    syscall = trap.syscall
    condition = trap.condition
    memory = MemoryCall.Kind(trap.syscall)
  }

  /// By the numbers: all that Linux has are small.
  static func table(_ traps: [ResolvedTrap]) -> [Trap?] {
    var table: [Trap?] = []
    for trap in traps where (0..<1024).contains(trap.number) {
      while table.count <= trap.number { table.append(nil) }
      if table[Int(trap.number)] == nil { table[Int(trap.number)] = Trap(trap) }
    }
    return table
  }

  /// The condition of an argument-dependent trap, evaluated again: where the filter could not express it, it notifies always.
  func applies(to arguments: [6 of UInt64]) -> Bool {
    guard let condition, (0..<6).contains(condition.argument) else { return true }
    return condition.holds(for: arguments[condition.argument])
  }
}
