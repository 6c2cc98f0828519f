internal import Kernel
internal import ProcFS
internal import Wire

/// What is remembered of the container's threads from call to call, and what that has to say to a finding.
struct ThreadRecords {
  private var starts: ThreadStarts
  private var lineage = Lineage()

  /// Moves with whatever may make an objection to a base that had none.
  var generation: UInt64 { starts.changes &+ lineage.losses }

  init(seesAllStarts: Bool) { starts = ThreadStarts(seesAll: seesAllStarts) }

  /// Said of the last frame that is listed: the chain's end, unless it is very long.
  func objections(to finding: Finding, of snapshot: Snapshot) -> [Violation] {
    let frame = UInt16(clamping: max(1, finding.frames.count) - 1)
    var violations: [Violation] = []
    if finding.end == .threadStart, let outermost = finding.outermost,
      let reason = starts.objection(to: outermost, of: snapshot, among: .machine)
    {
      violations.append(Violation(check: .base, frame: frame, reason: reason))
    }
    if let reason = lineage.objection(to: finding, of: snapshot) {
      violations.append(Violation(check: .lineage, frame: frame, reason: reason))
    }
    return violations
  }

  /// Takes note of a stack without a fault.
  mutating func note(_ finding: Finding, of snapshot: Snapshot) {
    lineage.note(finding, of: snapshot)
    if finding.end == .threadStart, let outermost = finding.outermost { starts.claim(outermost, by: snapshot) }
  }

  /// Takes note of a call that is about to go on; any but a clone with a stack and an exec is of no interest.
  mutating func note(_ call: LifeCall, of snapshot: Snapshot) {
    switch call {
    case .start(let start):
      guard let startStack = snapshot.startStack else { return }
      starts.note(start, startStack: startStack, process: snapshot.process, among: .machine)
    case .execution: lineage.forget(snapshot.process)
    }
  }
}

/// A call by which a thread begins, or becomes another program's. The filter tells of each, whatever the profile traps.
enum LifeCall {
  case start(ThreadStart)
  case execution

  init?(_ notification: borrowing Notification) {
    if let start = ThreadStart(number: notification.number, arguments: notification.arguments) {
      self = .start(start)
    } else if LifeCall.isExec(notification.number) {
      self = .execution
    } else {
      return nil
    }
  }

  /// execve and execveat, asm/unistd_64.h.
  static func isExec(_ number: Int32) -> Bool { number == 59 || number == 322 }
}

extension Population {
  static var machine: Population {
    Population(
      isAlive: { identity in
        do throws(SnapshotError) {
          let stat = try processStat(identity.thread)
          // A process's first thread that has ended before the others stays as a zombie.
          return stat.made == identity.made && stat.state != UInt8(ascii: "Z") && stat.state != UInt8(ascii: "X")
        } catch { return false }
      },
      hasProcess: { exists("/proc/\($0)") },
      // One that has ended, or that may not be looked at, is another's.
      shareMemory: { process, other in do throws(SyscallError) { return try Kernel.shareMemory(process, other) } catch { return false } })
  }
}
