internal import Glibc

/// Appends one line to a file that several processes write: under flock(2), in one write(2). A file beyond `limit` bytes is renamed to
/// `path.1` first. Directories on the way are made, for their owner only.
package func appendLine(_ line: [UInt8], to path: String, rotatingAt limit: Int64) throws(SyscallError) {
  if let slash = path.lastIndex(of: "/"), slash != path.startIndex { try makeDirectories(String(path[..<slash])) }
  while true {
    let file = try open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, mode: 0o600)
    let raw = file.raw
    _ = try retrying("lock", subject: path) { Int(flock(raw, LOCK_EX)) }
    // Another writer may have renamed it while this one waited for the lock.
    let held = try identity(of: file)
    guard try isNamed(path, held) else { continue }
    guard held.size < limit else {
      _ = try retrying("rename", subject: path) { unsafe Int(rename(path, path + ".1")) }
      continue
    }
    return try writeAll(line + [UInt8(ascii: "\n")], to: file, subject: path)
  }
}

private func isNamed(_ path: String, _ file: FileIdentity) throws(SyscallError) -> Bool {
  do throws(SyscallError) {
    let named = try identity(of: path)
    return named.inode == file.inode && named.device == file.device
  } catch {
    if error.isNotFound { return false }
    throw error
  }
}

/// Makes a directory and those above it, mode 0700 each that is new.
package func makeDirectories(_ path: String) throws(SyscallError) {
  var made = ""
  for part in path.split(separator: "/") {
    made += "/" + part
    try makeDirectory(made, mode: 0o700)
  }
}
