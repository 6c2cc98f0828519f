internal import Inspection
internal import Kernel
internal import ProcFS
internal import Wire

/// What is kept of one address space for as long as its mappings are the same: the supervisor says when they may be others.
final class KeptSpace {
  fileprivate let memory: ProcessMemory
  fileprivate let map: MemoryMap
  fileprivate let pages: PageMap
  /// Asked once each: an inspection sees one state of the mappings.
  fileprivate var seen: [Mapping] = []
  /// The text of the maps, where the kernel cannot be asked for one address.
  fileprivate var text: [UInt8]?
  private var generation: UInt64?

  init(memory: consuming ProcessMemory, map: consuming MemoryMap, pages: consuming PageMap) {
    self.memory = memory
    self.map = map
    self.pages = pages
  }

  /// A new question is about to be answered; nil where nothing tells what is still the same.
  func begin(_ generation: UInt64?) {
    text = nil
    if generation == nil || generation != self.generation { seen = [] }
    self.generation = generation
  }
}

/// The process under inspection, through the descriptors that came with the question, or with an earlier one.
struct InspectedProcess: AddressSpace {
  private let space: KeptSpace
  private let images: ImageCache
  private let conversation: Conversation
  private let untouched: [Range<UInt64>]
  /// The bytes just below SP, and where they begin.
  private let below: (start: UInt64, bytes: [UInt8])
  /// The conversation with the supervisor broke off.
  private(set) var failure: Failure?

  /// A stack runs through some dozens of mappings at most.
  private static let maxSeen = 256
  /// Some 100,000 mappings; the kernel's default limit is 65,530 (vm.max_map_count).
  private static let maxMapsBytes = 16 << 20

  init(_ request: Request, _ space: KeptSpace, images: ImageCache, conversation: Conversation) {
    self.space = space
    self.images = images
    self.conversation = conversation
    untouched = request.space?.untouched ?? []
    let bytes = request.snapshot.below
    below = ((request.snapshot.registers[Registers.rsp] ?? 0) &- UInt64(bytes.count), bytes)
    space.begin(request.space?.generation)
  }

  mutating func read(at address: UInt64, upTo count: Int) throws(Unreadable) -> [UInt8] {
    if let place = Int(exactly: address &- below.start), place < below.bytes.count, count <= below.bytes.count - place {
      return Array(below.bytes[place..<(place + count)])
    }
    let bytes = space.memory.read(address, count: try mappedBytes(from: address, upTo: count))
    guard !bytes.isEmpty else { throw Unreadable() }
    return bytes
  }

  /// How many of `count` bytes are mapped. Others must not even be read: the kernel then tries to grow the stack above them (mm/memory.c,
  /// `__access_remote_vm`), for which it locks the mappings as for a change, so that what was found could never be known to be still so.
  private mutating func mappedBytes(from address: UInt64, upTo count: Int) throws(Unreadable) -> Int {
    guard let first = try mapping(at: address), let wanted = UInt64(exactly: count) else { throw Unreadable() }
    var end = first.end
    while end - address < wanted, let next = try mapping(at: end), next.end > end { end = next.end }
    return Int(min(wanted, end - address))
  }

  mutating func ownPages(from address: UInt64, count: Int) throws(Unreadable) -> [Int]? {
    if count > 0, let end = UInt64(exactly: count).map({ address &+ $0 &* PageMap.pageBytes }),
      untouched.contains(where: { $0.lowerBound <= address && address < end && end <= $0.upperBound })
    {
      return []
    }
    do throws(SyscallError) { return try space.pages.ownPages(from: address, count: count) } catch { throw Unreadable() }
  }

  /// What a person is shown of a path: the bytes up to a NUL, at most 256.
  func text(at address: UInt64) -> [UInt8] { Array(space.memory.read(address, count: 256).prefix { $0 != 0 }) }

  mutating func mapping(at address: UInt64) throws(Unreadable) -> Mapping? {
    if let known = space.seen.first(where: { $0.contains(address) }) { return known }
    guard let found = try find(address) else { return nil }
    if space.seen.count < InspectedProcess.maxSeen { space.seen.append(found) }
    return found
  }

  mutating func image(of mapping: Mapping) throws(Unreadable) -> Image? {
    var broken: Failure?
    defer { failure = failure ?? broken }
    let conversation = self.conversation
    return try images.image(of: mapping) { () throws(Unreadable) in
      do throws(Failure) {
        if let file = try conversation.openMapped(start: mapping.start, end: mapping.end) { return file }
      } catch {
        broken = error
      }
      throw Unreadable()
    }
  }

  mutating func codeMappings() throws(Unreadable) -> [Mapping] {
    do throws(SyscallError) {
      if space.text == nil { space.text = try space.map.text(limit: InspectedProcess.maxMapsBytes) }
    } catch {
      throw Unreadable()
    }
    var mappings: [Mapping] = []
    for line in (space.text ?? []).split(separator: UInt8(ascii: "\n")) {
      do throws(ProcFSError) {
        let mapping = Mapping(try MapsLine(line))
        if mapping.isExecutable, !mapping.isWritable, mapping.backing == .file || mapping.backing == .special { mappings.append(mapping) }
      } catch {
        throw Unreadable()
      }
    }
    return mappings
  }

  private mutating func find(_ address: UInt64) throws(Unreadable) -> Mapping? {
    do throws(SyscallError) {
      switch try space.map.query(address) {
      case .mapping(let mapping): return Mapping(mapping)
      case .none: return nil
      case .notSupported: break
      }
      if space.text == nil { space.text = try space.map.text(limit: InspectedProcess.maxMapsBytes) }
    } catch {
      throw Unreadable()
    }
    do throws(ProcFSError) {
      return try ProcFS.mapping(at: address, in: space.text ?? []).map { Mapping($0) }
    } catch {
      throw Unreadable()
    }
  }
}

extension Mapping {
  fileprivate init(_ mapping: MemoryMapping) {
    self.init(
      start: mapping.start, end: mapping.end, fileOffset: mapping.fileOffset, isReadable: mapping.isReadable,
      isWritable: mapping.isWritable, isExecutable: mapping.isExecutable, isShared: mapping.isShared,
      backing: backingOf(mapping.name, inode: mapping.inode),
      device: UInt64(mapping.deviceMajor) << 32 | UInt64(mapping.deviceMinor), inode: mapping.inode, path: mapping.name)
  }

  fileprivate init(_ line: MapsLine) {
    self.init(
      start: line.start, end: line.end, fileOffset: line.fileOffset, isReadable: line.isReadable, isWritable: line.isWritable,
      isExecutable: line.isExecutable, isShared: line.isShared, backing: backingOf(line.name, inode: line.inode),
      device: UInt64(line.deviceMajor) << 32 | UInt64(line.deviceMinor), inode: line.inode, path: line.name)
  }
}

/// What lies behind a mapping, by the name that the kernel gives it (proc(5); fs/proc/task_mmu.c, get_vma_name). A process can name only
/// its anonymous memory, and that name shows as `[anon:…]`.
private func backingOf(_ name: String, inode: UInt64) -> Backing {
  if inode == 0 {
    switch name {
    case "": return .anonymous
    case "[heap]": return .heap
    case "[stack]": return .mainStack
    default: return name.utf8.starts(with: "[anon:".utf8) ? .anonymous : .special
    }
  }
  // By bytes: a Character can swallow what stands before or after it, and the file's name is the attacker's to choose.
  if name.utf8.starts(with: "/memfd:".utf8) { return .memfd }
  if name.utf8.first != UInt8(ascii: "/") { return .anonymous }
  // A file whose name really ends so is taken for a deleted one: refused, never believed. That no file without a name is believed does
  // not depend on this: ImageCache refuses one without links.
  return name.utf8.reversed().starts(with: " (deleted)".utf8.reversed()) ? .deletedFile : .file
}
