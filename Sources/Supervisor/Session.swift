internal import Kernel

/// One listener: the container's own, or that of one `exec` into it.
final class Session {
  let listener: Listener
  private var phase: Phase

  /// **Until the first execve under a listener has happened, the process under its filter is the low-level runtime** that sets the container
  /// up, crun or runc, with system calls of its own. That it has happened is read off the process, not off a message: a notification can
  /// be withdrawn by a signal and come again (runc, whose Go sends itself many), and an answer that was taken can still be in vain.
  private enum Phase {
    /// Nothing has been heard yet. The pid of the state message, nil where the message does not say (crun's `exec` writes 0).
    case expecting(process: UInt32?)
    case runtime(process: UInt32, Image)
    case container
  }

  /// An address space, recognised by a descriptor that is bound to it (proc(5), /proc/PID/mem): after an execve it reads nothing.
  private struct Image {
    let memory: SharedMemory
    /// An address of the program's own code.
    let place: UInt64

    var isStillThere: Bool { !memory.value.read(place, count: 1).isEmpty }
  }

  private func isForked(_ process: UInt32, of runtime: UInt32) throws(SnapshotError) -> Bool {
    guard try parentOf(process) == runtime else { return false }
    return try SnapshotError.wrap { () throws(SyscallError) in
      let (theirs, own) = (try identity(of: "/proc/\(process)/exe"), try identity(of: "/proc/\(runtime)/exe"))
      return theirs.device == own.device && theirs.inode == own.inode
    }
  }

  private final class SharedMemory {
    let value: ProcessMemory

    init(_ value: consuming ProcessMemory) { self.value = value }
  }

  init(_ listener: consuming Listener, runtime: UInt32?) {
    self.listener = listener
    phase = .expecting(process: runtime)
  }

  /// Whether a notification comes from the low-level runtime, which is trusted.
  ///
  /// The first one under a listener is: every filter traps execve, so that nothing can be heard after the runtime's before it. A child that
  /// the runtime forked, to run a hook, is the runtime until it executes the hook, which is the container's.
  func isRuntimes(_ notification: borrowing Notification) throws(SnapshotError) -> Bool {
    switch phase {
    case .container: return false
    case .expecting(let known):
      let process = try processOf(notification.thread)
      guard process == known ?? process else { return false }
      let memory = SharedMemory(try SnapshotError.wrap { () throws(SyscallError) in try ProcessMemory(of: process) })
      let image = Image(memory: memory, place: notification.instruction &- 1)
      guard image.isStillThere else { throw .gone }
      phase = .runtime(process: process, image)
      return true
    case .runtime(let known, let image):
      guard image.isStillThere else {
        phase = .container
        return false
      }
      let process = try processOf(notification.thread)
      if process == known { return true }
      return try isForked(process, of: known)
    }
  }
}
