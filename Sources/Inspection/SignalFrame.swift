import Unwind
import Wire

/// What the kernel writes below the code that a signal interrupts (arch/x86/kernel/signal_64.c, x64_setup_rt_frame), as far as it can be
/// held against it. SP in the trampoline is where the `struct ucontext` begins:
///
///     SP - 8            return address: the trampoline, sa_restorer
///     SP                uc_flags, uc_link, uc_stack (the alternate stack, as it was then)
///     SP + 40           r8 … rip, eflags, selectors, …, pointer to the floating-point state
///     SP + 296          uc_sigmask, then siginfo_t, up to SP + 432
///     SP + 448          the floating-point state: its size and two magic numbers say what it is
///     …                 less than 64 bytes for its alignment
///                       the end of the alternate stack; or the interrupted code's red zone of 128 bytes, and its stack
///
/// **A handler may change what it returns to**, and runtimes do: Go and HotSpot move rip, .NET moves rsp, debuggers the trap flag, and any of
/// them the signal mask and what the floating-point registers hold. So nothing is asked of those, but that flags which user code cannot have
/// are not there, and that the kernel's frame lies below what goes on. What lies where, how long it is, and that it is the kernel's format
/// no handler changes: the kernel itself reads it again on the way back.
struct SignalFrame {
  private static let contextToState: UInt64 = 448
  /// `struct fxregs_state`, i.e. without XSAVE.
  private static let legacyStateBytes: UInt64 = 512
  /// `sw_reserved` (struct _fpx_sw_bytes), within the legacy state.
  private static let softwareBytes: UInt64 = 464
  private static let firstMagic: UInt64 = 0x4650_5853
  private static let secondMagic: UInt64 = 0x4650_5845
  /// AMX makes it 11 KB.
  private static let maxStateBytes: UInt64 = 1 << 16
  private static let stateAlignment: UInt64 = 64
  private static let disabled: UInt64 = 2

  /// Where the context lies: SP in the trampoline.
  let place: UInt64
  private let flags: UInt64
  private let link: UInt64
  private let alternate: (start: UInt64, flags: UInt64, size: UInt64)
  let stackPointer: UInt64
  private let processorFlags: UInt64
  private let selectors: UInt64
  private let state: UInt64

  init(at place: UInt64, word: (UInt64) throws(Walk.Stop) -> UInt64) throws(Walk.Stop) {
    self.place = place
    flags = try word(place)
    link = try word(place &+ 8)
    // ss_flags is an int; what fills its eight bytes is nobody's.
    alternate = (try word(place &+ 16), try word(place &+ 24) & 0xffff_ffff, try word(place &+ 32))
    stackPointer = try word(place &+ 160)
    processorFlags = try word(place &+ 176)
    selectors = try word(place &+ 184)
    state = try word(place &+ 224)
  }

  /// The first part that the kernel would have written otherwise; nil where there is none. `isOneStack` says whether two addresses lie on
  /// one stack.
  func forgedPart(
    word: (UInt64) throws(Walk.Stop) -> UInt64, isOneStack: (UInt64, UInt64) throws(Walk.Stop) -> Bool
  ) throws(Walk.Stop) -> String? {
    // UC_SIGCONTEXT_SS and UC_STRICT_RESTORE_SS, always for 64-bit code; UC_FP_XSTATE is seen to below. Later kernels may have more.
    guard flags & 6 == 6 else { return "uc_flags" }
    guard link == 0 else { return "uc_link" }
    guard hasPossibleFlags else { return "eflags" }
    guard hasUserSelectors else { return "cs and ss" }
    // frame = round_down(state - sizeof(struct rt_sigframe), 16) - 8, which is one distance for a state that is aligned to 64 bytes.
    guard state == place &+ SignalFrame.contextToState, state % SignalFrame.stateAlignment == 0 else {
      return "the pointer to the FPU state"
    }
    guard let end = try endOfState(word) else { return "the FPU state" }
    return try liesWhereItMust(end, isOneStack) ? nil : "its place"
  }

  /// Bit 1 is always set and IF is in user mode; bits 3, 5, 15, VM, VIF, VIP and those above 21 never are.
  private var hasPossibleFlags: Bool { processorFlags & 0xffff_ffff_ffda_822a == 0x202 }

  /// cs, gs, fs, ss, of 16 bits each: gs and fs are written as 0. Xen's guests have selectors of their own.
  private var hasUserSelectors: Bool {
    let (code, data, stack) = (selectors & 0xffff, selectors >> 16 & 0xffff_ffff, selectors >> 48)
    return data == 0 && (code == 0x33 && stack == 0x2b || code == 0xe033 && [0xe02b, 0x2b, 0].contains(stack))
  }

  /// The first address past the floating-point state, whose own numbers must fit; nil where they do not.
  private func endOfState(_ word: (UInt64) throws(Walk.Stop) -> UInt64) throws(Walk.Stop) -> UInt64? {
    // UC_FP_XSTATE
    guard flags & 1 == 1 else { return state &+ SignalFrame.legacyStateBytes }
    let first = try word(state &+ SignalFrame.softwareBytes)
    let features = try word(state &+ SignalFrame.softwareBytes &+ 8)
    let size = try word(state &+ SignalFrame.softwareBytes &+ 16) & 0xffff_ffff
    // The state components of x87 and SSE are always among those that are saved; the header of 64 bytes follows their 512.
    guard first & 0xffff_ffff == SignalFrame.firstMagic, first >> 32 == size + 4, features & 3 == 3,
      size >= SignalFrame.legacyStateBytes + 64, size <= SignalFrame.maxStateBytes,
      try word(state &+ size &- 4) >> 32 == SignalFrame.secondMagic
    else { return nil }
    return state &+ size &+ 4
  }

  /// At the top of the alternate stack, or below what was interrupted on the same stack, be that an alternate one that a handler runs on.
  private func liesWhereItMust(_ end: UInt64, _ isOneStack: (UInt64, UInt64) throws(Walk.Stop) -> Bool) throws(Walk.Stop) -> Bool {
    if alternate.flags & SignalFrame.disabled == 0, place &- 8 >= alternate.start, end &- alternate.start <= alternate.size,
      alternate.start &+ alternate.size &- end < SignalFrame.stateAlignment
    {
      return true
    }
    return stackPointer >= end ? try isOneStack(place, stackPointer) : false
  }
}

extension Walk {
  /// `signal`: the current frame is a trampoline, and the kernel's frame lies at `stackPointer`.
  mutating func judgeSignalFrame(at stackPointer: UInt64, in space: inout some AddressSpace) throws(Stop) {
    let frame = try SignalFrame(at: stackPointer) { (address) throws(Stop) in try word(at: address, in: &space) }
    let part = try frame.forgedPart { (address) throws(Stop) in
      try word(at: address, in: &space)
    } isOneStack: { (place, other) throws(Stop) in
      let isOne = try mapping(at: place, in: &space)?.contains(other) ?? false
      if isOne { resting.use(.stack(start: min(place, other), end: max(place, other) &+ 1, without: [])) } else { resting.giveUp() }
      return isOne
    }
    if let part { object(.signal, .forgedSignalFrame, detail: part) }
    if let callee = calleeOfCurrent, try !isHandler(callee, in: &space) { object(.signal, .notAHandler) }
    // Where handlers are interrupted by handlers, the innermost says it for all.
    guard !permissions.contains(.signalHandlers), !trail.dropLast().contains(where: \.isTrampoline), !isBroadcast else { return }
    object(.signal, .insideHandler)
  }

  /// Whether the function of `visited`, which returns into a trampoline, is one that a program can have given to sigaction(2), or that such
  /// a function has jumped to in the place of a return. The kernel calls what the program has told it: of the file that the trampoline
  /// lies in, the C library, only what others hold.
  private mutating func isHandler(_ visited: Visited, in space: inout some AddressSpace) throws(Stop) -> Bool {
    do throws(UnwindError) {
      guard let callee = try callee(visited) else { return true }
      return try isHeld(callee, of: nil, asSeam: callee.image === trail.last?.code.image, in: &space)
    } catch { throw .unknown(Reason(error)) }
  }

  /// setuid(2) and its like change one thread of a process. For POSIX, which knows processes only, the C library has all other threads make the
  /// same call in a handler of its own: glibc in the handler (nptl/nptl_setxid.c), musl in a function that the handler calls (synccall.c).
  /// The trampoline is the C library's, too: so is what lies in its file. In a static program that holds for its own handlers as well.
  private var isBroadcast: Bool {
    guard let trampoline = trail.last, Walk.broadcastCalls.contains(snapshot.number), trail.count <= 3 else { return false }
    return trail.allSatisfy { $0.code.image === trampoline.code.image && !$0.followsMadeCode }
  }

  /// setuid, setgid, setreuid, setregid, setgroups, setresuid, setresgid (asm/unistd_64.h).
  private static let broadcastCalls: Set<Int32> = [105, 106, 113, 114, 116, 117, 119]
}

extension Visited {
  fileprivate var isTrampoline: Bool {
    if case .signalFrame = point.unwinding { true } else { false }
  }
}
