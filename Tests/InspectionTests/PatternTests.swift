import BPF
import Inspection
import Supervisor
import Testing
import Wire

/// What is known of one process is moved to the next: to exactly what an inspection finds there.
@Suite(.serialized) struct PatternTests {
  private struct Seen {
    var sight: Sight
    var registers: Registers
    var finding: Finding
    /// Of the mapping of the trapped instruction.
    var codeStart: UInt64
    var texts = 0
    var canary: UInt64?
    var pattern: Pattern?

    /// What each word that is used for what it is means, wherever the process lies: python comes to the same call on one of several ways.
    var way: [Meaning] {
      guard let basis = finding.basis else { return [] }
      return basis.words.filter { $0.low == $0.high && $0.address >= sight.stackPointer }.map { word in
        Meaning(place: word.address - sight.stackPointer, of: word.low, in: basis.facts, sight.stackPointer, canary)
      }
    }

    var place: Pattern.Place { Pattern.Place(sight: sight, codeStart: codeStart, canary: canary) }
  }

  private struct Meaning: Equatable {
    var place: UInt64
    /// The mapping's place among those of code, and the distance from its start; -1: from SP; -2: the canary; -3: a number.
    var kind: Int
    var value: UInt64 = 0

    init(place: UInt64, of value: UInt64, in facts: [Basis.Fact], _ stackPointer: UInt64, _ canary: UInt64?) {
      (self.place, kind, self.value) = (place, -3, value)
      if value == canary { (kind, self.value) = (-2, 0) }
      var index = 0
      for case .text(let start, let end, _) in facts {
        if start...end ~= value { (kind, self.value) = (index, value - start) }
        index += 1
      }
      for case .stack(let start, let end, _) in facts where start..<end ~= value { (kind, self.value) = (-1, value &- stackPointer) }
    }
  }

  private static let mmap: Int32 = 9
  private static let mprotect: Int32 = 10
  private static let code = CodeIdentity(offset: 0, flags: 5, inode: 1, device: 1, seconds: 1, nanoseconds: 1)

  /// The first calls of mmap and mprotect of `command`.
  private func starts(_ command: [String], _ images: LiveProcess.Images) throws -> [Seen] {
    var seen: [Seen] = []
    try stops(at: [Self.mmap, Self.mprotect], of: command, limit: 64, images: images) { snapshot, finding in
      guard let stackPointer = snapshot.registers[Registers.rsp], let startStack = snapshot.startStack else { return }
      let sight = Sight(
        number: snapshot.number, instruction: snapshot.instruction, stackPointer: stackPointer, threadPointer: snapshot.threadPointer ?? 1,
        startStack: startStack, borrowsMemory: snapshot.borrowsMemory ?? false, hasExecuted: snapshot.hasExecuted ?? false,
        isFirst: snapshot.thread == snapshot.process)
      var entry = Seen(sight: sight, registers: snapshot.registers, finding: finding, codeStart: 0)
      if let basis = finding.basis {
        var codes: [Pattern.Code] = []
        for case .text(let start, let end, _) in basis.facts {
          if start..<end ~= sight.instruction { entry.codeStart = start }
          var code = Self.code
          code.inode += UInt64(codes.count)
          codes.append(Pattern.Code(start: start, end: end, identity: code))
        }
        entry.texts = codes.count
        entry.canary = basis.words.first { $0.address == Self.placeOfCanary(sight) }?.low
        entry.pattern = Pattern(
          finding, basis, of: "mmap", at: sight, register: { snapshot.registers[$0] ?? 0 }, codes: codes, stackFlags: 3)
      }
      seen.append(entry)
    }
    return seen
  }

  @Test(arguments: [
    ["/bin/true"], ["/bin/ls", "/"], ["/bin/sh", "-c", "true"], ["/usr/bin/gcc", "--version"],
    ["/usr/bin/python3", "-c", "import json, subprocess"],
  ])
  func `a pattern that is moved is what is found there`(command: [String]) throws {
    let images = LiveProcess.Images()
    // What is asked of files for the first time looks at all of them.
    _ = try starts(command, images)
    var (one, other) = (try starts(command, images), try starts(command, images))
    // One process in 128 has a canary that could be an address.
    if (one + other).contains(where: { seen in seen.canary.map { [0, 0xff].contains($0 >> 56) } ?? false }) {
      (one, other) = (try starts(command, images), try starts(command, images))
    }
    var (moved, protected, across) = (0, 0, 0)
    for (first, second) in zip(one, other) {
      guard let pattern = first.pattern, let expected = second.finding.basis, second.pattern != nil else { continue }
      #expect(first.sight.stackPointer != second.sight.stackPointer && first.codeStart != second.codeStart, "nothing is where it was")
      // The kernel puts the stack at any multiple of 16; environment and arguments are the same.
      guard first.pattern?.key == second.pattern?.key, first.way == second.way else { continue }
      let words = Dictionary(expected.words.map { ($0.address &- second.sight.stackPointer, $0) }, uniquingKeysWith: { first, _ in first })
      let isOwn = { (word: Basis.Word) in word.address >= second.sight.stackPointer || word.address == Self.placeOfCanary(second.sight) }
      // Where an earlier call has left another kind of word below SP than before, it is no match, and the process is inspected.
      guard
        let there = pattern.moved(
          to: second.place,
          word: { distance in words[UInt64(bitPattern: Int64(distance))].flatMap { $0.low == $0.high ? $0.low : nil } }),
        there.basis.words.allSatisfy({ word in
          isOwn(word) || words[word.address &- second.sight.stackPointer].map { word.low <= $0.low && $0.high <= word.high } == true
        })
      else { continue }
      let (finding, basis, registers) = (there.finding, there.basis, there.registers)
      #expect(finding.outermost == second.finding.outermost && finding.end == second.finding.end && finding.depth == second.finding.depth)
      #expect(finding.isClean && second.finding.isClean)
      #expect(basis.facts == expected.facts && basis.registers == expected.registers)
      for number in 0..<16 where basis.registers & 1 << UInt16(number) != 0 {
        #expect(registers[number] == second.registers[number], "register \(number)")
      }
      #expect(basis.words.filter(isOwn) == expected.words.filter(isOwn))
      moved += 1
      if first.texts > 1 { across += 1 }
      if second.sight.number == Self.mprotect, second.sight.threadPointer != 0 { protected += 1 }
    }
    if one.isEmpty { try Test.cancel("\(command[0]) is not here") }
    #expect(moved > 0, "\(one.count), \(other.count) stops; \(one.compactMap(\.pattern).count) patterns")
    #expect(protected > 0, "the loader's last calls, of mprotect, are patterns, too")
    if command[0] == "/usr/bin/python3" { #expect(across > 3, "calls of python's own, through its files and libc's") }
  }

  private static func placeOfCanary(_ sight: Sight) -> UInt64 { sight.threadPointer &+ Trail.canaryOffset }

  @Test func `a stack that lies otherwise is no pattern's`() throws {
    let images = LiveProcess.Images()
    _ = try starts(["/bin/true"], images)
    let seen = try starts(["/bin/true"], images)
    let first = try #require(seen.first { $0.pattern != nil })
    let pattern = try #require(first.pattern)
    var sight = first.sight
    sight.stackPointer += 4096
    sight.startStack += 4096
    func isMoved(_ sight: Sight) -> Bool {
      let place = Pattern.Place(sight: sight, codeStart: first.codeStart + 8192, canary: nil)
      return pattern.moved(to: place, word: { _ in nil }) != nil
    }
    #expect(isMoved(sight))
    var skewed = sight
    skewed.stackPointer += 8
    #expect(!isMoved(skewed))
    var threaded = sight
    threaded.threadPointer = 0x1000
    #expect(!isMoved(threaded))
    var second = sight
    second.isFirst = false
    #expect(!isMoved(second))
  }
}
