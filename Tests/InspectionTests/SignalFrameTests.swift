import Inspection
import Samples
import Testing
import Wire

/// A signal's frame as the kernel writes it (arch/x86/kernel/signal_64.c), and every part of it to be changed.
struct KernelFrame {
  /// On the stack below `interrupted`, or at the top of the alternate stack.
  var flags: UInt64 = 7
  var link: UInt64 = 0
  var alternate: (start: UInt64, flags: UInt64, size: UInt64) = (0, 2, 0)
  var interrupted: UInt64
  var instruction: UInt64
  var processorFlags: UInt64 = 0x246
  var selectors: UInt64 = 0x002b_0000_0000_0033
  /// Added to the pointer to the floating-point state.
  var stateShift: UInt64 = 0
  var firstMagic: UInt32 = 0x4650_5853
  var secondMagic: UInt32 = 0x4650_5845
  var features: UInt64 = 0xe7
  var stateBytes: UInt32 = 576
  var extendedBytes: UInt32?
  /// Below where the kernel puts it.
  var shift: UInt64 = 0

  init(interrupted: UInt64, instruction: UInt64) {
    self.interrupted = interrupted
    self.instruction = instruction
  }

  /// Where the return address lies: SP when the handler begins.
  var start: UInt64 {
    let isEntered = alternate.flags & 2 == 0 && !(interrupted > alternate.start && interrupted - alternate.start <= alternate.size)
    let top = isEntered ? alternate.start + alternate.size : interrupted - 128
    let state = (top - UInt64(stateBytes) - 4) / 64 * 64
    return (state - 440) / 16 * 16 - 8 - shift
  }

  /// From `start` on, up to the end of the floating-point state.
  func bytes(trampoline: UInt64) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xa5, count: 456 + Int(stateBytes) + 4)
    func put(_ value: UInt64, at offset: Int, count: Int = 8) {
      bytes.replaceSubrange(offset..<(offset + count), with: le(value).prefix(count))
    }
    put(trampoline, at: 0)
    for (index, word) in [flags, link, alternate.start].enumerated() { put(word, at: 8 + index * 8) }
    put(alternate.flags, at: 32, count: 4)
    put(alternate.size, at: 40)
    put(interrupted, at: 168)
    put(instruction, at: 176)
    put(processorFlags, at: 184)
    put(selectors, at: 192)
    put(start + 456 &+ stateShift, at: 232)
    let software = 456 + 464
    put(UInt64(firstMagic), at: software, count: 4)
    put(UInt64(extendedBytes ?? stateBytes + 4), at: software + 4, count: 4)
    put(features, at: software + 8)
    put(UInt64(stateBytes), at: software + 16)
    put(UInt64(secondMagic), at: 456 + Int(stateBytes), count: 4)
    return bytes
  }
}

/// Chains of `SampleImage.chain` that lead through a signal frame.
@Suite struct SignalFrameTests {
  private static let code = SampleImage.codeAddress
  private static let trampoline = code + 0x61
  /// SP in the middle function after the leaf has returned to it.
  private static let interrupted = ArraySpace.startStack - 16 - 32
  private static let altstack: UInt64 = 0x60_0000_0000
  private static let altstackBytes: UInt64 = 0x4000

  private func frame() -> KernelFrame {
    KernelFrame(interrupted: SignalFrameTests.interrupted, instruction: SignalFrameTests.code + 0x29)
  }

  /// A leaf that makes a call as handler, on whichever stack `frame` lies.
  private func finding(
    _ frame: KernelFrame, number: Int32 = 59, permissions: Set<Permission> = [.signalHandlers]
  ) -> Finding {
    var stack = [UInt8](repeating: 0, count: Int(ArraySpace.stackBytes))
    func put(_ bytes: [UInt8], at address: UInt64) {
      let offset = Int(address - ArraySpace.stackStart)
      stack.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
    }
    put([1, 2, 3, SignalFrameTests.code + 0x10].flatMap { le($0) }, at: SignalFrameTests.interrupted)
    let bytes = frame.bytes(trampoline: SignalFrameTests.trampoline)
    var space = ArraySpace(.chain, words: [])
    let isAbove = frame.start >= SignalFrameTests.altstack && frame.start < SignalFrameTests.altstack + SignalFrameTests.altstackBytes
    if isAbove {
      var altstack = [UInt8](repeating: 0, count: Int(SignalFrameTests.altstackBytes))
      let offset = Int(frame.start - SignalFrameTests.altstack)
      altstack.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
      space.memory.append((SignalFrameTests.altstack, altstack))
      space.mappings.append(
        Mapping(
          start: SignalFrameTests.altstack, end: SignalFrameTests.altstack + SignalFrameTests.altstackBytes, isWritable: true,
          backing: .anonymous))
    } else {
      put(bytes, at: frame.start)
    }
    space.memory[0].bytes = stack
    var snapshot = Snapshot()
    snapshot.number = number
    snapshot.instruction = SignalFrameTests.code + 0x47
    snapshot.registers[Registers.rsp] = frame.start
    snapshot.startStack = ArraySpace.startStack
    snapshot.threadPointer = 0x1000
    snapshot.borrowsMemory = false
    return inspect(snapshot, in: &space, permissions: permissions)
  }

  @Test(arguments: [576, 832, 2696, 11008] as [UInt32]) func `a frame on the alternate stack is the kernel's`(stateBytes: UInt32) {
    var frame = frame()
    frame.stateBytes = stateBytes
    for (flags, size) in [(0, 0x4000), (1, 0x4000), (1 << 31, 0x3ff8), (0, 0x3fe1)] as [(UInt64, UInt64)] {
      frame.alternate = (SignalFrameTests.altstack, flags, size)
      let finding = finding(frame)
      #expect(finding.isClean, "\(flags) \(size): \(shown(finding))")
      #expect(finding.frames.map(\.source) == [.cfi, .signalFrame, .cfi, .none])
    }
  }

  @Test func `a frame on the interrupted stack is the kernel's, wherever that stack stood`() {
    for sizes in [576, 580, 644] as [UInt32] {
      var frame = frame()
      frame.stateBytes = sizes
      #expect(finding(frame).isClean, "\(sizes)")
      // Without XSAVE the kernel writes no magic.
      (frame.flags, frame.firstMagic, frame.secondMagic) = (6, 0, 0)
      #expect(finding(frame).isClean, "\(sizes) without XSAVE")
    }
  }

  @Test func `a part that the kernel would not have written is named`() {
    let changes: [(part: String, change: (inout KernelFrame) -> Void)] = [
      ("uc_flags", { $0.flags = 0 }), ("uc_flags", { $0.flags = 1 }), ("uc_link", { $0.link = 1 }),
      ("eflags", { $0.processorFlags = 0 }), ("eflags", { $0.processorFlags |= 1 << 17 }), ("eflags", { $0.processorFlags |= 1 << 40 }),
      ("cs and ss", { $0.selectors = 0x33 }), ("cs and ss", { $0.selectors |= 0x2b << 16 }), ("cs and ss", { $0.selectors ^= 0x10 }),
      ("the pointer to the FPU state", { $0.stateShift = 64 }), ("the pointer to the FPU state", { $0.stateShift = 0 &- $0.start }),
      ("the pointer to the FPU state", { $0.shift = 8 }), ("the pointer to the FPU state", { $0.shift = 16 }),
      ("the FPU state", { $0.firstMagic = 0 }), ("the FPU state", { $0.secondMagic = 0 }), ("the FPU state", { $0.features = 4 }),
      ("the FPU state", { $0.extendedBytes = 576 }), ("the FPU state", { $0.stateBytes = 512 }),
      (
        "its place",
        {
          $0.alternate = (SignalFrameTests.altstack, 0, 0x4000); $0.shift = 128
        }
      ),
      (
        "its place",
        {
          $0.alternate = (SignalFrameTests.altstack, 0, 0x4000); $0.shift = 64
        }
      ),
    ]
    for (number, (part, change)) in changes.enumerated() {
      var frame = frame()
      change(&frame)
      let finding = finding(frame)
      #expect(
        finding.violations.contains(Violation(check: .signal, frame: 1, reason: .forgedSignalFrame, detail: part)),
        "change \(number): \(shown(finding))")
    }
  }

  /// What Go, HotSpot, .NET and debuggers change in their handlers.
  @Test func `what handlers change is not held against a frame`() {
    let changes: [(inout KernelFrame) -> Void] = [
      { $0.instruction = SignalFrameTests.code + 0x2d }, { $0.processorFlags |= 0x100 }, { $0.processorFlags |= 0x4_0cd5 },
    ]
    for (number, change) in changes.enumerated() {
      for isAlternate in [false, true] {
        var frame = frame()
        if isAlternate { frame.alternate = (SignalFrameTests.altstack, 0, 0x4000) }
        change(&frame)
        let finding = finding(frame)
        #expect(!finding.violations.contains { $0.check == .signal }, "change \(number): \(shown(finding))")
      }
    }
  }

  @Test func `a call in a handler needs a permission`() {
    let refused = finding(frame(), permissions: [])
    #expect(refused.violations == [Violation(check: .signal, frame: 1, reason: .insideHandler)], "\(shown(refused))")
    #expect(finding(frame(), permissions: [.signalHandlers]).isClean)
    #expect(finding(frame(), permissions: Set(Permission.allCases).subtracting([.signalHandlers])).violations.count == 1)
  }

  @Test func `the C library changes the other threads' user in a handler`() {
    // The sample's handler lies in the trampoline's own file.
    for number in [105, 106, 113, 114, 116, 117, 119] as [Int32] {
      #expect(!finding(frame(), number: number, permissions: []).violations.contains { $0.check == .signal }, "call \(number)")
    }
    for number in [59, 122, 126] as [Int32] { #expect(!finding(frame(), number: number, permissions: []).isClean) }
  }
}
