import ELF
import Foundation
import Testing
import Unwind

/// Every row of whole libraries, against what binutils' readelf says.
@Suite struct GoldenTests {
  @Test(arguments: [
    "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
    "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
  ])
  func `every row of a library is what readelf shows`(path: String) throws {
    guard FileManager.default.fileExists(atPath: path) else { try Test.cancel("\(path) is not installed") }
    guard let text = try run("readelf", "--debug-dump=frames-interp", path) else { try Test.cancel("readelf is not installed") }
    let file = try ObjectFile(Source([UInt8](Data(contentsOf: URL(fileURLWithPath: path)))))
    var table = FrameTable(file)
    var rows = 0
    var wrong = 0
    for golden in Golden.entries(text) where golden.start != golden.end {
      var budget = Budget(1 << 20)
      guard case .entry(let entry) = try table.find(ImageAddress(golden.start), budget: &budget) else {
        Issue.record("no entry at \(String(golden.start, radix: 16))")
        continue
      }
      #expect(entry.range.start.value == golden.start && entry.end.value == golden.end)
      for (index, expected) in golden.rows.enumerated() {
        // An instruction may move by nothing: readelf shows both rows, of which the first holds nowhere.
        let end = index + 1 < golden.rows.count ? golden.rows[index + 1].start : golden.end
        if end == expected.start { continue }
        let row = try entry.row(at: ImageAddress(expected.start), budget: &budget)
        rows += 1
        if row.start.value != expected.start || row.end.value != end || described(row) != expected.cells {
          wrong += 1
          if wrong < 5 {
            Issue.record("\(String(expected.start, radix: 16)): \(expected.cells) but read as \(described(row)), ends \(row.end)")
          }
        }
      }
    }
    #expect(rows > 2000 && wrong == 0)
  }

  /// A row in readelf's words, columns that say nothing left out.
  private func described(_ row: Row) -> [String: String] {
    var cells: [String: String] = [:]
    switch row.cfa {
    case .register(let number, let offset): cells["CFA"] = Golden.names[Int(number)] + signed(offset)
    case .saved, .computed: cells["CFA"] = "exp"
    }
    for number in 0..<16 { cells[Golden.names[number]] = cell(row.registers[number]) }
    cells["ra"] = cell(row.returnAddress)
    return cells
  }

  private func signed(_ value: Int64) -> String { value < 0 ? "\(value)" : "+\(value)" }

  private func cell(_ rule: Rule) -> String? {
    switch rule {
    case .unspecified, .undefined: nil
    case .sameValue: "s"
    case .saved(let offset): "c" + signed(offset)
    case .value(let offset): "v" + signed(offset)
    case .register(let number): Golden.names[Int(number)]
    case .savedAt: "exp"
    case .computed: "vexp"
    }
  }
}

/// `readelf --debug-dump=frames-interp`, read back.
struct Golden {
  static let names = [
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
  ]

  var start: UInt64
  var end: UInt64
  var rows: [(start: UInt64, cells: [String: String])]

  static func entries(_ text: String) -> [Golden] {
    var found: [Golden] = []
    var columns: [String] = []
    var isEntry = false
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      let words = line.split(separator: " ")
      if words.count >= 5, words[3] == "FDE", let range = words.last?.split(separator: "=").last {
        let ends = range.split(separator: ".").compactMap { UInt64($0, radix: 16) }
        found.append(Golden(start: ends[0], end: ends[1], rows: [(ends[0], ["CFA": "rsp+8", "ra": "c-8"])]))
        isEntry = true
        columns = []
      } else if words.count >= 4, words[3] == "CIE" {
        isEntry = false
        columns = []
      } else if words.first == "LOC" {
        columns = words.dropFirst().map(String.init)
        if isEntry { found[found.count - 1].rows = [] }
      } else if let first = words.first, first.count == 16, let start = UInt64(first, radix: 16), !columns.isEmpty {
        // "r1 (rdx)" is one cell.
        var cells: [String: String] = [:]
        var values: [String] = []
        for word in words.dropFirst() {
          if word.hasPrefix("(") { values[values.count - 1] = String(word.dropFirst().dropLast()) } else { values.append(String(word)) }
        }
        for (column, value) in zip(columns, values) where value != "u" && (names.contains(column) || column == "ra" || column == "CFA") {
          cells[column] = value
        }
        if isEntry { found[found.count - 1].rows.append((start, cells)) }
      }
    }
    return found
  }
}

/// What a program writes, or nil where it is not installed.
func run(_ program: String, _ arguments: String...) throws -> String? {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = [program] + arguments
  let output = Pipe()
  process.standardOutput = output
  process.standardError = FileHandle.nullDevice
  try process.run()
  let data = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return process.terminationStatus == 127 ? nil : String(decoding: data, as: UTF8.self)
}
