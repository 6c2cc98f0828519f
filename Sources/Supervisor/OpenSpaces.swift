internal import BPF
internal import Kernel
internal import Wire

/// What is open of one address space. The descriptors are bound to it from when they were opened (`proc_mem_open` of fs/proc/base.c).
final class OpenSpace {
  /// Of all that were ever opened.
  let number: UInt64
  let memory: ProcessMemory
  let map: MemoryMap
  let pages: PageMap
  fileprivate var place: UInt32?
  fileprivate var lastUse: UInt64 = 0
  fileprivate var sequence: UInt64?
  fileprivate var since: Int64 = 0
  fileprivate var generation: UInt64 = 0

  fileprivate init(of thread: UInt32, number: UInt64) throws(SyscallError) {
    self.number = number
    memory = try ProcessMemory(of: thread)
    map = try MemoryMap(of: thread)
    pages = try PageMap(of: thread)
  }

  var descriptors: [CInt] { [memory.descriptor.raw, map.descriptor.raw] + (pages.raw.map { [$0] } ?? []) }
}

/// Keeps what is open of address spaces from one inspection to the next.
///
/// **Why what is kept is the thread's own.** An address space is told by the place of its page tables in the kernel, which each copy of a
/// thread says. The kernel frees them with the address space (`__mmdrop`, kernel/fork.c), and that not before the last descriptor in here
/// is closed: no other can have the same place meanwhile. An execve or a fork makes another one.
///
/// **Why what was seen of the mappings is still so.** As for the facts of trails (`Recall`): the kernel counts their changes, and what was seen
/// while the count was the same is good, for a second at most, as the count has 32 bits.
struct OpenSpaces {
  private static let goodForMilliseconds: Int64 = 1000

  /// By the page tables' place.
  private var kept: [UInt64: OpenSpace] = [:]
  private var opened: UInt64 = 0
  private var generations: UInt64 = 0
  private var clock: UInt64 = 0

  /// The space of a thread that was just copied, whose page tables lie at `tables`. The caller sees to it that it is the very thread still, and
  /// only then keeps it.
  mutating func space(of thread: UInt32, tables: UInt64?) throws(SyscallError) -> OpenSpace {
    if let tables, let known = kept[tables] { return known }
    opened &+= 1
    return try OpenSpace(of: thread, number: opened)
  }

  /// What the inspector may keep of `space`. `sequence` is the count of changes when the thread was copied, nil where there is none.
  mutating func keep(_ space: OpenSpace, tables: UInt64, sequence: UInt64?, untouched: [Range<UInt64>]) -> SpaceView {
    clock &+= 1
    space.lastUse = clock
    let now = monotonicMilliseconds()
    if sequence == nil || sequence != space.sequence || now - space.since >= OpenSpaces.goodForMilliseconds {
      generations &+= 1
      (space.generation, space.sequence, space.since) = (generations, sequence, now)
    }
    let place = space.place ?? freePlace()
    space.place = place
    kept[tables] = space
    return SpaceView(place: place, generation: space.generation, untouched: untouched)
  }

  /// Where there is none, that of the space that was not used for longest.
  private mutating func freePlace() -> UInt32 {
    if kept.count >= SpaceView.maxPlaces, let oldest = kept.min(by: { $0.value.lastUse < $1.value.lastUse }) { kept[oldest.key] = nil }
    let taken = Set(kept.values.compactMap(\.place))
    return (0..<UInt32(SpaceView.maxPlaces)).first { !taken.contains($0) } ?? 0
  }
}
