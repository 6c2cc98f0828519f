internal import CLinux
internal import Glibc

/// The descriptor by which seccomp hands a filter's trapped syscalls to this process; seccomp_unotify(2).
package struct Listener: ~Copyable {
  let descriptor: OwnedFD

  /// Takes the descriptor that the low-level runtime sent, or that `installFilter` returned, and asks the kernel to wake the
  /// other side on this CPU (SYNC_WAKE_UP, Linux 6.6; a kernel without it only answers slower).
  package init(_ descriptor: consuming OwnedFD) {
    self.descriptor = descriptor
    _ = clinux_notif_set_flags(self.descriptor.raw, UInt64(CLINUX_USER_NOTIF_FD_SYNC_WAKE_UP))
  }

  package var raw: CInt { descriptor.raw }

  /// The last thread under its filter is gone.
  package borrowing func isHungUp() throws(SyscallError) -> Bool {
    let raw = descriptor.raw
    var request = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
    _ = try retrying("look at a listener") { unsafe Int(poll(&request, 1, 0)) }
    return request.revents & Int16(POLLHUP | POLLERR) != 0 && request.revents & Int16(POLLIN) == 0
  }

  /// The next trapped syscall; nil where a signal took it back before it was received (ENOENT) or none waits.
  package borrowing func next() throws(SyscallError) -> Notification? {
    var received = seccomp_notif()
    let result = unsafe clinux_notif_recv(descriptor.raw, &received)
    if result == -Int(ENOENT) || result == -Int(EINTR) || result == -Int(EAGAIN) { return nil }
    guard result >= 0 else { throw SyscallError("receive a notification", errno: Int32(-result)) }
    return Notification(received, on: descriptor.raw)
  }
}

/// What is answered to a trapped syscall.
package enum Response: Equatable, Sendable {
  /// The kernel goes on with the syscall.
  case proceed
  /// The syscall fails with this errno.
  case fail(Int32)
}

/// One trapped syscall. It is answered exactly once: dropping it denies.
package struct Notification: ~Copyable {
  package let id: UInt64
  /// The blocked thread, as this process's pid namespace numbers it; 0 where it is not visible from here.
  package let thread: UInt32
  package let architecture: UInt32
  package let number: Int32
  package let instruction: UInt64
  package let arguments: [6 of UInt64]
  private let listener: CInt

  init(_ received: seccomp_notif, on listener: CInt) {
    id = received.id
    thread = received.pid
    architecture = received.data.arch
    number = received.data.nr
    instruction = received.data.instruction_pointer
    let a = received.data.args
    arguments = [a.0, a.1, a.2, a.3, a.4, a.5]
    self.listener = listener
  }

  /// The thread still waits in this very syscall: what was read of it until now was read of it and of no other.
  package borrowing func isValid() -> Bool { clinux_notif_id_valid(listener, id) == 0 }

  /// Returns false where the thread no longer waits (ENOENT): the answer had no effect, and the syscall may come again.
  @discardableResult
  package consuming func answer(_ response: Response) -> Bool {
    let (listener, id) = (self.listener, self.id)
    discard self
    return send(listener, id, response)
  }

  // A forgotten or failed path is a denial, never a hang and never an allow.
  deinit { _ = send(listener, id, .fail(EPERM)) }
}

private func send(_ listener: CInt, _ id: UInt64, _ response: Response) -> Bool {
  while true {
    let result =
      switch response {
      case .proceed: clinux_notif_send(listener, id, 0, UInt32(SECCOMP_USER_NOTIF_FLAG_CONTINUE))
      case .fail(let code): clinux_notif_send(listener, id, -code, 0)
      }
    if result == -Int(EINTR) { continue }
    return result >= 0
  }
}

/// Puts this thread, and what it executes, under `program` (an array of struct sock_filter, native order) and returns the listener's
/// descriptor. `waitKillable` (WAIT_KILLABLE_RECV, Linux 5.19) keeps signals from taking notifications back.
package func installFilter(_ program: [UInt8], waitKillable: Bool) throws(SyscallError) -> OwnedFD {
  _ = try check("set no_new_privs", clinux_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0))
  let count = program.count / MemoryLayout<sock_filter>.stride
  var code = [sock_filter](repeating: sock_filter(), count: count)
  // SAFETY: both buffers are our own; the copy is bounded by the destination's size, which is at most the source's.
  unsafe code.withUnsafeMutableBytes { target in
    unsafe program.withUnsafeBytes { source in
      unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[..<target.count]))
    }
  }
  let flags = UInt(SECCOMP_FILTER_FLAG_NEW_LISTENER) | (waitKillable ? UInt(CLINUX_FILTER_FLAG_WAIT_KILLABLE_RECV) : 0)
  let result = unsafe clinux_seccomp_filter(flags, code, UInt16(count))
  return OwnedFD(owning: CInt(try check("install the seccomp filter", result)))
}

/// Turns a `clinux_` result, -errno on failure, into a value or an error.
@discardableResult
func check(_ call: StaticString, _ result: Int, subject: @autoclosure () -> String = "") throws(SyscallError) -> Int {
  guard result >= 0 else { throw SyscallError(call, errno: Int32(-result), subject: subject()) }
  return result
}
