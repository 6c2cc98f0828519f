import BPF
import Supervisor
import Testing
import Wire

/// Which findings can be moved to other processes: those of real programs are in InspectionTests.
@Suite struct PatternFactTests {
  private static let code = CodeIdentity(offset: 1, flags: 5, inode: 7, device: 1, seconds: 1, nanoseconds: 1)
  private static let codeStart: UInt64 = 0x7f00_0000_1000
  private static let stackPointer: UInt64 = 0x7ffc_0000_1000
  private static let somewhere: UInt64 = 0x7f11_2222_3330

  private static func sight(
    stackPointer: UInt64 = stackPointer, codeStart: UInt64 = codeStart, threadPointer: UInt64 = 0x7f33_0000_0740
  ) -> Sight {
    Sight(
      number: 10, instruction: codeStart + 0x200, stackPointer: stackPointer, threadPointer: threadPointer,
      startStack: stackPointer + 0x800, borrowsMemory: false, hasExecuted: true, isFirst: true)
  }

  /// A return address at SP, and below it what an earlier call has left: the address of data.
  private static func basis() -> Basis {
    var basis = Basis()
    basis.words = [
      Basis.Word(address: stackPointer, low: codeStart + 0x300, high: codeStart + 0x300),
      Basis.Word(address: stackPointer - 8, low: somewhere, high: somewhere),
    ]
    basis.facts = [
      .notCode(somewhere), .text(start: codeStart, end: codeStart + 0x2000, changed: 1),
      .stack(start: stackPointer - 0x400, end: stackPointer + 0x801, without: []),
    ]
    return basis
  }

  private static func codes(_ basis: Basis) -> [Pattern.Code] {
    var codes: [Pattern.Code] = []
    for case .text(let start, let end, _) in basis.facts {
      var identity = code
      identity.inode += UInt64(codes.count)
      codes.append(Pattern.Code(start: start, end: end, identity: identity))
    }
    return codes
  }

  private static func finding() -> Finding {
    var finding = Finding()
    finding.outermost = Outermost(stackPointer: stackPointer + 0x700, links: [], isInLoader: true)
    return finding
  }

  private static func pattern(
    of basis: Basis, at sight: Sight = sight(), codes: [Pattern.Code]? = nil, _ finding: Finding = finding()
  ) -> Pattern? {
    Pattern(
      finding, basis, of: "mprotect", at: sight, register: { _ in 0 }, codes: codes ?? Self.codes(basis), stackFlags: 3)
  }

  @Test func `what an earlier call left may be any address, but is looked up`() throws {
    let pattern = try #require(Self.pattern(of: Self.basis()))
    let there = Self.sight(stackPointer: Self.stackPointer + 0x10_0000, codeStart: Self.codeStart + 0x70_0000)
    let place = Pattern.Place(sight: there, codeStart: Self.codeStart + 0x70_0000, canary: nil)
    let moved = try #require(pattern.moved(to: place, word: { $0 == -8 ? 0x5555_0000_0010 : nil })).basis
    #expect(moved.words[0].low == Self.codeStart + 0x70_0300)
    #expect(moved.words[1] == Basis.Word(address: there.stackPointer - 8, low: 0x5555_0000_0010, high: 0x5555_0000_0010))
    #expect(moved.facts.contains(.notCode(0x5555_0000_0010)) && !moved.facts.contains(.notCode(Self.somewhere)))
    #expect(pattern.moved(to: place, word: { _ in nil }) == nil, "nobody knows what lies there")
  }

  @Test func `before the thread pointer is set, and after, are two patterns`() throws {
    let pattern = try #require(Self.pattern(of: Self.basis()))
    let place = Pattern.Place(sight: Self.sight(threadPointer: 0), codeStart: Self.codeStart, canary: nil)
    #expect(pattern.moved(to: place, word: { _ in 1 }) == nil)
  }

  @Test func `a word that is used for what it is makes no pattern`() {
    var used = Self.basis()
    used.words.swapAt(0, 1)
    #expect(Self.pattern(of: used) == nil, "a saved register, say")
    var above = Self.basis()
    above.words[1].address = Self.stackPointer + 8
    #expect(Self.pattern(of: above) == nil)
    var elsewhere = Self.basis()
    elsewhere.words.append(Basis.Word(address: 0x7f33_0000_0770, low: 5, high: 5))
    #expect(Self.pattern(of: elsewhere) == nil, "neither in the stack nor the canary")
    var twice = Self.basis()
    twice.facts.append(.notCode(Self.somewhere + 8))
    #expect(Self.pattern(of: twice) == nil)
    var nowhere = Self.basis()
    nowhere.words.removeLast()
    #expect(Self.pattern(of: nowhere) == nil, "an address that no word holds")
  }

  // MARK: - Through two files

  private static let canary: UInt64 = 0x1122_3344_5566_7700
  private static let theirCanary: UInt64 = 0x7788_99aa_bbcc_dd00
  private static let programStart: UInt64 = 0x5500_0000_1000
  private static let placeOfCanary: UInt64 = 0x7f33_0000_0768

  /// Return addresses into two files, a canary between them, and a number.
  private static func basisOfTwo() -> Basis {
    func word(_ address: UInt64, _ value: UInt64) -> Basis.Word { Basis.Word(address: address, low: value, high: value) }
    var basis = Basis()
    basis.words = [
      word(placeOfCanary, canary), word(stackPointer, codeStart + 0x300), word(stackPointer + 0x18, canary),
      word(stackPointer + 0x20, 7), word(stackPointer + 0x28, programStart + 0x40), word(stackPointer + 0x30, stackPointer + 0x100),
    ]
    basis.facts = [
      .text(start: programStart, end: programStart + 0x1000, changed: 2), .text(start: codeStart, end: codeStart + 0x2000, changed: 1),
      .stack(start: stackPointer - 0x400, end: stackPointer + 0x801, without: []),
    ]
    return basis
  }

  private struct There {
    var stackMove: UInt64 = 0x10_0000
    var codeMove: UInt64 = 0x70_0000
    var program: UInt64 = 0x5600_7777_0000
    var canary: UInt64? = PatternFactTests.theirCanary
    var threadPointer: UInt64 = 0x7f44_0000_0740

    var place: Pattern.Place {
      let sight = PatternFactTests.sight(
        stackPointer: PatternFactTests.stackPointer + stackMove, codeStart: PatternFactTests.codeStart + codeMove,
        threadPointer: threadPointer)
      return Pattern.Place(sight: sight, codeStart: PatternFactTests.codeStart + codeMove, canary: canary)
    }

    func moved(_ pattern: Pattern, anchor: UInt64? = nil) -> Pattern.Moved? {
      pattern.moved(to: place, word: { $0 == 0x28 ? anchor ?? program + 0x40 : nil })
    }
  }

  @Test func `each file, the stack and the canary are moved by themselves`() throws {
    let pattern = try #require(Self.pattern(of: Self.basisOfTwo()))
    #expect(pattern.reach == 0x38)
    let there = There()
    let moved = try #require(there.moved(pattern))
    let stackPointer = there.place.sight.stackPointer
    #expect(moved.basis.words.map(\.address) == [0x7f44_0000_0768] + [0, 0x18, 0x20, 0x28, 0x30].map { stackPointer + $0 })
    #expect(
      moved.basis.words.map(\.low)
        == [Self.theirCanary, Self.codeStart + 0x70_0300, Self.theirCanary, 7, there.program + 0x40, stackPointer + 0x100])
    #expect(moved.basis.words.allSatisfy { $0.low == $0.high })
    #expect(moved.basis.facts.contains(.text(start: there.program, end: there.program + 0x1000, changed: 2)))
    #expect(moved.basis.facts.contains(.text(start: Self.codeStart + 0x70_0000, end: Self.codeStart + 0x70_2000, changed: 1)))
    #expect(moved.codes.map(\.start) == [Self.codeStart + 0x70_0000, there.program])
  }

  @Test func `what does not mean the same there is not moved`() throws {
    let pattern = try #require(Self.pattern(of: Self.basisOfTwo()))
    let there = There()
    #expect(there.moved(pattern, anchor: there.program + 0x41) == nil, "another distance from the page's start")
    #expect(pattern.moved(to: there.place, word: { _ in nil }) == nil, "nobody knows where the program is")
    var other = there
    other.canary = nil
    #expect(other.moved(pattern) == nil, "nobody knows the canary")
    // Who sets the canary could have an address taken for it.
    for address in [Self.codeStart + 0x70_0400, 7, 0xffff_ffff_ff60_0000] {
      other.canary = address
      #expect(other.moved(pattern) == nil)
    }
    other = there
    other.program = Self.codeStart + 0x70_2000
    #expect(other.moved(pattern) == nil, "one file where the other ends")
    other.program = 0
    #expect(other.moved(pattern) == nil, "seven is an address there")
    other.program = there.place.sight.stackPointer & ~4095
    #expect(other.moved(pattern) == nil, "code on the stack")
    other = there
    other.threadPointer = there.place.sight.stackPointer
    #expect(other.moved(pattern) == nil, "the canary's place on the stack")
  }

  @Test func `a canary that could be an address makes no pattern`() {
    for canary in [Self.programStart + 8, 0x7f00_1122_3344, 0xffff_ffff_ff60_0000] {
      var basis = Self.basisOfTwo()
      for index in [0, 2] { basis.words[index] = Basis.Word(address: basis.words[index].address, low: canary, high: canary) }
      #expect(Self.pattern(of: basis) == nil)
    }
    let onStack = Self.sight(threadPointer: Self.stackPointer + 0x100)
    var basis = Self.basisOfTwo()
    basis.words[0].address = Self.stackPointer + 0x128
    #expect(Self.pattern(of: basis, at: onStack) == nil)
  }

  @Test func `two mappings of one file make no pattern`() {
    var codes = Self.codes(Self.basisOfTwo())
    codes[1].identity = codes[0].identity
    codes[1].identity.offset += 16
    #expect(Self.pattern(of: Self.basisOfTwo(), codes: codes) == nil)
  }

  @Test func `neither signal frames nor Go's make a pattern`() {
    for source in [FrameSource.signalFrame, .pclntab] {
      var finding = Self.finding()
      finding.sources[source] = 1
      #expect(Self.pattern(of: Self.basisOfTwo(), finding) == nil)
    }
  }

  @Test func `where the chain ended is moved, if it lies where it should`() throws {
    let there = There()
    func moved(_ link: Link, _ stackPointer: UInt64 = Self.stackPointer + 0x801) throws -> Outermost? {
      var finding = Self.finding()
      finding.outermost = Outermost(stackPointer: stackPointer, links: [link], isInLoader: false)
      let pattern = try #require(Self.pattern(of: Self.basisOfTwo(), finding))
      return there.moved(pattern)?.finding.outermost
    }
    let link = Link(slot: Self.stackPointer + 0x28, returnAddress: Self.programStart + 0x40, function: Self.programStart + 0x20)
    let outermost = try #require(try moved(link))
    #expect(outermost.stackPointer == there.place.sight.stackPointer + 0x801, "SP may be the stack's end")
    let expected = Link(
      slot: there.place.sight.stackPointer + 0x28, returnAddress: there.program + 0x40, function: there.program + 0x20)
    #expect(outermost.links == [expected])
    var other = link
    other.function = 0
    #expect(try moved(other)?.links.first?.function == 0)
    for change in [\Link.slot, \.returnAddress, \.function] {
      other = link
      other[keyPath: change] = Self.somewhere
      #expect(try moved(other) == nil)
    }
    #expect(try moved(link, Self.stackPointer + 0x802) == nil)
  }

  @Test func `files that adjoin, and one that no word points into, make no pattern`() {
    var adjoining = Self.basisOfTwo()
    adjoining.facts[0] = .text(start: Self.codeStart + 0x2000, end: Self.codeStart + 0x3000, changed: 2)
    adjoining.words[4] = Basis.Word(
      address: adjoining.words[4].address, low: Self.codeStart + 0x2040, high: Self.codeStart + 0x2040)
    #expect(Self.pattern(of: adjoining) == nil)
    var unmet = Self.basisOfTwo()
    unmet.words.remove(at: 4)
    #expect(Self.pattern(of: unmet) == nil)
  }
}
