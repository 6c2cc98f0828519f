internal import Diagnostics
internal import JSON
internal import Kernel
internal import Plan
internal import ProcFS
internal import Profile
internal import Report
internal import Wire

/// What kept a trapped call from being judged.
enum Trouble: Error {
  case snapshot(SnapshotError)
  case inspector(InspectorError)
  /// The filter sent what the plan does not trap.
  case unexpected(number: Int32, architecture: UInt32)

  static func wrap<Value: ~Copyable>(_ body: () throws(SnapshotError) -> Value) throws(Trouble) -> Value {
    do throws(SnapshotError) { return try body() } catch { throw .snapshot(error) }
  }

  var code: Code {
    switch self {
    case .snapshot: .snapshotFailed
    case .inspector(.late): .inspectorLate
    case .inspector: .inspectorLost
    case .unexpected: .internalError
    }
  }

  var sentence: String {
    switch self {
    case .snapshot(let error): "the thread could not be copied: \(error)"
    case .inspector(let error): "the stack could not be inspected: \(error)"
    case .unexpected(let number, let architecture):
      "the filter sent system call \(number) of architecture 0x\(String(architecture, radix: 16)), which the profile does not trap"
    }
  }
}

/// Writes what happened where people look for it: the host's events file, and `exit-reason.json` in the container's state directory.
final class Journal {
  private let plan: Plan
  private var log: EventLog

  private static let maxFrames = 64
  private static let maxMarks = 16

  init(plan: Plan) {
    self.plan = plan
    log = EventLog(path: plan.eventsPath)
  }

  func event(
    _ outcome: Event.Outcome, _ grounds: Grounds, _ finding: Finding, _ subject: Subject, _ syscall: String,
    _ notification: borrowing Notification
  ) -> Event {
    let (because, code) =
      switch grounds.objection {
      case .violation(let violation): (finding.sentence(violation), violation.check.code)
      case .unknown(let unknown): (finding.sentence(unknown), Code.unknownFrame)
      }
    var marks = finding.violations.map {
      Event.Mark(frame: Int($0.frame), check: $0.check.name, because: finding.sentence($0))
    }
    if let unknown = finding.unknown {
      marks.append(Event.Mark(frame: Int(unknown.frame), check: "unknown", because: finding.sentence(unknown)))
    }
    // The one that decided comes first.
    if case .unknown = grounds.objection, let last = marks.popLast() { marks.insert(last, at: 0) }
    var event = blank(outcome, code, thread: subject.snapshot.thread, syscall: syscall)
    event.process = subject.snapshot.process
    event.command = commandName(of: subject.snapshot.process)
    event.arguments = describeArguments(notification, name: syscall, text: finding.text)
    event.because = because
    event.marks = marks
    // What a container's files name is theirs to choose, and so is how much of it: an event stays readable, and the log small.
    event.marks = Array(event.marks.prefix(Journal.maxMarks))
    event.frames = finding.frames.prefix(Journal.maxFrames).map(finding.line)
    event.below = finding.below.map(finding.line)
    event.rule = grounds.rule
    return event
  }

  /// A call that could not be judged.
  /// `leniency`: why it is let through all the same.
  func refusal(_ trouble: Trouble, syscall: String, thread: UInt32, leniency: String?) -> Event {
    let outcome = leniency == nil ? .failed(errnoName(Errno.notPermitted)) : Event.Outcome.audited
    var event = blank(outcome, trouble.code, thread: thread, syscall: syscall)
    // A thread that has ended meanwhile belongs to no process that could be named.
    do throws(SnapshotError) { event.process = try processOf(thread) } catch {}
    event.because = trouble.sentence
    event.command = commandName(of: thread)
    event.rule = "what cannot be judged is denied" + (leniency.map { ", \($0)" } ?? "")
    return event
  }

  /// Something about the supervision itself; no call was judged.
  func note(_ code: Code, _ sentence: String) {
    var event = blank(.noted, code, thread: 0, syscall: "")
    event.because = sentence
    write(event)
  }

  func write(_ event: Event) {
    do throws(SyscallError) {
      try log.write(event)
    } catch {
      // The verdict stands; what is lost is its record. Standard error is all that is left, where it leads anywhere.
      complain("callgate-supervisor: cannot record an event: \(error)")
    }
  }

  /// What the container's calls came to in all, when it has ended.
  func write(_ counts: Counts) {
    let now = wallMilliseconds()
    let summary = Summary(
      id: log.nextID(at: now), time: now, container: plan.id, profile: plan.profileName, profileVersion: plan.profileVersion,
      profileDigest: plan.profileDigest, counts: counts)
    do throws(SyscallError) {
      try log.write(summary)
    } catch {
      complain("callgate-supervisor: cannot record the summary: \(error)")
    }
  }

  /// Exit status 137 says nothing by itself: this file does.
  func recordExit(_ event: Event) {
    do throws(SyscallError) {
      try replaceFile("\(plan.stateDirectory)/exit-reason.json", with: event.json.serialised(indented: true))
    } catch {
      complain("callgate-supervisor: cannot record the reason of a kill: \(error)")
    }
  }

  private func blank(_ outcome: Event.Outcome, _ code: Code, thread: UInt32, syscall: String) -> Event {
    let now = wallMilliseconds()
    return Event(
      id: log.nextID(at: now), time: now, container: plan.id, profile: plan.profileName, profileVersion: plan.profileVersion,
      profileDigest: plan.profileDigest, outcome: outcome, code: code, process: thread, thread: thread, command: "", syscall: syscall,
      arguments: "", because: "", marks: [], frames: [], rule: "", suppressed: 0)
  }

  private func commandName(of process: UInt32) -> String {
    // Only for the report: a process that is gone has no name any more.
    do { return escaped(try ProcessStat(try procText(process, "stat")).command) } catch { return "?" }
  }
}
