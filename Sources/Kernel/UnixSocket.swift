internal import CLinux
internal import Glibc

/// A unix-domain socket (unix(7)), close-on-exec.
package struct UnixSocket: ~Copyable {
  let descriptor: OwnedFD

  package init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }

  package var raw: CInt { descriptor.raw }

  package consuming func release() -> OwnedFD { descriptor }

  private static func stream(_ extra: __socket_type) throws(SyscallError) -> UnixSocket {
    let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | extra.rawValue)
    return UnixSocket(OwnedFD(owning: CInt(try retrying("make a socket") { Int(socket(AF_UNIX, type, 0)) })))
  }

  /// A stream socket that listens at `path`, for its owner only; `accept` does not block.
  package static func listening(at path: String) throws(SyscallError) -> UnixSocket {
    let result = try stream(SOCK_NONBLOCK)
    try check("listen at", unsafe clinux_unix_address(result.raw, path, 1), subject: path)
    _ = try retrying("set the mode of", subject: path) { unsafe Int(chmod(path, 0o600)) }
    let raw = result.raw
    _ = try retrying("listen at", subject: path) { Int(listen(raw, 128)) }
    return result
  }

  /// Whether a process listens at `path`. A dead one leaves the file, but refuses; one that is too busy to take the caller is there.
  package static func hasListener(at path: String) -> Bool {
    do throws(SyscallError) {
      let caller = try stream(SOCK_NONBLOCK)
      try check("connect to", unsafe clinux_unix_address(caller.raw, path, 0))
      return true
    } catch {
      return error.errno == EAGAIN
    }
  }

  package static func connected(to path: String) throws(SyscallError) -> UnixSocket {
    let result = try stream(SOCK_CLOEXEC)
    try check("connect to", unsafe clinux_unix_address(result.raw, path, 0), subject: path)
    return result
  }

  package struct Pair: ~Copyable {
    package var ours: UnixSocket
    package var theirs: OwnedFD

    /// Closes the other end here: its owner has a copy.
    package consuming func keepOurs() -> UnixSocket { ours }
  }

  /// Both ends of a socket that keeps message boundaries (SOCK_SEQPACKET).
  package static func pair() throws(SyscallError) -> Pair {
    var ends: [CInt] = [-1, -1]
    _ = try retrying("make a socket pair") {
      unsafe Int(socketpair(AF_UNIX, CInt(SOCK_SEQPACKET.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0, &ends))
    }
    return Pair(ours: UnixSocket(OwnedFD(owning: ends[0])), theirs: OwnedFD(owning: ends[1]))
  }

  /// The next waiting connection; nil where none waits.
  package borrowing func accept() throws(SyscallError) -> UnixSocket? {
    while true {
      let result = clinux_accept(descriptor.raw)
      switch CInt(-result) {
      case EINTR, ECONNABORTED: continue
      case EAGAIN: return nil
      default: return UnixSocket(OwnedFD(owning: CInt(try check("accept a connection", result))))
      }
    }
  }

  /// The pid of the process at the other end when it connected, 0 where this pid namespace does not see it (SO_PEERCRED).
  package borrowing func peer() throws(SyscallError) -> UInt32 {
    UInt32(try check("ask who is at the other end", clinux_peer(descriptor.raw)))
  }

  /// Sends one message with at most four descriptors, which stay the caller's. Not `blocking`: EAGAIN where there is no room for it.
  package borrowing func send(_ bytes: [UInt8], descriptors: [CInt] = [], blocking: Bool = true) throws(SyscallError) {
    let raw = descriptor.raw
    // SAFETY: both arrays are the caller's and outlive the call, with their own counts.
    let sent = try retrying("send") {
      let result = unsafe bytes.withUnsafeBytes {
        unsafe clinux_send(raw, $0.baseAddress, $0.count, descriptors, CInt(descriptors.count), blocking ? 0 : 1)
      }
      if result < 0 { errno = CInt(-result) }
      return result
    }
    guard sent == bytes.count else { throw SyscallError("send", errno: EMSGSIZE) }
  }

  /// One message, or the next part of a stream.
  package struct Received: ~Copyable {
    package var bytes: [UInt8]
    package var descriptors: Descriptors
    /// The message was longer than the buffer, or brought more descriptors than are taken: what came is not the whole.
    package var isTruncated: Bool

    package consuming func keepDescriptors() -> Descriptors { descriptors }
  }

  /// At most four descriptors that came with a message, owned here until taken.
  package struct Descriptors: ~Copyable {
    private var numbers: [CInt]

    init(owning numbers: [CInt]) { self.numbers = numbers }

    package var count: Int { numbers.count }

    /// The first that was not taken yet.
    package mutating func takeFirst() -> OwnedFD? {
      numbers.isEmpty ? nil : OwnedFD(owning: numbers.removeFirst())
    }

    deinit { for number in numbers { _ = close(number) } }
  }

  /// Receives at most `limit` bytes; nil where nothing waits on a non-blocking read. Zero bytes are the end of a stream.
  package borrowing func receive(limit: Int, blocking: Bool = true) throws(SyscallError) -> Received? {
    var numbers = [CInt](repeating: -1, count: Int(CLINUX_MAX_DESCRIPTORS))
    var (count, flags): (CInt, CInt) = (0, 0)
    while true {
      var result = 0
      let raw = descriptor.raw
      // SAFETY: the buffers are our own, alive for the call; the wrapper writes at most `limit` bytes, as many as it says, and four
      // descriptors.
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, written in
        result = unsafe clinux_receive(raw, buffer.baseAddress!, limit, &numbers, &count, &flags, blocking ? 0 : 1)
        written = max(0, result)
      }
      let came = Descriptors(owning: Array(numbers[..<Int(count)]))
      if result == -Int(EINTR) { continue }
      if result == -Int(EAGAIN) { return nil }
      try check("receive", result)
      return Received(bytes: bytes, descriptors: came, isTruncated: clinux_is_truncated(flags) != 0)
    }
  }
}
