import ELF
import Foundation
import Testing
import Unwind
import X86

/// What the checks of call sites build on, shown on whole libraries.
@Suite struct BoundaryTests {
  @Test(arguments: [
    "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
    "/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "/bin/bash", "/usr/bin/perl", "/usr/lib/x86_64-linux-gnu/libm.so.6",
  ])
  func `rows start at instructions, counted from their function's start`(path: String) throws {
    guard FileManager.default.fileExists(atPath: path) else { try Test.cancel("\(path) is not installed") }
    guard let text = try run("readelf", "--debug-dump=frames-interp", path) else { try Test.cancel("readelf is not installed") }
    let file = try ObjectFile(Source([UInt8](Data(contentsOf: URL(fileURLWithPath: path)))))
    var table = FrameTable(file)
    let decoder = Decoder()
    var rows = 0
    var astray: [String] = []
    var undecodable = 0
    for entry in Golden.entries(text) where entry.end - entry.start > 1 && entry.end - entry.start < 1 << 20 {
      var budget = Budget(1 << 20)
      if case .entry(let found) = try table.find(ImageAddress(entry.start), budget: &budget), found.isSignalFrame { continue }
      let code = try file.bytes(at: ImageAddress(entry.start), count: Int(entry.end - entry.start))
      var starts: Set<Int> = [0]
      var offset = 0
      while let instruction = decoder.instruction(at: offset, in: code) {
        offset += instruction.length
        starts.insert(offset)
      }
      if offset != code.count { undecodable += 1 }
      for row in entry.rows {
        rows += 1
        let at = Int(row.start - entry.start)
        if at <= offset, !starts.contains(at) { astray.append(String(row.start, radix: 16)) }
      }
    }
    #expect(astray.isEmpty, "\(rows) rows, \(undecodable) functions with undecodable bytes")
    #expect(undecodable == 0)
  }
}
