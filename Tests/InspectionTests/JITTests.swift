import ELF
import Inspection
import Samples
import Testing
import Wire

/// Stacks that run through made code: the sample's leaf, called by code in memory without a file, which the sample's _start called.
@Suite struct JITTests {
  private static let code = SampleImage.codeAddress
  private static let made: UInt64 = 0x7e00_0000_0000
  /// After `call *%rax`.
  private static let place = made + 0x12
  private static let stackPointer = ArraySpace.startStack - 16 - 40

  ///     the leaf's return address, two words of the made frame, the saved rbp, the return address into _start
  private func space(returning to: UInt64 = place, executable: Bool = true, backing: Backing = .anonymous, path: String = "/usr/bin/node")
    -> ArraySpace
  {
    let words = [to, 1, 2, 0, JITTests.code + 0x10]
    let before = [UInt64](repeating: 0, count: Int((JITTests.stackPointer - ArraySpace.stackStart) / 8))
    var space = ArraySpace(.chain, words: before + words)
    space.mappings[0].path = path
    space.mappings.append(
      Mapping(
        start: JITTests.made, end: JITTests.made + 0x1000, isWritable: true, isExecutable: executable, backing: backing,
        path: backing == .memfd ? "/memfd:x (deleted)" : ""))
    var bytes = [UInt8](repeating: 0x90, count: 0x1000)
    bytes.replaceSubrange(0x10..<0x12, with: [0xff, 0xd0])
    // Where V8 leads a frame whose code is no longer valid: call *0x1234(%r13)
    bytes.replaceSubrange(0x40..<0x47, with: [0x41, 0xff, 0x95, 0x34, 0x12, 0, 0])
    space.memory.append((JITTests.made, bytes))
    return space
  }

  private func inspected(
    _ space: ArraySpace, declared: Set<JITRuntime> = [.v8], ranges: [JITRange]? = nil, isCopy: Bool = false,
    framePointer: UInt64? = JITTests.stackPointer + 24, change: (inout Snapshot) -> Void = { _ in }
  ) -> Finding {
    var snapshot = Snapshot()
    snapshot.number = 59
    snapshot.instruction = JITTests.code + 0x47
    snapshot.registers[Registers.rsp] = JITTests.stackPointer
    snapshot.registers[Registers.rbp] = framePointer
    snapshot.startStack = ArraySpace.startStack
    snapshot.threadPointer = 0x1000
    snapshot.borrowsMemory = false
    change(&snapshot)
    var space = space
    let own = [JITRange(start: JITTests.made, end: JITTests.made + 0x1000, runtime: .v8)]
    return inspect(snapshot, in: &space, jit: JITMemory(declared: declared, ranges: ranges ?? own, isCopy: isCopy))
  }

  @Test func `declared and recorded, a frame of made code is walked by its frame pointer`() {
    let finding = inspected(space())
    #expect(finding.isClean && finding.depth == 3 && finding.sources[.framePointer] == 1, "\(shown(finding))")
    #expect(inspected(space(returning: JITTests.made + 0x40)).isClean)
  }

  @Test func `not declared, the objection says what to declare`() {
    let expected = [Violation(check: .text, frame: 1, reason: .undeclaredJIT(.v8))]
    #expect(inspected(space(), declared: []).violations == expected)
    #expect(inspected(space(), declared: [.hotspot]).violations == expected)
    #expect(
      inspected(space(path: "/usr/lib/jvm/lib/server/libjvm.so"), declared: []).violations == [
        Violation(check: .text, frame: 1, reason: .undeclaredJIT(.hotspot))
      ])
    // Nothing in the process makes code: it is what injected code looks like.
    #expect(
      inspected(space(path: "/usr/bin/server"), declared: []).violations == [
        Violation(check: .text, frame: 1, reason: .notImageText(.anonymous))
      ])
  }

  @Test func `memory that no call of the runtime made is nobody's code`() {
    let expected = [Violation(check: .text, frame: 1, reason: .unrecordedJIT(.v8))]
    #expect(inspected(space(), ranges: []).violations == expected)
    #expect(
      inspected(space(), ranges: [JITRange(start: JITTests.made + 0x100, end: JITTests.made + 0x1000, runtime: .v8)]).violations == expected
    )
    #expect(
      inspected(space(), ranges: [JITRange(start: JITTests.made, end: JITTests.made + 0x1000, runtime: .hotspot)]).violations == expected)
  }

  @Test func `a recorded range says nothing about what is not executable anonymous memory`() {
    #expect(inspected(space(executable: false)).violations == [Violation(check: .text, frame: 1, reason: .notImageText(.anonymous))])
    #expect(inspected(space(backing: .memfd)).violations == [Violation(check: .text, frame: 1, reason: .notImageText(.memfd))])
  }

  @Test func `a return address that follows no call is objected to`() {
    #expect(inspected(space(returning: JITTests.made + 0x20)).violations == [Violation(check: .call, frame: 1, reason: .notAfterCall)])
    #expect(inspected(space(returning: JITTests.made + 0x11)).violations == [Violation(check: .call, frame: 1, reason: .notAfterCall)])
  }

  @Test func `a frame pointer below the stack pointer, or beside the stack, leads nowhere`() {
    #expect(inspected(space(), framePointer: JITTests.stackPointer - 64).violations.map(\.reason) == [.notRising])
    #expect(inspected(space(), framePointer: JITTests.made).violations.map(\.reason).contains(.notRising))
    #expect(inspected(space(), framePointer: UInt64.max - 7).violations.map(\.reason) == [.notRising])
    #expect(inspected(space(), framePointer: nil).unknown?.reason == .unknownRegister(6))
  }

  @Test func `V8's code does not call the C library itself`() {
    let finding = inspected(space(path: "/lib/libc.so.6"))
    #expect(finding.violations == [Violation(check: .call, frame: 1, reason: .callsCLibrary(.v8))], "\(shown(finding))")
  }

  @Test func `made code makes no system call itself`() {
    let finding = inspected(space()) { $0.instruction = JITTests.place }
    #expect(finding.violations == [Violation(check: .text, frame: 0, reason: .notImageText(.anonymous))], "\(shown(finding))")
  }

  @Test func `in a fork the code may be missing, elsewhere not`() {
    var without = space()
    without.mappings.removeLast()
    without.memory.removeLast()
    #expect(inspected(without, isCopy: true).isClean)
    #expect(inspected(without).violations == [Violation(check: .text, frame: 1, reason: .notImageText(.nothing))])
  }

  @Test func `Java's code without its machine is unknown, not guessed`() {
    let range = JITRange(start: JITTests.made, end: JITTests.made + 0x1000, runtime: .hotspot)
    #expect(inspected(space(), declared: [.hotspot], ranges: [range]).unknown?.reason == .noUnwindInfo)
  }
}
