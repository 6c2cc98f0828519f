internal import Glibc

/// What `stat` says that identifies a file.
package struct FileIdentity: Equatable, Sendable {
  package var device: UInt64
  package var inode: UInt64
  package var size: Int64
  package var mode: UInt32
  package var links: UInt64
  package var owner: UInt32
  /// Nanoseconds since 1970 of the last change to the content, and to content or inode.
  package var modified: Int64
  package var changed: Int64

  package var isDirectory: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFDIR) }
  package var isRegular: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFREG) }

  init(_ status: stat) {
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
    size = Int64(status.st_size)
    mode = UInt32(status.st_mode)
    links = UInt64(status.st_nlink)
    owner = UInt32(status.st_uid)
    modified = Int64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_mtim.tv_nsec)
    changed = Int64(status.st_ctim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_ctim.tv_nsec)
  }
}

/// Opens `path`; `flags` are open(2)'s, close-on-exec is added.
package func open(_ path: String, _ flags: CInt, mode: UInt32 = 0) throws(SyscallError) -> OwnedFD {
  OwnedFD(owning: CInt(try retrying("open", subject: path) { unsafe Int(Glibc.open(path, flags | O_CLOEXEC, mode)) }))
}

/// A directory, for what is opened in it.
package func openDirectory(_ path: String) throws(SyscallError) -> OwnedFD { try open(path, O_RDONLY | O_DIRECTORY) }

package func identity(of path: String) throws(SyscallError) -> FileIdentity {
  var status = stat()
  _ = try retrying("stat", subject: path) { unsafe Int(stat(path, &status)) }
  return FileIdentity(status)
}

package func identity(of file: borrowing OwnedFD) throws(SyscallError) -> FileIdentity {
  var status = stat()
  let raw = file.raw
  _ = try retrying("stat") { unsafe Int(fstat(raw, &status)) }
  return FileIdentity(status)
}

/// True where `path` can be executed by this process.
package func isExecutable(_ path: String) -> Bool { unsafe access(path, X_OK) == 0 }

/// True where `path` leads to something.
package func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

/// The whole of a file, refusing one larger than `limit` bytes (EFBIG).
package func readFile(_ path: String, limit: Int) throws(SyscallError) -> [UInt8] {
  let file = try open(path, O_RDONLY)
  return try readAll(file, limit: limit, subject: path)
}

/// The same of a file that somebody else may have put there: a symbolic link is refused (ELOOP), and what is no plain file
/// (EINVAL), without waiting for it.
package func readPlainFile(_ path: String, limit: Int) throws(SyscallError) -> [UInt8] {
  let file = try open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  guard try identity(of: file).isRegular else { throw SyscallError("read as a plain file", errno: EINVAL, subject: path) }
  return try readAll(file, limit: limit, subject: path)
}

/// A file that is not there yet (EEXIST where it is).
package func writeNewFile(_ path: String, _ bytes: [UInt8], mode: UInt32) throws(SyscallError) {
  let file = try open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode)
  try writeAll(bytes, to: file, subject: path)
}

/// Everything up to the end of a descriptor, refusing more than `limit` bytes (EFBIG).
package func readAll(_ file: borrowing OwnedFD, limit: Int, subject: String) throws(SyscallError) -> [UInt8] {
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 65536)
  let raw = file.raw
  while true {
    // SAFETY: the buffer is `chunk`'s own, alive for the call, and its count bounds the read.
    let count = try retrying("read", subject: subject) {
      unsafe chunk.withUnsafeMutableBytes { unsafe read(raw, $0.baseAddress, $0.count) }
    }
    if count == 0 { return bytes }
    guard bytes.count + count <= limit else { throw SyscallError("read", errno: EFBIG, subject: subject) }
    bytes.append(contentsOf: chunk[..<count])
  }
}

/// What is there to read now, waiting for the first byte; empty at the end.
package func readSome(_ file: borrowing OwnedFD, limit: Int) throws(SyscallError) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: limit)
  let raw = file.raw
  // SAFETY: the buffer is our own and its count bounds the read.
  let count = try retrying("read") { unsafe bytes.withUnsafeMutableBytes { unsafe read(raw, $0.baseAddress, $0.count) } }
  bytes.removeLast(limit - count)
  return bytes
}

/// Writes all of `bytes`.
package func writeAll(_ bytes: [UInt8], to file: borrowing OwnedFD, subject: String = "") throws(SyscallError) {
  var done = 0
  let raw = file.raw
  while done < bytes.count {
    // SAFETY: the slice stays inside `bytes`, which outlives the call.
    done += try retrying("write", subject: subject) {
      unsafe bytes.withUnsafeBytes { unsafe write(raw, $0.baseAddress! + done, $0.count - done) }
    }
  }
}

/// Replaces a file whole or not at all: written beside, synced, renamed (rename(2)). The old owner and mode are kept.
package func replaceFile(_ path: String, with bytes: [UInt8]) throws(SyscallError) {
  let temporary = "\(path).callgate-\(getpid())"
  var status = stat()
  let existed = unsafe stat(path, &status) == 0
  do throws(SyscallError) {
    let file = try open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
    let raw = file.raw
    try writeAll(bytes, to: file, subject: temporary)
    if existed {
      _ = try retrying("set the owner of", subject: temporary) { Int(fchown(raw, status.st_uid, status.st_gid)) }
      _ = try retrying("set the mode of", subject: temporary) { Int(fchmod(raw, status.st_mode & 0o7777)) }
    } else {
      _ = try retrying("set the mode of", subject: temporary) { Int(fchmod(raw, 0o644)) }
    }
    _ = try retrying("sync", subject: temporary) { Int(fsync(raw)) }
    _ = try retrying("rename", subject: path) { unsafe Int(rename(temporary, path)) }
  } catch {
    _ = unsafe unlink(temporary)
    throw error
  }
}

package func remove(_ path: String) throws(SyscallError) {
  _ = try retrying("remove", subject: path) { unsafe Int(unlink(path)) }
}

/// Makes a directory; one that exists is left as it is. Returns whether it was made.
@discardableResult
package func makeDirectory(_ path: String, mode: UInt32) throws(SyscallError) -> Bool {
  if unsafe mkdir(path, mode) == 0 { return true }
  let code = errno
  guard code == EEXIST else { throw SyscallError("make the directory", errno: code, subject: path) }
  return false
}

package func removeDirectory(_ path: String) throws(SyscallError) {
  _ = try retrying("remove the directory", subject: path) { unsafe Int(rmdir(path)) }
}

/// The names in a directory, sorted, without `.` and `..`.
package func list(_ path: String) throws(SyscallError) -> [String] {
  guard let directory = unsafe opendir(path) else {
    throw SyscallError("list", errno: errno, subject: path)
  }
  defer { _ = unsafe closedir(directory) }
  var names: [String] = []
  // SAFETY: the entry lives until the next readdir of this stream; the name is copied out at once and is NUL-terminated.
  while let entry = unsafe readdir(directory) {
    let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    if name != ".", name != ".." { names.append(name) }
  }
  return names.sorted()
}

/// Where a symbolic link points, e.g. `/proc/self/exe`.
package func readLink(_ path: String) throws(SyscallError) -> String {
  var buffer = [UInt8](repeating: 0, count: 4096)
  // SAFETY: the buffer is our own and its count bounds what readlink writes.
  let count = try retrying("read the link", subject: path) {
    unsafe buffer.withUnsafeMutableBytes {
      unsafe readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
  }
  return String(decoding: buffer[..<count], as: UTF8.self)
}

/// Writes to a file that exists, one of the kernel's, say: in one call, and making none.
package func writeToFile(_ path: String, _ text: String) throws(SyscallError) {
  try writeAll(Array(text.utf8), to: try open(path, O_WRONLY), subject: path)
}
