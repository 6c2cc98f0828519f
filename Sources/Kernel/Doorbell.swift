internal import CLinux
internal import Glibc
internal import Synchronization

/// Lets one thread wait for a listener's next notification alone, without missing what a poller watches meanwhile.
///
/// Between a notification and its answer a poll would be one call more, and a thread that is woken by a poll is not woken on the core of the
/// thread that made the call, as one that waits in the listener itself is (SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP). So a second
/// thread, which does nothing else, watches the poller, and interrupts the wait by a signal when something is there. It may come too early,
/// before the wait has begun: then it comes again.
package final class Doorbell: Sendable {
  private let poller: CInt
  private let waiter: pid_t
  private let isWaiting = Atomic<Bool>(false)
  private let isWatching = Atomic<Bool>(false)
  private let resume: Pipe

  private static let signal = SIGUSR1
  private static let microsecondsBetweenSignals: UInt32 = 500
  /// By then a container has most often started, and what only that took can be forgotten.
  private static let millisecondsToStart: CInt = 2000

  /// Made by the thread that is going to wait. `poller` is not closed before the process ends.
  package init(watching poller: borrowing Poller) throws(SyscallError) {
    self.poller = poller.raw
    waiter = gettid()
    resume = try Pipe()
    var action = sigaction()
    // Nothing is to be done: without SA_RESTART the wait ends.
    unsafe action.__sigaction_handler.sa_handler = { _ in }
    guard unsafe sigaction(Doorbell.signal, &action, nil) == 0 else { throw SyscallError("catch a signal", errno: errno) }
    try startThread { [self] in watch() }
  }

  /// The next trapped syscall of `listener`; nil where something else is there, too, or none came.
  package func next(of listener: borrowing Listener) throws(SyscallError) -> Notification? {
    if !isWatching.load(ordering: .relaxed) {
      isWatching.store(true, ordering: .sequentiallyConsistent)
      try writeAll([0], to: resume.writing)
    }
    isWaiting.store(true, ordering: .sequentiallyConsistent)
    defer { isWaiting.store(false, ordering: .sequentiallyConsistent) }
    return try listener.next()
  }

  /// Somebody waits by the poller itself until `next` is called again.
  package func pause() { isWatching.store(false, ordering: .sequentiallyConsistent) }

  private func watch() {
    let (process, descriptor) = (getpid(), resume.reading.raw)
    var millisecondsToStart = Doorbell.millisecondsToStart
    while true {
      guard isWatching.load(ordering: .sequentiallyConsistent) else {
        var byte: UInt8 = 0
        _ = unsafe read(descriptor, &byte, 1)
        continue
      }
      var request = pollfd(fd: poller, events: Int16(POLLIN), revents: 0)
      let count = unsafe poll(&request, 1, millisecondsToStart)
      if count == 0 {
        forgetCode()
        millisecondsToStart = -1
      }
      guard count > 0 else { continue }
      if isWaiting.load(ordering: .sequentiallyConsistent) { _ = clinux_tgkill(process, waiter, Doorbell.signal) }
      _ = usleep(Doorbell.microsecondsBetweenSignals)
    }
  }
}

/// Starts a thread of this process that runs `body` to its end, with all signals blocked. It must not allocate: others may fork meanwhile.
private func startThread(_ body: @escaping @Sendable () -> Void) throws(SyscallError) {
  final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
  var attributes = pthread_attr_t()
  unsafe pthread_attr_init(&attributes)
  defer { unsafe pthread_attr_destroy(&attributes) }
  unsafe pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
  unsafe pthread_attr_setstacksize(&attributes, 1 << 17)
  var (all, before) = (sigset_t(), sigset_t())
  unsafe sigfillset(&all)
  unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
  defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
  var thread = pthread_t()
  // The thread takes over the reference.
  let context = unsafe Unmanaged.passRetained(Body(body)).toOpaque()
  let code = unsafe pthread_create(
    &thread, &attributes,
    { context in
      if let context = unsafe context { unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
      return nil
    }, context)
  guard code == 0 else {
    unsafe Unmanaged<Body>.fromOpaque(context).release()
    throw SyscallError("start a thread", errno: code)
  }
}
