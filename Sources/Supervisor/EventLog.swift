internal import JSON
package import Kernel
package import Report

/// Appends events to a file that all supervisors of the host share, one line each, and never faster than a person could read:
/// a container must not be able to flood the log.
package struct EventLog {
  private let path: String
  private var allowance = EventLog.burst
  private var refilled = monotonicMilliseconds()
  private var suppressed = 0
  private var sequence: UInt32 = 0

  /// Events that may come at once, and how often one more is allowed after that.
  static let burst = 20
  static let refillMilliseconds: Int64 = 5000
  /// A file larger than this is renamed to `.1` before the next line: some 2,000 of the largest events, which one container needs hours for.
  static let rotateBytes: Int64 = 32 << 20

  package init(path: String) { self.path = path }

  /// An id that sorts by time: milliseconds, the supervisor's pid, a count.
  package mutating func nextID(at time: Int64) -> String {
    sequence &+= 1
    return "\(hex(UInt64(time), 11))-\(hex(UInt64(UInt32(bitPattern: processID)), 6))-\(hex(UInt64(sequence), 4))"
  }

  /// Writes the event, or counts it.
  package mutating func write(_ event: Event) throws(SyscallError) {
    let now = monotonicMilliseconds()
    let earned = (now - refilled) / Self.refillMilliseconds
    if earned > 0 {
      allowance = min(Self.burst, allowance + Int(earned))
      refilled += earned * Self.refillMilliseconds
    }
    guard allowance > 0 else {
      suppressed += 1
      return
    }
    allowance -= 1
    var event = event
    event.suppressed = suppressed
    try appendLine(event.json.serialised(), to: path, rotatingAt: Self.rotateBytes)
    suppressed = 0
  }

  /// Writes a container's summary: there is one, so it floods nothing and is never held back.
  package func write(_ summary: Summary) throws(SyscallError) {
    try appendLine(summary.json.serialised(), to: path, rotatingAt: Self.rotateBytes)
  }
}

private func hex(_ value: UInt64, _ width: Int) -> String {
  let digits = String(value, radix: 16)
  return String(repeating: "0", count: max(0, width - digits.count)) + digits
}
