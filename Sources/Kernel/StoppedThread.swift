internal import CLinux
internal import Glibc

/// A thread's registers as ptrace(2) sees them.
package struct TracedRegisters: Equatable, Sendable {
  /// DWARF order.
  package var general: [UInt64]
  package var instruction: UInt64
  package var threadPointer: UInt64
  /// The system call that the thread is in, or has just left; nil where it was stopped at an instruction of its own.
  package var call: Int32?
}

/// A thread that stands still under ptrace(2), until this value goes. Where its owner dies, the kernel lets the thread go on.
package struct StoppedThread: ~Copyable {
  package let registers: TracedRegisters
  private let hold: Hold

  /// Stops the thread, whether it runs or waits. A wait that is over by that is taken up again, or fails with EINTR as it would under a
  /// debugger (signal(7)).
  ///
  /// ETIMEDOUT: the thread did not stop, and is still traced. `releaseInterrupted` has to let it go on when it stops later.
  /// ENOTSUP: it runs a 32-bit program, and goes on.
  package init(_ thread: UInt32) throws(SyscallError) {
    let tid = CInt(bitPattern: thread)
    try check("trace the thread", clinux_ptrace_seize(tid), subject: "\(thread)")
    // A traced thread that cannot be interrupted has ended, or is about to.
    try check("interrupt the thread", clinux_ptrace_interrupt(tid), subject: "\(thread)")
    let hold = Hold(tid: tid, status: try waitStopped(tid))
    var values = [UInt64](repeating: 0, count: Int(CLINUX_USER_REGISTERS))
    // SAFETY: the array has the room that the wrapper tells the kernel.
    let bytes = try check("read the registers", unsafe clinux_ptrace_registers(tid, &values), subject: "\(thread)")
    guard bytes == values.count * 8 else { throw SyscallError("read the registers", errno: ENOTSUP, subject: "\(thread)") }
    registers = TracedRegisters(values)
    self.hold = hold
  }

  /// A signal was about to be delivered when the thread stopped, and is delivered when it goes on.
  package var isSignalled: Bool { hold.signal != 0 }

  /// Lets the thread go on, and says where that failed.
  package consuming func release() throws(SyscallError) { try hold.release() }
}

/// What stands between a stopped thread and its going on. Nobody else names it; were it private, the release build's supervisor, which
/// destroys a StoppedThread in its own module, would not link (Swift 6.3.1).
package struct Hold: ~Copyable {
  private let tid: CInt
  let signal: CInt

  /// `status`: what waitpid(2) said of the stop.
  init(tid: CInt, status: CInt) {
    self.tid = tid
    signal = clinux_is_event_stop(status) != 0 ? 0 : clinux_stop_signal(status)
  }

  consuming func release() throws(SyscallError) {
    let (tid, signal) = (self.tid, self.signal)
    discard self
    try check("let the thread go on", clinux_ptrace_detach(tid, signal), subject: "\(tid)")
  }

  // A thread that was killed meanwhile cannot be let go, and need not.
  deinit { _ = clinux_ptrace_detach(tid, signal) }
}

extension TracedRegisters {
  /// By the order of struct user_regs_struct (sys/user.h).
  fileprivate init(_ values: [UInt64]) {
    // rax rdx rcx rbx rsi rdi rbp rsp r8 … r15.
    let order = [10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0]
    // orig_rax is -1 wherever no system call led into the kernel (arch/x86/entry).
    let call = Int32(truncatingIfNeeded: values[15])
    self.init(
      general: order.map { values[$0] }, instruction: values[16], threadPointer: values[21], call: call < 0 ? nil : call)
  }
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
