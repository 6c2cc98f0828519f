/// One line of `/proc/PID/maps` (proc(5)): `start-end perms offset major:minor inode   name`.
package struct MapsLine: Equatable, Sendable {
  package var start: UInt64
  package var end: UInt64
  package var permissions: String
  package var fileOffset: UInt64
  package var deviceMajor: UInt32
  package var deviceMinor: UInt32
  package var inode: UInt64
  package var name: String

  package init(_ line: some StringProtocol) throws(ProcFSError) {
    let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
    guard fields.count >= 5 else { throw ProcFSError(file: "maps", text: String(line)) }
    let range = fields[0].split(separator: "-", omittingEmptySubsequences: false)
    let device = fields[3].split(separator: ":", omittingEmptySubsequences: false)
    guard range.count == 2, device.count == 2, fields[1].utf8.count == 4,
      let start = UInt64(range[0], radix: 16), let end = UInt64(range[1], radix: 16), start < end,
      let offset = UInt64(fields[2], radix: 16), let major = UInt32(device[0], radix: 16),
      let minor = UInt32(device[1], radix: 16), let inode = UInt64(fields[4])
    else { throw ProcFSError(file: "maps", text: String(line)) }
    self.start = start
    self.end = end
    permissions = String(fields[1])
    fileOffset = offset
    deviceMajor = major
    deviceMinor = minor
    self.inode = inode
    name = fields.count > 5 ? String(fields[5].drop { $0 == " " }) : ""
  }
}

/// The line that holds `address`, or nil; a line that does not parse is an error, wherever it stands.
package func mapping(at address: UInt64, in text: String) throws(ProcFSError) -> MapsLine? {
  for line in text.split(separator: "\n") {
    let mapping = try MapsLine(line)
    if mapping.start <= address, address < mapping.end { return mapping }
  }
  return nil
}
