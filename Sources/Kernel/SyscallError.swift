internal import Glibc

/// A system call that failed: which one, with what errno, on what object.
package struct SyscallError: Error, Equatable, Sendable, CustomStringConvertible {
  package let call: StaticString
  package let errno: Int32
  /// What it was done to: a path, a pid. Empty where the call says it all.
  package let subject: String

  package init(_ call: StaticString, errno: Int32, subject: String = "") {
    self.call = call
    self.errno = errno
    self.subject = subject
  }

  /// `cannot open '/x': No such file or directory`, as strerror(3) words it.
  package var description: String {
    // SAFETY: strerror returns a NUL-terminated string that lives until the next call of this single-threaded program.
    let reason = unsafe String(cString: strerror(errno))
    return subject.isEmpty ? "cannot \(call): \(reason)" : "cannot \(call) '\(subject)': \(reason)"
  }

  package static func == (a: SyscallError, b: SyscallError) -> Bool {
    a.errno == b.errno && a.subject == b.subject && a.call.description == b.call.description
  }
}

extension SyscallError {
  package var isNotFound: Bool { errno == ENOENT }
  package var isExisting: Bool { errno == EEXIST }
}

/// Runs `body` until it is not interrupted by a signal; a negative result becomes an error with the errno of the same line.
@inline(__always)
func retrying(
  _ call: StaticString, subject: @autoclosure () -> String = "", _ body: () -> Int
) throws(SyscallError) -> Int {
  while true {
    let result = body()
    if result >= 0 { return result }
    let code = errno
    if code != EINTR { throw SyscallError(call, errno: code, subject: subject()) }
  }
}
