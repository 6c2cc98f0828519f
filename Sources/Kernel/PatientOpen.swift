internal import CLinux
internal import Glibc

/// Opens a mapped file without ever waiting longer than `milliseconds` (ETIMEDOUT): opening asks the file's file system, and a FUSE
/// server, or a network that is gone, may never answer.
///
/// Files of the kernel's own file systems are opened here. Any other is opened by a child, which is killed if it is late; where even that
/// cannot end it, it stays behind and not this process.
package func openMappedPatiently(
  by thread: UInt32, start: UInt64, end: UInt64, milliseconds: CInt
) throws(SyscallError) -> OwnedFD {
  guard case .mapping(let mapping) = try MemoryMap(of: thread).query(start) else { throw SyscallError("find the mapping", errno: ESTALE) }
  if try isLocal(mapping, of: thread) { return try openMapped(by: thread, start: start, end: end) }

  let pair = try UnixSocket.pair()
  if case .parent(let child) = try forkProcess() {
    let ours = pair.keepOurs()
    let answered = try waitReadable(ours.raw, milliseconds: milliseconds)
    guard answered, var received = try ours.receive(limit: 16), let file = received.descriptors.takeFirst() else {
      _ = kill(child, SIGKILL)
      throw SyscallError("open the mapped file", errno: answered ? EIO : ETIMEDOUT, subject: mapping.name)
    }
    return file
  }
  do throws(SyscallError) {
    let file = try openMapped(by: thread, start: start, end: end)
    try UnixSocket(pair.theirs.duplicate()).send([0], descriptors: [file.raw])
  } catch {}  // the parent sees the socket's end
  exitNow(0)
}

/// Whether a mapping's file lies in a file system that answers by itself, by /proc/TID/mountinfo (proc(5)): `id parent major:minor root
/// point options … - type source options`.
private func isLocal(_ mapping: MemoryMapping, of thread: UInt32) throws(SyscallError) -> Bool {
  let text = try readFile("/proc/\(thread)/mountinfo", limit: 16 << 20)
  let device = "\(mapping.deviceMajor):\(mapping.deviceMinor)".utf8
  for line in text.split(separator: UInt8(ascii: "\n")) {
    let fields = line.split(separator: UInt8(ascii: " "))
    guard fields.count > 2, fields[2].elementsEqual(device), let dash = fields.lastIndex(where: { $0.elementsEqual("-".utf8) }),
      dash + 1 < fields.count
    else { continue }
    return localFileSystems.contains(String(decoding: fields[dash + 1], as: UTF8.self))
  }
  // btrfs and its like show another device in a mapping than in a mount.
  return false
}

private let localFileSystems: Set<String> = [
  "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "ramfs", "rootfs", "overlay", "squashfs", "erofs", "iso9660", "vfat", "zfs",
]

/// Has the kernel forget ended children by itself: none of them has anything to say, and waiting for one that cannot be killed
/// would never end (wait(2), SIGCHLD ignored).
package func ignoreChildren() { _ = signal(SIGCHLD, SIG_IGN) }

/// Children can be waited for, whatever the caller of this program did with SIGCHLD, which is inherited (execve(2)).
package func expectChildren() { _ = signal(SIGCHLD, SIG_DFL) }

/// Leaves the caller's directory, so that its file system can be unmounted.
package func enterRoot() throws(SyscallError) {
  _ = try retrying("enter the root directory") { unsafe Int(chdir("/")) }
}
