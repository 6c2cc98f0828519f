internal import CLinux
internal import Glibc

/// A process by a handle that cannot come to mean another one; pidfd_open(2). Readable once the process has ended.
package struct PidFD: ~Copyable {
  let descriptor: OwnedFD

  package init(_ pid: UInt32) throws(SyscallError) {
    descriptor = OwnedFD(owning: CInt(try check("open a pidfd of", clinux_pidfd_open(CInt(pid)), subject: "\(pid)")))
  }

  package var raw: CInt { descriptor.raw }

  package borrowing func send(_ signal: CInt) throws(SyscallError) {
    try check("signal the process", clinux_pidfd_send_signal(descriptor.raw, signal))
  }

  /// Ended, though perhaps nobody has waited for it yet.
  package borrowing func hasEnded() throws(SyscallError) -> Bool { try waitReadable(descriptor.raw, milliseconds: 0) }

  package borrowing func kill() throws(SyscallError) { try send(SIGKILL) }

  package borrowing func stop() throws(SyscallError) { try send(SIGSTOP) }
}

/// How a child ended, wait(2).
package enum Ending: Equatable, Sendable {
  case exited(CInt)
  case killed(CInt)
}

/// Waits for a child; nil with `blocking: false` while it still runs.
package func wait(for pid: CInt, blocking: Bool = true) throws(SyscallError) -> Ending? {
  var status: CInt = 0
  let result = try retrying("wait for", subject: "\(pid)") { unsafe Int(waitpid(pid, &status, blocking ? 0 : WNOHANG)) }
  return result == 0 ? nil : Ending(status)
}

/// A child that has ended; nil where none has.
func waitForAny() throws(SyscallError) -> (process: CInt, Ending)? {
  var status: CInt = 0
  let result = try retrying("wait for a child") { unsafe Int(waitpid(-1, &status, WNOHANG)) }
  return result == 0 ? nil : (CInt(result), Ending(status))
}

extension Ending {
  fileprivate init(_ status: CInt) {
    self = clinux_exited(status) != 0 ? .exited(clinux_exit_status(status)) : .killed(clinux_termination_signal(status))
  }
}
