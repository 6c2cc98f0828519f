internal import Kernel
internal import Plan
internal import ProcFS

/// A process, told from another one that gets its number later.
struct ProcessIdentity: Hashable {
  let number: UInt32
  /// Clock ticks since boot.
  let made: UInt64

  init?(_ number: UInt32) {
    do throws(SnapshotError) { self.init(number: number, made: try processStat(number).made) } catch { return nil }
  }

  fileprivate init(number: UInt32, made: UInt64) {
    self.number = number
    self.made = made
  }

  /// To this process or to none: a number can be another's by the time that its handle is opened, but not after.
  fileprivate func signalled(_ send: (borrowing PidFD) throws(SyscallError) -> Void) throws(SyscallError) {
    let handle = try PidFD(number)
    guard ProcessIdentity(number) == self else { return }
    try send(handle)
  }
}

/// Ends every process of one container, or of one command without a container.
///
/// Three ways, one after the other, each for what the one before cannot be relied upon for:
/// 1. the container's own cgroup, by cgroup.kill (cgroups(7), Linux 5.14): the one that its config.json names, as the low-level runtimes do;
/// 2. the first process of the container's own pid namespace: the kernel ends the others with it (pid_namespaces(7)). In a pod that
///    shares one, that is another container's;
/// 3. whatever still runs of: the container's first process, the processes that were executed in it, and all that descends from those or is in
///    the first one's mount namespace. They are stopped first, until no new ones are found, and then killed, so that none forks away.
///
/// A command without a container has only the third, and its orphans are its starter's children (PR_SET_CHILD_SUBREAPER).
struct ContainerEnd {
  /// The first process, and those that other listeners came from.
  var roots: [ProcessIdentity]
  /// Whose descendants, orphans among them, are the command's; it is not ended itself.
  var starter: UInt32?
  /// The last component of the container's cgroup; nil where it has none of its own.
  var cgroup: String?
  /// Never ended: the inspector.
  var spared: Set<UInt32>

  /// How long processes may take to be found and to end.
  static let milliseconds: Int64 = 3000

  /// Those that still run at the end of it, and what went wrong on the way.
  func run() -> (left: Int, trouble: [SyscallError]) {
    var trouble: [SyscallError] = []
    func attempt(_ body: () throws(SyscallError) -> Void) {
      do throws(SyscallError) { try body() } catch { if error.errno != Errno.noProcess, !error.isNotFound { trouble.append(error) } }
    }
    let place = roots.first.flatMap(Place.init)
    // What runs in it now: once the first process is gone, it leads nowhere any more.
    var found = members(of: place, known: [])
    if let path = place.flatMap({ ownCgroup($0.cgroup) }) {
      attempt { () throws(SyscallError) in try writeToFile("\(path)/cgroup.kill", "1") }
    }
    if let first = roots.first, place?.isFirstOfNamespace ?? false {
      attempt { () throws(SyscallError) in try first.signalled { handle throws(SyscallError) in try handle.kill() } }
    }
    let deadline = monotonicMilliseconds() + ContainerEnd.milliseconds
    while true {
      var new = found
      while !new.isEmpty, monotonicMilliseconds() < deadline {
        for process in new {
          attempt { () throws(SyscallError) in try process.signalled { handle throws(SyscallError) in try handle.stop() } }
        }
        new = members(of: place, known: found).subtracting(found)
        found.formUnion(new)
      }
      for process in found {
        attempt { () throws(SyscallError) in try process.signalled { handle throws(SyscallError) in try handle.kill() } }
      }
      found = members(of: place, known: found)
      if found.isEmpty || monotonicMilliseconds() >= deadline { return (found.count, trouble) }
      pause(milliseconds: 2)
    }
  }

  /// What is read of the first process while it is there.
  private struct Place {
    var isFirstOfNamespace = false
    var cgroup: String?
    var mounts: FileIdentity?

    init?(_ first: ProcessIdentity) {
      do {
        let own = try identity(of: "/proc/self/ns/pid")
        let theirs = try identity(of: "/proc/\(first.number)/ns/pid")
        let number = try ownNumber(status: try procText(first.number, "status"))
        isFirstOfNamespace = number == 1 && (own.device, own.inode) != (theirs.device, theirs.inode)
        let (ownMounts, theirMounts) = (try identity(of: "/proc/self/ns/mnt"), try identity(of: "/proc/\(first.number)/ns/mnt"))
        if (ownMounts.device, ownMounts.inode) != (theirMounts.device, theirMounts.inode) { mounts = theirMounts }
        cgroup = unifiedCgroup(try procText(first.number, "cgroup"))
      } catch { return nil }
      guard ProcessIdentity(first.number) == first else { return nil }
    }
  }

  /// The directory of the container's cgroup of version 2, where the first process is in it or below.
  private func ownCgroup(_ path: String?) -> String? {
    guard let cgroup, let path else { return nil }
    let parts = path.split(separator: "/", omittingEmptySubsequences: true)
    guard let index = parts.firstIndex(where: { $0 == cgroup[...] }) else { return nil }
    let own = "/" + parts[...index].joined(separator: "/")
    // Whoever supervises from inside of it would end itself.
    do throws(SyscallError) {
      let mine = unifiedCgroup(try readFile("/proc/self/cgroup", limit: 65536)) ?? ""
      guard mine != own, !mine.hasPrefix("\(own)/") else { return nil }
    } catch { return nil }
    // Where version 1 has controllers, version 2 lies beside them (systemd's hybrid layout).
    return ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map { $0 + own }.first { exists("\($0)/cgroup.kill") }
  }

  /// The living processes of it: those of `known`, the roots, what is in its mount namespace, and what descends from any.
  private func members(of place: Place?, known: Set<ProcessIdentity>) -> Set<ProcessIdentity> {
    var all: [UInt32: ProcessStat] = [:]
    do throws(SyscallError) {
      for name in try list("/proc") {
        guard let number = UInt32(name) else { continue }
        do throws(SnapshotError) { all[number] = try processStat(number) } catch {}  // It has ended meanwhile.
      }
    } catch { return known }
    let untouchable = spared.union([UInt32(bitPattern: processID)]).union(starter.map { [$0] } ?? [])
    let certain = Set(roots).union(known)
    var isMember: [UInt32: Bool] = [:]
    func decide(_ number: UInt32, _ depth: Int) -> Bool {
      if let decided = isMember[number] { return decided }
      guard let stat = all[number], number > 1, depth < 1024, !untouchable.contains(number) else { return false }
      isMember[number] = false
      let answer =
        certain.contains(ProcessIdentity(number: number, made: stat.made)) || stat.parent == starter && starter != nil
        || decide(stat.parent, depth + 1) || isInside(number, place)
      isMember[number] = answer
      return answer
    }
    return Set(
      all.compactMap { number, stat in
        let hasEnded = stat.state == UInt8(ascii: "Z") || stat.state == UInt8(ascii: "X")
        return !hasEnded && decide(number, 0) ? ProcessIdentity(number: number, made: stat.made) : nil
      })
  }

  private func isInside(_ number: UInt32, _ place: Place?) -> Bool {
    guard let mounts = place?.mounts else { return false }
    do throws(SyscallError) {
      let theirs = try identity(of: "/proc/\(number)/ns/mnt")
      return (theirs.device, theirs.inode) == (mounts.device, mounts.inode)
    } catch { return false }
  }
}
