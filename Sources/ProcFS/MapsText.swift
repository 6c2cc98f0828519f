/// One line of `/proc/PID/maps` (proc(5)): `start-end perms offset major:minor inode   name`.
package struct MapsLine: Equatable, Sendable {
  package var start: UInt64
  package var end: UInt64
  package var isReadable: Bool
  package var isWritable: Bool
  package var isExecutable: Bool
  package var isShared: Bool
  package var fileOffset: UInt64
  package var deviceMajor: UInt32
  package var deviceMinor: UInt32
  package var inode: UInt64
  package var name: String

  package init(_ line: some BidirectionalCollection<UInt8>) throws(ProcFSError) {
    let space = UInt8(ascii: " ")
    let fields = line.split(separator: space, maxSplits: 5, omittingEmptySubsequences: true)
    guard fields.count >= 5 else { throw ProcFSError("maps", line) }
    let range = fields[0].split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    let device = fields[3].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    let permissions = Array(fields[1])
    guard range.count == 2, device.count == 2, permissions.count == 4,
      let start = hexadecimal(range[0]), let end = hexadecimal(range[1]), start < end, let offset = hexadecimal(fields[2]),
      let major = number(device[0], radix: 16, as: UInt32.self), let minor = number(device[1], radix: 16, as: UInt32.self),
      let inode = number(fields[4], as: UInt64.self)
    else { throw ProcFSError("maps", line) }
    self.start = start
    self.end = end
    isReadable = permissions[0] == UInt8(ascii: "r")
    isWritable = permissions[1] == UInt8(ascii: "w")
    isExecutable = permissions[2] == UInt8(ascii: "x")
    isShared = permissions[3] == UInt8(ascii: "s")
    fileOffset = offset
    deviceMajor = major
    deviceMinor = minor
    self.inode = inode
    name = fields.count > 5 ? String(decoding: fields[5].drop { $0 == space }, as: UTF8.self) : ""
  }
}

/// The line that holds `address`, or nil; a line that does not parse is an error, wherever it stands.
package func mapping(at address: UInt64, in text: [UInt8]) throws(ProcFSError) -> MapsLine? {
  for line in text.split(separator: UInt8(ascii: "\n")) {
    let mapping = try MapsLine(line)
    if mapping.start <= address, address < mapping.end { return mapping }
  }
  return nil
}
