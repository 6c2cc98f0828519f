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

  private static func pattern(of basis: Basis) -> Pattern? {
    var finding = Finding()
    finding.outermost = Outermost(stackPointer: stackPointer + 0x700, links: [], isInLoader: true)
    return Pattern(finding, basis, of: "mprotect", at: sight(), register: { _ in 0 }, code: code, stackFlags: 3)
  }

  @Test func `what an earlier call left may be any address, but is looked up`() throws {
    let pattern = try #require(Self.pattern(of: Self.basis()))
    #expect(pattern.wordBelow == 8)
    let there = Self.sight(stackPointer: Self.stackPointer + 0x10_0000, codeStart: Self.codeStart + 0x70_0000)
    let (_, moved, _) = try #require(pattern.moved(to: there, codeStart: Self.codeStart + 0x70_0000, word: 0x5555_0000_0010))
    #expect(moved.words[0].low == Self.codeStart + 0x70_0300)
    #expect(moved.words[1] == Basis.Word(address: there.stackPointer - 8, low: 0x5555_0000_0010, high: 0x5555_0000_0010))
    #expect(moved.facts.contains(.notCode(0x5555_0000_0010)) && !moved.facts.contains(.notCode(Self.somewhere)))
    #expect(pattern.moved(to: there, codeStart: Self.codeStart + 0x70_0000, word: nil) == nil, "nobody knows what lies there")
  }

  @Test func `before the thread pointer is set, and after, are two patterns`() throws {
    let pattern = try #require(Self.pattern(of: Self.basis()))
    #expect(pattern.moved(to: Self.sight(threadPointer: 0), codeStart: Self.codeStart, word: 1) == nil)
  }

  @Test func `a word that is used for what it is makes no pattern`() {
    var used = Self.basis()
    used.words.swapAt(0, 1)
    #expect(Self.pattern(of: used) == nil, "a saved register, say")
    var above = Self.basis()
    above.words[1].address = Self.stackPointer + 8
    #expect(Self.pattern(of: above) == nil)
    var elsewhere = Self.basis()
    elsewhere.words.append(Basis.Word(address: 0x7f33_0000_0768, low: 5, high: 5))
    #expect(Self.pattern(of: elsewhere) == nil, "the thread's canary")
    var twice = Self.basis()
    twice.facts.append(.notCode(Self.somewhere + 8))
    #expect(Self.pattern(of: twice) == nil)
    var nowhere = Self.basis()
    nowhere.words.removeLast()
    #expect(Self.pattern(of: nowhere) == nil, "an address that no word holds")
  }
}
