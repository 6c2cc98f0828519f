package import ELF
package import Unwind

/// What one file says about who may call its functions, and by which names it calls others: its dynamic symbols, its relocations, and the
/// addresses that its code and data hold. Each part is read when it is first asked for.
///
/// What cannot be read is as if it were not there: a file without section headers has no names and no relocations here.
package final class Linkage {
  static let maxKept = 4096

  private let file: ObjectFile
  private var symbolsRead: Symbols?
  private var relocationsRead: Relocations?
  private var referencesRead: References?
  private var exports: [SymbolName: [Export]] = [:]
  private var jumps: [AddressRange: [ImageAddress]] = [:]
  private var slotJumps: [UInt64: [ImageAddress]] = [:]
  private var texts: [SymbolName: Bool] = [:]

  package init(_ file: ObjectFile) { self.file = file }

  // MARK: Names

  package func exports(named name: SymbolName, _ budget: inout Budget) throws(UnwindError) -> [Export] {
    if let known = exports[name] { return known }
    let found = try symbols(&budget).exports(named: name, &budget)
    if exports.count >= Linkage.maxKept { exports = [:] }
    exports[name] = found
    return found
  }

  /// The names by which others may call what begins in `range`.
  package func names(in range: AddressRange, _ budget: inout Budget) throws(UnwindError) -> [SymbolName] {
    let symbols = try symbols(&budget)
    do throws(ELFError) { return try symbols.names(in: range.start.value..<(range.start.value &+ range.count)) } catch {
      throw .file(error)
    }
  }

  package func wants(_ name: SymbolName, _ budget: inout Budget) throws(UnwindError) -> Bool {
    try symbols(&budget).wants(name, &budget)
  }

  /// What the loader writes into the word at `address`, where that is about a function.
  package func slot(at address: ImageAddress, _ budget: inout Budget) throws(UnwindError) -> Slot? {
    let relocations = try relocations(&budget)
    if let symbol = relocations.symbols[address.value] {
      let symbols = try symbols(&budget)
      do throws(ELFError) { return .symbol(try symbols.name(symbol)) } catch { throw .file(error) }
    }
    return relocations.resolvers[address.value].map { .resolved(by: ImageAddress($0)) }
  }

  /// The slots that the loader fills with the address of what has this name.
  package func slots(of name: SymbolName, _ budget: inout Budget) throws(UnwindError) -> [ImageAddress] {
    try places(of: name, in: try relocations(&budget).symbols, &budget).map { ImageAddress($0) }
  }

  /// The places that have the number of a symbol of this name.
  private func places(
    of name: SymbolName, in numbers: [UInt64: Int], _ budget: inout Budget
  ) throws(UnwindError) -> [UInt64] {
    let symbols = try symbols(&budget)
    let hash = nameHash(name)
    var places: [UInt64] = []
    do throws(ELFError) {
      for (place, symbol) in numbers where try symbols.isNamed(symbol, name, hash) { places.append(place) }
    } catch { throw .file(error) }
    return places
  }

  // MARK: Addresses

  /// The file's code or data holds the address of a function that begins in `range`.
  ///
  /// A function's address is that of its first instruction; `range` may hold several (assembly), and the labels of jump tables: what a
  /// symbol names, or is aligned as functions are, counts.
  package func takes(_ range: AddressRange, _ budget: inout Budget) throws(UnwindError) -> Bool {
    if try takesInData(range, &budget) { return true }
    let taken = try references(&budget).taken
    var index = taken.firstPlace { $0 >= range.start.value }
    while index < taken.count, range.contains(ImageAddress(taken[index])) {
      if try isFunction(taken[index], in: range, &budget) { return true }
      index += 1
    }
    return false
  }

  /// The same by a relocation of its data: what it may hand to others.
  package func takesInData(_ range: AddressRange, _ budget: inout Budget) throws(UnwindError) -> Bool {
    for address in try relocations(&budget).addresses(in: range) where try isFunction(address, in: range, &budget) { return true }
    return false
  }

  private func isFunction(_ address: UInt64, in range: AddressRange, _ budget: inout Budget) throws(UnwindError) -> Bool {
    // 4: past an endbr64.
    if address == range.start.value || address == range.start.value + 4 || address % 16 == 0 { return true }
    return try symbols(&budget).hasSymbol(at: address)
  }

  /// The file holds the address of another file's function of this name, as a pointer: its data does, or its code loads it.
  package func holds(_ name: SymbolName, _ budget: inout Budget) throws(UnwindError) -> Bool {
    let symbols = try symbols(&budget)
    let relocations = try relocations(&budget)
    let hash = nameHash(name)
    do throws(ELFError) {
      for symbol in relocations.heldSymbols where try symbols.isNamed(symbol, name, hash) { return true }
    } catch { throw .file(error) }
    let slots = try places(of: name, in: relocations.globalSlots, &budget)
    guard !slots.isEmpty else { return false }
    let loaded = try references(&budget).loaded
    return slots.contains { loaded.contains($0) }
  }

  /// The jumps into `range` from elsewhere in the file.
  package func jumps(into range: AddressRange, _ budget: inout Budget) throws(UnwindError) -> [ImageAddress] {
    if let known = jumps[range] { return known }
    let found = try References.jumps(into: range, of: file, &budget)
    if jumps.count >= Linkage.maxKept { jumps = [:] }
    jumps[range] = found
    return found
  }

  /// The jumps through the word at `slot`: its stub in the PLT, or a function's own.
  package func jumps(through slot: ImageAddress, _ budget: inout Budget) throws(UnwindError) -> [ImageAddress] {
    if let known = slotJumps[slot.value] { return known }
    let found = try References.jumps(through: slot, of: file, &budget)
    if slotJumps.count >= Linkage.maxKept { slotJumps = [:] }
    slotJumps[slot.value] = found
    return found
  }

  /// The file's constants hold this text, as a C string of its own: what dlsym(3) may be asked for.
  package func holdsText(_ text: [UInt8], _ budget: inout Budget) throws(UnwindError) -> Bool {
    if let known = texts[text] { return known }
    let found = try searchText(text, &budget)
    if texts.count >= Linkage.maxKept { texts = [:] }
    texts[text] = found
    return found
  }

  private func searchText(_ text: [UInt8], _ budget: inout Budget) throws(UnwindError) -> Bool {
    let wanted = [0] + text + [0]
    let sections: [Section]
    do throws(ELFError) { sections = try file.sections() } catch { throw .file(error) }
    // SHT_PROGBITS: `.dynstr`, which holds all names, is an SHT_STRTAB.
    for section in sections where section.type == 1 && section.address.value != 0 && !file.isExecutable(section.address) {
      guard section.count <= References.maxDataBytes else { continue }
      let bytes: [UInt8]
      do throws(ELFError) { bytes = try file.wholeBytes(at: section.fileOffset, count: section.count) } catch { throw .file(error) }
      try budget.spend(bytes.count / 16)
      if contains([0] + bytes, wanted) { return true }
    }
    return false
  }

  private func contains(_ bytes: [UInt8], _ wanted: [UInt8]) -> Bool {
    guard bytes.count >= wanted.count else { return false }
    let (text, second) = (bytes.span, wanted[1])
    var index = 0
    while index <= text.count - wanted.count {
      if text[index] == 0, text[index + 1] == second, bytes[index..<(index + wanted.count)].elementsEqual(wanted) { return true }
      index += 1
    }
    return false
  }

  // MARK: The parts

  private func symbols(_ budget: inout Budget) throws(UnwindError) -> Symbols {
    if let symbolsRead { return symbolsRead }
    let read: Symbols
    do throws(ELFError) { read = try Symbols(of: file) } catch { throw .file(error) }
    try budget.spend(read.bytes / 8)
    symbolsRead = read
    return read
  }

  private func relocations(_ budget: inout Budget) throws(UnwindError) -> Relocations {
    if let relocationsRead { return relocationsRead }
    let read = try Relocations(of: file, try symbols(&budget), &budget)
    relocationsRead = read
    return read
  }

  private func references(_ budget: inout Budget) throws(UnwindError) -> References {
    if let referencesRead { return referencesRead }
    let read = try References(of: file, try relocations(&budget), &budget)
    referencesRead = read
    return read
  }
}
