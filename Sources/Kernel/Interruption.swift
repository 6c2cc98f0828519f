internal import CLinux

/// Stops a thread for as long as it takes to read its registers, for want of a better way: without BPF nothing else tells rbp.
///
/// A thread that waits for the answer to a notification leaves the wait: that notification is void, and the thread makes its system
/// call again, with the same registers, under a new one. Not under SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, where it does not stop
/// before the answer. nil where a signal came in between: what the thread does next is not known then.
///
/// ETIMEDOUT: the thread did not stop, and is still traced. `releaseInterrupted` has to let it go on when it stops later.
package func interruptForRegisters(_ thread: UInt32) throws(SyscallError) -> TracedRegisters? {
  let stopped = try StoppedThread(thread)
  let (registers, isOurs) = (stopped.registers, !stopped.isSignalled)
  try stopped.release()
  return isOurs ? registers : nil
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
