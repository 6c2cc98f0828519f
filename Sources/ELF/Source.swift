/// The bytes of one file, read piece by piece. The file may be changed, cut or replaced by whoever owns it while it is read:
/// it is never mapped (a cut file would be a SIGBUS), and what was read once is kept only as bytes.
package struct Source {
  /// Thrown where the file could not be read, or ended early.
  package struct Unreadable: Error, Equatable, Sendable {
    package init() {}
  }

  package let sizeBytes: UInt64
  /// Exactly `count` bytes at `offset`, or it throws. Only asked for what lies within the size.
  let read: (_ offset: UInt64, _ count: Int) throws(Unreadable) -> [UInt8]

  package init(sizeBytes: UInt64, read: @escaping (_ offset: UInt64, _ count: Int) throws(Unreadable) -> [UInt8]) {
    self.sizeBytes = sizeBytes
    self.read = read
  }

  /// A file that is wholly in memory.
  package init(_ bytes: [UInt8]) {
    self.init(sizeBytes: UInt64(bytes.count)) { (offset, count) throws(Unreadable) in
      guard count >= 0, let start = Int(exactly: offset), start <= bytes.count, count <= bytes.count - start else {
        throw Unreadable()
      }
      return Array(bytes[start..<(start + count)])
    }
  }
}

/// What was read of a source lately: a direct-mapped cache, so that its size is fixed whatever is asked.
struct Chunks {
  /// A page: what the kernel reads anyway.
  static let chunkBytes = 4096
  /// 256 KiB a file: the search path of an `.eh_frame_hdr`, and the functions a program's stacks run through.
  static let slots = 64

  private var held: [(index: UInt64, bytes: [UInt8])?] = .init(repeating: nil, count: slots)

  /// The chunk `index` of `source`; the last one of a file is shorter.
  mutating func chunk(_ index: UInt64, of source: Source) throws(Source.Unreadable) -> [UInt8] {
    let slot = Int(index % UInt64(Chunks.slots))
    if let found = held[slot], found.index == index { return found.bytes }
    let (start, overflow) = index.multipliedReportingOverflow(by: UInt64(Chunks.chunkBytes))
    guard !overflow, start < source.sizeBytes else { throw Source.Unreadable() }
    let count = Int(min(UInt64(Chunks.chunkBytes), source.sizeBytes - start))
    let bytes = try source.read(start, count)
    guard bytes.count == count else { throw Source.Unreadable() }
    held[slot] = (index, bytes)
    return bytes
  }
}
