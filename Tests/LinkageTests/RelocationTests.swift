import ELF
import Linkage
import Samples
import Testing

/// What the loader writes into a file's words: by name, as an address of the file's own, or as an IFUNC's resolver says.
@Suite struct RelocationTests {
  @Test(arguments: [.globalData, .jumpSlot] as [SampleLinkage.Kind])
  func `a slot of the GOT has the symbol's name`(kind: SampleLinkage.Kind) throws {
    let asked = try Asked {
      $1.symbols = [.wanted("first"), .wanted("execve")]
      $1.relocations = [.init(kind, at: data + 8, symbol: 1), .init(kind, at: data + 16, symbol: 0), .init(kind, at: data + 32, symbol: 1)]
    }
    #expect(try asked.slot(data + 8) == .symbol(Array("execve".utf8)))
    #expect(try asked.slot(data + 16) == .symbol(Array("first".utf8)))
    #expect(try asked.slot(data) == nil && asked.slot(data + 9) == nil)
    #expect(try asked.slots(of: "execve") == [data + 8, data + 32])
    #expect(try asked.slots(of: "exec").isEmpty)
  }

  @Test func `a word that is data is no slot`() throws {
    let asked = try Asked {
      $1.symbols = [.wanted("execve")]
      $1.relocations = [.init(.word, at: data, symbol: 0), .init(.relative, at: data + 8, addend: code + 0x40)]
    }
    #expect(try asked.slot(data) == nil && asked.slot(data + 8) == nil)
    #expect(try asked.slots(of: "execve").isEmpty)
  }

  @Test func `R_X86_64_IRELATIVE names the resolver, and takes its address`() throws {
    let asked = try Asked { $1.relocations = [.init(.indirect, at: data, addend: code + 0x40)] }
    #expect(try asked.slot(data) == .resolved(by: ImageAddress(code + 0x40)))
    #expect(try asked.takesInData(0x40..<0x60))
  }

  @Test func `R_X86_64_RELATIVE takes the address, and no other`() throws {
    let asked = try Asked { $1.relocations = [.init(.relative, at: data, addend: code + 0x40)] }
    #expect(try asked.takesInData(0x40..<0x60) && asked.takes(0x40..<0x60))
    #expect(try !asked.takesInData(0x20..<0x40) && !asked.takesInData(0x41..<0x60) && !asked.takes(0x60..<0x80))
  }

  @Test func `relocations may come in any order`() throws {
    let asked = try Asked { _, linkage in
      linkage.relocations = [0xe0, 0x40, 0xa0, 0x20, 0xc0].map { .init(.relative, at: data + $0, addend: code + $0) }
    }
    for taken: UInt64 in [0x20, 0x40, 0xa0, 0xc0, 0xe0] { #expect(try asked.takesInData(taken..<(taken + 0x10)), "\(taken)") }
    for other: UInt64 in [0x10, 0x30, 0x60, 0xb0, 0xf0] { #expect(try !asked.takesInData(other..<(other + 0x10)), "\(other)") }
  }

  @Test func `R_X86_64_64 of an own symbol takes its address and the addend's`() throws {
    let asked = try Asked {
      $1.symbols = [.function("table", at: 0x20), .wanted("foreign")]
      $1.relocations = [.init(.word, at: data, symbol: 0, addend: 0x20), .init(.word, at: data + 8, symbol: 1, addend: code + 0x80)]
    }
    #expect(try asked.takesInData(0x40..<0x60) && !asked.takesInData(0x20..<0x40))
    #expect(try !asked.takesInData(0x80..<0xa0), "another file's function lies nowhere in this one")
    #expect(try asked.holds("table") && asked.holds("foreign"))
  }

  @Test func `slots of the GOT are no pointers to the file's own functions`() throws {
    let asked = try Asked {
      $1.symbols = [.function("own", at: 0x40)]
      $1.relocations = [.init(.globalData, at: data, symbol: 0), .init(.jumpSlot, at: data + 8, symbol: 0)]
    }
    #expect(try !asked.takesInData(0x40..<0x60) && !asked.takes(0x40..<0x60))
  }

  /// Words 0, 2, 65 and 130 of data, each of which holds an address: an even word of `.relr.dyn`, a bit of the map after it, one of the next
  /// map, and one of the map after that.
  @Test func `packed relocations name words by their place and by bits`() throws {
    let named: [Int: UInt64] = [0: 0x20, 2: 0x40, 65: 0x60, 130: 0x80]
    let asked = try Asked {
      var words = [UInt64](repeating: 0, count: 140)
      for (index, offset) in named { words[index] = code + offset }
      words[1] = code + 0xa0
      words[63] = code + 0xc0
      $1.data = words.flatMap { le($0) }
      // The first map speaks of the words 1 to 63, the next ones of 64 to 126 and 127 to 189.
      $1.packed = [data, 1 | 1 << 2, 1 | 1 << 2, 1 | 1 << 4]
    }
    for offset in named.values { #expect(try asked.takesInData(offset..<(offset + 0x20)), "\(offset)") }
    #expect(try !asked.takesInData(0xa0..<0xc0) && !asked.takesInData(0xc0..<0xe0), "words that no bit names")
  }

  @Test func `packed relocations of words that the file does not have are none`() throws {
    let asked = try Asked {
      $1.data = le(code + 0x40)
      $1.packed = [0x7000_0000, 1 | 1 << 63, data]
    }
    #expect(try asked.takesInData(0x40..<0x60))
  }

  @Test(arguments: [(0x48, true), (0x4c, true), (0x50, true), (0x54, false), (0x56, true), (0x58, false)] as [(UInt64, Bool)])
  func `of a range's addresses those count where functions begin`(taken: UInt64, counts: Bool) throws {
    let asked = try Asked {
      $1.symbols = [.function("inner", at: 0x56)]
      $1.relocations = [.init(.relative, at: data, addend: code + taken)]
    }
    // Its first, past an endbr64, a multiple of 16, or one with a symbol.
    #expect(try asked.takesInData(0x48..<0x60) == counts && asked.takes(0x48..<0x60) == counts)
  }
}
