import Bytes
package import ELF
import Unwind

/// What the loader writes into a word of the file's data (psABI 4.4.1).
package enum Slot: Equatable, Sendable {
  /// The address of what has this name.
  case symbol(SymbolName)
  /// What the function at this address says (R_X86_64_IRELATIVE).
  case resolved(by: ImageAddress)
}

/// The relocations of one file, as far as they are about functions.
struct Relocations {
  /// libjvm has some 100,000, node 120,000.
  static let maxBytes: UInt64 = 32 << 20

  private enum Kind: UInt8 { case word = 1, globalData = 6, jumpSlot = 7, relative = 8, indirect = 37 }

  /// By the slot's address: the symbol's number.
  private(set) var symbols: [UInt64: Int] = [:]
  private(set) var resolvers: [UInt64: UInt64] = [:]
  /// Symbols that data holds the address of: a vtable's functions, a table of callbacks.
  private(set) var heldSymbols: Set<Int> = []
  /// Slots of the GOT that code may load from (R_X86_64_GLOB_DAT), or call through.
  private(set) var globalSlots: [UInt64: Int] = [:]
  /// Addresses of code that data holds, sorted.
  private(set) var addresses: [UInt64] = []
  init(of file: ObjectFile, _ symbolTable: Symbols, _ budget: inout Budget) throws(UnwindError) {
    let sections: [Section]
    do throws(ELFError) { sections = try file.sections() } catch { throw .file(error) }
    for section in sections {
      if section.type == 19, section.count <= Relocations.maxBytes { try readPacked(section, of: file, &budget) }
      // SHT_RELA
      guard section.type == 4, section.count <= Relocations.maxBytes else { continue }
      let rows: [UInt8]
      do throws(ELFError) { rows = try file.wholeBytes(at: section.fileOffset, count: section.count / 24 * 24) } catch {
        throw .file(error)
      }
      try budget.spend(rows.count / 8)
      for row in stride(from: 0, to: rows.count, by: 24) {
        guard rows[row + 9] == 0, let kind = Kind(rawValue: rows[row + 8]) else { continue }
        let slot = littleEndian(rows, at: row)
        let symbol = Int(truncatingIfNeeded: littleEndian(rows, at: row + 8) >> 32)
        let addend = littleEndian(rows, at: row + 16)
        switch kind {
        case .relative: addresses.append(addend)
        case .indirect:
          resolvers[slot] = addend
          addresses.append(addend)
        case .word:
          heldSymbols.insert(symbol)
          if symbolTable.isDefined(symbol) { addresses.append(symbolTable.address(symbol) &+ addend) }
        case .globalData:
          symbols[slot] = symbol
          globalSlots[slot] = symbol
        case .jumpSlot:
          symbols[slot] = symbol
          // A program that is loaded where it was linked takes a foreign function's address as that of its own PLT stub, which the
          // symbol's value then is.
          if !symbolTable.isDefined(symbol), symbolTable.address(symbol) != 0 { heldSymbols.insert(symbol) }
        }
      }
    }
    addresses.sort()
  }

  /// SHT_RELR (ELF gABI, 2022): an even word is the address of a word that holds an address; an odd one has a bit for each of the 63
  /// words that follow.
  private mutating func readPacked(_ section: Section, of file: ObjectFile, _ budget: inout Budget) throws(UnwindError) {
    let rows: [UInt8]
    do throws(ELFError) { rows = try file.wholeBytes(at: section.fileOffset, count: section.count / 8 * 8) } catch { throw .file(error) }
    var next: UInt64 = 0
    for row in stride(from: 0, to: rows.count, by: 8) {
      try budget.spend(8)
      var word = littleEndian(rows, at: row)
      if word & 1 == 0 {
        try readAddress(at: word, of: file)
        next = word &+ 8
        continue
      }
      var place = next
      word >>= 1
      while word != 0 {
        if word & 1 != 0 { try readAddress(at: place, of: file) }
        word >>= 1
        place = place &+ 8
      }
      next = next &+ 63 * 8
    }
  }

  private mutating func readAddress(at place: UInt64, of file: ObjectFile) throws(UnwindError) {
    do throws(ELFError) { addresses.append(littleEndian(try file.bytes(at: ImageAddress(place), count: 8), at: 0)) } catch {
      // A table that names words which the file does not fill names nothing.
      if case .unmapped = error { return }
      throw .file(error)
    }
  }

  func addresses(in range: AddressRange) -> ArraySlice<UInt64> {
    let start = addresses.firstPlace { $0 >= range.start.value }
    let end = addresses.firstPlace { $0 >= range.start.value &+ range.count }
    return addresses[start..<max(start, end)]
  }
}
