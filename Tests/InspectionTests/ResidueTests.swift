import ELF
import Foundation
import Inspection
import Samples
import Testing
import Unwind
import Wire

/// What lies below the stack pointer of a leaf that makes a system call (`SampleImage.chain`).
@Suite struct ResidueTests {
  private static let code = SampleImage.codeAddress
  private static let stackPointer = ArraySpace.startStack - 16 - 40
  private static let leaf = code + 0x40
  /// `jmp *%rax`, and `pop %rax; ret`: after no call, and in no function.
  private static let jump = code + 0x80
  private static let pop = code + 0x90
  private static let table: UInt64 = 0x70_0000

  private static let image: SampleImage = {
    var image = SampleImage.chain
    image.put([0xff, 0xe0], at: 0x80)
    image.put([0x58, 0xc3], at: 0x90)
    // A thunk as retpolines have it, and an entry of a PLT: jmp *table(%rip).
    image.put([0xe8, 1, 0, 0, 0, 0xcc, 0x48, 0x89, 0x04, 0x24, 0xc3], at: 0xa0)
    image.put([0xff, 0x25] + le(UInt32(table - code - 0xc6)), at: 0xc0)
    return image
  }()

  /// The reason of `residue`, where `below` are the words below the leaf's SP, the nearest to it first. `table` is what the PLT's entry reads.
  private func residue(_ below: [UInt64], in image: SampleImage = ResidueTests.image, table: UInt64 = leaf) -> Reason? {
    finding(below, in: image, table: table).violations.first { $0.check == .residue }?.reason
  }

  private func finding(
    _ below: [UInt64], in image: SampleImage = ResidueTests.image, table: UInt64 = leaf, change: (inout ArraySpace) -> Void = { _ in }
  ) -> Finding {
    let words = [ResidueTests.code + 0x29, 1, 2, 3, ResidueTests.code + 0x10]
    let before = Int((ResidueTests.stackPointer - ArraySpace.stackStart) / 8)
    let all = [UInt64](repeating: 0, count: before - below.count) + below.reversed() + words
    var space = ArraySpace(image, words: all)
    space.memory.append((ResidueTests.table, le(table)))
    var snapshot = Snapshot()
    snapshot.number = 59
    snapshot.instruction = ResidueTests.code + 0x47
    snapshot.registers[Registers.rsp] = ResidueTests.stackPointer
    snapshot.startStack = ArraySpace.startStack
    snapshot.threadPointer = 0x1000
    snapshot.borrowsMemory = false
    change(&space)
    return inspect(snapshot, in: &space)
  }

  /// What a basis does not list must not decide.
  @Test func `a finding that rests on what could not be seen is not repeated`() {
    let usual = finding([17])
    #expect(usual.isClean && usual.basis != nil, "\(usual.violations) \(String(describing: usual.unknown))")
    let unseen = finding([17]) { space in
      let bytes = space.memory[0].bytes
      let above = Int(ResidueTests.stackPointer - ArraySpace.stackStart)
      space.memory[0] = (ResidueTests.stackPointer, Array(bytes[above...]))
    }
    #expect(unseen.isClean && unseen.basis == nil, "the words below SP")
    // Whether the call is direct is looked up at addresses that are computed.
    let called = finding([ResidueTests.leaf], in: calling([0x0f, 0x1f, 0, 0xff, 0xd0]))
    #expect(called.violations.allSatisfy { $0.check != .residue } && called.basis == nil)
  }

  /// The start of a function that is not mapped: an address there is no code, and leads to the function all the same.
  @Test func `a function that is mapped in part makes no basis`() {
    let part = finding([17]) { space in
      let code = space.mappings[0]
      var rest = code
      rest.start = ResidueTests.code + 0x42
      rest.fileOffset = code.fileOffset + 0x42
      space.mappings[0].end = ResidueTests.code + 0x42
      space.mappings.append(rest)
    }
    #expect(part.basis == nil)
  }

  /// The middle's call, five bytes of it.
  private func calling(_ call: [UInt8]) -> SampleImage {
    var image = ResidueTests.image
    image.put(call, at: 0x24)
    return image
  }

  @Test func `a function that was returned into has its address just below`() {
    #expect(residue([ResidueTests.leaf]) == .returnedInto)
    // Past its first instruction, too.
    #expect(residue([ResidueTests.code + 0x45]) == .returnedInto)
    #expect(residue([]) == nil)
    for word in [ResidueTests.code + 0x47, ResidueTests.code + 0x29, ResidueTests.code + 0x20, ResidueTests.stackPointer, 17, .max] {
      #expect(residue([word]) == nil)
      #expect(residue([word, ResidueTests.leaf]) == nil)
    }
  }

  @Test func `a function that was jumped to has the jump below, and the way there`() {
    #expect(residue([ResidueTests.jump, ResidueTests.leaf, ResidueTests.pop]) == .jumpedInto)
    #expect(residue([ResidueTests.jump, 1, 2, ResidueTests.pop]) == .jumpedInto)
    // One pointer into the middle of something may be a label.
    #expect(residue([ResidueTests.jump]) == nil)
    #expect(residue([ResidueTests.jump, 1, 2, ResidueTests.code + 0x29]) == nil)
    #expect(residue([ResidueTests.pop, ResidueTests.leaf]) == nil)
  }

  @Test func `where the call went through a register one word is no proof`() {
    let image = calling([0x0f, 0x1f, 0, 0xff, 0xd0])
    #expect(residue([ResidueTests.leaf], in: image) == nil)
    #expect(residue([ResidueTests.leaf, 1, ResidueTests.pop], in: image) == nil)
    #expect(residue([ResidueTests.leaf, 1, ResidueTests.pop, 2, ResidueTests.pop], in: image) == .returnedInto)
    #expect(residue([ResidueTests.jump, ResidueTests.leaf], in: image) == nil)
    #expect(residue([ResidueTests.jump, ResidueTests.leaf, ResidueTests.pop], in: image) == .jumpedInto)
  }

  @Test func `a thunk returns into what it calls`() {
    #expect(residue([ResidueTests.leaf], in: calling([0xe8, 0x77, 0, 0, 0])) == nil)
  }

  @Test func `a PLT's entry leads where its word says`() {
    let image = calling([0xe8, 0x97, 0, 0, 0])
    #expect(residue([ResidueTests.leaf], in: image) == .returnedInto)
    #expect(residue([ResidueTests.leaf], in: image, table: ResidueTests.code + 0xa0) == nil)
    #expect(residue([ResidueTests.leaf], in: image, table: 0) == nil)
  }

  @Test func `an instruction that a signal interrupted is no return`() {
    // As the kernel leaves it: rip 176 bytes above the handler's return address.
    let frame = [ResidueTests.code + 0x45] + (0..<21).map { UInt64($0) } + [ResidueTests.code + 0x61]
    #expect(residue(frame) == nil)
    #expect(residue(Array(frame.dropLast())) == .returnedInto)
  }

  @Test func `a word that the function itself writes says nothing`() {
    for instructions in [[0x48, 0x89, 0x44, 0x24, 0xf8], [0x89, 0x44, 0x24, 0xfc, 0x90], [0x48, 0x8d, 0x44, 0x24, 0xf8]] as [[UInt8]] {
      var image = ResidueTests.image
      image.put(instructions, at: 0x40)
      #expect(residue([ResidueTests.leaf], in: image) == nil, "\(instructions)")
    }
    var image = ResidueTests.image
    image.put([0x48, 0x89, 0x44, 0x24, 0xf0], at: 0x40)
    #expect(residue([ResidueTests.leaf], in: image) == .returnedInto)
  }

  @Test(arguments: [
    ("execve", true), ("mprotect", true), ("mmap64", true), ("setuid", true), ("setgroups", true), ("syscall", true), ("qsort_r", false),
    ("popen", false), ("posix_spawn", false),
  ])
  func `libc's calls leave the word below their return address alone`(name: String, leaves: Bool) throws {
    let path = try #require(
      ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6"].first { FileManager.default.fileExists(atPath: $0) })
    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    let image = try Image(Source(bytes))
    let function = try #require(try image.file.functions().sorted.first { try image.file.name(of: $0) == name })
    var budget = Budget(1 << 24)
    let range = AddressRange(start: function.start, count: function.count)
    #expect(try image.leavesWordBelowReturn(range, budget: &budget) == leaves)
  }
}
