package import ELF
import Bytes

/// Why a Go table, or a part of it, could not be used.
package enum GoTableError: Error, Equatable, Sendable {
  /// The file could not be read, or the table points outside what it fills.
  case file(ELFError)
  case malformed(Part)

  package enum Part: Equatable, Sendable {
    case header, functions, name, stackDepths, module
  }
}

/// What the Go linker writes about every function of a program, and the runtime itself unwinds by: `.gopclntab` (runtime/symtab.go,
/// cmd/link/internal/ld/pcln.go). It stays when symbols are stripped.
///
///     header ─┬─ names          NUL-terminated
///             ├─ pc tables      runs of (value change, bytes of code), of which pcsp gives SP's distance
///             └─ functions      n × (start, place of its record), the end of the last; then the records
///
/// Reads what it is asked for, and keeps nothing but where the parts lie.
package struct GoTable {
  /// kubelet has some 110,000.
  static let maxFunctions: UInt64 = 1 << 22
  /// Names of generic instances reach some hundred bytes; what is longer is cut off.
  package static let maxNameBytes = 512
  /// The largest functions (tables of Unicode, generated code) have some kilobytes.
  static let maxDepthBytes = 1 << 16

  /// By the release that brought it. 1.17 wrote 1.16's, and everything up to 1.27 writes 1.20's.
  package enum Version: UInt32, CaseIterable, Sendable {
    case go1_2 = 0xffff_fffb
    case go1_16 = 0xffff_fffa
    case go1_18 = 0xffff_fff0
    case go1_20 = 0xffff_fff1
  }

  package let file: ObjectFile
  package let version: Version
  package let functionCount: UInt64
  /// What the functions' starts are relative to: 0 for versions that hold whole addresses.
  package let textStart: UInt64
  let names: ImageAddress
  let depths: ImageAddress
  let functions: ImageAddress

  /// A start, and the place of a record, have this many bytes each.
  var wordBytes: UInt64 { version.wordBytes }

  init(
    file: ObjectFile, version: Version, functionCount: UInt64, textStart: UInt64, names: ImageAddress, depths: ImageAddress,
    functions: ImageAddress
  ) {
    self.file = file
    self.version = version
    self.functionCount = functionCount
    self.textStart = textStart
    self.names = names
    self.depths = depths
    self.functions = functions
  }

  func bytes(at address: ImageAddress, count: Int) throws(GoTableError) -> [UInt8] {
    do throws(ELFError) { return try file.bytes(at: address, count: count) } catch { throw .file(error) }
  }

  /// The start of function `index`, which may be `functionCount`: the end of the last.
  func start(_ index: UInt64) throws(GoTableError) -> ImageAddress {
    let word = try self.word(at: functions + (index &* (2 * wordBytes)))
    return ImageAddress(textStart &+ word)
  }

  private func word(at address: ImageAddress) throws(GoTableError) -> UInt64 {
    let bytes = try bytes(at: address, count: Int(wordBytes))
    return try parse(bytes, as: .functions) { [wordBytes] (cursor) throws(BytesError) in
      wordBytes == 8 ? try cursor.u64() : UInt64(try cursor.u32())
    }
  }

  /// The function whose code, or whose padding behind it, holds `address`.
  package func function(covering address: ImageAddress) throws(GoTableError) -> GoFunction? {
    guard try start(0) <= address, try address < start(functionCount) else { return nil }
    // The first function that starts above the address: there is one, or the end.
    var low: UInt64 = 1
    var high = functionCount
    while low < high {
      let middle = (low + high) / 2
      if try start(middle) <= address { low = middle + 1 } else { high = middle }
    }
    return try function(low - 1)
  }

  /// Function number `index` of `functionCount`, in the order of their addresses.
  package func function(_ index: UInt64) throws(GoTableError) -> GoFunction {
    guard index < functionCount else { throw .malformed(.functions) }
    let (start, end) = (try start(index), try start(index + 1))
    guard start < end, file.isExecutable(start), file.isExecutable(end - 1) else { throw .malformed(.functions) }
    let place = try word(at: functions + (index &* (2 * wordBytes) &+ wordBytes))
    let record = try bytes(at: version.records(functions) + place, count: version.recordBytes)
    return try parse(record, as: .functions) { [version] (cursor) throws(BytesError) in
      try GoFunction(start: start, end: end, version: version, record: &cursor)
    }
  }

  /// The function's name as Go writes it (`runtime.mcall`, `main.(*T).Close`), as bytes; without its NUL.
  package func name(of function: GoFunction) throws(GoTableError) -> [UInt8] {
    do throws(ELFError) {
      let bytes = try file.bytes(at: names + UInt64(function.nameOffset), upTo: GoTable.maxNameBytes)
      return Array(bytes.prefix { $0 != 0 })
    } catch { throw .file(error) }
  }
}

/// One function's record.
package struct GoFunction: Equatable, Sendable {
  package var start: ImageAddress
  /// The start of the next function: padding belongs to the one before it.
  package var end: ImageAddress
  var nameOffset: UInt32
  /// Where its stack depths lie; 0 where it has none: C code that Go's own linker took in.
  var depthOffset: UInt32
  /// What the linker knows of it (internal/abi/symtab.go, FuncFlag); none are known for Go 1.16 and before.
  package var flags: GoFunctionFlags
}

package struct GoFunctionFlags: OptionSet, Equatable, Sendable {
  package let rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// The outermost function of a stack.
  package static let top = GoFunctionFlags(rawValue: 1)
  /// It sets SP to something that is not a fixed distance from what it was: its depths do not say where its caller's frame is.
  package static let setsStackPointer = GoFunctionFlags(rawValue: 2)
  package static let assembly = GoFunctionFlags(rawValue: 4)
}

extension GoFunction {
  /// `_func` of runtime/runtime2.go, whose first field is the start again, as wide as the table's words:
  ///
  ///     start │ name │ args │ deferreturn │ pcsp │ pcfile │ pcln │ npcdata │ [1.16: cuOffset] │ [1.20: startLine] │ id flag - nfuncdata
  init(start: ImageAddress, end: ImageAddress, version: GoTable.Version, record cursor: inout Cursor) throws(BytesError) {
    self.start = start
    self.end = end
    try cursor.skip(Int(version.wordBytes))
    nameOffset = try cursor.u32()
    try cursor.skip(8)
    depthOffset = try cursor.u32()
    guard let flagOffset = version.flagOffset else {
      flags = []
      return
    }
    try cursor.seek(to: flagOffset)
    flags = GoFunctionFlags(rawValue: try cursor.u8())
  }
}

extension GoTable.Version {
  var wordBytes: UInt64 {
    switch self {
    case .go1_2, .go1_16: 8
    case .go1_18, .go1_20: 4
    }
  }

  /// Go 1.2 to 1.15 had no flags; 1.16 left their byte 0.
  var flagOffset: Int? {
    switch self {
    case .go1_2: nil
    case .go1_16: 8 + 32 + 1
    case .go1_18: 4 + 32 + 1
    case .go1_20: 4 + 36 + 1
    }
  }

  /// As much of a record as is used.
  var recordBytes: Int { (flagOffset ?? 8 + 15) + 1 }

  /// What the places of records are relative to, for functions listed at `functions`.
  func records(_ functions: ImageAddress) -> ImageAddress {
    // 1.2's are relative to the table itself, whose list of functions follows 16 bytes of header.
    self == .go1_2 ? functions - 16 : functions
  }
}

/// Runs `body` on `bytes`; what does not parse is malformed in `part`.
func parse<Value>(
  _ bytes: [UInt8], as part: GoTableError.Part, _ body: (inout Cursor) throws(BytesError) -> Value
) throws(GoTableError) -> Value {
  var cursor = Cursor(bytes.span)
  do throws(BytesError) { return try body(&cursor) } catch { throw .malformed(part) }
}
