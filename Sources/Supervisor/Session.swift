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

  /// Whether a notification comes from the low-level runtime, which is trusted until its execve has been let through.
  func isRuntimes(_ notification: borrowing Notification) throws(SnapshotError) -> Bool {
    guard case .runtime(let known) = phase else { return false }
    let process = try processOf(notification.thread)
    // The filter's first thread is the runtime's: nobody else can be under it yet.
    guard process == known ?? process else { return false }
    phase = .runtime(process: process)
    return true
  }

  /// The runtime's execve was answered and the answer was taken: what comes now is the container's. An answer that is not taken changes
  /// nothing: a signal (Go's runtime sends itself many) has withdrawn the call, which is then made again.
  func runtimeBecameContainer() { phase = .container }
}
