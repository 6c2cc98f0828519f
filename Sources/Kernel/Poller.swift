internal import CLinux
internal import Glibc

/// What is ready on one descriptor.
package struct Readiness: Equatable, Sendable {
  /// What the descriptor was added under.
  package var token: UInt64
  package var isReadable: Bool
  /// The other side is gone: of a listener, the last thread under its filter.
  package var isHungUp: Bool
}

/// epoll(7), level-triggered, for reading.
package struct Poller: ~Copyable {
  private let descriptor: OwnedFD

  package init() throws(SyscallError) {
    descriptor = OwnedFD(owning: CInt(try retrying("make an epoll descriptor") { Int(epoll_create1(O_CLOEXEC)) }))
  }

  /// Can be read where something is ready.
  var raw: CInt { descriptor.raw }

  package borrowing func add(_ raw: CInt, token: UInt64) throws(SyscallError) {
    try check("watch a descriptor", clinux_epoll_add(descriptor.raw, raw, token))
  }

  package borrowing func remove(_ raw: CInt) throws(SyscallError) {
    let poller = descriptor.raw
    _ = try retrying("stop watching a descriptor") { Int(epoll_ctl(poller, EPOLL_CTL_DEL, raw, nil)) }
  }

  /// Waits until something is ready, at most `milliseconds` (-1: for ever); nothing where a signal came first.
  package borrowing func wait(milliseconds: CInt = -1) throws(SyscallError) -> [Readiness] {
    var tokens = [UInt64](repeating: 0, count: Int(CLINUX_EPOLL_BATCH))
    var masks = [UInt32](repeating: 0, count: Int(CLINUX_EPOLL_BATCH))
    // SAFETY: both arrays have the wrapper's batch size and live for the call.
    let result = unsafe clinux_epoll_wait(descriptor.raw, &tokens, &masks, milliseconds)
    if result == -Int(EINTR) { return [] }
    return (0..<(try check("wait for events", result))).map { index in
      Readiness(
        token: tokens[index], isReadable: masks[index] & EPOLLIN.rawValue != 0,
        isHungUp: masks[index] & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0)
    }
  }
}

/// Waits until one descriptor can be read or is at its end; false after `milliseconds`.
package func waitReadable(_ raw: CInt, milliseconds: CInt) throws(SyscallError) -> Bool {
  let deadline = monotonicMilliseconds() + Int64(milliseconds)
  while true {
    let left = deadline - monotonicMilliseconds()
    var request = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
    let result = unsafe poll(&request, 1, CInt(max(0, left)))
    if result > 0 { return true }
    let code = errno
    if result < 0, code != EINTR { throw SyscallError("wait", errno: code) }
    if left <= 0 { return false }
  }
}

package func pause(milliseconds: UInt32) { _ = usleep(milliseconds * 1000) }

/// Milliseconds of CLOCK_MONOTONIC.
package func monotonicMilliseconds() -> Int64 {
  var now = timespec()
  _ = unsafe clock_gettime(CLOCK_MONOTONIC, &now)
  return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
}

/// Milliseconds since 1970 by CLOCK_REALTIME.
package func wallMilliseconds() -> Int64 { wallNanoseconds() / 1_000_000 }

/// Nanoseconds since 1970 by CLOCK_REALTIME, as files have them.
package func wallNanoseconds() -> Int64 {
  var now = timespec()
  _ = unsafe clock_gettime(CLOCK_REALTIME, &now)
  return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}
