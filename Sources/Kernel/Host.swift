internal import Glibc

/// Root of the initial user namespace, not of one that a rootless engine made (user_namespaces(7)).
package func isInitialRoot() throws(SyscallError) -> Bool {
  guard effectiveUser == 0 else { return false }
  let map = try readFile("/proc/self/uid_map", limit: 1 << 16)
  return String(decoding: map, as: UTF8.self).split { " \n".contains($0) } == ["0", "0", "4294967295"]
}

/// Whether a process accepts stream connections on the Unix socket at `path`. A dead process leaves the file, but refuses.
package func somebodyListens(on path: String) -> Bool {
  let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
  guard raw >= 0 else { return false }
  let file = OwnedFD(owning: raw)
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  let bytes = Array(path.utf8)
  let fits = unsafe withUnsafeMutableBytes(of: &address.sun_path) { place in
    // SAFETY: what is written is shorter than sun_path, whose last byte stays NUL.
    guard bytes.count < place.count else { return false }
    unsafe place.copyBytes(from: bytes)
    return true
  }
  guard fits else { return false }
  let number = file.raw
  return unsafe withUnsafePointer(to: &address) { pointer in
    // SAFETY: sockaddr_un begins with the family, as sockaddr does, and its own size is passed.
    unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
      unsafe connect(number, generic, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
    }
  }
}

/// The current directory, absolute.
package func workingDirectory() throws(SyscallError) -> String { try readLink("/proc/self/cwd") }

/// Now, in UTC: `2026-11-22T18:54:05Z` (RFC 3339).
package func utcNow() -> String {
  var seconds = time(nil)
  var parts = unsafe tm()
  unsafe gmtime_r(&seconds, &parts)
  func two(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }
  let (year, month) = unsafe (parts.tm_year + 1900, parts.tm_mon + 1)
  return unsafe "\(year)-\(two(month))-\(two(parts.tm_mday))T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
}

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
