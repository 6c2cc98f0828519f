internal import CLinux
internal import Glibc

/// Opens mapped files without ever waiting for long: opening asks the file's file system, and a FUSE server, or a network that is gone,
/// may never answer.
///
/// Files of the kernel's own file systems are opened here. Any other is opened by a child, which is killed if it is late. Where even that
/// cannot end it, it stays behind, with nothing of ours in its hands, and until it is gone no other such file is opened.
package final class PatientOpener {
  private var stuck: PidFD?

  /// A file system that answers at all answers sooner.
  private static let milliseconds: CInt = 1000

  package init() {}

  /// ETIMEDOUT where the file system did not answer, EBUSY where it still does not.
  package func open(by thread: UInt32, start: UInt64, end: UInt64) throws(SyscallError) -> OwnedFD {
    guard case .mapping(let mapping) = try MemoryMap(of: thread).query(start) else { throw SyscallError("find the mapping", errno: ESTALE) }
    if try isLocal(mapping, of: thread) { return try openMapped(by: thread, start: start, end: end) }

    if let earlier = stuck.take() {
      guard try earlier.hasEnded() else {
        stuck = consume earlier
        throw SyscallError("open the mapped file", errno: EBUSY, subject: mapping.name)
      }
    }
    let pair = try UnixSocket.pair()
    if case .parent(let child) = try forkProcess() {
      let handle = try PidFD(UInt32(child))
      let ours = pair.keepOurs()
      let answered = try waitReadable(ours.raw, milliseconds: PatientOpener.milliseconds)
      guard answered, var received = try ours.receive(limit: 16), let file = received.descriptors.takeFirst() else {
        try handle.kill()
        if !answered { stuck = consume handle }
        throw SyscallError("open the mapped file", errno: answered ? EIO : ETIMEDOUT, subject: mapping.name)
      }
      return file
    }
    clinux_exit(openAndSend(pair.theirs.raw, thread, start, end))
    throw SyscallError("end the child", errno: EINVAL)
  }
}

/// In the child: lets go of everything but the socket first. A listener that is held here would keep a container's calls waiting after
/// the supervisor is gone.
private func openAndSend(_ socket: CInt, _ thread: UInt32, _ start: UInt64, _ end: UInt64) -> CInt {
  _ = clinux_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL), 0, 0)
  guard dup2(socket, 3) == 3, clinux_close_range(4, UInt32.max) == 0 else { return 1 }
  do throws(SyscallError) {
    let file = try openMapped(by: thread, start: start, end: end)
    try UnixSocket(OwnedFD(owning: 3)).send([0], descriptors: [file.raw])
    return 0
  } catch {
    return 2
  }
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
