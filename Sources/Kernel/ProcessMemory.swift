internal import CLinux
internal import Glibc

/// A process's memory, read through /proc/PID/mem. The descriptor stays bound to the address space it was opened on: after an
/// execve it reads nothing (proc(5)).
package struct ProcessMemory: ~Copyable {
  package let descriptor: OwnedFD

  package init(of thread: UInt32) throws(SyscallError) {
    descriptor = try open("/proc/\(thread)/mem", O_RDONLY)
  }

  package init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }

  /// Reads up to `count` bytes at `address`; fewer where the mapping ends, none where nothing is mapped.
  package borrowing func read(_ address: UInt64, count: Int) -> [UInt8] {
    guard let offset = Int64(exactly: address), count > 0 else { return [] }
    var bytes = [UInt8](repeating: 0, count: count)
    // SAFETY: the buffer is our own and its count bounds the read.
    let result = unsafe bytes.withUnsafeMutableBytes { unsafe pread(descriptor.raw, $0.baseAddress, $0.count, off_t(offset)) }
    bytes.removeLast(count - max(0, result))
    return bytes
  }
}

/// One mapping of a process, as the kernel describes it.
package struct MemoryMapping: Equatable, Sendable {
  package var start: UInt64
  package var end: UInt64
  package var fileOffset: UInt64
  package var isReadable: Bool
  package var isWritable: Bool
  package var isExecutable: Bool
  package var isShared: Bool
  package var deviceMajor: UInt32
  package var deviceMinor: UInt32
  package var inode: UInt64
  /// A path, or a name in brackets, or empty for anonymous memory.
  package var name: String

  package init(
    start: UInt64, end: UInt64, fileOffset: UInt64, isReadable: Bool, isWritable: Bool, isExecutable: Bool, isShared: Bool,
    deviceMajor: UInt32, deviceMinor: UInt32, inode: UInt64, name: String
  ) {
    self.start = start
    self.end = end
    self.fileOffset = fileOffset
    self.isReadable = isReadable
    self.isWritable = isWritable
    self.isExecutable = isExecutable
    self.isShared = isShared
    self.deviceMajor = deviceMajor
    self.deviceMinor = deviceMinor
    self.inode = inode
    self.name = name
  }
}

/// A process's mappings, asked of /proc/PID/maps one address at a time.
package struct MemoryMap: ~Copyable {
  package let descriptor: OwnedFD

  package init(of thread: UInt32) throws(SyscallError) {
    descriptor = try open("/proc/\(thread)/maps", O_RDONLY)
  }

  package init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }

  package enum Answer: Equatable, Sendable {
    case mapping(MemoryMapping)
    case none
    /// The kernel has no PROCMAP_QUERY (< 6.11): the text has to be read.
    case notSupported
  }

  /// The mapping that holds `address` (PROCMAP_QUERY, linux/fs.h).
  package borrowing func query(_ address: UInt64) throws(SyscallError) -> Answer {
    // PATH_MAX; a longer path is ENAMETOOLONG, and the query fails.
    var name = [UInt8](repeating: 0, count: 4096)
    var query = clinux_procmap_query()
    query.size = UInt64(MemoryLayout<clinux_procmap_query>.size)
    query.query_addr = address
    query.vma_name_size = UInt32(name.count)
    // SAFETY: the kernel writes at most vma_name_size bytes into `name`, which lives for the call.
    let result = unsafe name.withUnsafeMutableBytes { buffer in
      query.vma_name_addr = UInt64(UInt(bitPattern: buffer.baseAddress))
      return unsafe clinux_procmap_query(descriptor.raw, &query)
    }
    if result == -Int(ENOENT) || result == -Int(ESRCH) { return .none }
    if result == -Int(ENOTTY) { return .notSupported }
    try check("query a mapping", result)
    let length = max(0, Int(query.vma_name_size) - 1)
    return .mapping(
      MemoryMapping(
        start: query.vma_start, end: query.vma_end, fileOffset: query.vma_offset,
        isReadable: query.vma_flags & UInt64(CLINUX_PROCMAP_READABLE) != 0,
        isWritable: query.vma_flags & UInt64(CLINUX_PROCMAP_WRITABLE) != 0,
        isExecutable: query.vma_flags & UInt64(CLINUX_PROCMAP_EXECUTABLE) != 0,
        isShared: query.vma_flags & UInt64(CLINUX_PROCMAP_SHARED) != 0,
        deviceMajor: query.dev_major, deviceMinor: query.dev_minor, inode: query.inode,
        name: String(decoding: name[..<min(length, name.count)], as: UTF8.self)))
  }

  /// The whole text, from its beginning.
  package borrowing func text(limit: Int) throws(SyscallError) -> [UInt8] {
    let raw = descriptor.raw
    _ = try retrying("rewind the maps") { Int(lseek(raw, 0, SEEK_SET)) }
    return try readAll(descriptor, limit: limit, subject: "maps")
  }
}

/// Opens the very file that is mapped at [start, end), with no path to race (proc(5), map_files).
///
/// That needs CAP_CHECKPOINT_RESTORE. Without it the file is opened by its path below the process's root, and only taken if device and
/// inode are those of the mapping (ESTALE else).
package func openMapped(by thread: UInt32, start: UInt64, end: UInt64) throws(SyscallError) -> OwnedFD {
  do throws(SyscallError) {
    return try open("/proc/\(thread)/map_files/\(String(start, radix: 16))-\(String(end, radix: 16))", O_RDONLY | O_NONBLOCK)
  } catch {
    guard error.errno == EPERM else { throw error }
  }
  guard case .mapping(let mapping) = try MemoryMap(of: thread).query(start), mapping.start == start, mapping.end == end else {
    throw SyscallError("find the mapping", errno: ESTALE)
  }
  // O_PATH first: opening what is no regular file could have effects.
  let place = try open("/proc/\(thread)/root\(mapping.name)", O_PATH)
  let found = try identity(of: place)
  guard found.isRegular, found.inode == mapping.inode,
    found.device == deviceNumber(mapping.deviceMajor, mapping.deviceMinor)
  else { throw SyscallError("open the mapped file", errno: ESTALE, subject: mapping.name) }
  return try open("/proc/self/fd/\(place.raw)", O_RDONLY)
}

/// st_dev of a device (makedev(3)).
private func deviceNumber(_ major: UInt32, _ minor: UInt32) -> UInt64 {
  let (major, minor) = (UInt64(major), UInt64(minor))
  return (major & 0xffff_f000) << 32 | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12 | minor & 0xff
}

/// Both tasks run in one address space; kcmp(2).
package func shareMemory(_ a: UInt32, _ b: UInt32) throws(SyscallError) -> Bool {
  try check("compare the address spaces of", clinux_kcmp_vm(CInt(a), CInt(b)), subject: "\(a) and \(b)") == 0
}

/// Reads up to `count` bytes of a file at an offset; fewer at its end.
package func read(_ file: borrowing OwnedFD, at offset: UInt64, count: Int) throws(SyscallError) -> [UInt8] {
  guard let position = Int64(exactly: offset) else { throw SyscallError("read", errno: EINVAL) }
  var bytes = [UInt8](repeating: 0, count: count)
  let raw = file.raw
  var done = 0
  while done < count {
    // SAFETY: the buffer is our own; the remaining count bounds the read.
    let got = try retrying("read") {
      unsafe bytes.withUnsafeMutableBytes { unsafe pread(raw, $0.baseAddress! + done, $0.count - done, off_t(position) + off_t(done)) }
    }
    if got == 0 { break }
    done += got
  }
  bytes.removeLast(count - done)
  return bytes
}
