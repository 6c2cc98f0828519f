internal import CLinux
internal import Glibc

/// Replaces this process image (execve(2)) with the same environment; returns only by throwing.
package func execute(_ path: String, _ arguments: [String]) throws(SyscallError) -> Never {
  // SAFETY: every string is duplicated into memory that lives until the image is replaced, and the array ends with nil.
  var pointers: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) }
  unsafe pointers.append(nil)
  _ = unsafe execv(path, pointers)
  let code = errno
  for index in unsafe pointers.indices { unsafe free(pointers[index]) }
  throw SyscallError("execute", errno: code, subject: path)
}

/// The directory of this program's own file, from /proc/self/exe, where its siblings lie.
package func ownDirectory() throws(SyscallError) -> String {
  let path = try readLink("/proc/self/exe")
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// The value of an environment variable, or nil.
package func environment(_ name: String) -> String? {
  // SAFETY: getenv returns a NUL-terminated string or nil; nothing here changes the environment meanwhile.
  guard let value = unsafe getenv(name) else { return nil }
  return unsafe String(cString: value)
}

/// Real and effective ids differ, or capabilities came with the file: the environment is not ours to trust.
package var isPrivilegedTransition: Bool { getauxval(UInt(AT_SECURE)) != 0 }

package var effectiveUser: UInt32 { geteuid() }
package var processID: CInt { getpid() }

/// Writes one line to standard error; nothing can be done where that fails.
package func complain(_ line: String) {
  let text = Array((line + "\n").utf8)
  // SAFETY: the bytes are the array's own for the call.
  _ = unsafe text.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
