/// What a sample says of its functions to the loader and to other files (ELF gABI 4): symbols, relocations, and the words that hold addresses.
///
///     0x010000  .rodata                            0x410000  r--
///     0x020000  .dynsym, and .dynstr at 0x030000
///     0x040000  .rela.dyn, and .relr.dyn at 0x050000
///     0x060000  .shstrtab
///     0x070000  section headers
///     0x080000  further sections
///               .data, after the code's last page  0x600000  rw-
package struct SampleLinkage {
  package static let constantsAddress: UInt64 = 0x410000
  package static let dataAddress: UInt64 = 0x600000

  package struct Symbol {
    package var name: String
    package var address: UInt64
    package var count: UInt64
    /// 0 STT_NOTYPE, 1 STT_OBJECT, 2 STT_FUNC, 10 STT_GNU_IFUNC.
    package var type: UInt8
    package var isDefined: Bool

    package init(_ name: String, address: UInt64, count: UInt64 = 0, type: UInt8 = 2, isDefined: Bool = true) {
      self.name = name
      self.address = address
      self.count = count
      self.type = type
      self.isDefined = isDefined
    }

    /// `offset`: from the code's start.
    package static func function(_ name: String, at offset: UInt64, count: UInt64 = 0, type: UInt8 = 2) -> Symbol {
      Symbol(name, address: SampleImage.codeAddress + offset, count: count, type: type)
    }

    /// Another file's. `address` is not 0 where a program's own stub of the PLT stands for the function's address.
    package static func wanted(_ name: String, address: UInt64 = 0) -> Symbol {
      Symbol(name, address: address, isDefined: false)
    }
  }

  /// psABI 4.4.1.
  package enum Kind: UInt32 { case word = 1, globalData = 6, jumpSlot = 7, relative = 8, indirect = 37 }

  package struct Relocation {
    package var kind: Kind
    package var slot: UInt64
    /// Its place among `symbols`.
    package var symbol: Int?
    package var addend: UInt64

    package init(_ kind: Kind, at slot: UInt64, symbol: Int? = nil, addend: UInt64 = 0) {
      self.kind = kind
      self.slot = slot
      self.symbol = symbol
      self.addend = addend
    }
  }

  package struct Extra {
    package var name: String
    package var address: UInt64
    package var bytes: [UInt8]

    package init(_ name: String, address: UInt64, bytes: [UInt8] = []) {
      self.name = name
      self.address = address
      self.bytes = bytes
    }
  }

  package var symbols: [Symbol] = []
  package var relocations: [Relocation] = []
  /// The words of `.relr.dyn`.
  package var packed: [UInt64] = []
  package var constants: [UInt8] = []
  package var data: [UInt8] = []
  package var extras: [Extra] = []

  package init() {}

  /// What lies where in the file, and the section headers.
  func parts(codeBytes: Int, dataOffset: UInt64) -> (pieces: [(offset: Int, bytes: [UInt8])], sectionCount: Int) {
    var strings: [UInt8] = [0]
    var table = [UInt8](repeating: 0, count: 24)
    for symbol in symbols {
      table +=
        le(UInt32(strings.count)) + [0x10 | symbol.type, 0] + le(UInt16(symbol.isDefined ? 7 : 0)) + le(symbol.address) + le(symbol.count)
      strings += Array(symbol.name.utf8) + [0]
    }
    var rows: [UInt8] = []
    for row in relocations {
      rows += le(row.slot) + le(row.kind.rawValue) + le(UInt32(row.symbol.map { $0 + 1 } ?? 0)) + le(row.addend)
    }
    let words = packed.flatMap { le($0) }

    var names: [UInt8] = [0]
    var headers = [UInt8](repeating: 0, count: 64)
    var pieces: [(offset: Int, bytes: [UInt8])] = []
    func header(_ name: String, _ type: UInt32, address: UInt64, offset: UInt64, count: Int, link: UInt32 = 0) {
      headers += le(UInt32(names.count)) + le(type) + le(UInt64(0)) + le(address) + le(offset) + le(UInt64(count)) + le(link)
      headers += le(UInt32(0)) + le(UInt64(0)) + le(UInt64(0))
      names += Array(name.utf8) + [0]
    }
    func add(_ name: String, _ type: UInt32, at offset: UInt64, _ bytes: [UInt8], link: UInt32 = 0) {
      header(name, type, address: 0x400000 + offset, offset: offset, count: bytes.count, link: link)
      pieces.append((Int(offset), bytes))
    }
    add(".dynsym", 11, at: 0x20000, table, link: 2)
    add(".dynstr", 3, at: 0x30000, strings)
    add(".rela.dyn", 4, at: 0x40000, rows, link: 1)
    add(".relr.dyn", 19, at: 0x50000, words)
    add(".rodata", 1, at: 0x10000, constants)
    header(".data", 1, address: SampleLinkage.dataAddress, offset: dataOffset, count: data.count)
    header(".text", 1, address: SampleImage.codeAddress, offset: SampleImage.codeOffset, count: codeBytes)
    var next = 0x80000
    for extra in extras {
      header(extra.name, 1, address: extra.address, offset: UInt64(next), count: extra.bytes.count)
      pieces.append((next, extra.bytes))
      next += (extra.bytes.count + 15) / 16 * 16
    }
    // The last one, whose own name it has to hold.
    let all = names + Array(".shstrtab".utf8) + [0]
    add(".shstrtab", 3, at: 0x60000, all)
    pieces.append((0x70000, headers))
    return (pieces, headers.count / 64)
  }
}
