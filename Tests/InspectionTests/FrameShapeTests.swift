import Inspection
import Samples
import Testing
import Wire

/// `canary` and the frame's size, on stacks of a few words: `_start` calls a function at 0x20, which calls the leaf of `SampleImage.chain`.
@Suite struct FrameShapeTests {
  private static let code = SampleImage.codeAddress
  private static let thread: UInt64 = 0x7000_0000
  private static let canary: UInt64 = 0x1122_3344_5566_7700

  private func inspected(
    _ image: SampleImage, _ words: [UInt64], framePointer: UInt64? = nil, canary: UInt64? = canary, knowsThread: Bool = true
  ) -> Finding {
    // _start's call was made with SP 16 below the process's first.
    let stackPointer = ArraySpace.startStack - 16 - 8 * UInt64(words.count)
    let before = [UInt64](repeating: 0, count: Int((stackPointer - ArraySpace.stackStart) / 8))
    var space = ArraySpace(image, words: before + words)
    if let canary { space.memory.append((FrameShapeTests.thread, [UInt8](repeating: 0, count: 0x28) + le(canary))) }
    var snapshot = Snapshot()
    snapshot.number = 59
    snapshot.instruction = FrameShapeTests.code + 0x47
    snapshot.registers[Registers.rsp] = stackPointer
    snapshot.registers[Registers.rbp] = framePointer.map { stackPointer + $0 }
    snapshot.startStack = ArraySpace.startStack
    snapshot.threadPointer = knowsThread ? FrameShapeTests.thread : nil
    snapshot.borrowsMemory = false
    return inspect(snapshot, in: &space)
  }

  private func image(_ function: [UInt8], _ instructions: [UInt8]) -> SampleImage {
    var image = SampleImage.chain
    image.code.replaceSubrange(0x20..<(0x20 + function.count), with: function)
    image.entries[1] = .init(offset: 0x20, count: UInt32(function.count), instructions: instructions)
    return image
  }

  /// sub $24,%rsp; mov %fs:0x28,%rax; mov %rax,8(%rsp); call 0x40 (ends at 0x37); add $24,%rsp; ret
  private var protected: SampleImage {
    image(
      [
        0x48, 0x83, 0xec, 24, 0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0, 0x48, 0x89, 0x44, 0x24, 8, 0xe8, 9, 0, 0, 0, 0x48, 0x83, 0xc4,
        24, 0xc3,
      ], [0x44, 0x0e, 32, 0x57, 0x0e, 8])
  }

  @Test func `a frame whose canary was overwritten is objected to`() {
    let words = [FrameShapeTests.code + 0x37, 1, FrameShapeTests.canary, 3, FrameShapeTests.code + 0x10]
    let clean = inspected(protected, words)
    #expect(clean.isClean && clean.depth == 3, "\(shown(clean))")
    var overwritten = words
    overwritten[2] = 0x4141_4141_4141_4141
    #expect(inspected(protected, overwritten).violations == [Violation(check: .canary, frame: 1, reason: .canaryChanged)])
    #expect(inspected(protected, overwritten, knowsThread: false).isClean)
    #expect(inspected(protected, words, canary: nil).unknown == Unknown(frame: 1, reason: .unreadableStack))
  }

  @Test func `before its store a frame has no canary`() {
    // sub $24,%rsp; call 0x40 (ends at 0x29); mov %fs:0x28,%rax; mov %rax,8(%rsp); add $24,%rsp; ret
    var late = image(
      [
        0x48, 0x83, 0xec, 24, 0xe8, 23, 0, 0, 0, 0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0, 0x48, 0x89, 0x44, 0x24, 8, 0x48, 0x83, 0xc4,
        24, 0xc3,
      ], [0x44, 0x0e, 32, 0x57, 0x0e, 8])
    let words = [FrameShapeTests.code + 0x29, 1, 2, 3, FrameShapeTests.code + 0x10]
    #expect(inspected(late, words).isClean)
    // A part of a function, which begins with a frame of 32 bytes: its first instructions are no prologue.
    late.entries[1].instructions = [0x0e, 32]
    #expect(inspected(late, words).isClean)
  }

  /// push %rbp; mov %rsp,%rbp; sub $16,%rsp; call 0x40 (ends at 0x2d); leave; ret
  private var framed: SampleImage {
    image(
      [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 16, 0xe8, 19, 0, 0, 0, 0xc9, 0xc3], [0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6])
  }

  @Test func `a frame pointer that leaps over a frame is objected to`() {
    let leaf = FrameShapeTests.code + 0x2d
    // return address; two locals; the caller's rbp; return address
    let words = [leaf, 1, 2, 0, FrameShapeTests.code + 0x10]
    let clean = inspected(framed, words, framePointer: 24)
    #expect(clean.isClean && clean.depth == 3, "\(shown(clean))")
    let hop = inspected(framed, [leaf, 1, 2, 3, 4, 5, 0, FrameShapeTests.code + 0x10], framePointer: 48)
    #expect(hop.violations == [Violation(check: .stack, frame: 1, reason: .otherFrameSize)], "\(shown(hop))")
    // sub %rdi,%rsp instead: the size is known at run time only
    var variable = framed
    variable.code.replaceSubrange(0x24..<0x28, with: [0x48, 0x29, 0xfc, 0x90])
    #expect(inspected(variable, [leaf, 1, 2, 3, 4, 5, 0, FrameShapeTests.code + 0x10], framePointer: 48).isClean)
  }
}
