import Bytes

/// One function symbol.
package struct Function: Equatable, Sendable {
  package var start: ImageAddress
  /// 0 where the symbol gives no size.
  package var count: UInt64
  /// Its place in the string table.
  var name: UInt32

  package func contains(_ address: ImageAddress) -> Bool { address.value &- start.value < count }
}

/// The function symbols of one file, sorted by start.
package struct Functions: Sendable {
  /// node 20 has some 300,000, clang 21 some 400,000; a million takes 24 MB.
  package static let maxSymbols = 1 << 20
  /// Mangled C++ names reach some thousand bytes; what is longer is cut off.
  static let maxNameBytes = 512
  /// How many symbols that start lower are looked at for one that still covers an address: aliases and nested labels are few.
  static let maxLookBehind = 16

  package let sorted: [Function]
  /// Where the names lie in the file.
  let names: (offset: UInt64, count: UInt64)

  package static let none = Functions(sorted: [], names: (0, 0))

  /// The place of the first symbol that starts above `address`.
  private func above(_ address: ImageAddress) -> Int {
    var low = 0
    var high = sorted.count
    while low < high {
      let middle = (low + high) / 2
      if sorted[middle].start <= address { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The innermost function with a size that covers `address`.
  package func covering(_ address: ImageAddress) -> Function? {
    let end = above(address)
    for index in stride(from: end - 1, through: max(0, end - Functions.maxLookBehind), by: -1)
    where sorted[index].contains(address) { return sorted[index] }
    return nil
  }

  /// All symbols that start in `range`.
  package func starting(in range: AddressRange) -> ArraySlice<Function> {
    let start = range.start.value == 0 ? 0 : above(range.start - 1)
    return sorted[start..<max(start, above(range.start + range.count - 1))]
  }

  /// All symbols that start where `function` does: a function may have many names.
  package func aliases(of function: Function) -> ArraySlice<Function> {
    let end = above(function.start)
    var start = end
    while start > 0, end - start < Functions.maxLookBehind, sorted[start - 1].start == function.start { start -= 1 }
    return sorted[start..<end]
  }
}

extension ObjectFile {
  private static let symbolBytes: UInt64 = 24
  /// Symbols read at once.
  private static let batch: UInt64 = 4096

  /// `.symtab` names all functions, `.dynsym` those that other files may call (ELF gABI 4).
  func readFunctions() throws(ELFError) -> Functions {
    let all = try sections()
    guard let table = all.first(where: { $0.type == 2 }) ?? all.first(where: { $0.type == 11 }) else { return .none }
    guard table.link < all.count else { throw .malformed(.symbols) }
    let count = table.count / ObjectFile.symbolBytes
    guard count <= UInt64(Functions.maxSymbols) else { throw .tooLarge(.symbols, count) }
    var functions: [Function] = []
    var index: UInt64 = 0
    while index < count {
      let batch = min(ObjectFile.batch, count - index)
      let (offset, overflow) = table.fileOffset.addingReportingOverflow(index * ObjectFile.symbolBytes)
      guard !overflow else { throw .malformed(.symbols) }
      // Past the chunk cache, which one pass over a large table would only empty.
      let bytes = try ObjectFile.read(source, at: offset, count: Int(batch * ObjectFile.symbolBytes))
      functions += try parse(bytes, as: .symbols) { (cursor) throws(BytesError) in
        var found: [Function] = []
        for _ in 0..<batch {
          let name = try cursor.u32()
          let type = try cursor.u8() & 15
          try cursor.skip(1)
          let section = try cursor.u16()
          let address = try cursor.u64()
          let bytes = try cursor.u64()
          // STT_FUNC or STT_GNU_IFUNC, defined here.
          if (type == 2 || type == 10) && section != 0 {
            found.append(Function(start: ImageAddress(address), count: bytes, name: name))
          }
        }
        return found
      }
      index += batch
    }
    functions.sort { ($0.start, $0.count) < ($1.start, $1.count) }
    return Functions(sorted: functions, names: (all[table.link].fileOffset, all[table.link].count))
  }

  /// The name of one symbol, as text that is safe to show.
  package func name(of function: Function) throws(ELFError) -> String {
    let names = try functions().names
    let (offset, overflow) = names.offset.addingReportingOverflow(UInt64(function.name))
    guard !overflow, UInt64(function.name) < names.count else { throw .malformed(.strings) }
    let wanted = min(UInt64(Functions.maxNameBytes), names.count - UInt64(function.name))
    let bytes = try bytes(at: offset, count: Int(wanted))
    return printable(Array(bytes.prefix { $0 != 0 }))
  }

  /// The name people know the function by: of several names the one with the fewest leading underscores, then the shortest.
  package func bestName(of function: Function) throws(ELFError) -> String {
    var best: (rank: (Int, Int), name: String)?
    for alias in try functions().aliases(of: function) where alias.count == function.count {
      let name = try name(of: alias)
      let rank = (name.prefix { $0 == "_" }.count, name.utf8.count)
      if best == nil || rank < best!.rank { best = (rank, name) }
    }
    return if let best { best.name } else { try name(of: function) }
  }
}
