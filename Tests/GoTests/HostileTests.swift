import ELF
import Foundation
import Go
import Testing

/// Tables that nobody's linker wrote: they are refused or read as what they say, and never more than that.
@Suite struct HostileTests {
  /// Numbers that are the same each time (Numerical Recipes' generator).
  private struct Numbers {
    var state: UInt64 = 7
    mutating func next(below limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(limit))
    }
  }

  /// Asks all that can be asked; what is thrown is an answer.
  private func readEverything(_ bytes: [UInt8]) {
    guard let file = try? ObjectFile(Source(bytes)), let table = try? GoTable.find(in: file) else { return }
    for index in stride(from: UInt64(0), to: min(table.functionCount, 40), by: 1) {
      guard let function = try? table.function(index) else { continue }
      _ = try? table.name(of: function)
      for address in [function.start, function.start + 5, function.end - 1, function.end] {
        _ = try? table.depth(at: address, in: function)
        _ = try? table.function(covering: address)
      }
    }
    _ = try? table.function(covering: ImageAddress(0))
    _ = try? table.function(covering: ImageAddress(.max))
  }

  @Test func `changed and cut tables are read or refused`() throws {
    for version: UInt32 in [0xffff_fffb, 0xffff_fffa, 0xffff_fff0, 0xffff_fff1] {
      let sample = GoSample(version: version)
      let whole = sample.file
      var numbers = Numbers()
      for _ in 0..<3000 {
        var bytes = whole
        for _ in 0...numbers.next(below: 6) {
          let place = sample.tableOffset + numbers.next(below: bytes.count - sample.tableOffset)
          bytes[place] = [0, 0xff, 0x7f, 0x80, UInt8(numbers.next(below: 256))][numbers.next(below: 5)]
        }
        readEverything(bytes)
      }
      for count in stride(from: whole.count - 1, to: 0, by: -7) { readEverything(Array(whole[..<count])) }
    }
  }

  @Test func `a section at the end of the address space is searched without wrapping`() {
    func word(_ value: UInt64, _ count: Int = 8) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) } }
    var file = GoSample(version: 0xffff_fff1).file
    let names = [0] + Array(".go.buildinfo".utf8) + [0] + Array(".rodata".utf8) + [0]
    let namesAt = UInt64(file.count)
    file += names
    let sectionsAt = UInt64(file.count)
    func section(_ name: UInt64, _ address: UInt64, _ offset: UInt64, _ count: UInt64) -> [UInt8] {
      word(name, 4) + word(1, 4) + word(0) + word(address) + word(offset) + word(count) + word(0) + word(0) + word(0)
    }
    file += section(0, 0, namesAt, UInt64(names.count)) + section(1, 0, 0, 0) + section(15, .max - 2, 0, 100)
    file.replaceSubrange(40..<48, with: word(sectionsAt))
    file.replaceSubrange(60..<64, with: word(3, 2) + word(0, 2))
    readEverything(file)
  }

  @Test(arguments: [0xffff_fffb, 0xffff_fffa, 0xffff_fff0, 0xffff_fff1] as [UInt32])
  func `each version's layout is read`(version: UInt32) throws {
    let file = try ObjectFile(Source(GoSample(version: version).file))
    let table = try #require(try GoTable.find(in: file))
    #expect(table.functionCount == 2)
    let first = try #require(try table.function(covering: ImageAddress(0x401003)))
    let second = try #require(try table.function(covering: ImageAddress(0x40101f)))
    #expect(first.start == ImageAddress(0x401000) && first.end == ImageAddress(0x401010))
    #expect(second.start == ImageAddress(0x401010) && second.end == ImageAddress(0x401020))
    #expect(try table.name(of: first) == Array("main.first".utf8))
    #expect(try table.name(of: second) == Array("runtime.gogo".utf8))
    #expect(second.flags == (version == 0xffff_fffb ? [] : [.setsStackPointer, .assembly]))
    #expect(try table.depth(at: ImageAddress(0x401003), in: first)?.bytes == 0)
    #expect(try table.depth(at: ImageAddress(0x401004), in: first)?.bytes == 24)
    #expect(try table.depth(at: ImageAddress(0x40100f), in: first)?.bytes == 0)
    #expect(try table.depth(at: ImageAddress(0x401012), in: second)?.bytes == -8)
    #expect(try table.function(covering: ImageAddress(0x401020)) == nil)
    #expect(try table.function(covering: ImageAddress(0x400fff)) == nil)
  }
}

/// A file of two functions with a table of each layout, made by hand from runtime/symtab.go of the release.
struct GoSample {
  let tableOffset = 0x200
  let file: [UInt8]

  init(version: UInt32) {
    func word(_ value: UInt64, _ count: Int = 8) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) } }
    let isOld = version == 0xffff_fffb
    let isWide = version >= 0xffff_fffa
    let names: [UInt8] = [0] + Array("main.first".utf8) + [0] + Array("runtime.gogo".utf8) + [0]
    // 0 for 4 bytes, 24 for 8, 0 for 4; then -8 for 16.
    let depths: [UInt8] = [0, 2, 4, 48, 8, 47, 4, 0, 13, 16, 0]
    func record(_ start: UInt64, name: UInt64, depth: UInt64, flags: UInt8) -> [UInt8] {
      var bytes = isWide ? word(start) : word(start &- 0x401000, 4)
      bytes += word(name, 4) + word(0, 4) + word(0, 4) + word(depth, 4) + word(0, 4) + word(0, 4) + word(0, 4)
      if isOld { return bytes }
      bytes += word(0, 4)
      if version == 0xffff_fff1 { bytes += word(0, 4) }
      return bytes + [0, flags, 0, 0]
    }
    func list(_ first: UInt64, _ second: UInt64) -> [UInt8] {
      isWide
        ? word(0x401000) + word(first) + word(0x401010) + word(second) + word(0x401020)
        : word(0, 4) + word(first, 4) + word(0x10, 4) + word(second, 4) + word(0x20, 4)
    }
    var table = word(UInt64(version), 4) + [0, 0, 1, 8] + word(2)
    let listBytes = list(0, 0).count
    let recordBytes = record(0, name: 0, depth: 0, flags: 0).count
    if isOld {
      let records = UInt64(16 + listBytes)
      let nameBase = records + UInt64(2 * recordBytes)
      let depthBase = nameBase + UInt64(names.count)
      table += list(records, records + UInt64(recordBytes))
      table += record(0x401000, name: nameBase + 1, depth: depthBase + 1, flags: 0)
      table += record(0x401010, name: nameBase + 12, depth: depthBase + 8, flags: 0)
      table += names + depths
    } else {
      let header: UInt64 = isWide ? 64 : 72
      let nameBase = header
      let depthBase = nameBase + UInt64(names.count)
      let functionBase = depthBase + UInt64(depths.count)
      table += word(0)
      if !isWide { table += word(0x401000) }
      table += word(nameBase) + word(0) + word(0) + word(depthBase) + word(functionBase)
      table += names + depths
      table += list(UInt64(listBytes), UInt64(listBytes + recordBytes))
      table += record(0x401000, name: 1, depth: 1, flags: 0)
      table += record(0x401010, name: 12, depth: 8, flags: 6)
    }
    table += [UInt8](repeating: 0, count: 80)
    // ELF header, two PT_LOAD: what follows 0x200 as data at 0x500200, and 32 bytes of code at 0x401000.
    let codeOffset = UInt64(tableOffset + table.count)
    var file = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
    file +=
      word(2, 2) + word(62, 2) + word(1, 4) + word(0x401000) + word(64) + word(0) + word(0, 4) + word(64, 2) + word(56, 2) + word(3, 2)
    file += word(64, 2) + word(0, 2) + word(0, 2)
    func segment(_ flags: UInt64, _ offset: UInt64, _ address: UInt64, _ count: UInt64) -> [UInt8] {
      word(1, 4) + word(flags, 4) + word(offset) + word(address) + word(address) + word(count) + word(count) + word(0x1000)
    }
    file += segment(4, UInt64(tableOffset), 0x50_0200, UInt64(table.count)) + segment(5, codeOffset, 0x40_1000, 32)
    // PT_NOTE: that of Go's linker, with no id.
    file += word(4, 4) + word(4, 4) + word(0x1c0) + word(0) + word(0) + word(16) + word(16) + word(4)
    file += [UInt8](repeating: 0, count: 0x1c0 - file.count) + word(4, 4) + word(0, 4) + word(4, 4) + Array("Go\0\0".utf8)
    file += [UInt8](repeating: 0, count: tableOffset - file.count) + table + [UInt8](repeating: 0x90, count: 32)
    self.file = file
  }
}
