import ELF
import Samples
import Unwind
import Wire

/// `.eh_frame`: whole sections of the fuzzer's, found through a header of its own or by going through them, and single functions whose call
/// frame instructions and expressions are the fuzzer's.
func fuzzCFI(_ bytes: ArraySlice<UInt8>) {
  var input = Input(bytes)
  let kind = input.byte()
  let file = kind & 1 == 0 ? oneFunction(&input) : wholeSection(&input, hasHeader: kind & 2 != 0)
  let object = file.open()
  var table = FrameTable(object)
  var budget = Budget(1 << 18)
  let count = attempt { () throws(UnwindError) in try table.count(budget: &budget) } ?? 0
  for index in 0..<min(count, 16) {
    guard let entry = attempt({ () throws(UnwindError) in try table.entry(index, budget: &budget) }) else { continue }
    walk(entry, in: object, &budget)
    for address in [entry.range.start, entry.end - 1, entry.end] { find(address, in: object, &table, &budget) }
  }
  for offset: UInt64 in [0, 1, 31, 32, 4095] { find(ImageAddress(File.codeAddress + offset), in: object, &table, &budget) }
  check(budget.left >= 0, "the budget is not exceeded")
}

/// The rows of a function, one after the other.
private func walk(_ entry: FrameEntry, in file: ObjectFile, _ budget: inout Budget) {
  var address = entry.range.start
  for _ in 0..<64 where entry.range.contains(address) {
    guard let row = attempt({ () throws(UnwindError) in try entry.row(at: address, budget: &budget) }) else { return }
    check(row.start <= address && address < row.end && row.end <= entry.end, "a row holds its address, and lies in its function")
    check(entry.range.start <= row.start, "a row starts in its function")
    for other in [row.start, row.end - 1] {
      let again = attempt { () throws(UnwindError) in try entry.row(at: other, budget: &budget) }
      check(again == nil ? budget.left < 1 << 17 : again == row, "a row is the same wherever in it is asked")
    }
    apply(row, in: file, &budget)
    address = row.end
  }
}

private func apply(_ row: Row, in file: ObjectFile, _ budget: inout Budget) {
  var registers = Registers()
  for number in 0..<16 where number % 5 != 4 { registers[number] = 0x7ff0_0000_1000 + UInt64(number) * 64 }
  func caller() -> Caller? {
    attempt { () throws(UnwindError) in
      try step(row, in: registers, at: 0x50_0010, file: file, budget: &budget) { (address) throws(UnwindError) in
        if address % 7 == 6 { throw .unreadable(address: address) }
        return address &* 0x9e37_79b9_7f4a_7c15
      }
    }
  }
  let (first, second) = (caller(), caller())
  check(first == second || budget.left < 1 << 17, "the same frame leads to the same caller")
}

private func find(_ address: ImageAddress, in file: ObjectFile, _ table: inout FrameTable, _ budget: inout Budget) {
  guard let answer = attempt({ () throws(UnwindError) in try table.find(address, budget: &budget) }) else { return }
  switch answer {
  case .entry(let entry): check(entry.range.contains(address), "a found function holds the address")
  case .gap(let after, let before):
    check(after.map { $0.range.start <= address } ?? true, "the function before a gap starts before it")
    check(before.map { address < $0 } ?? true, "the function after a gap starts after it")
  }
}

private func oneFunction(_ input: inout Input) -> File {
  var image = SampleImage(code: [])
  let common = input.bytes(Int(input.byte() & 31))
  if input.byte() & 1 != 0 { image.commonInstructions = common }
  let (isSignalFrame, count) = (input.byte() & 7 == 0, UInt32(input.byte()) + 1)
  image.entries = [.init(offset: 0, count: count, instructions: input.rest(), isSignalFrame: isSignalFrame)]
  let tables = image.tables()
  // Where the sample has them.
  var data = [UInt8](repeating: 0, count: 0x200) + tables.header
  data += [UInt8](repeating: 0, count: 0x400 - data.count) + tables.frames
  return File(
    data: data, code: .init(repeating: 0x90, count: 4096),
    frameHeader: (SampleImage.headerAddress, UInt64(tables.header.count)))
}

private func wholeSection(_ input: inout Input, hasHeader: Bool) -> File {
  let at = File.dataAddress + 0x400
  // With a table, or only the place of the section.
  var header: [UInt8] = [1, 0x1b, hasHeader ? 0x03 : 0xff, hasHeader ? 0x3b : 0xff]
  header += le(UInt32(truncatingIfNeeded: at &- (File.dataAddress + 0x204)))
  if hasHeader {
    let rows = (0..<(input.byte() & 15)).map { _ in (input.number(UInt16.self), input.number(UInt16.self)) }
    header += le(UInt32(rows.count))
    for (start, entry) in rows {
      header += le(UInt32(truncatingIfNeeded: File.codeAddress + UInt64(start) &- (File.dataAddress + 0x200)))
      header += le(UInt32(0x200 + UInt32(entry)))
    }
  }
  let data = [UInt8](repeating: 0, count: 0x200) + header + [UInt8](repeating: 0, count: 0x200 - header.count) + input.rest()
  return File(
    data: data, code: .init(repeating: 0x90, count: 4096), frameHeader: (File.dataAddress + 0x200, UInt64(header.count)))
}
