import Bytes

extension ObjectFile {
  /// The address of the data object that `.dynsym` calls `name` (ELF gABI 4, STT_OBJECT), nil where it names none.
  package func exportedObject(_ name: String) throws(ELFError) -> ImageAddress? {
    try dynamicSymbol(name) { $0.type == 1 && $0.section != 0 }?.address
  }

  /// `.dynsym` defines a function of that name (STT_FUNC, or STT_GNU_IFUNC).
  package func exportsFunction(_ name: String) throws(ELFError) -> Bool {
    try dynamicSymbol(name) { ($0.type == 2 || $0.type == 10) && $0.section != 0 } != nil
  }

  /// `.dynsym` wants a symbol of that name from another file.
  package func imports(_ name: String) throws(ELFError) -> Bool { try dynamicSymbol(name) { $0.section == 0 } != nil }

  private struct DynamicSymbol {
    var name: UInt64
    var type: UInt8
    /// 0: another file's.
    var section: UInt16
    var address: ImageAddress
  }

  private func dynamicSymbol(
    _ name: String, where isWanted: (DynamicSymbol) -> Bool
  ) throws(ELFError) -> DynamicSymbol? {
    let all = try sections()
    guard let table = all.first(where: { $0.type == 11 }) else { return nil }
    guard table.link < all.count else { throw .malformed(.symbols) }
    let strings = all[table.link]
    let wanted = Array(name.utf8) + [0]
    let count = table.count / 24
    // Those that any real library exports; a name is read for each that is wanted otherwise.
    guard count <= 1 << 17 else { throw .tooLarge(.symbols, count) }
    for index in 0..<count {
      let (offset, overflow) = table.fileOffset.addingReportingOverflow(index * 24)
      guard !overflow else { throw .malformed(.symbols) }
      let row = try parse(try bytes(at: offset, count: 24), as: .symbols) { (cursor) throws(BytesError) in
        let name = try cursor.u32()
        let type = try cursor.u8() & 15
        try cursor.skip(1)
        let section = try cursor.u16()
        return DynamicSymbol(name: UInt64(name), type: type, section: section, address: ImageAddress(try cursor.u64()))
      }
      guard isWanted(row), row.name < strings.count, strings.count - row.name >= UInt64(wanted.count) else { continue }
      let (place, over) = strings.fileOffset.addingReportingOverflow(row.name)
      guard !over else { throw .malformed(.strings) }
      if try bytes(at: place, count: wanted.count) == wanted { return row }
    }
    return nil
  }
}
