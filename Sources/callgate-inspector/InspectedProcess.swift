internal import Inspection
internal import Kernel
internal import ProcFS
internal import Wire

/// The process under inspection, through the descriptors that came with the question.
struct InspectedProcess: AddressSpace {
  private let memory: Shared<ProcessMemory>
  private let map: Shared<MemoryMap>
  private let pages: Shared<PageMap>
  private let images: ImageCache
  private let conversation: Conversation
  /// Asked once each: an inspection sees one state of the mappings.
  private var seen: [Mapping] = []
  /// The text of the maps, where the kernel cannot be asked for one address.
  private var text: [UInt8]?
  /// The conversation with the supervisor broke off.
  private(set) var failure: Failure?

  /// A stack runs through some dozens of mappings at most.
  private static let maxSeen = 256
  /// Some 100,000 mappings; the kernel's default limit is 65,530 (vm.max_map_count).
  private static let maxMapsBytes = 16 << 20

  init(
    memory: consuming ProcessMemory, map: consuming MemoryMap, pages: consuming PageMap, images: ImageCache, conversation: Conversation
  ) {
    self.memory = Shared(memory)
    self.map = Shared(map)
    self.pages = Shared(pages)
    self.images = images
    self.conversation = conversation
  }

  mutating func read(at address: UInt64, upTo count: Int) throws(Unreadable) -> [UInt8] {
    let bytes = memory.value.read(address, count: count)
    guard !bytes.isEmpty else { throw Unreadable() }
    return bytes
  }

  mutating func ownPages(from address: UInt64, count: Int) throws(Unreadable) -> [Int]? {
    do throws(SyscallError) { return try pages.value.ownPages(from: address, count: count) } catch { throw Unreadable() }
  }

  /// What a person is shown of a path: the bytes up to a NUL, at most 256.
  func text(at address: UInt64) -> [UInt8] { Array(memory.value.read(address, count: 256).prefix { $0 != 0 }) }

  mutating func mapping(at address: UInt64) throws(Unreadable) -> Mapping? {
    if let known = seen.first(where: { $0.contains(address) }) { return known }
    guard let found = try find(address) else { return nil }
    if seen.count < InspectedProcess.maxSeen { seen.append(found) }
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
      if text == nil { text = try map.value.text(limit: InspectedProcess.maxMapsBytes) }
    } catch {
      throw Unreadable()
    }
    var mappings: [Mapping] = []
    for line in (text ?? []).split(separator: UInt8(ascii: "\n")) {
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
      switch try map.value.query(address) {
      case .mapping(let mapping): return Mapping(mapping)
      case .none: return nil
      case .notSupported: break
      }
      if text == nil { text = try map.value.text(limit: InspectedProcess.maxMapsBytes) }
    } catch {
      throw Unreadable()
    }
    do throws(ProcFSError) {
      return try ProcFS.mapping(at: address, in: text ?? []).map { Mapping($0) }
    } catch {
      throw Unreadable()
    }
  }
}

/// A value that cannot be copied, in a structure that can.
private final class Shared<Value: ~Copyable> {
  let value: Value

  init(_ value: consuming Value) { self.value = value }
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
