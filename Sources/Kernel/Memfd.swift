internal import CLinux
internal import Glibc

/// An anonymous file in memory (memfd_create(2)), close-on-exec; `name` shows in /proc/self/fd only.
package func makeMemoryFile(_ name: String) throws(SyscallError) -> OwnedFD {
  let result = unsafe clinux_memfd_create(name)
  guard result >= 0 else { throw SyscallError("make a memory file", errno: -result, subject: name) }
  return OwnedFD(owning: result)
}

/// The whole of a seekable file from its beginning, wherever its offset stands.
package func rewindAndRead(_ file: borrowing OwnedFD, limit: Int) throws(SyscallError) -> [UInt8] {
  let raw = file.raw
  _ = try retrying("seek") { Int(lseek(raw, 0, SEEK_SET)) }
  return try readAll(file, limit: limit, subject: "memory file")
}

/// The same, holding `bytes`, positioned at its start.
package func makeMemoryFile(_ name: String, holding bytes: [UInt8]) throws(SyscallError) -> OwnedFD {
  let file = try makeMemoryFile(name)
  try writeAll(bytes, to: file, subject: name)
  let raw = file.raw
  _ = try retrying("rewind", subject: name) { Int(lseek(raw, 0, SEEK_SET)) }
  return file
}
