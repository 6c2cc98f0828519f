internal import CLinux
internal import Glibc

/// A thread's registers as ptrace(2) sees them.
package struct TracedRegisters: Equatable, Sendable {
  /// DWARF order.
  package var general: [UInt64]
  package var instruction: UInt64
  package var threadPointer: UInt64
}

/// Stops a thread for as long as it takes to read its registers, for want of a better way: without BPF nothing else tells rbp.
///
/// A thread that waits for the answer to a notification leaves the wait: that notification is void, and the thread makes its system
/// call again, with the same registers, under a new one. Not under SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, where it does not stop
/// before the answer. nil where a signal came in between: what the thread does next is not known then.
///
/// ETIMEDOUT: the thread did not stop, and is still traced. `releaseInterrupted` has to let it go on when it stops later.
package func interruptForRegisters(_ thread: UInt32) throws(SyscallError) -> TracedRegisters? {
  let tid = CInt(bitPattern: thread)
  try check("trace the thread", clinux_ptrace_seize(tid), subject: "\(thread)")
  // A traced thread that cannot be interrupted has ended, or is about to.
  try check("interrupt the thread", clinux_ptrace_interrupt(tid), subject: "\(thread)")
  let status = try waitStopped(tid)
  var values = [UInt64](repeating: 0, count: Int(CLINUX_USER_REGISTERS))
  // SAFETY: the array has the room that the wrapper tells the kernel.
  let result = unsafe clinux_ptrace_registers(tid, &values)
  let isOurs = clinux_is_event_stop(status) != 0
  // A signal that was about to be delivered is delivered.
  try check("let the thread go on", clinux_ptrace_detach(tid, isOurs ? 0 : clinux_stop_signal(status)), subject: "\(thread)")
  guard try check("read the registers", result) == values.count * 8, isOurs else { return nil }
  // rax rdx rcx rbx rsi rdi rbp rsp r8 … r15 of struct user_regs_struct.
  let order = [10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0]
  return TracedRegisters(general: order.map { values[$0] }, instruction: values[16], threadPointer: values[21])
}

/// Lets a thread go on that was interrupted and did not stop in time. False while it has not stopped yet.
package func releaseInterrupted(_ thread: UInt32) -> Bool {
  let tid = CInt(bitPattern: thread)
  var status: CInt = 0
  let result = unsafe clinux_wait_stopped(tid, &status)
  guard result != 0 else { return false }
  if result == 1, clinux_is_stopped(status) != 0 {
    let isOurs = clinux_is_event_stop(status) != 0
    _ = clinux_ptrace_detach(tid, isOurs ? 0 : clinux_stop_signal(status))
  }
  return true
}

/// A thread in an interruptible wait stops within microseconds.
private let stopMilliseconds: Int64 = 500

private func waitStopped(_ tid: CInt) throws(SyscallError) -> CInt {
  let deadline = monotonicMilliseconds() + stopMilliseconds
  while true {
    var status: CInt = 0
    if try check("wait for the thread", unsafe clinux_wait_stopped(tid, &status)) == 1 {
      guard clinux_is_stopped(status) != 0 else { throw SyscallError("interrupt the thread", errno: ESRCH, subject: "\(tid)") }
      return status
    }
    guard monotonicMilliseconds() < deadline else { throw SyscallError("interrupt the thread", errno: ETIMEDOUT, subject: "\(tid)") }
    _ = usleep(50)
  }
}
