internal import Glibc

/// A file descriptor with one owner; closed when the owner goes.
package struct OwnedFD: ~Copyable, Sendable {
  /// The number, for the duration of a borrow.
  package let raw: CInt

  /// Takes ownership of an open descriptor.
  package init(owning raw: CInt) {
    precondition(raw >= 0, "not a descriptor")
    self.raw = raw
  }

  /// Gives the number away: the caller closes it.
  package consuming func release() -> CInt {
    let raw = self.raw
    discard self
    return raw
  }

  deinit { _ = close(raw) }

  /// A second descriptor of the same open file, close-on-exec.
  package borrowing func duplicate() throws(SyscallError) -> OwnedFD {
    let raw = self.raw
    return OwnedFD(owning: CInt(try retrying("duplicate") { Int(fcntlDuplicate(raw)) }))
  }
}

private func fcntlDuplicate(_ raw: CInt) -> CInt { fcntl(raw, F_DUPFD_CLOEXEC, 3) }
