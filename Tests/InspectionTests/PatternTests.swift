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
    var codeStart: UInt64
    var pattern: Pattern?
  }

  private static let mmap: Int32 = 9
  private static let mprotect: Int32 = 10
  private static let code = CodeIdentity(offset: 0, flags: 5, inode: 1, device: 1, seconds: 1, nanoseconds: 1)

  /// The loader's calls of mmap and mprotect, at the start of `command`.
  private func starts(_ command: [String], _ images: LiveProcess.Images) throws -> [Seen] {
    var seen: [Seen] = []
    try stops(at: [Self.mmap, Self.mprotect], of: command, limit: 20, images: images) { snapshot, finding in
      guard let stackPointer = snapshot.registers[Registers.rsp], let startStack = snapshot.startStack else { return }
      let sight = Sight(
        number: snapshot.number, instruction: snapshot.instruction, stackPointer: stackPointer, threadPointer: snapshot.threadPointer ?? 1,
        startStack: startStack, borrowsMemory: snapshot.borrowsMemory ?? false, hasExecuted: snapshot.hasExecuted ?? false,
        isFirst: snapshot.thread == snapshot.process)
      var entry = Seen(sight: sight, registers: snapshot.registers, finding: finding, codeStart: 0)
      if let basis = finding.basis {
        for case .text(let start, _, _) in basis.facts { entry.codeStart = start }
        entry.pattern = Pattern(
          finding, basis, of: "mmap", at: sight, register: { snapshot.registers[$0] ?? 0 }, code: Self.code, stackFlags: 3)
      }
      seen.append(entry)
    }
    return seen
  }

  @Test(arguments: [["/bin/true"], ["/bin/ls", "/"], ["/bin/sh", "-c", "true"], ["/usr/bin/gcc", "--version"]])
  func `a pattern that is moved is what is found there`(command: [String]) throws {
    let images = LiveProcess.Images()
    // What is asked of files for the first time looks at all of them.
    _ = try starts(command, images)
    let (one, other) = (try starts(command, images), try starts(command, images))
    var (moved, protected) = (0, 0)
    for (first, second) in zip(one, other) {
      guard let pattern = first.pattern, let expected = second.finding.basis, second.pattern != nil else { continue }
      #expect(first.sight.stackPointer != second.sight.stackPointer && first.codeStart != second.codeStart, "nothing is where it was")
      // The kernel puts the stack at any multiple of 16; environment and arguments are the same.
      guard first.pattern?.key == second.pattern?.key else { continue }
      let word = pattern.wordBelow.flatMap { distance in
        expected.words.first { $0.address == second.sight.stackPointer - UInt64(distance) && $0.low == $0.high }?.low
      }
      // Where another kind of word was left below SP than before, the process is inspected.
      guard let (finding, basis, registers) = pattern.moved(to: second.sight, codeStart: second.codeStart, word: word) else { continue }
      #expect(finding.outermost == second.finding.outermost && finding.end == second.finding.end && finding.depth == second.finding.depth)
      #expect(finding.isClean && second.finding.isClean)
      #expect(basis.facts == expected.facts && basis.registers == expected.registers)
      for number in 0..<16 where basis.registers & 1 << UInt16(number) != 0 {
        #expect(registers[number] == second.registers[number], "register \(number)")
      }
      // Words of earlier calls, below SP, may be others: then it is no match, and the process is inspected.
      let (own, theirs) = (
        basis.words.filter { $0.address >= second.sight.stackPointer }, expected.words.filter { $0.address >= second.sight.stackPointer }
      )
      #expect(own == theirs)
      moved += 1
      if second.sight.number == Self.mprotect, second.sight.threadPointer != 0 { protected += 1 }
    }
    if one.isEmpty { try Test.cancel("\(command[0]) is not here") }
    #expect(moved > 0, "\(one.count), \(other.count) stops; \(one.compactMap(\.pattern).count) patterns")
    #expect(protected > 0, "the loader's last calls, of mprotect, are patterns, too")
  }

  @Test func `a stack that lies otherwise is no pattern's`() throws {
    let images = LiveProcess.Images()
    _ = try starts(["/bin/true"], images)
    let seen = try starts(["/bin/true"], images)
    let first = try #require(seen.first { $0.pattern != nil })
    let pattern = try #require(first.pattern)
    var sight = first.sight
    sight.stackPointer += 4096
    sight.startStack += 4096
    #expect(pattern.moved(to: sight, codeStart: first.codeStart + 8192, word: nil) != nil)
    var skewed = sight
    skewed.stackPointer += 8
    #expect(pattern.moved(to: skewed, codeStart: first.codeStart, word: nil) == nil)
    var threaded = sight
    threaded.threadPointer = 0x1000
    #expect(pattern.moved(to: threaded, codeStart: first.codeStart, word: nil) == nil)
    var second = sight
    second.isFirst = false
    #expect(pattern.moved(to: second, codeStart: first.codeStart, word: nil) == nil)
  }
}
