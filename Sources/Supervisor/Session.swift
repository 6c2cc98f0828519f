internal import Kernel

/// One listener: the container's own, or that of one `exec` into it.
final class Session {
  let listener: Listener
  private var phase: Phase

  /// **The first execve under each listener is the low-level runtime's own.** Until then the thread under the filter is crun or runc
  /// setting the container up, with system calls of its own; after it, everything is the container's.
  private enum Phase {
    /// The process that executes the container's program, as soon as it is known.
    case runtime(process: UInt32?)
    case container
  }

  /// `runtime` is the pid of the state message, nil where the message does not say (crun's `exec` writes 0).
  init(_ listener: consuming Listener, runtime: UInt32?) {
    self.listener = listener
    phase = .runtime(process: runtime)
  }

  /// Whether a notification comes from the low-level runtime, which is trusted; its execve ends that for good.
  func isRuntimes(_ notification: borrowing Notification, isExec: Bool) throws(SnapshotError) -> Bool {
    guard case .runtime(let known) = phase else { return false }
    let process = try processOf(notification.thread)
    // The filter's first thread is the runtime's: nobody else can be under it yet.
    guard process == known ?? process else { return false }
    phase = isExec ? .container : .runtime(process: process)
    return true
  }
}
