import Bytes
package import ELF
import Unwind

/// A dynamic symbol's name, as the bytes of `.dynstr`: what a call to another file's function is bound by.
package typealias SymbolName = [UInt8]

/// A function that a file lets others call.
package struct Export: Equatable, Sendable {
  package var address: ImageAddress
  /// STT_GNU_IFUNC: the loader calls it to learn which function it stands for.
  package var isResolver: Bool
}

/// `.dynsym` of one file (ELF gABI 4): what others may call of it, and what it wants of others.
///
/// node's names alone are 5 MB. They stay in the file: kept of each is a hash, and where it begins.
struct Symbols {
  /// node exports some 75,000.
  static let maxSymbols: UInt64 = 1 << 19
  static let maxNameBytes = 2048
  private static let rowBytes = 24

  private struct Row {
    var address: UInt64
    /// Of the name, in `.dynstr`.
    var place: UInt32
    var hash: UInt32
  }

  private let file: ObjectFile
  /// `.dynstr` in the file.
  private let strings: (offset: UInt64, count: UInt64)
  private var rows: [Row] = []
  /// The symbols' types (STT_...); `isDefined` where this file defines it.
  private var kinds: [UInt8] = []
  private static let isDefinedBit: UInt8 = 0x80
  /// Functions that are defined here, by address; and all symbols, by hash.
  private var byAddress: [UInt32] = []
  private var byHash: [UInt32] = []

  init(of file: ObjectFile) throws(ELFError) {
    self.file = file
    let sections = try file.sections()
    guard let section = sections.first(where: { $0.type == 11 }) else {
      strings = (0, 0)
      return
    }
    guard section.link < sections.count else { throw .malformed(.symbols) }
    let count = section.count / UInt64(Symbols.rowBytes)
    guard count <= Symbols.maxSymbols else { throw .tooLarge(.symbols, count) }
    let table = try file.wholeBytes(at: section.fileOffset, count: count * UInt64(Symbols.rowBytes))
    strings = (sections[section.link].fileOffset, sections[section.link].count)
    let names = try file.wholeBytes(at: strings.offset, count: strings.count)
    rows.reserveCapacity(Int(count))
    kinds.reserveCapacity(Int(count))
    for row in stride(from: 0, to: table.count, by: Symbols.rowBytes) {
      let word = littleEndian(table, at: row)
      let place = UInt32(truncatingIfNeeded: word)
      let isDefined = word >> 48 != 0
      // Entry 0 has no name, whatever it says.
      let hash = row == 0 ? nameHash([]) : nameHash(names.dropFirst(Int(place)).prefix(Symbols.maxNameBytes).prefix { $0 != 0 })
      rows.append(Row(address: littleEndian(table, at: row + 8), place: place, hash: hash))
      kinds.append(UInt8(truncatingIfNeeded: word >> 32) & 15 | (isDefined ? Symbols.isDefinedBit : 0))
    }
    byAddress = rows.indices.lazy.filter(isFunction).map { UInt32($0) }
    byAddress.sort { [rows] in rows[Int($0)].address < rows[Int($1)].address }
    byHash = Array(0..<UInt32(rows.count))
    byHash.sort { [rows] in rows[Int($0)].hash < rows[Int($1)].hash }
  }

  /// What reading them took.
  var bytes: Int { rows.count * Symbols.rowBytes + Int(clamping: strings.count) }

  func name(_ index: Int) throws(ELFError) -> SymbolName {
    guard index > 0, index < rows.count else { return [] }
    let place = UInt64(rows[index].place)
    guard place < strings.count else { return [] }
    let (start, overflow) = strings.offset.addingReportingOverflow(place)
    guard !overflow else { throw .malformed(.strings) }
    var name: SymbolName = []
    let limit = min(Symbols.maxNameBytes, Int(clamping: strings.count - place))
    while name.count < limit {
      let part = try file.bytes(at: start + UInt64(name.count), count: min(Symbols.partBytes, limit - name.count))
      if let end = part.firstIndex(of: 0) { return name + part[..<end] }
      name += part
    }
    return name
  }

  /// Most names are shorter.
  private static let partBytes = 64

  func isNamed(_ index: Int, _ name: SymbolName, _ hash: UInt32) throws(ELFError) -> Bool {
    guard index >= 0, index < rows.count, rows[index].hash == hash else { return false }
    return try self.name(index) == name
  }

  func address(_ index: Int) -> UInt64 { rows.indices.contains(index) ? rows[index].address : 0 }
  func isDefined(_ index: Int) -> Bool { kinds.indices.contains(index) && kinds[index] & Symbols.isDefinedBit != 0 }
  private func type(_ index: Int) -> UInt8 { kinds[index] & 15 }

  /// STT_FUNC, STT_GNU_IFUNC, and hand-written assembly's STT_NOTYPE.
  private func isFunction(_ index: Int) -> Bool { isDefined(index) && [0, 2, 10].contains(type(index)) && address(index) != 0 }

  /// All functions of that name: each version of a symbol is one of its own.
  func exports(named name: SymbolName, _ budget: inout Budget) throws(UnwindError) -> [Export] {
    try indices(of: name, &budget).filter(isFunction).map { Export(address: ImageAddress(address($0)), isResolver: type($0) == 10) }
  }

  /// An entry of that name that another file has to define.
  func wants(_ name: SymbolName, _ budget: inout Budget) throws(UnwindError) -> Bool {
    try indices(of: name, &budget).contains { !isDefined($0) }
  }

  /// The names of the functions that begin in `range`.
  func names(in range: Range<UInt64>) throws(ELFError) -> [SymbolName] {
    let start = byAddress.firstPlace { rows[Int($0)].address >= range.lowerBound }
    var names: [SymbolName] = []
    for index in byAddress[start...] {
      guard rows[Int(index)].address < range.upperBound else { break }
      names.append(try name(Int(index)))
    }
    return names
  }

  func hasSymbol(at address: UInt64) -> Bool {
    let start = byAddress.firstPlace { rows[Int($0)].address >= address }
    return start < byAddress.count && rows[Int(byAddress[start])].address == address
  }

  private func indices(of name: SymbolName, _ budget: inout Budget) throws(UnwindError) -> [Int] {
    guard !name.isEmpty else { return [] }
    let hash = nameHash(name)
    var found: [Int] = []
    // As the file has them.
    for index in byHash[byHash.firstPlace { rows[Int($0)].hash >= hash }...].prefix(while: { rows[Int($0)].hash == hash }).sorted() {
      // A file may be made so that all its names have one hash.
      try budget.spend(name.count / 8 + 1)
      do throws(ELFError) { if try isNamed(Int(index), name, hash) { found.append(Int(index)) } } catch { throw .file(error) }
    }
    return found
  }
}

/// Of a symbol's name, as `.gnu.hash` has it.
func nameHash(_ name: some Sequence<UInt8>) -> UInt32 {
  var hash: UInt32 = 5381
  for byte in name { hash = hash &* 33 &+ UInt32(byte) }
  return hash
}

extension Array {
  /// Of an array that is sorted so: the place of the first element for which `isRight` holds.
  func firstPlace(where isRight: (Element) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if isRight(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
