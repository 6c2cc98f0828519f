import ELF
import Flow
import Unwind
import X86

/// Flow analysis: a function of the fuzzer's code, with jump tables of the fuzzer's, asked at every address; and the pass over the whole file.
func fuzzFlow(_ bytes: ArraySlice<UInt8>) {
  var input = Input(bytes)
  let flags = input.byte()
  var file = File(data: input.bytes(Int(input.byte())), isFixed: flags & 1 == 0)
  let start = ImageAddress(File.codeAddress + UInt64(input.byte() & 15))
  file.code = input.rest()
  let object = file.open()
  let decoder = OperationDecoder()
  let end = ImageAddress(File.codeAddress + UInt64(file.code.count))
  let bounds = AddressRange(start: ImageAddress(File.codeAddress), count: flags & 2 == 0 ? UInt64(file.code.count) : 1 << 40)
  let extent = flags & 4 == 0 ? bounds : AddressRange(start: start, count: UInt64(file.code.count / 2))

  let known = object.isExecutable(start) ? [start] : []
  var budget = Budget(1 << 20)
  guard
    let found = attempt({ () throws(UnwindError) in try Entries(of: object, known: known, decoder: decoder, budget: &budget) })
  else { return check(budget.left < 1 << 20, "nothing is refused unseen") }
  check(zip(found.sorted, found.sorted.dropFirst()).allSatisfy { $0 < $1 }, "entries rise")
  check(found.afterPadding.allSatisfy { object.isExecutable($0) }, "entries are code")

  func analysis() -> FlowAnalysis? {
    var budget = Budget(1 << 20)
    return attempt { () throws(UnwindError) in
      try FlowAnalysis(of: object, from: start, within: bounds, extent: extent, decoder: decoder, budget: &budget) {
        flags & 8 != 0 && found.contains($0)
      }
    }
  }
  guard let first = analysis() else { return check(analysis() == nil, "what failed fails again") }
  guard let second = analysis() else { fatalError("what succeeded succeeds again") }
  var address = ImageAddress(File.codeAddress)
  while address <= end {
    for returned in [true, false] {
      let row = first.row(at: address, returned: returned)
      check(row == second.row(at: address, returned: returned), "the same code has the same rows")
      check(row.map { $0.start == address && $0.end == address + 1 } ?? true, "a row is of its address")
    }
    _ = first.newTaskRow(at: address)
    _ = first.keeps(6, at: -16, of: address)
    let candidates = found.candidates(for: address)
    // A part that was split off may lie before its function.
    check(candidates.count <= 16 && candidates.allSatisfy { object.isExecutable($0) }, "candidates are few, and code")
    check(Set(candidates).count == candidates.count, "each is a candidate once")
    address = address + 1
  }
}
