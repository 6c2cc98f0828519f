import ELF
import Go
import Inspection
import Samples
import Wire

/// Go's table: one of the fuzzer's bytes, or a well-formed one with the fuzzer's names, depths and code; asked directly, and by the walk of a
/// goroutine's stack through functions that switch stacks.
func fuzzGo(_ bytes: ArraySlice<UInt8>) {
  var input = Input(bytes)
  let isWhole = input.byte() & 1 != 0
  var file = File(isFixed: input.byte() & 1 == 0, isGo: true)
  if isWhole {
    file.data = input.bytes(2048)
  } else {
    file.data = table(&input)
  }
  let (snapshot, stack) = (input.snapshot(), input.stack(64))
  file.code = input.rest()
  let object = file.open()
  if let table = attempt({ () throws(GoTableError) in try GoTable.find(in: object) }) ?? nil { read(table) }
  inspectTwice(snapshot, in: Space(file, stack: stack))
}

private func read(_ table: GoTable) {
  for index in 0..<min(table.functionCount, 16) {
    guard let function = attempt({ () throws(GoTableError) in try table.function(index) }) else { continue }
    check(function.start < function.end, "a function is not empty")
    _ = attempt { () throws(GoTableError) in check(try table.name(of: function).count <= GoTable.maxNameBytes, "a name is cut off") }
    var address = function.start
    for _ in 0..<32 where address < function.end {
      guard let depth = attempt({ () throws(GoTableError) in try table.depth(at: address, in: function) }) ?? nil else { break }
      check(
        depth.start <= address && address < depth.end && depth.end <= function.end, "a depth holds its address, and lies in its function")
      address = depth.end
    }
    for address in [function.start, function.end - 1, function.end, ImageAddress(.max)] {
      let found = attempt({ () throws(GoTableError) in try table.function(covering: address) }) ?? nil
      check(found.map { $0.start <= address && address < $0.end } ?? true, "a found function holds the address")
    }
  }
}

private let names = [
  "main.main", "runtime.goexit", "runtime.mcall", "runtime.rt0_go", "runtime.clone", "runtime.exitThread", "runtime.sigpanic",
  "crosscall2", "runtime.systemstack", "runtime.asmcgocall", "runtime.cgocallback",
]

/// A table as Go 1.20 and later write it, of up to seven functions one after the other.
private func table(_ input: inout Input) -> [UInt8] {
  let count = Int(input.byte() % 7) + 1
  var (texts, depths, records, list) = ([0] as [UInt8], [0] as [UInt8], [] as [UInt8], [] as [UInt8])
  var start: UInt32 = 0
  for index in 0..<count {
    let (flags, bytes) = (input.byte(), UInt32(input.byte()) + 1)
    list += le(start) + le(UInt32(8 * count + 4 + index * 44))
    records += le(start) + le(UInt32(texts.count)) + le(UInt64(0)) + le(UInt32(depths.count))
    records += [UInt8](repeating: 0, count: 44 - 20 - 3) + [flags, 0, 0]
    texts += Array(input.choice(names).utf8) + [0]
    // Depths change twice, or as the fuzzer wants.
    depths += input.bytes(Int(input.byte() & 7)) + [2, UInt8(truncatingIfNeeded: bytes / 2), 48, UInt8(truncatingIfNeeded: bytes & 127), 0]
    start += bytes
  }
  list += le(start)
  let (textPlace, depthPlace) = (72, 72 + texts.count)
  var table = le(UInt32(0xffff_fff1)) + [0, 0, 1, 8] + le(UInt64(count)) + le(UInt64(0)) + le(File.codeAddress)
  table += le(UInt64(textPlace)) + le(UInt64(0)) + le(UInt64(0)) + le(UInt64(depthPlace)) + le(UInt64(depthPlace + depths.count))
  table += texts + depths + list + records
  return table + [UInt8](repeating: 0, count: 64)
}
