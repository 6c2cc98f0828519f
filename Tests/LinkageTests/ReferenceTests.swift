import Linkage
import Samples
import Testing

/// The addresses that a file's code and data hold, and its jumps.
@Suite struct ReferenceTests {
  private static let lea: [UInt8] = [0x48, 0x8d, 0x05]

  @Test(
    arguments: [
      ([0x48, 0x8d, 0x05], true), ([0x4c, 0x8d, 0x3d], true), ([0x8d, 0x05], false), ([0x48, 0x8b, 0x05], false), ([0xe8], false),
    ] as [([UInt8], Bool)])
  func `lea of 64 bits takes an address`(opcode: [UInt8], counts: Bool) throws {
    let asked = try Asked { image, _ in image.put(opcode, to: code + 0x40, at: 0x80) }
    #expect(try asked.takes(0x40..<0x60) == counts)
    #expect(try !asked.takesInData(0x40..<0x60) && !asked.takes(0x60..<0x70))
  }

  @Test func `lea with another base than the instruction takes nothing`() throws {
    let asked = try Asked { image, _ in image.put([0x48, 0x8d, 0x80], to: code + 0x40, at: 0x80) }
    #expect(try !asked.takes(0x40..<0x60))
  }

  @Test(
    arguments: [
      ("mov", [0x48, 0x8b, 0x05], true), ("mov to r15", [0x4c, 0x8b, 0x3d], true), ("cmp", [0x48, 0x3b, 0x05], true),
      ("add", [0x48, 0x03, 0x05], true), ("sub", [0x48, 0x2b, 0x05], true), ("push", [0xff, 0x35], true), ("call", [0xff, 0x15], false),
      ("jmp", [0xff, 0x25], false), ("lea", [0x48, 0x8d, 0x05], false),
    ] as [(String, [UInt8], Bool)])
  func `a function is held where its slot of the GOT is loaded from`(name: String, opcode: [UInt8], isHeld: Bool) throws {
    let asked = try Asked { image, linkage in
      image.put(opcode, to: data + 8, at: 0x80)
      linkage.symbols = [.wanted("execve"), .wanted("other")]
      linkage.relocations = [.init(.globalData, at: data + 8, symbol: 0), .init(.globalData, at: data + 16, symbol: 1)]
    }
    #expect(try asked.holds("execve") == isHeld, "\(name)")
    #expect(try !asked.holds("other"))
  }

  @Test func `a slot of the PLT holds no function, unless the program's own stub stands for it`() throws {
    func asked(_ address: UInt64) throws -> Asked {
      try Asked { image, linkage in
        image.put([0x48, 0x8b, 0x05], to: data + 8, at: 0x80)
        linkage.symbols = [.wanted("execve", address: address)]
        linkage.relocations = [.init(.jumpSlot, at: data + 8, symbol: 0)]
      }
    }
    #expect(try !asked(0).holds("execve"))
    #expect(try asked(code + 0xa0).holds("execve"))
  }

  @Test func `a word of data holds a function by its name`() throws {
    let asked = try Asked {
      $1.symbols = [.wanted("other"), .wanted("execve")]
      $1.relocations = [.init(.word, at: data, symbol: 1)]
    }
    #expect(try asked.holds("execve") && !asked.holds("other"))
  }

  @Test(arguments: [true, false])
  func `words and constants of code are addresses where the file is not relocated`(isFixed: Bool) throws {
    let asked = try Asked { image, linkage in
      image.isFixed = isFixed
      // mov $0x500040, %edi
      image.put([0xbf] + le(UInt32(code + 0x40)), at: 0x80)
      linkage.constants = le(code + 0x60)
      linkage.data = le(UInt64(1)) + le(code + 0xa0) + le(UInt32(0)) + le(code + 0xc0) + le(UInt32(0))
    }
    for taken: UInt64 in [0x40, 0x60, 0xa0] { #expect(try asked.takes(taken..<(taken + 0x10)) == isFixed, "\(taken)") }
    #expect(try !asked.takes(0xc0..<0xd0), "no pointer lies across two words")
    #expect(try !asked.takesInData(0xa0..<0xb0), "no relocation names it")
  }

  @Test(arguments: [true, false])
  func `distances are pointers in a file with Swift's metadata`(hasMetadata: Bool) throws {
    let asked = try Asked {
      func distance(to offset: UInt64, from place: UInt64) -> [UInt8] { le(UInt32(truncatingIfNeeded: code + offset &- place)) }
      $1.constants = le(UInt32(0)) + distance(to: 0x40, from: SampleLinkage.constantsAddress + 4) + le(code + 0xc0)
      $1.data = distance(to: 0xa0, from: data)
      $0.put(distance(to: 0xd0, from: code + 0x84), at: 0x84)
      if hasMetadata { $1.extras = [.init("swift5_types", address: SampleLinkage.constantsAddress)] }
    }
    // What can be written to holds the records of asynchronous functions.
    for taken: UInt64 in [0x40, 0xd0, 0xa0] { #expect(try asked.takes(taken..<(taken + 0x10)) == hasMetadata, "\(taken)") }
    #expect(try !asked.takes(0xc0..<0xd0), "a whole address that no relocation names is none")
  }

  @Test(
    arguments: [
      ("jmp", [0xe9], true), ("jz", [0x0f, 0x84], true), ("jg", [0x0f, 0x8f], true), ("call", [0xe8], false),
      ("setz", [0x0f, 0x94], false),
    ] as [(String, [UInt8], Bool)])
  func `jumps into a range come from outside of it`(name: String, opcode: [UInt8], isJump: Bool) throws {
    let asked = try Asked { image, _ in
      image.put(opcode, to: code + 0x40, at: 0x10)
      image.put(opcode, to: code + 0x44, at: 0x80)
      image.put(opcode, to: code + 0x48, at: 0x50)
      image.put(opcode, to: code + 0x60, at: 0x90)
      image.put(opcode, to: code + 0x3f, at: 0xa0)
    }
    #expect(try asked.jumps(into: 0x40..<0x60) == (isJump ? [0x10, 0x80] : []), "\(name)")
  }

  @Test func `short jumps are jumps`() throws {
    let asked = try Asked { image, _ in
      image.put([0xeb, 0x1e], at: 0x20)
      image.put([0x75, 0xfe &- 0x10], at: 0x60)
      image.put([0x75, 0x10], at: 0x70)
    }
    #expect(try asked.jumps(into: 0x40..<0x60) == [0x20, 0x60])
    #expect(try asked.jumps(into: 0x40..<0x50) == [0x20], "a part of a range is another one")
  }

  @Test func `jumps through a word are those of that word`() throws {
    let asked = try Asked { image, _ in
      image.put([0xff, 0x25], to: data + 8, at: 0x40)
      image.put([0xff, 0x25], to: data + 16, at: 0x50)
      image.put([0xff, 0x15], to: data + 8, at: 0x60)
      image.put([0xf2, 0xff, 0x25], to: data + 8, at: 0x70)
      // and $.., %eax
      image.put([0x25], to: data + 8, at: 0x80)
    }
    #expect(try asked.jumps(through: data + 8) == [0x40, 0x71])
    #expect(try asked.jumps(through: data + 16) == [0x50])
    #expect(try asked.jumps(through: data).isEmpty)
  }

  /// Code is read in pieces of 1 MiB.
  @Test func `an instruction that lies across two pieces is seen`() throws {
    let edge = 1 << 20
    for place in [edge - 6, edge - 3, edge - 1, edge] {
      let asked = try Asked { image, linkage in
        image.code += [UInt8](repeating: 0x90, count: edge)
        image.put(ReferenceTests.lea, to: code + 0x40, at: place)
        image.put([0xff, 0x25], to: data, at: place + 7)
      }
      #expect(try asked.takes(0x40..<0x60), "\(place)")
      #expect(Set(try asked.jumps(through: data)) == [UInt64(place + 7)], "\(place)")
    }
  }
}
