/// The sixteen general registers of x86-64 in DWARF numbering (psABI, figure 3.36), each known or not.
///
/// A register that nobody recorded is unknown, never zero: the attacker controls rbp too.
package struct Registers: Equatable, Sendable {
  package static let rax = 0
  package static let rdx = 1
  package static let rcx = 2
  package static let rbx = 3
  package static let rsi = 4
  package static let rdi = 5
  package static let rbp = 6
  package static let rsp = 7

  package private(set) var values: [16 of UInt64] = .init(repeating: 0)
  /// Bit n is set when register n is known.
  package private(set) var known: UInt16 = 0

  package init() {}

  /// The value of DWARF register `number`, or nil if it is unknown or not one of the sixteen.
  package subscript(number: Int) -> UInt64? {
    get {
      guard number >= 0, number < 16, known & (1 << UInt16(number)) != 0 else { return nil }
      return values[number]
    }
    set {
      precondition(number >= 0 && number < 16, "not a general register: the caller checks what comes from CFI")
      values[number] = newValue ?? 0
      if newValue == nil { known &= ~(1 << UInt16(number)) } else { known |= 1 << UInt16(number) }
    }
  }

  package static func == (a: Registers, b: Registers) -> Bool {
    guard a.known == b.known else { return false }
    for number in 0..<16 where a.values[number] != b.values[number] { return false }
    return true
  }
}

/// What the supervisor copied of one thread that is blocked in a trapped syscall: bytes and numbers, nothing interpreted.
package struct Snapshot: Equatable, Sendable {
  /// Thread and thread group, as the supervisor's pid namespace numbers them.
  package var thread: UInt32 = 0
  package var process: UInt32 = 0
  /// When the kernel made the thread, in clock ticks since boot (proc(5), starttime): tells it from another that got its number. nil where
  /// nobody could tell.
  package var made: UInt64?
  /// `seccomp_data.arch` and `.nr`.
  package var architecture: UInt32 = 0
  package var number: Int32 = 0
  /// `seccomp_data.instruction_pointer`: the address after the syscall instruction.
  package var instruction: UInt64 = 0
  /// The thread is in no system call: it was stopped somewhere, and `instruction` is the one that it would go on with.
  package var isInterrupted = false
  package var registers = Registers()
  /// fs_base, nil where it could not be read. glibc's and musl's `struct pthread` lies there, at the top of a thread's own stack.
  package var threadPointer: UInt64?
  /// `mm->start_stack`: where the kernel put argc at execve, i.e. SP at the process entry.
  package var startStack: UInt64?
  /// The task is a child of vfork or posix_spawn that still borrows its parent's memory; nil where nobody could tell.
  package var borrowsMemory: Bool?
  /// The process has executed a program since it was forked: its first thread runs on the stack that the kernel gave it. nil where nobody
  /// could tell.
  package var hasExecuted: Bool?
  /// The bytes at [SP, SP + count), as far as one copy reached.
  package var stack: [UInt8] = []
  /// Those at [SP - count, SP), copied with them.
  package var below: [UInt8] = []
  /// The word at `canaryPlace` from the thread pointer, copied with them; nil where it was not.
  package var canary: UInt64?

  /// Where glibc and musl keep the canary: tcbhead_t.stack_guard.
  package static let canaryPlace: UInt64 = 0x28

  package init() {}
}
