import ELF
import Flow
import Unwind
import Wire
import X86

/// A function that an address may belong to, and the row that it would have there.
struct FlowRow {
  var entry: ImageAddress
  var row: Row
}

/// What flow analysis makes of one file's code: it is asked where the file has no unwind information.
final class FlowPoints {
  let file: ObjectFile
  let decoder: OperationDecoder
  private var entries: Result<Entries, UnwindError>?
  /// What `shape` tells at the calls of a function.
  var shapes: [ShapedFunction: [ImageAddress: FrameShape]] = [:]
  var shapeCount = 0

  init(_ file: ObjectFile, _ decoder: OperationDecoder) {
    self.file = file
    self.decoder = decoder
  }

  /// Functions found by what calls them or points at them.
  func found(_ budget: inout Budget) throws(UnwindError) -> Entries {
    if let entries { return try entries.get() }
    do throws(UnwindError) {
      let result = try Entries(of: file, known: try symbols(), decoder: decoder, budget: &budget)
      entries = .success(result)
      return result
    } catch {
      if !error.isPassing { entries = .failure(error) }
      throw error
    }
  }

  /// A compiler names the parts that it split off a function; they are entered by jumps.
  func isPart(_ symbol: Function) throws(UnwindError) -> Bool {
    do throws(ELFError) { return try file.name(of: symbol).utf8.reversed().starts(with: ".cold".utf8.reversed()) } catch {
      throw .file(error)
    }
  }

  private static let maxNamesRead = 1 << 15

  /// Where symbols say that functions begin.
  private func symbols() throws(UnwindError) -> [ImageAddress] {
    let all: [Function]
    do throws(ELFError) { all = try file.functions().sorted } catch { throw .file(error) }
    var starts: [ImageAddress] = []
    let areNamesRead = all.count <= FlowPoints.maxNamesRead
    for function in all {
      if areNamesRead, try isPart(function) { continue }
      starts.append(function.start)
    }
    return starts
  }

  /// The row at `address` in the function that a table says fills `function`; nil where none of its instructions leads there.
  func row(_ address: ImageAddress, _ arrival: Arrival, in function: AddressRange, _ budget: inout Budget) throws(UnwindError) -> Row? {
    let analysis = try FlowAnalysis(of: file, from: function.start, within: function, decoder: decoder, budget: &budget)
    keepShapes(of: analysis, in: function)
    return analysis.row(at: address, arrival)
  }

  /// Where the functions reach that `address` may belong to, the likeliest first.
  func extents(around address: ImageAddress, _ budget: inout Budget) throws(UnwindError) -> [AddressRange] {
    guard let segment = file.segments.first(where: { $0.isExecutable && $0.address <= address && address < $0.end }) else { return [] }
    let entries = try found(&budget)
    return entries.candidates(for: address).compactMap { entry in
      guard segment.address <= entry else { return nil }
      let end = min(entries.next(after: entry) ?? segment.end, segment.end)
      return AddressRange(start: entry, count: end.value - entry.value)
    }
  }

  /// What each function that `address` may belong to would have there, the likeliest first.
  func candidates(_ address: ImageAddress, _ arrival: Arrival, _ budget: inout Budget) throws(UnwindError) -> [FlowRow] {
    let lookup = arrival.lookup(address)
    guard let segment = file.segments.first(where: { $0.isExecutable && $0.address <= lookup && lookup < $0.end }) else { return [] }
    let entries = try found(&budget)
    let bounds = AddressRange(start: segment.address, count: segment.fileBytes)
    var rows: [FlowRow] = []
    for entry in entries.candidates(for: lookup) where bounds.contains(entry) {
      let end = entries.next(after: entry) ?? segment.end
      let extent = AddressRange(start: entry, count: min(end, segment.end).value - entry.value)
      let analysis = try FlowAnalysis(of: file, from: entry, within: bounds, extent: extent, decoder: decoder, budget: &budget) {
        entries.contains($0)
      }
      if let row = analysis.row(at: address, arrival) { rows.append(FlowRow(entry: entry, row: row)) }
      if arrival == .interrupted, let row = analysis.newTaskRow(at: address) { rows.append(FlowRow(entry: entry, row: row)) }
    }
    return rows
  }
}

extension FlowAnalysis {
  fileprivate func row(at address: ImageAddress, _ arrival: Arrival) -> Row? {
    switch arrival {
    case .returned: row(at: address, returned: true)
    // The syscall instruction changes nothing that matters; what follows it may belong to another function.
    case .trapped: row(at: address - 2, returned: false)
    case .interrupted: row(at: address, returned: false)
    }
  }
}
