import ELF
import Go
import Inspection
import Unwind
import Wire

/// A whole file of the fuzzer's: headers, sections, symbols, and all that is looked for in it.
func fuzzELF(_ bytes: ArraySlice<UInt8>) {
  guard let file = attempt({ () throws(ELFError) in try ObjectFile(Source(Array(bytes))) }) else { return }
  let sections = attempt { () throws(ELFError) in try file.sections() }
  check((sections ?? []).count <= ObjectFile.maxSectionHeaders, "no more sections than the limit")
  _ = attempt { () throws(ELFError) in try file.buildID() }
  _ = attempt { () throws(ELFError) in try file.exportedObject("gHotSpotVMStructs") }
  if let functions = attempt({ () throws(ELFError) in try file.functions() }) {
    check(zip(functions.sorted, functions.sorted.dropFirst()).allSatisfy { $0.start <= $1.start }, "symbols rise")
    for function in functions.sorted.prefix(16) {
      _ = attempt { () throws(ELFError) in try file.bestName(of: function) }
      check(functions.covering(function.start).map { $0.contains(function.start) } ?? true, "a found symbol covers the address")
    }
  }
  _ = attempt { () throws(GoTableError) in try GoTable.find(in: file) }
  var (table, budget) = (FrameTable(file), Budget(1 << 18))
  for address in [file.entry] + file.segments.flatMap({ [$0.address, $0.end - 1, $0.end] }).prefix(24) {
    if let offset = attempt({ () throws(ELFError) in try file.place(of: address) }) {
      check(offset.available > 0, "what is in a segment has bytes")
    }
    _ = attempt { () throws(UnwindError) in try table.find(address, budget: &budget) }
  }
}

/// What the supervisor and the inspector say: what is taken for a message is one, and comes back as it was.
func fuzzWire(_ bytes: ArraySlice<UInt8>) {
  // Magic, version: guessing them is no test.
  let whole = Array("CLG1".utf8) + [1] + bytes
  guard let message = attempt({ () throws(WireError) in try Message(decoding: whole) }) else { return }
  let encoded = message.encode()
  check(encoded.count <= Message.limit, "a message fits")
  check(attempt { () throws(WireError) in try Message(decoding: encoded) } == message, "a message comes back as it was")
}
