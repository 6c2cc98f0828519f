internal import CLinux
internal import Glibc

/// Runs a command as a child that stays in this process group, and ends as it ended: the same exit status, the same signal.
///
/// `prepare` runs in the child before the execve, e.g. to put it under a filter; what it throws ends the child. Signals that were sent to
/// this process alone are passed on; those of the terminal reach the child by themselves.
package struct Child: ~Copyable {
  package let process: CInt
  private let signals: OwnedFD
  private let failure: OwnedFD

  /// The signals that people and supervisors send to end, reload or poke a command.
  private static let passedOn = [SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT]

  package static func start(
    _ command: [String], prepare: () throws(SyscallError) -> Void
  ) throws(SyscallError) -> Child {
    let report = try Pipe()
    var watched = sigset_t()
    unsafe sigemptyset(&watched)
    for signal in passedOn + [SIGCHLD] { unsafe sigaddset(&watched, signal) }
    var before = sigset_t()
    _ = try retrying("block signals") { unsafe Int(sigprocmask(SIG_BLOCK, &watched, &before)) }
    let signals = OwnedFD(owning: CInt(try retrying("make a signal descriptor") { unsafe Int(signalfd(-1, &watched, O_CLOEXEC)) }))

    let process = try check("fork", clinux_clone(0))
    guard process == 0 else { return Child(process: CInt(process), signals: signals, failure: report.keepReading()) }
    _ = unsafe sigprocmask(SIG_SETMASK, &before, nil)
    do throws(SyscallError) {
      try prepare()
      try executeBySearch(command)
    } catch {
      // The parent says it; 127 and 126 are what a shell says (POSIX, 2.8.2).
      do throws(SyscallError) { try writeAll(Array(error.description.utf8), to: report.writing) } catch {}
      clinux_exit(error.errno == ENOENT ? 127 : 126)
      throw error
    }
  }

  private init(process: CInt, signals: consuming OwnedFD, failure: consuming OwnedFD) {
    self.process = process
    self.signals = signals
    self.failure = failure
  }

  /// Waits for the child, passing signals on. Orphans of its that became this process's children (`adoptOrphans`) are waited for by the way.
  package borrowing func wait() throws(SyscallError) -> Ending {
    while true {
      while let (ended, ending) = try waitForAny() { if ended == process { return ending } }
      var information = signalfd_siginfo()
      let raw = signals.raw
      let size = MemoryLayout<signalfd_siginfo>.size
      // SAFETY: the kernel writes one whole struct of this size, or fails.
      _ = try retrying("read a signal") { unsafe read(raw, &information, size) }
      // A positive code is the kernel's own, e.g. the terminal's: the child has had it too (sigaction(2)).
      if information.ssi_signo != UInt32(SIGCHLD), information.ssi_code <= 0 {
        _ = kill(process, CInt(information.ssi_signo))
      }
    }
  }

  /// Why the command was not executed; nil where it was.
  package borrowing func failureText() throws(SyscallError) -> String? {
    let text = try readSome(failure, limit: 4096)
    return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
  }
}

/// From here on the orphans among this process's descendants become its children (prctl(2), PR_SET_CHILD_SUBREAPER).
package func adoptOrphans() throws(SyscallError) {
  try check("adopt orphans", clinux_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0))
}

/// Ends this process the way a child ended.
package func end(like ending: Ending) -> Never {
  switch ending {
  case .exited(let status): _exit(status)
  case .killed(let signal):
    // One core file is enough.
    _ = clinux_limit(CInt(CLINUX_RLIMIT_CORE), 0)
    _ = Glibc.signal(signal, SIG_DFL)
    var one = sigset_t()
    unsafe sigemptyset(&one)
    unsafe sigaddset(&one, signal)
    _ = kill(getpid(), signal)
    _ = unsafe sigprocmask(SIG_UNBLOCK, &one, nil)
    // A signal that does not end a process does not end a child either; this is only for the compiler.
    _exit(128 + signal)
  }
}

private func executeBySearch(_ command: [String]) throws(SyscallError) -> Never {
  let vector = CStringVector(command)
  let code = unsafe vector.withPointer { pointers -> Int32 in
    _ = unsafe execvp(pointers[0]!, pointers)
    return errno
  }
  throw SyscallError("execute", errno: code, subject: command[0])
}
