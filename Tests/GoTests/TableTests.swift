import ELF
import Foundation
import Go
import Testing

@Suite(.serialized) struct TableTests {
  static let kinds: [[String]] = [
    [], ["-buildmode=pie"], ["-ldflags=-linkmode=external"], ["-buildmode=pie", "-ldflags=-linkmode=external"],
  ]

  private func table(_ file: ObjectFile) throws -> GoTable { try #require(try GoTable.find(in: file)) }

  private func text(_ name: [UInt8]) -> String { String(decoding: name, as: UTF8.self) }

  /// `.debug_frame` is written by the same linker from the same numbers, but by other code, and read here by binutils.
  @Test(arguments: Toolchain.all, kinds)
  func `every depth is what the debug information says`(go: String, flags: [String]) throws {
    let program = try Toolchain.program(by: go, flags, cgo: flags.contains { $0.contains("external") })
    let table = try table(try open(program))
    var (rows, functions) = (0, 0)
    var function: GoFunction?
    var addressColumn = false
    for line in try Toolchain.run("/usr/bin/readelf", ["--debug-dump=frames-interp", program.path]).output {
      if line.contains(" FDE ") {
        let range = try #require(line.split(separator: "pc=").last).split(separator: "..")
        let start = ImageAddress(try #require(UInt64(range[0], radix: 16)))
        function = try table.function(covering: start)
        // C's functions have frame entries, too.
        if function?.start != start { function = nil }
        if function != nil { functions += 1 }
        addressColumn = false
        continue
      }
      let words = line.split(separator: " ")
      if words.first == "LOC" {
        addressColumn = true
        continue
      }
      guard addressColumn, let function, words.count >= 2, words[0].count == 16, let place = UInt64(words[0], radix: 16) else { continue }
      guard words[1].hasPrefix("rsp+"), let offset = Int32(words[1].dropFirst(4)) else { continue }
      guard let depth = try table.depth(at: ImageAddress(place), in: function) else { continue }
      rows += 1
      if depth.bytes + 8 != offset { Issue.record("\(text(try table.name(of: function))): 0x\(words[0]) \(depth) \(line)") }
    }
    #expect(functions > 1500 && rows > 4000, "\(functions) functions, \(rows) rows")
    print("\(go) \(flags): \(functions) functions, \(rows) rows as readelf has them")
  }

  @Test(arguments: Toolchain.all, kinds)
  func `functions are those that symbols name`(go: String, flags: [String]) throws {
    let program = try Toolchain.program(by: go, flags, cgo: flags.contains { $0.contains("external") })
    let table = try table(try open(program))
    var names: [UInt64: [Substring]] = [:]
    for line in try Toolchain.run("/usr/bin/nm", [program.path]).output {
      let words = line.split(separator: " ", maxSplits: 2)
      if words.count == 3, let address = UInt64(words[0], radix: 16) { names[address, default: []].append(words[2]) }
    }
    var found = 0
    for index in 0..<table.functionCount {
      let function = try table.function(index)
      // Symbols have a full stop for Go's middle dot.
      let name = String(text(try table.name(of: function)).map { $0 == "\u{b7}" ? "." : $0 })
      for place in [function.start, function.end - 1] { #expect(try table.function(covering: place) == function) }
      guard let known = names[function.start.value] else { continue }
      found += 1
      // Symbols add the calling convention; type arguments are shortened.
      let isKnown = known.contains { $0 == name || $0.hasPrefix(name + ".abi") || name.contains("[") }
      if !isKnown { Issue.record("\(name) is \(known)") }
    }
    #expect(found > 1500)
  }

  @Test(arguments: Toolchain.all, [[], ["-buildmode=pie"]])
  func `a stripped program has the same table`(go: String, flags: [String]) throws {
    let whole = try table(try open(try Toolchain.program(by: go, flags)))
    let url = try Toolchain.program(by: go, flags + ["-ldflags=-s -w"])
    let stripped = try table(try open(url))
    var bytes = try [UInt8](Data(contentsOf: url))
    for index in Array(40..<48) + Array(58..<64) { bytes[index] = 0 }
    let bare = try table(try ObjectFile(Source(bytes)))
    #expect(stripped.functionCount == whole.functionCount && bare.functionCount == whole.functionCount)
    #expect(stripped.version == whole.version && bare.textStart == stripped.textStart)
    for index in 0..<whole.functionCount {
      let (a, b, c) = (try whole.function(index), try stripped.function(index), try bare.function(index))
      #expect(b == c)
      #expect(try whole.name(of: a) == stripped.name(of: b))
      #expect(a.end.value - a.start.value == b.end.value - b.start.value && a.flags == b.flags)
    }
  }

  @Test func `other programs have none`() throws {
    for path in ["/bin/true", "/usr/lib/x86_64-linux-gnu/libc.so.6"] {
      #expect(try GoTable.find(in: open(URL(fileURLWithPath: path))) == nil)
    }
  }

  @Test func `functions that switch stacks are marked`() throws {
    let table = try table(try open(try Toolchain.program(by: "/usr/bin/go", [])))
    var flags: [String: GoFunctionFlags] = [:]
    for index in 0..<table.functionCount {
      let function = try table.function(index)
      flags[text(try table.name(of: function))] = function.flags
    }
    #expect(flags["runtime.systemstack"]?.contains([.setsStackPointer, .assembly]) == true)
    #expect(flags["runtime.goexit"]?.contains([.top, .assembly]) == true)
    #expect(flags["main.main"] == [])
  }
}
