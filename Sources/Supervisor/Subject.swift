internal import BPF
internal import Kernel
internal import Wire

/// A blocked thread with what is open of its address space.
struct Subject {
  let snapshot: Snapshot
  let space: OpenSpace
  /// nil where nothing tells its address space from others.
  let view: SpaceView?

  static func taken(
    of notification: borrowing Kernel.Notification, by copier: inout Copier, _ recall: borrowing Recall, _ spaces: inout OpenSpaces
  ) throws(SnapshotError) -> Subject {
    let snapshot = try copier.copy(notification, recall.question)
    let identity = copier.identity
    let space = try SnapshotError.wrap { () throws(SyscallError) in
      try spaces.space(of: notification.thread, tables: identity?.tables)
    }
    // Until here a thread id may have come to mean another thread. The one that waits has waited all the time, in one address space.
    guard notification.isValid() else { throw .gone }
    let view = identity.map { identity in
      spaces.keep(space, tables: identity.tables, sequence: identity.sequence, untouched: recall.untouched(copier))
    }
    return Subject(snapshot: snapshot, space: space, view: view)
  }
}
