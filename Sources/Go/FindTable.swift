import Bytes
package import ELF

extension GoTable {
  /// Where nothing says where the table lies, this much of a file is searched for it.
  static let maxSearchedBytes: UInt64 = 64 << 20
  private static let window = 1 << 16

  /// The table of `file`; nil where it has none, i.e. is no Go program.
  ///
  /// Go's own linker gives the table a section of its own. gcc's puts that of a PIE into `.data.rel.ro` (up to Go 1.25). A file without
  /// section headers is searched where it bears Go's note.
  package static func find(in file: ObjectFile) throws(GoTableError) -> GoTable? {
    let sections: [Section]
    // What cannot be read as section headers are none.
    do throws(ELFError) { sections = try file.sections() } catch { sections = [] }
    if sections.isEmpty {
      var isMarked = false
      do throws(ELFError) { isMarked = try file.hasNote(by: Array("Go\0\0".utf8)) } catch { throw .file(error) }
      guard isMarked else { return nil }
      return try search(file.segments.filter { !$0.isExecutable }.map { AddressRange(start: $0.address, count: $0.fileBytes) }, file)
    }
    if let own = sections.first(where: { [".gopclntab", ".data.rel.ro.gopclntab"].contains($0.name) }) {
      return try GoTable(at: own.address, in: file)
    }
    guard sections.contains(where: { [".note.go.buildid", ".go.buildinfo"].contains($0.name) }) else { return nil }
    let likely = sections.filter { [".data.rel.ro", ".rodata"].contains($0.name) }
    return try search(likely.map { AddressRange(start: $0.address, count: $0.count) }, file)
  }

  /// The first place in `ranges` that holds a header which makes sense.
  private static func search(_ ranges: [AddressRange], _ file: ObjectFile) throws(GoTableError) -> GoTable? {
    var left = maxSearchedBytes
    for range in ranges {
      // The linker aligns the table to 32 bytes, since 1.26 to 8.
      var at = ImageAddress((range.start.value &+ 7) & ~7)
      while range.contains(at), left > 0 {
        let wanted = min(UInt64(window), range.count - (at.value &- range.start.value), left)
        let bytes: [UInt8]
        do throws(ELFError) { bytes = try file.bytes(at: at, upTo: Int(wanted)) } catch { break }
        for offset in candidates(in: bytes) {
          do throws(GoTableError) { return try GoTable(at: at + UInt64(offset), in: file) } catch { continue }
        }
        left -= wanted
        at = at + wanted
      }
    }
    return nil
  }

  /// Where eight aligned bytes are a version's number, two zeroes, and the sizes of x86-64: 1 for an instruction, 8 for a pointer.
  private static func candidates(in bytes: [UInt8]) -> [Int] {
    stride(from: 0, to: bytes.count - 7, by: 8).filter { at in
      bytes[at + 3] == 0xff && bytes[at + 2] == 0xff && bytes[at + 1] == 0xff && bytes[at + 4] == 0 && bytes[at + 5] == 0
        && bytes[at + 6] == 1 && bytes[at + 7] == 8 && Version(rawValue: 0xffff_ff00 | UInt32(bytes[at])) != nil
    }
  }

  /// The table at `address`, whose header is:
  ///
  ///     1.2          number 0 0 1 8 │ functions
  ///     1.16         number 0 0 1 8 │ functions │ files │             names │ units │ files │ pc tables │ functions
  ///     1.18, 1.20   number 0 0 1 8 │ functions │ files │ start of text │ names │ units │ files │ pc tables │ functions
  ///
  /// with eight bytes each; places are relative to the header.
  init(at address: ImageAddress, in file: ObjectFile) throws(GoTableError) {
    let bytes: [UInt8]
    do throws(ELFError) { bytes = try file.bytes(at: address, count: 72) } catch { throw .file(error) }
    var words: [UInt64] = []
    let kind: UInt64 = try parse(bytes, as: .header) { (cursor) throws(BytesError) in
      let kind = try cursor.u64()
      for _ in 0..<8 { words.append(try cursor.u64()) }
      return kind
    }
    guard let version = Version(rawValue: UInt32(truncatingIfNeeded: kind)), kind >> 32 == 0x0801_0000 else {
      throw .malformed(.header)
    }
    guard words[0] > 0, words[0] <= GoTable.maxFunctions else { throw .malformed(.header) }
    let places: (names: UInt64, depths: UInt64, functions: UInt64)
    switch version {
    case .go1_2: places = (0, 0, 16)
    case .go1_16: places = (words[2], words[5], words[6])
    case .go1_18, .go1_20: places = (words[3], words[6], words[7])
    }
    guard max(places.names, places.depths, places.functions) < file.sizeBytes else { throw .malformed(.header) }
    var textStart: UInt64 = 0
    if version.wordBytes == 4 {
      textStart = words[2]
      // Since 1.26 only the runtime's description of the module says it.
      if textStart == 0 { textStart = try GoTable.textStart(ofTable: address, names: address + places.names, in: file) }
    }
    self.init(
      file: file, version: version, functionCount: words[0], textStart: textStart, names: address + places.names,
      depths: address + places.depths, functions: address + places.functions)
    guard try start(0) < start(functionCount) else { throw .malformed(.functions) }
    _ = try function(0)
    _ = try function(functionCount - 1)
  }

  /// `runtime.moduledata` begins with the table's address, and its names' as a slice: 22 words on it says where the text starts
  /// (runtime/symtab.go; so from 1.18 to 1.27). A PIE's words are relocated when it is loaded, but linkers write them into the file, too.
  private static func textStart(
    ofTable table: ImageAddress, names: ImageAddress, in file: ObjectFile
  ) throws(GoTableError) -> UInt64 {
    func text(ofModuleAt address: ImageAddress) -> UInt64? {
      do throws(ELFError) {
        let bytes = try file.bytes(at: address, count: 23 * 8)
        var cursor = Cursor(bytes.span)
        var words: [UInt64] = []
        do throws(BytesError) { for _ in 0..<23 { words.append(try cursor.u64()) } } catch { return nil }
        // minpc is the first function's start, and nothing lies before it.
        guard words[0] == table.value, words[1] == names.value, words[20] == words[22] else { return nil }
        return words[22]
      } catch { return nil }
    }
    var module: Section?
    // What cannot be read as section headers are none.
    do throws(ELFError) { module = try file.section(named: ".go.module") } catch {}
    if let module {
      guard let found = text(ofModuleAt: module.address) else { throw .malformed(.module) }
      return found
    }
    var left = maxSearchedBytes
    for segment in file.segments where segment.isWritable {
      var at = ImageAddress((segment.address.value &+ 7) & ~7)
      while at < segment.end, left > 0 {
        let bytes: [UInt8]
        do throws(ELFError) { bytes = try file.bytes(at: at, upTo: window) } catch { break }
        for offset in places(of: table.value, in: bytes) {
          if let found = text(ofModuleAt: at + UInt64(offset)) { return found }
        }
        left -= min(left, UInt64(window))
        at = at + UInt64(window)
      }
    }
    throw .malformed(.module)
  }

  /// Where `word` lies in `bytes`, aligned to eight.
  private static func places(of word: UInt64, in bytes: [UInt8]) -> [Int] {
    stride(from: 0, to: bytes.count - 7, by: 8).filter { at in
      guard bytes[at] == UInt8(truncatingIfNeeded: word) else { return false }
      return (1..<8).allSatisfy { bytes[at + $0] == UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
    }
  }
}
