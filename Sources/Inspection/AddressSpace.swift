package import Wire

/// One mapping of the inspected process, as `/proc/PID/maps` or `PROCMAP_QUERY` gives it.
package struct Mapping: Equatable, Sendable {
  package var start: UInt64
  /// The first address past it.
  package var end: UInt64
  /// Of the mapping's first byte in its file.
  package var fileOffset: UInt64
  package var isReadable: Bool
  package var isWritable: Bool
  package var isExecutable: Bool
  package var isShared: Bool
  package var backing: Backing
  /// What identifies the file.
  package var device: UInt64
  package var inode: UInt64
  /// As the kernel shows it: a hint for people.
  package var path: String

  package init(
    start: UInt64, end: UInt64, fileOffset: UInt64 = 0, isReadable: Bool = true, isWritable: Bool = false,
    isExecutable: Bool = false, isShared: Bool = false, backing: Backing, device: UInt64 = 0, inode: UInt64 = 0, path: String = ""
  ) {
    self.start = start
    self.end = end
    self.fileOffset = fileOffset
    self.isReadable = isReadable
    self.isWritable = isWritable
    self.isExecutable = isExecutable
    self.isShared = isShared
    self.backing = backing
    self.device = device
    self.inode = inode
    self.path = path
  }

  package func contains(_ address: UInt64) -> Bool { start <= address && address < end }
}

/// Thrown where the process, its memory or a mapped file can not be read (any more).
package struct Unreadable: Error, Equatable, Sendable {
  package init() {}
}

/// The process that is inspected: its memory, its mappings, and the files behind them.
package protocol AddressSpace {
  /// The mapping that holds `address`, nil where nothing is mapped.
  mutating func mapping(at address: UInt64) throws(Unreadable) -> Mapping?
  /// The bytes at `address`: at least one, at most `count`, fewer where the memory ends.
  mutating func read(at address: UInt64, upTo count: Int) throws(Unreadable) -> [UInt8]
  /// Those of `count` pages of 4096 bytes from `address` on, as numbers from 0, that the process has a copy of for itself: it has written to
  /// them, or somebody else has, since the file was mapped. nil where nobody can tell.
  mutating func ownPages(from address: UInt64, count: Int) throws(Unreadable) -> [Int]?
  /// The image of a file-backed or special mapping. nil for a special one that has none; an image is kept by the file's
  /// identity (device, inode) by whoever conforms, since everything it learnt stays true for the next inspection.
  mutating func image(of mapping: Mapping) throws(Unreadable) -> Image?
  /// The executable mappings of files, the vDSO's among them, in the order of their addresses.
  mutating func codeMappings() throws(Unreadable) -> [Mapping]
}

extension AddressSpace {
  /// The lowest executable mapping of a file for whose path `isWanted` holds, nil where there is none.
  mutating func code(ofFile isWanted: (String) -> Bool) throws(Unreadable) -> Mapping? {
    try codeMappings().first { $0.backing == .file && isWanted($0.path) }
  }
}
