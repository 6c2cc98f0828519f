import ELF
import Foundation
import Glibc
import Inspection
import Wire

/// A stopped process as `AddressSpace` asks for it: `/proc/PID/maps`, `/proc/PID/mem`, and the files by their paths.
struct LiveProcess: AddressSpace {
  let pid: Int32
  let images: Images
  private let memory: CInt
  private let pages: CInt
  let every: [Mapping]

  /// Images outlive the processes: what the inspector keeps.
  final class Images {
    struct Identity: Hashable {
      var device: UInt64
      var inode: UInt64
      var path: String
    }
    var kept: [Identity: Image?] = [:]
  }

  init(_ pid: Int32, _ images: Images) throws {
    self.pid = pid
    self.images = images
    memory = unsafe open("/proc/\(pid)/mem", O_RDONLY | O_CLOEXEC)
    pages = unsafe open("/proc/\(pid)/pagemap", O_RDONLY | O_CLOEXEC)
    every = LiveProcess.parse(LiveProcess.text("/proc/\(pid)/maps"))
  }

  /// The whole of a file of /proc, which has no size to go by.
  private static func text(_ path: String) -> String {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    defer { close(file) }
    var all: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65536)
    while true {
      // SAFETY: the buffer is the array's own, and its count bounds the read.
      let got = unsafe piece.withUnsafeMutableBytes { unsafe Glibc.read(file, $0.baseAddress, $0.count) }
      if got <= 0 { return String(decoding: all, as: UTF8.self) }
      all += piece[..<got]
    }
  }

  func finish() {
    close(memory)
    close(pages)
  }

  static func parse(_ text: String) -> [Mapping] {
    text.split(separator: "\n").map { line in
      let words = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
      let range = words[0].split(separator: "-").map { UInt64($0, radix: 16)! }
      let flags = Array(words[1].utf8)
      let device = words[3].split(separator: ":").map { UInt64($0, radix: 16)! }
      let path = words.count > 5 ? words[5].drop { $0 == " " } : ""
      let backing: Backing =
        switch path {
        case "": .anonymous
        case "[heap]": .heap
        case "[stack]": .mainStack
        case let name where name.hasPrefix("[anon"): .anonymous
        case let name where name.hasPrefix("["): .special
        case let name where name.hasPrefix("/memfd:"): .memfd
        case let name where name.hasSuffix(" (deleted)"): .deletedFile
        default: .file
        }
      return Mapping(
        start: range[0], end: range[1], fileOffset: UInt64(words[2], radix: 16)!, isReadable: flags[0] == UInt8(ascii: "r"),
        isWritable: flags[1] == UInt8(ascii: "w"), isExecutable: flags[2] == UInt8(ascii: "x"),
        isShared: flags[3] == UInt8(ascii: "s"), backing: backing, device: device[0] << 32 | device[1], inode: UInt64(words[4])!,
        path: String(path))
    }
  }

  func mapping(at address: UInt64) -> Mapping? { every.first { $0.contains(address) } }

  func read(at address: UInt64, upTo count: Int) throws(Unreadable) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    guard let offset = Int(exactly: address) else { throw Unreadable() }
    // SAFETY: the buffer is the array's own, and its count bounds the read.
    let got = unsafe bytes.withUnsafeMutableBytes { unsafe pread(memory, $0.baseAddress, $0.count, offset) }
    guard got > 0 else { throw Unreadable() }
    return Array(bytes[..<got])
  }

  func ownPages(from address: UInt64, count: Int) throws(Unreadable) -> [Int]? {
    var entries = [UInt64](repeating: 0, count: count)
    // SAFETY: the buffer is the array's own, and its count bounds the read.
    let got = unsafe entries.withUnsafeMutableBytes { unsafe pread(pages, $0.baseAddress, $0.count, Int(address / 4096 * 8)) }
    guard got > 0 else { throw Unreadable() }
    // Present and no file's, or swapped out (Documentation/admin-guide/mm/pagemap.rst).
    return entries[..<(got / 8)].indices.filter { entries[$0] >> 61 & 0b101 == 0b100 || entries[$0] >> 62 & 1 == 1 }
  }

  func codeMappings() -> [Mapping] {
    every.filter { $0.isExecutable && !$0.isWritable && ($0.backing == .file || $0.backing == .special) }
  }

  func image(of mapping: Mapping) throws(Unreadable) -> Image? {
    let identity = Images.Identity(device: mapping.device, inode: mapping.inode, path: mapping.path)
    if let known = images.kept[identity] {
      guard let known else { throw Unreadable() }
      return known
    }
    images.kept[identity] = .some(nil)
    let source: Source
    var changed: Int64?
    if mapping.backing == .special {
      source = Source(try read(at: mapping.start, upTo: Int(mapping.end - mapping.start)))
    } else {
      let file = unsafe open(mapping.path, O_RDONLY | O_CLOEXEC)
      guard file >= 0 else { throw Unreadable() }
      var status = stat()
      guard unsafe fstat(file, &status) == 0 else { throw Unreadable() }
      changed = Int64(status.st_ctim.tv_sec) * 1_000_000_000 + Int64(status.st_ctim.tv_nsec)
      source = Source(sizeBytes: UInt64(status.st_size)) { (offset, count) throws(Source.Unreadable) in
        var bytes = [UInt8](repeating: 0, count: count)
        // SAFETY: as above.
        let got = unsafe bytes.withUnsafeMutableBytes { unsafe pread(file, $0.baseAddress, $0.count, Int(offset)) }
        guard got == count else { throw Source.Unreadable() }
        return bytes
      }
    }
    do throws(ELFError) {
      let image = try Image(source, changed: changed)
      image.isVDSO = mapping.path == "[vdso]"
      images.kept[identity] = image
      return image
    } catch { throw Unreadable() }
  }
}
