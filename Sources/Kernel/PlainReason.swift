internal import Glibc

extension SyscallError {
  /// Like `description`, but without the words by which podman chooses its exit status: "no such file or directory" becomes 127 and
  /// "permission denied" or "operation not permitted" 126, whatever they were about (libpod, getOCIRuntimeError).
  package var plain: String {
    let reason: String
    switch errno {
    case ENOENT: reason = "it does not exist"
    case EACCES: reason = "access is refused"
    case EPERM: reason = "the kernel does not allow it"
    case EFBIG: reason = "it is too large"
    default:
      // SAFETY: strerror returns a NUL-terminated string that lives until the next call of this single-threaded program.
      reason = unsafe String(cString: strerror(errno))
    }
    return subject.isEmpty ? "cannot \(call): \(reason)" : "cannot \(call) '\(subject)': \(reason)"
  }
}
