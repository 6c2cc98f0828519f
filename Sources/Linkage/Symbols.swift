import Bytes
package import ELF

/// A dynamic symbol's name, as the bytes of `.dynstr`: what a call to another file's function is bound by.
package typealias SymbolName = [UInt8]

/// A function that a file lets others call.
package struct Export: Equatable, Sendable {
  package var address: ImageAddress
  /// STT_GNU_IFUNC: the loader calls it to learn which function it stands for.
  package var isResolver: Bool
}

/// `.dynsym` of one file (ELF gABI 4): what others may call of it, and what it wants of others.
struct Symbols {
  /// node exports some 60,000.
  static let maxSymbols: UInt64 = 1 << 19
  static let maxNameBytes = 2048
  private static let rowBytes = 24

  /// The table's bytes and its strings', as the file holds them.
  private let table: [UInt8]
  private let strings: [UInt8]
  /// Defined functions by address.
  private var byAddress: [(address: UInt64, index: Int)] = []

  init(of file: ObjectFile) throws(ELFError) {
    let sections = try file.sections()
    guard let section = sections.first(where: { $0.type == 11 }) else {
      (table, strings) = ([], [])
      return
    }
    guard section.link < sections.count else { throw .malformed(.symbols) }
    guard section.count / 24 <= Symbols.maxSymbols else { throw .tooLarge(.symbols, section.count / 24) }
    table = try file.wholeBytes(at: section.fileOffset, count: section.count / 24 * 24)
    strings = try file.wholeBytes(at: sections[section.link].fileOffset, count: sections[section.link].count)
    for index in 0..<count where isFunction(index) { byAddress.append((address(index), index)) }
    byAddress.sort { $0.address < $1.address }
  }

  var bytes: Int { table.count + strings.count }
  private var count: Int { table.count / Symbols.rowBytes }

  func name(_ index: Int) -> SymbolName {
    guard index > 0, index < count else { return [] }
    let start = Int(word(index, 0, 4))
    guard start < strings.count else { return [] }
    let end = min(strings.count, start + Symbols.maxNameBytes)
    return Array(strings[start..<end].prefix { $0 != 0 })
  }

  func address(_ index: Int) -> UInt64 { index < count ? word(index, 8, 8) : 0 }
  func isDefined(_ index: Int) -> Bool { index < count && word(index, 6, 2) != 0 }
  private func type(_ index: Int) -> UInt8 { table[index * Symbols.rowBytes + 4] & 15 }

  /// STT_FUNC, STT_GNU_IFUNC, and hand-written assembly's STT_NOTYPE.
  private func isFunction(_ index: Int) -> Bool { isDefined(index) && [0, 2, 10].contains(type(index)) && address(index) != 0 }

  /// All functions of that name: each version of a symbol is one of its own.
  func exports(named name: SymbolName) -> [Export] {
    indices(of: name).filter(isFunction).map { Export(address: ImageAddress(address($0)), isResolver: type($0) == 10) }
  }

  /// An entry of that name that another file has to define.
  func wants(_ name: SymbolName) -> Bool { indices(of: name).contains { !isDefined($0) } }

  /// The names of the functions that begin in `range`.
  func names(in range: Range<UInt64>) -> [SymbolName] {
    let start = byAddress.firstPlace { $0.address >= range.lowerBound }
    var names: [SymbolName] = []
    for (address, index) in byAddress[start...] {
      guard address < range.upperBound else { break }
      names.append(name(index))
    }
    return names
  }

  func hasSymbol(at address: UInt64) -> Bool {
    let start = byAddress.firstPlace { $0.address >= address }
    return start < byAddress.count && byAddress[start].address == address
  }

  private func indices(of name: SymbolName) -> [Int] {
    guard let first = name.first else { return [] }
    return (0..<count).filter { index in
      let start = Int(word(index, 0, 4))
      guard start < strings.count, strings[start] == first, strings.count - start > name.count else { return false }
      return strings[start + name.count] == 0 && strings[start..<(start + name.count)].elementsEqual(name)
    }
  }

  private func word(_ index: Int, _ offset: Int, _ width: Int) -> UInt64 {
    let start = index * Symbols.rowBytes + offset
    var value: UInt64 = 0
    for byte in 0..<width { value |= UInt64(table[start + byte]) << UInt64(8 * byte) }
    return value
  }
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
