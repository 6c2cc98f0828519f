import Bytes

/// Runs `body` on `bytes`; what does not parse is malformed in `field`.
func parse<Value>(
  _ bytes: [UInt8], as field: ELFError.Field, _ body: (inout Cursor) throws(BytesError) -> Value
) throws(ELFError) -> Value {
  var cursor = Cursor(bytes.span)
  do throws(BytesError) { return try body(&cursor) } catch { throw .malformed(field) }
}

/// `Elf64_Ehdr` (ELF gABI 4), as far as it is used.
struct FileHeader {
  static let bytes = 64

  var entry = ImageAddress(0)
  var programOffset: UInt64 = 0
  var sectionOffset: UInt64 = 0
  var programEntryBytes = 0
  var programCount = 0
  var sectionEntryBytes = 0
  var sectionCount = 0
  var sectionNames = 0
  var isFixed = false

  init(_ bytes: [UInt8]) throws(ELFError) {
    var magic: UInt32 = 0
    var ident: UInt32 = 0
    var type: UInt16 = 0
    var machine: UInt16 = 0
    var version: UInt32 = 0
    self = try parse(bytes, as: .ident) { (cursor) throws(BytesError) in
      var header = FileHeader()
      magic = try cursor.u32()
      ident = try cursor.u32() & 0xff_ffff
      try cursor.seek(to: 16)
      type = try cursor.u16()
      machine = try cursor.u16()
      version = try cursor.u32()
      header.entry = ImageAddress(try cursor.u64())
      header.programOffset = try cursor.u64()
      header.sectionOffset = try cursor.u64()
      try cursor.skip(4 + 2)
      header.programEntryBytes = Int(try cursor.u16())
      header.programCount = Int(try cursor.u16())
      header.sectionEntryBytes = Int(try cursor.u16())
      header.sectionCount = Int(try cursor.u16())
      header.sectionNames = Int(try cursor.u16())
      return header
    }
    guard magic == 0x464c_457f else { throw .notELF }
    // ELFCLASS64, ELFDATA2LSB, EV_CURRENT.
    guard ident == 0x01_01_02 else { throw .unsupported(.ident) }
    // ET_EXEC, ET_DYN; EM_X86_64.
    guard type == 2 || type == 3 else { throw .unsupported(.type) }
    isFixed = type == 2
    guard machine == 62 else { throw .unsupported(.machine) }
    guard version == 1 else { throw .unsupported(.version) }
  }

  private init() {}
}

/// `Elf64_Phdr` (ELF gABI 5).
struct ProgramHeader {
  static let bytes = 56

  var type: UInt32
  var flags: UInt32
  var offset: UInt64
  var address: UInt64
  var fileBytes: UInt64
  var memoryBytes: UInt64

  static func all(in table: [UInt8], count: Int) throws(ELFError) -> [ProgramHeader] {
    try parse(table, as: .programHeaders) { (cursor) throws(BytesError) in
      var rows: [ProgramHeader] = []
      for _ in 0..<count {
        let type = try cursor.u32()
        let flags = try cursor.u32()
        let offset = try cursor.u64()
        let address = try cursor.u64()
        try cursor.skip(8)
        let fileBytes = try cursor.u64()
        let memoryBytes = try cursor.u64()
        try cursor.skip(8)
        rows.append(
          ProgramHeader(type: type, flags: flags, offset: offset, address: address, fileBytes: fileBytes, memoryBytes: memoryBytes))
      }
      return rows
    }
  }
}

/// One section (`Elf64_Shdr`, ELF gABI 4), as far as it is used.
package struct Section: Equatable, Sendable {
  static let headerBytes = 64
  /// `.note.gnu.build-id` has 18 bytes.
  static let maxNameBytes = 64

  package var name: String
  /// `sh_type`.
  package var type: UInt32
  package var address: ImageAddress
  package var fileOffset: UInt64
  package var count: UInt64
  /// `sh_link`: the section that this one goes with.
  package var link: Int
}

extension ObjectFile {
  func readSections() throws(ELFError) -> [Section] {
    guard sectionTable.count > 0 else { return [] }
    guard sectionTable.count <= ObjectFile.maxSectionHeaders else {
      throw .tooLarge(.sectionHeaders, UInt64(sectionTable.count))
    }
    let table = try bytes(at: sectionTable.offset, count: sectionTable.count * Section.headerBytes)
    let count = sectionTable.count
    var named: [(name: UInt32, section: Section)] = try parse(table, as: .sectionHeaders) { (cursor) throws(BytesError) in
      var sections: [(name: UInt32, section: Section)] = []
      for _ in 0..<count {
        let name = try cursor.u32()
        let type = try cursor.u32()
        try cursor.skip(8)
        let address = ImageAddress(try cursor.u64())
        let offset = try cursor.u64()
        let bytes = try cursor.u64()
        let link = Int(try cursor.u32())
        try cursor.skip(4 + 8 + 8)
        sections.append((name, Section(name: "", type: type, address: address, fileOffset: offset, count: bytes, link: link)))
      }
      return sections
    }
    guard sectionTable.names < named.count else { return named.map(\.section) }
    let names = named[sectionTable.names].section
    guard names.count <= UInt64(ObjectFile.maxReadBytes) else { throw .tooLarge(.strings, names.count) }
    let strings = try bytes(at: names.fileOffset, count: Int(names.count))
    for index in named.indices {
      let at = Int(named[index].name)
      // A name that does not end, or is too long, is none that is looked for.
      let found = try? parse(strings, as: .strings) { (cursor) throws(BytesError) in
        try cursor.seek(to: at)
        return try cursor.untilNUL(limit: Section.maxNameBytes)
      }
      named[index].section.name = printable(found ?? [])
    }
    return named.map(\.section)
  }

  package func section(named name: String) throws(ELFError) -> Section? { try sections().first { $0.name == name } }
}

/// The build id in the notes of one segment (LSB: name "GNU", type 3), each padded to four bytes.
func gnuBuildID(in bytes: [UInt8]) -> String? {
  var cursor = Cursor(bytes.span)
  do throws(BytesError) {
    while cursor.remaining >= 12 {
      let nameBytes = Int(try cursor.u32())
      let descriptionBytes = Int(try cursor.u32())
      let type = try cursor.u32()
      let name = try cursor.copy(nameBytes)
      try cursor.skip(min((4 - nameBytes % 4) % 4, cursor.remaining))
      let description = try cursor.copy(descriptionBytes)
      try cursor.skip(min((4 - descriptionBytes % 4) % 4, cursor.remaining))
      // SHA-1 has 20 bytes; anything much longer is no id.
      if type == 3, name == Array("GNU\0".utf8), description.count <= 64 { return hex(description) }
    }
  } catch { return nil }
  return nil
}

func hex(_ bytes: [UInt8]) -> String {
  let digits = Array("0123456789abcdef".utf8)
  var text: [UInt8] = []
  for byte in bytes { text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
  return String(decoding: text, as: UTF8.self)
}

/// The attacker's bytes as text that cannot steer a terminal or a log.
func printable(_ bytes: [UInt8]) -> String {
  String(decoding: bytes.map { $0 >= 0x20 && $0 < 0x7f ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
}
