internal import CLinux
internal import Glibc

/// Root of the initial user namespace, not of one that a rootless engine made (user_namespaces(7)).
package func isInitialRoot() throws(SyscallError) -> Bool {
  guard effectiveUser == 0 else { return false }
  let map = try readFile("/proc/self/uid_map", limit: 1 << 16)
  return String(decoding: map, as: UTF8.self).split { " \n".contains($0) } == ["0", "0", "4294967295"]
}

/// The running kernel's version, from uname(2)'s release: (6, 18) for `6.18.44-fc`.
package func kernelVersion() throws(SyscallError) -> (major: Int, minor: Int) {
  let text = String(decoding: try readFile("/proc/sys/kernel/osrelease", limit: 4096), as: UTF8.self)
  let numbers = text.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
  // A release that begins with no two numbers is as old as can be.
  return numbers.count == 2 ? (numbers[0], numbers[1]) : (0, 0)
}

/// The current directory, absolute.
package func workingDirectory() throws(SyscallError) -> String { try readLink("/proc/self/cwd") }

/// Appends to a file, which is made if it does not exist.
package func appendToFile(_ path: String, _ bytes: [UInt8]) throws(SyscallError) {
  let file = try open(path, O_WRONLY | O_CREAT | O_APPEND, mode: 0o644)
  try writeAll(bytes, to: file, subject: path)
}

/// Writes to standard output.
package func writeToOutput(_ bytes: [UInt8]) throws(SyscallError) {
  var done = 0
  while done < bytes.count {
    // SAFETY: the slice stays inside `bytes`, which outlives the call.
    done += try retrying("write", subject: "standard output") {
      unsafe bytes.withUnsafeBytes { unsafe write(STDOUT_FILENO, $0.baseAddress! + done, $0.count - done) }
    }
  }
}

/// Gives memory that was freed back to the kernel (malloc_trim(3)).
package func giveBackMemory() { _ = clinux_malloc_trim() }
