import ELF
import Inspection
import Samples
import Testing
import Wire

/// Walks over stacks of a few words, in a program of four functions put together by hand (`SampleImage.chain`).
@Suite struct WalkTests {
  private static let code = SampleImage.codeAddress

  /// SP at the leaf's syscall, so that _start's call was made with SP 16 below the process's first.
  private static let stackPointer = ArraySpace.startStack - 16 - 40

  /// The leaf's return address, the middle's three locals, the middle's return address.
  private static let words: [UInt64] = [code + 0x29, 1, 2, 3, code + 0x10]

  private func snapshot(_ stackPointer: UInt64 = WalkTests.stackPointer) -> Snapshot {
    var snapshot = Snapshot()
    snapshot.number = 59
    snapshot.instruction = WalkTests.code + 0x47
    snapshot.registers[Registers.rsp] = stackPointer
    snapshot.startStack = ArraySpace.startStack
    snapshot.threadPointer = 0x1000
    snapshot.borrowsMemory = false
    return snapshot
  }

  private func space(_ image: SampleImage = .chain, _ words: [UInt64] = WalkTests.words) -> ArraySpace {
    let before = [UInt64](repeating: 0, count: Int((WalkTests.stackPointer - ArraySpace.stackStart) / 8))
    return ArraySpace(image, words: before + words)
  }

  private func inspected(_ snapshot: Snapshot, _ space: ArraySpace, explain: Bool = false) -> Finding {
    var space = space
    return inspect(snapshot, in: &space, explain: explain)
  }

  @Test func `a whole chain is clean`() {
    let finding = inspected(snapshot(), space())
    #expect(finding.isClean, "\(shown(finding))")
    #expect(finding.depth == 3 && finding.frames.map(\.offset) == [0x50_0047, 0x50_0029, 0x50_0010])
    #expect(finding.frames.map(\.source) == [.cfi, .cfi, .none])
  }

  @Test func `snapshot bytes and the process's memory make one stack`() {
    var partial = snapshot()
    for count in [0, 3, 8, 12, 40] {
      partial.stack = Array(WalkTests.words.flatMap { le($0) }.prefix(count))
      #expect(inspected(partial, space()).isClean)
    }
  }

  @Test(
    arguments: [
      (0, code + 0x28, .call, .insideAnInstruction, 1), (0, code + 0x24, .call, .notAfterCall, 1),
      (0, code + 0x2d, .call, .notAfterCall, 1),
      (0, code + 0x58, .function, .noFunction, 1), (0, 0x1000, .text, .notImageText(.nothing), 1),
      (0, ArraySpace.stackStart, .text, .notImageText(.mainStack), 1), (0, code + 0x800, .text, .notInExecutableSegment, 1),
      (4, code + 0x0f, .call, .insideAnInstruction, 2), (0, code + 0x10, .base, .wrongDepth, 1),
    ] as [(Int, UInt64, Check, Reason, UInt16)])
  func `one changed word is objected to`(index: Int, value: UInt64, check: Check, reason: Reason, frame: UInt16) {
    var words = WalkTests.words
    words[index] = value
    // A start forged right above the trap is too deep: move the stack away from the base.
    if check == .base { words = [value] }
    let finding =
      check == .base
      ? inspected(snapshot(ArraySpace.stackStart), ArraySpace(.chain, words: words)) : inspected(snapshot(), space(.chain, words))
    #expect(finding.violations.contains(Violation(check: check, frame: frame, reason: reason)), "\(shown(finding))")
  }

  @Test func `a trapped address must follow a whole syscall instruction`() {
    var changed = snapshot()
    changed.instruction = WalkTests.code + 0x46
    #expect(inspected(changed, space()).violations == [Violation(check: .site, frame: 0, reason: .notASyscallInstruction)])
    // mov $0x050f0000, %eax hides a syscall instruction in its constant
    var image = SampleImage.chain
    image.code.replaceSubrange(0x40..<0x48, with: [0xb8, 0, 0, 0x0f, 0x05, 0x90, 0x90, 0xc3])
    changed.instruction = WalkTests.code + 0x45
    image.code.replaceSubrange(0x40..<0x46, with: [0xb8, 0, 0, 0x0f, 0x05, 0x90])
    #expect(inspected(changed, space(image)).violations == [Violation(check: .site, frame: 0, reason: .insideAnInstruction)])
  }

  @Test(
    arguments: [
      ("anonymous", .anonymous), ("memfd", .memfd), ("deleted", .deletedFile), ("heap", .heap),
    ] as [(String, Backing)])
  func `code in memory of another kind is no text`(name: String, backing: Backing) {
    var space = space()
    space.mappings[0].backing = backing
    let finding = inspected(snapshot(), space)
    #expect(finding.violations.contains(Violation(check: .text, frame: 0, reason: .notImageText(backing))), "\(name)")
  }

  @Test func `writable text is objected to, and a file that cannot be read is unknown`() {
    var space = space()
    space.mappings[0].isWritable = true
    #expect(inspected(snapshot(), space).violations.first?.reason == .writableText)
    space.mappings[0].isWritable = false
    space.image = nil
    #expect(inspected(snapshot(), space).unknown == Unknown(frame: 0, reason: .unreadableImage))
  }

  @Test func `a stack that may be executed, shared or is a file's is nobody's own`() {
    for change in [{ $0.isExecutable = true }, { $0.isShared = true }, { $0.backing = .file }, { $0.backing = .heap }]
      as [(inout Mapping) -> Void]
    {
      var space = space()
      change(&space.mappings[1])
      let finding = inspected(snapshot(), space)
      #expect(finding.violations.contains { $0.check == .stack && $0.frame == 0 }, "\(shown(finding))")
    }
  }

  @Test func `a base at another depth is objected to`() {
    var moved = snapshot()
    for (distance, isClean) in [(0, true), (16, true), (144, true), (160, false)] as [(UInt64, Bool)] {
      moved.startStack = ArraySpace.startStack - distance
      #expect(inspected(moved, space()).isClean == isClean, "\(distance) below")
    }
    moved.startStack = ArraySpace.startStack + 64
    #expect(inspected(moved, space()).violations == [Violation(check: .base, frame: 2, reason: .wrongDepth)])
  }

  @Test func `where the chain ended is told, with the call of the base`() {
    let finding = inspected(snapshot(), space())
    let base = Link(slot: ArraySpace.startStack - 24, returnAddress: WalkTests.code + 0x10, function: WalkTests.code)
    #expect(finding.outermost == Outermost(stackPointer: ArraySpace.startStack - 16, links: [base]), "\(shown(finding))")
  }

  @Test func `a page of code that the process has a copy of holds what the file does, or is objected to`() {
    var space = space()
    let (offset, count) = (Int(SampleImage.codeOffset), 4096)
    var page = Array(SampleImage.chain.bytes.dropFirst(offset).prefix(count))
    page += [UInt8](repeating: 0, count: count - page.count)
    func finding(_ own: [Int]?, _ change: (inout [UInt8]) -> Void = { _ in }) -> Finding {
      var changed = page
      change(&changed)
      space.own = own
      space.memory = [space.memory[0], (WalkTests.code, changed)]
      return inspected(snapshot(), space)
    }
    // Nobody reads a page that is the file's.
    #expect(finding([]) { $0[0x41] = 0x3a }.isClean)
    for own in [[0], nil] {
      #expect(finding(own).isClean)
      #expect(finding(own) { $0[0x41] = 0x3a }.violations == [Violation(check: .text, frame: 0, reason: .changedPage)])
      // A debugger's breakpoint
      #expect(finding(own) { $0[0x40] = 0xcc }.isClean)
    }
    space.memory.removeLast()
    #expect(inspected(snapshot(), space).unknown?.reason == .unreadableImage)
  }

  @Test func `a file that was changed after the container's start needs a permission`() throws {
    var space = space()
    space.image = try Image(Source(SampleImage.chain.bytes), changed: 1000)
    func finding(_ started: Int64?, _ permissions: Set<Permission> = []) -> Finding {
      inspect(snapshot(), in: &space, permissions: permissions, started: started)
    }
    #expect(finding(999).violations == [Violation(check: .text, frame: 0, reason: .writtenFile)])
    #expect(finding(1000).isClean && finding(nil).isClean && finding(999, [.writtenFiles]).isClean)
  }

  @Test func `a signal frame leads from an altstack to the interrupted stack`() {
    // On an altstack: the leaf was called by the kernel, to return to the trampoline; the signal interrupted the middle at its `add`.
    let altstack: UInt64 = 0x60_0000_0000
    var frame = KernelFrame(interrupted: WalkTests.stackPointer + 8, instruction: WalkTests.code + 0x29)
    frame.alternate = (altstack, 0, 4096)
    var space = space()
    let bytes = [UInt8](repeating: 0, count: Int(frame.start - altstack)) + frame.bytes(trampoline: WalkTests.code + 0x61)
    space.memory.append((altstack, bytes + [UInt8](repeating: 0, count: 64)))
    space.mappings.append(Mapping(start: altstack, end: altstack + 4096, isWritable: true, backing: .heap, path: "[heap]"))
    var snapshot = snapshot(frame.start)
    let finding = inspect(snapshot, in: &space, permissions: [.signalHandlers])
    #expect(finding.isClean, "\(shown(finding))")
    #expect(finding.frames.map(\.source) == [.cfi, .signalFrame, .cfi, .none])
    // The same heap without a signal frame that leads away from it.
    space.memory[1].bytes = WalkTests.words.flatMap { le($0) }
    snapshot.registers[Registers.rsp] = altstack
    #expect(inspected(snapshot, space).violations.first == Violation(check: .stack, frame: 0, reason: .outsideOwnStack(.heap)))
  }

  @Test func `a chain without end is cut off`() {
    // Each middle frame returns into the middle again.
    var words: [UInt64] = [WalkTests.code + 0x29]
    for _ in 0..<100 { words += [1, 2, 3, WalkTests.code + 0x29] }
    var space = ArraySpace(.chain, words: words)
    var limits = Limits()
    limits.maxFrames = 50
    let finding = inspect(snapshot(ArraySpace.stackStart), in: &space, limits: limits)
    #expect(finding.unknown?.reason == .tooDeep && finding.depth == 50, "\(shown(finding))")
  }

  @Test func `a spent budget is unknown, and the next inspection begins anew`() {
    var space = space()
    var limits = Limits()
    limits.maxWork = 3
    #expect(inspect(snapshot(), in: &space, limits: limits).unknown?.reason == .tooCostly)
    #expect(inspect(snapshot(), in: &space).isClean)
  }

  @Test func `no mutation of file, stack or registers traps, and none takes long`() {
    let file = SampleImage.chain.bytes
    var random = Seeded(11)
    let clock = ContinuousClock()
    var clean = 0
    var slowest = Duration.zero
    for round in 0..<3000 {
      var bytes = file
      for _ in 0..<Int.random(in: 0...4, using: &random) {
        let region = [0..<240, 0x200..<0x240, 0x400..<0x4a0, 0x100000..<0x100080].randomElement(using: &random)!
        bytes[Int.random(in: region, using: &random)] = [0, 0xff, 0x7f, 0x80, UInt8.random(in: 0...255, using: &random)]
          .randomElement(using: &random)!
      }
      var words = WalkTests.words + (0..<40).map { _ in WalkTests.code + UInt64.random(in: 0..<0x70, using: &random) }
      if round % 2 == 0 {
        words[Int.random(in: words.indices, using: &random)] = [
          0, .max, ArraySpace.stackStart, WalkTests.stackPointer, WalkTests.code + 0x61, UInt64.random(in: 0...(.max), using: &random),
        ].randomElement(using: &random)!
      }
      let before = [UInt64](repeating: 0, count: Int((WalkTests.stackPointer - ArraySpace.stackStart) / 8))
      var space = ArraySpace(file: bytes, codeBytes: 256, words: before + words)
      var changed = snapshot()
      if round % 5 == 0 {
        changed.registers[Registers.rsp] = [0, .max, .max - 7, ArraySpace.stackStart + 3].randomElement(using: &random)!
      }
      if round % 7 == 0 {
        changed.instruction = [0, 1, .max, WalkTests.code, WalkTests.code + 1, WalkTests.code + 0x6a].randomElement(using: &random)!
      }
      for number in [0, 3, 6] { changed.registers[number] = UInt64.random(in: 0...(.max), using: &random) }
      let took = clock.measure { if inspect(changed, in: &space, explain: true).isClean { clean += 1 } }
      slowest = max(slowest, took)
    }
    #expect(clean > 100 && clean < 2900)
    #expect(slowest < .seconds(20))
  }
}
