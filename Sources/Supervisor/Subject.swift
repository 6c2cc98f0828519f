internal import Kernel
internal import Wire

/// A blocked thread with what is open of it. The descriptors are bound to the address space that it had when they were opened.
struct Subject: ~Copyable {
  let snapshot: Snapshot
  let memory: ProcessMemory
  let map: MemoryMap
  let pages: PageMap

  static func taken(of notification: borrowing Notification, by copier: inout Copier) throws(SnapshotError) -> Subject {
    let snapshot = try copier.copy(notification)
    let thread = notification.thread
    let memory = try SnapshotError.wrap { () throws(SyscallError) in try ProcessMemory(of: thread) }
    let map = try SnapshotError.wrap { () throws(SyscallError) in try MemoryMap(of: thread) }
    let pages = try SnapshotError.wrap { () throws(SyscallError) in try PageMap(of: thread) }
    // Until here a thread id may have come to mean another thread.
    guard notification.isValid() else { throw .gone }
    return Subject(snapshot: snapshot, memory: memory, map: map, pages: pages)
  }
}
