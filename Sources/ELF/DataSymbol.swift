import Bytes

extension ObjectFile {
  /// The address of the data object that `.dynsym` calls `name` (ELF gABI 4, STT_OBJECT), nil where it names none.
  package func exportedObject(_ name: String) throws(ELFError) -> ImageAddress? {
    let all = try sections()
    guard let table = all.first(where: { $0.type == 11 }) else { return nil }
    guard table.link < all.count else { throw .malformed(.symbols) }
    let strings = all[table.link]
    let wanted = Array(name.utf8) + [0]
    let count = table.count / 24
    // Those that any real library exports; a name is read for each object among them.
    guard count <= 1 << 17 else { throw .tooLarge(.symbols, count) }
    for index in 0..<count {
      let (offset, overflow) = table.fileOffset.addingReportingOverflow(index * 24)
      guard !overflow else { throw .malformed(.symbols) }
      let row = try parse(try bytes(at: offset, count: 24), as: .symbols) { (cursor) throws(BytesError) in
        let name = try cursor.u32()
        let type = try cursor.u8() & 15
        try cursor.skip(1)
        let section = try cursor.u16()
        return (name: UInt64(name), isObject: type == 1 && section != 0, address: try cursor.u64())
      }
      guard row.isObject, row.name < strings.count, strings.count - row.name >= UInt64(wanted.count) else { continue }
      let (place, over) = strings.fileOffset.addingReportingOverflow(row.name)
      guard !over else { throw .malformed(.strings) }
      if try bytes(at: place, count: wanted.count) == wanted { return ImageAddress(row.address) }
    }
    return nil
  }
}
