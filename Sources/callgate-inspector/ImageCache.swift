internal import ELF
internal import Inspection
internal import Kernel
internal import Wire

/// Images by the identity of their files. They outlive execs and forks and serve every process of the container.
final class ImageCache {
  /// A container's processes map some dozens of different files; each costs a descriptor here.
  static let maxImages = 192

  private struct Key: Hashable {
    var device: UInt64
    var inode: UInt64
    /// Two files can share device and inode in a union of file systems, but not at one path.
    var path: String
  }

  private struct Entry {
    let file: OpenFile
    let identity: FileIdentity
    let image: Image
    var lastUse: UInt64
  }

  private var entries: [Key: Entry] = [:]
  /// Files whose inode is not the mapping's: good for the inspection that opened them, and no longer.
  private var passing: [Key: Entry] = [:]
  private let vdso: Image?
  private var inspection: UInt64 = 0

  init(vdso bytes: [UInt8]) {
    // Without it a frame in the vDSO cannot be judged, which is what the finding then says.
    do throws(ELFError) {
      let image = try Image(Source(bytes))
      image.isVDSO = true
      vdso = image
    } catch { vdso = nil }
  }

  func beginInspection() {
    inspection &+= 1
    passing = [:]
  }

  func image(of mapping: Mapping, open: () throws(Unreadable) -> OwnedFD) throws(Unreadable) -> Image? {
    if mapping.backing == .special { return mapping.path == "[vdso]" ? vdso : nil }
    let key = Key(device: mapping.device, inode: mapping.inode, path: mapping.path)
    if let entry = passing[key] { return entry.image }
    if let entry = entries[key] {
      if entry.lastUse == inspection || isUnchanged(entry) {
        entries[key]?.lastUse = inspection
        return entry.image
      }
      entries[key] = nil
    }
    let entry = try read(try open())
    if entry.identity.inode == mapping.inode {
      if entries.count >= ImageCache.maxImages { evict() }
      entries[key] = entry
    } else {
      if passing.count >= 32 { throw Unreadable() }
      passing[key] = entry
    }
    return entry.image
  }

  /// The file is what it was when it was read. Its inode cannot have come to mean another file: the descriptor holds it.
  private func isUnchanged(_ entry: Entry) -> Bool {
    do throws(SyscallError) {
      let now = try identity(of: entry.file.descriptor)
      return now.size == entry.identity.size && now.modified == entry.identity.modified && now.changed == entry.identity.changed
    } catch {
      return false
    }
  }

  private func read(_ descriptor: consuming OwnedFD) throws(Unreadable) -> Entry {
    let file = OpenFile(descriptor)
    let status: FileIdentity
    do throws(SyscallError) { status = try identity(of: file.descriptor) } catch { throw Unreadable() }
    // Without a link it is deleted, or was never a file of the image: memfd, O_TMPFILE, shared memory.
    guard status.isRegular, status.links > 0, let size = UInt64(exactly: status.size) else { throw Unreadable() }
    do throws(ELFError) {
      let image = try Image(file.source(of: size), changed: status.changed)
      return Entry(file: file, identity: status, image: image, lastUse: inspection)
    } catch {
      throw Unreadable()
    }
  }

  private func evict() {
    guard let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) else { return }
    entries[oldest.key] = nil
  }
}
