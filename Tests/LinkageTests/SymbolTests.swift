import ELF
@testable import Linkage
import Samples
import Testing
import Unwind

/// `.dynsym`: what others may call of a file, and what it wants of others.
@Suite struct SymbolTests {
  @Test func `a defined function is exported under its whole name`() throws {
    let asked = try Asked {
      $1.symbols = [
        .function("execve", at: 0x40), .function("other", at: 0x60), .function("execvex", at: 0x80), .wanted("printf"),
        .init("environ", address: data, count: 8, type: 1),
      ]
    }
    #expect(try asked.exports("execve") == [Export(address: ImageAddress(code + 0x40), isResolver: false)])
    for none in ["execv", "xecve", "printf", "environ", "", "nothing"] { #expect(try asked.exports(none).isEmpty, "\(none)") }
    // Each name is kept apart from the others.
    #expect(try asked.exports("other").map(\.address) == [ImageAddress(code + 0x60)])
  }

  @Test func `assembly's symbols without a type are functions, those without an address are none`() throws {
    let asked = try Asked {
      $1.symbols = [.function("typeless", at: 0x40, type: 0), .init("zero", address: 0)]
    }
    #expect(try asked.exports("typeless").count == 1)
    #expect(try asked.exports("zero").isEmpty)
  }

  @Test func `an IFUNC's symbol is its resolver, and each version of a name is an export`() throws {
    let asked = try Asked { $1.symbols = [.function("memcpy", at: 0x40, type: 10), .function("memcpy", at: 0x60)] }
    #expect(
      try asked.exports("memcpy") == [
        Export(address: ImageAddress(code + 0x40), isResolver: true), Export(address: ImageAddress(code + 0x60), isResolver: false),
      ])
  }

  @Test func `a function has all the names that begin within it`() throws {
    let asked = try Asked {
      $1.symbols = [
        .function("after", at: 0x60), .function("execve", at: 0x40), .wanted("wanted", address: code + 0x44),
        .function("__execve", at: 0x40), .function("inner", at: 0x5f), .function("before", at: 0x3f),
      ]
    }
    #expect(try asked.names(0x40..<0x60).sorted() == ["__execve", "execve", "inner"])
    #expect(try asked.names(0x61..<0x80).isEmpty)
    #expect(try asked.names(0..<0x100).count == 5)
  }

  @Test func `wanted is what another file has to define`() throws {
    let asked = try Asked { $1.symbols = [.function("own", at: 0x40), .wanted("dlsym")] }
    #expect(try asked.wants("dlsym"))
    for other in ["own", "dlsy", "dlsymx"] { #expect(try !asked.wants(other), "\(other)") }
  }

  @Test func `a file without section headers has no names, and holds nothing`() throws {
    var image = sample { $1.symbols = [.function("execve", at: 0x40), .wanted("dlsym")] }
    image.linkage = nil
    let asked = try Asked(image)
    #expect(try asked.exports("execve").isEmpty && asked.names(0..<0x100).isEmpty)
    #expect(try !asked.wants("dlsym") && !asked.holds("dlsym") && !asked.takesInData(0..<0x100) && !asked.holdsText("dlsym"))
  }

  @Test func `what a spent budget left unread is read the next time`() throws {
    let asked = try Asked { image, linkage in
      image.put([0x48, 0x8d, 0x05], to: code + 0x40, at: 0x80)
      linkage.symbols = [.function("execve", at: 0x40)]
      linkage.relocations = [.init(.relative, at: data, addend: code + 0x60)]
    }
    let range = AddressRange(0x40..<0x60)
    // For the symbols, for the relocations, for the code.
    for units in [0, 8, 12] {
      var budget = Budget(units)
      #expect(throws: UnwindError.exhausted) { try asked.linkage.takes(range, &budget) }
    }
    #expect(try asked.takes(0x40..<0x60))
    // What is known costs nothing.
    var none = Budget(0)
    #expect(try asked.linkage.takes(range, &none))
  }
}
