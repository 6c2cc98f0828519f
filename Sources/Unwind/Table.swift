import Bytes
package import ELF

/// What one file's unwind information says about addresses.
package struct FrameTable {
  /// clang 21 has some 170,000; only files without a usable `.eh_frame_hdr` are indexed at all, i.e. static programs.
  static let maxIndexed = 1 << 18
  static let maxSectionBytes: UInt64 = 16 << 20
  static let maxHeaderEntries: UInt64 = 1 << 22
  /// What reading one entry costs beside its bytes.
  static let entryCost = 64
  /// A linked file has a few common entries.
  static let maxCommonsKept = 256

  package enum Answer {
    case entry(FrameEntry)
    /// No entry covers the address. The gap reaches from the end of the entry below to the start of the entry above, as far as
    /// there are any.
    case gap(after: FrameEntry?, before: ImageAddress?)
  }

  /// Sorted by start.
  private struct Index {
    var starts: [UInt64] = []
    var entries: [ImageAddress] = []
  }

  private enum Source {
    /// `.eh_frame_hdr`'s own sorted table (LSB 5.0 core, 10.6.2): pairs of 4-byte numbers relative to the header.
    case header(base: ImageAddress, table: ImageAddress, count: Int)
    case index(Index)
    case none
  }

  private let file: ObjectFile
  private var source: Result<Source, UnwindError>?
  private var commons: [ImageAddress: CommonEntry] = [:]
  /// What was found last: the same few functions are asked about again and again.
  private var recent: [Found] = []
  private var oldest = 0

  /// One entry, and where the next one starts.
  private struct Found {
    var start: ImageAddress
    var next: ImageAddress?
    var entry: FrameEntry
  }

  private static let maxRecent = 8

  package init(_ file: ObjectFile) { self.file = file }

  /// The entry whose range holds `address`, or the gap that does.
  package mutating func find(_ address: ImageAddress, budget: inout Budget) throws(UnwindError) -> Answer {
    for found in recent where found.start <= address && address < found.next ?? ImageAddress(.max) {
      return found.entry.range.contains(address) ? .entry(found.entry) : .gap(after: found.entry, before: found.next)
    }
    let source = try opened(&budget)
    let count: Int
    switch source {
    case .header(_, _, let n): count = n
    case .index(let index): count = index.starts.count
    case .none: return .gap(after: nil, before: nil)
    }
    // The first entry that starts above the address.
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      try budget.spend(1)
      if try pair(middle, in: source).start <= address { low = middle + 1 } else { high = middle }
    }
    let before = low < count ? try pair(low, in: source).start : nil
    guard low > 0 else { return .gap(after: nil, before: before) }
    let (start, place) = try pair(low - 1, in: source)
    let entry = try frameEntry(at: place)
    guard entry.range.start == start else { throw .malformed(.table) }
    let found = Found(start: start, next: before, entry: entry)
    if recent.count < FrameTable.maxRecent { recent.append(found) } else { recent[oldest] = found }
    oldest = (oldest + 1) % FrameTable.maxRecent
    return entry.range.contains(address) ? .entry(entry) : .gap(after: entry, before: before)
  }

  /// How many entries there are to be found.
  package mutating func count(budget: inout Budget) throws(UnwindError) -> Int {
    switch try opened(&budget) {
    case .header(_, _, let count): count
    case .index(let index): index.starts.count
    case .none: 0
    }
  }

  /// The entry of that place in the order of addresses.
  package mutating func entry(_ index: Int, budget: inout Budget) throws(UnwindError) -> FrameEntry {
    guard index >= 0, index < (try count(budget: &budget)) else { throw .malformed(.table) }
    return try frameEntry(at: try pair(index, in: try opened(&budget)).entry)
  }

  private func pair(_ index: Int, in source: Source) throws(UnwindError) -> (start: ImageAddress, entry: ImageAddress) {
    switch source {
    case .header(let base, let table, _):
      let word: UInt64
      do throws(ELFError) { word = try file.word(at: table + 8 * UInt64(index)) } catch { throw .file(error) }
      let (start, entry) = (Int32(truncatingIfNeeded: word), Int32(truncatingIfNeeded: word >> 32))
      return (base + UInt64(bitPattern: Int64(start)), base + UInt64(bitPattern: Int64(entry)))
    case .index(let index_): return (ImageAddress(index_.starts[index]), index_.entries[index])
    case .none: throw .malformed(.table)
    }
  }

  private mutating func frameEntry(at address: ImageAddress) throws(UnwindError) -> FrameEntry {
    var known = commons
    let entry = try FrameEntry(in: file, at: address) { (common) throws(UnwindError) in
      if let found = known[common] { return found }
      let read = try CommonEntry(in: file, at: common)
      if known.count >= FrameTable.maxCommonsKept { known = [:] }
      known[common] = read
      return read
    }
    commons = known
    return entry
  }

  private mutating func opened(_ budget: inout Budget) throws(UnwindError) -> Source {
    if let source { return try source.get() }
    do throws(UnwindError) {
      let found = try open(&budget)
      source = .success(found)
      return found
    } catch {
      if !error.isPassing { source = .failure(error) }
      throw error
    }
  }

  private mutating func open(_ budget: inout Budget) throws(UnwindError) -> Source {
    if let header = file.frameHeader {
      // version, three encodings, then two values of at most 10 bytes each
      let bytes = try file.unwindBytes(at: header.start, count: Int(min(header.count, 24)))
      var cursor = Cursor(bytes.span)
      let (version, frames, counts, table) = try header4(&cursor)
      guard version == 1 else { throw .unsupported(.header) }
      let section = try cursor.pointer(Encoding(frames), base: header.start, data: header.start)
      guard counts != Encoding.omitted, table == Encoding.dataRelativeSigned4.raw else {
        return try indexed(from: section, sectionBytes: nil, &budget)
      }
      let count = try cursor.plain(Encoding(counts))
      let first = UInt64(cursor.offset)
      // Each pair has 8 bytes, and all of them lie in the header.
      guard count <= FrameTable.maxHeaderEntries, first + 8 * count <= header.count else { throw .malformed(.header) }
      return .header(base: header.start, table: header.start + first, count: Int(count))
    }
    let section: Section?
    do throws(ELFError) { section = try file.section(named: ".eh_frame") } catch { throw .file(error) }
    guard let section, section.count > 0 else { return .none }
    return try indexed(from: section.address, sectionBytes: section.count, &budget)
  }

  private func header4(_ cursor: inout Cursor) throws(UnwindError) -> (UInt8, UInt8, UInt8, UInt8) {
    try reading(.header, &cursor) { (c) throws(BytesError) in (try c.u8(), try c.u8(), try c.u8(), try c.u8()) }
  }

  /// Goes through the whole of `.eh_frame`, which ends at `sectionBytes` or else at an entry of length zero.
  private mutating func indexed(from start: ImageAddress, sectionBytes: UInt64?, _ budget: inout Budget) throws(UnwindError) -> Source {
    let available: UInt64
    do throws(ELFError) { available = try file.place(of: start).available } catch { throw .file(error) }
    let count = min(sectionBytes ?? available, available)
    guard count <= FrameTable.maxSectionBytes || sectionBytes == nil else { throw .tooLarge(.table, count) }
    let end = start + min(count, FrameTable.maxSectionBytes)
    var found: [(start: UInt64, entry: ImageAddress)] = []
    var at = start
    while at < end {
      guard case .entry(let common, _, _, let next) = try EntryHeader(in: file, at: at) else { break }
      guard next > at, next <= end else { throw .malformed(.fde) }
      try budget.spend(FrameTable.entryCost + Int(clamping: next.value - at.value))
      if common != nil {
        guard found.count < FrameTable.maxIndexed else { throw .tooLarge(.table, UInt64(found.count)) }
        let entry = try frameEntry(at: at)
        // What the linker threw away has no addresses left.
        if entry.range.count > 0, entry.range.start.value != 0 { found.append((entry.range.start.value, at)) }
      }
      at = next
    }
    found.sort { $0.start < $1.start }
    return .index(Index(starts: found.map(\.start), entries: found.map(\.entry)))
  }
}
