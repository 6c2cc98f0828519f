import ELF
import Flow
import Foundation
import Unwind
import X86

/// Flow analysis and CFI asked the same question at every call of a file.
struct Agreement: CustomStringConvertible {
  /// A site where they do not agree, by what is the matter.
  enum Difference: String, CaseIterable {
    /// No way that was followed leads to the call: it lies behind a jump through a table that is computed, or is dead.
    case unreached
    /// The depth of SP is not known, and no register holds the frame.
    case unknownDepth
    /// Both say something, and not the same.
    case depth
    /// The same CFA, but the caller's rbp is not where CFI says.
    case framePointer
  }

  var sites = 0
  var same = 0
  var differences: [Difference: [ImageAddress]] = [:]
  var functions = 0
  /// Parts of functions that were split off: their CFI starts with the parent's depth.
  var parts = 0

  var share: Double { sites == 0 ? 0 : Double(same) / Double(sites) }

  var description: String {
    let classes = Difference.allCases.compactMap { kind in
      differences[kind].map { "\(kind.rawValue) \($0.count) (\($0.prefix(6).map { String($0.value, radix: 16) }.joined(separator: " ")))" }
    }
    return "\(functions) functions, \(sites) sites, \(same) same = \(String(format: "%.3f", 100 * share)) %; "
      + classes.joined(separator: ", ")
  }

  init(path: String, every stride: Int = 1) throws {
    let file = try ObjectFile(Source([UInt8](Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped))))
    var table = FrameTable(file)
    var budget = Budget(1 << 40)
    let decoder = OperationDecoder()
    for index in Swift.stride(from: 0, to: try table.count(budget: &budget), by: stride) {
      guard let entry = try? table.entry(index, budget: &budget), entry.range.count > 0 else { continue }
      let first = try entry.row(at: entry.range.start, budget: &budget)
      guard first.cfa == .register(7, offset: 8) else {
        parts += 1
        continue
      }
      functions += 1
      let analysis = try FlowAnalysis(of: file, from: entry.range.start, within: entry.range, decoder: decoder, budget: &budget)
      for site in try Agreement.calls(in: entry, file, decoder) {
        let cfi = try entry.row(at: site - 1, budget: &budget)
        // Where nothing returns to, CFI says so.
        guard cfi.returnAddress != .undefined else { continue }
        sites += 1
        if let difference = try Agreement.difference(cfi, analysis.row(at: site, returned: true), analysis, site, file) {
          differences[difference, default: []].append(site)
        } else {
          same += 1
        }
      }
    }
  }

  /// The addresses after the calls.
  private static func calls(in entry: FrameEntry, _ file: ObjectFile, _ decoder: OperationDecoder) throws -> [ImageAddress] {
    var code: [UInt8] = []
    while code.count < entry.range.count {
      let left = Int(entry.range.count) - code.count
      code += try file.bytes(at: entry.range.start + UInt64(code.count), upTo: min(left, ObjectFile.maxReadBytes))
    }
    var sites: [ImageAddress] = []
    var offset = 0
    while offset < code.count {
      guard let operation = decoder.operation(at: offset, in: code) else { break }
      offset += operation.length
      switch operation.transfer {
      // A call as the last instruction does not return.
      case .call, .callIndirect: if offset < code.count { sites.append(entry.range.start + UInt64(offset)) }
      default: break
      }
    }
    return sites
  }

  private static func difference(_ cfi: Row, _ flow: Row?, _ analysis: FlowAnalysis, _ site: ImageAddress, _ file: ObjectFile) throws
    -> Difference?
  {
    guard analysis.reachesCall(before: site) else { return .unreached }
    guard flow != nil else { return .unknownDepth }
    switch analysis.agrees(try cfi.cfa.simplified(in: file), at: site) {
    case false?: return .depth
    case nil: return .unknownDepth
    case true?: break
    }
    if case .saved(let offset) = cfi.registers[6], !analysis.keeps(6, at: offset, of: site) { return .framePointer }
    return nil
  }
}

extension CFARule {
  /// `DW_OP_bregN offset; DW_OP_deref` and perhaps `DW_OP_plus_uconst n`: all that compilers and perlasm write for a CFA kept in a frame.
  func simplified(in file: ObjectFile) throws -> CFARule {
    guard case .computed(let expression) = self else { return self }
    var bytes = try file.bytes(at: expression.address, count: Int(expression.count))[...]
    guard let first = bytes.popFirst(), (0x70...0x7f).contains(first) else { return self }
    func leb(signed: Bool) -> Int64 {
      var (value, shift): (Int64, Int64) = (0, 0)
      while let byte = bytes.popFirst() {
        value |= Int64(byte & 0x7f) << shift
        shift += 7
        if byte & 0x80 == 0 { return signed && byte & 0x40 != 0 ? value | -1 << shift : value }
      }
      return value
    }
    let offset = leb(signed: true)
    guard bytes.popFirst() == 0x06 else { return self }
    let plus = bytes.popFirst() == 0x23 ? leb(signed: false) : 0
    return .saved(register: first - 0x70, offset: offset, plus: plus)
  }
}
