internal import CLinux
internal import Glibc

/// errno numbers that cross a target's border, and their names (errno(3)).
package enum Errno {
  package static let notPermitted: Int32 = EPERM
  package static let noProcess: Int32 = ESRCH
  package static let timedOut: Int32 = ETIMEDOUT
  package static let accessDenied: Int32 = EACCES
  package static let noChild: Int32 = ECHILD
  package static let notSupported: Int32 = ENOTSUP
}

/// `EPERM` for 1; a number without a name is written as `E` and the number.
package func errnoName(_ number: Int32) -> String {
  // SAFETY: strerrorname_np returns a static NUL-terminated string, or nil.
  guard let name = unsafe clinux_errno_name(number) else { return "E\(number)" }
  return unsafe String(cString: name)
}
