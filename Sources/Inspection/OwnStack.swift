import Wire

/// Whose stack a mapping is, as far as the thread that runs on it is concerned.
enum Ownership: Equatable {
  /// The process's first stack: it ends at the process entry.
  case main
  /// A pthread's: it ends at the thread's start.
  case thread
  /// A parent's, lent to a child of vfork, or the small one that posix_spawn maps for its child.
  case borrowed
  /// Memory that the program itself chose: a child made by clone(2) begins there, or a coroutine runs there. Only how the chain ends tells.
  case chosen
  /// Go's: memory that its runtime took from the kernel and made a stack of.
  case go
}

extension Snapshot {
  /// Every task in a process of one thread, and the first of several, has the process's number.
  private var isFirstThread: Bool { thread == process }

  /// Whether `mapping`, which holds the stack pointer, is the thread's own stack; nil where it is none.
  ///
  /// What the snapshot does not know makes the rule weaker, never looser than this:
  /// - without `startStack`, the first stack is the one that the kernel calls [stack];
  /// - without `threadPointer`, any anonymous mapping may be a pthread's: a pivot into one is not seen here;
  /// - without `borrowsMemory`, any anonymous mapping may be the stack of a first thread that posix_spawn made: a pivot into
  ///   one is not seen here, but then the chain has to end at a thread's start.
  func ownership(of mapping: Mapping, stackPointer: UInt64) -> Ownership? {
    guard mapping.isReadable, mapping.isWritable, !mapping.isExecutable, !mapping.isShared else { return nil }
    // A stack is never backed by a file.
    guard mapping.backing == .anonymous || mapping.backing == .mainStack || mapping.backing == .heap else { return nil }
    let isFirstStack =
      if let startStack { mapping.contains(startStack) } else { mapping.backing == .mainStack }
    // Another thread's stack is not one's own. A child made by fork or vfork is its process's first thread.
    if isFirstStack { return isFirstThread && mapping.backing != .heap ? .main : nil }
    // glibc and musl put struct pthread, which the thread pointer points at, at the top of the stack they map. The child of a
    // fork in such a thread goes on there.
    guard let threadPointer else { return mapping.backing == .heap ? .chosen : .thread }
    if mapping.contains(threadPointer), stackPointer < threadPointer { return .thread }
    if borrowsMemory ?? isFirstThread, mapping.backing != .heap { return .borrowed }
    return .chosen
  }

  /// A coroutine may run on static data, too: never on a thread's stack of the kernel's, nor in memory that others share.
  static func mayHoldCoroutine(_ mapping: Mapping) -> Bool {
    maySignalsUse(mapping) && !mapping.isShared && (mapping.backing == .file || mapping.backing == .anonymous)
  }

  /// A signal handler may run on any memory that its program gave to sigaltstack(2): heap, static data, another stack's part.
  static func maySignalsUse(_ mapping: Mapping) -> Bool {
    mapping.isReadable && mapping.isWritable && !mapping.isExecutable
  }
}

extension Snapshot {
  /// How far below and above `startStack` SP may be at the call that `_start` makes.
  ///
  /// The kernel starts a process with SP = S, a multiple of 16 (psABI 3.4.1), and remembers S as `start_stack`. Then:
  /// - glibc's crt1.o, dynamic or static: pop %rsi (S + 8); and $-16, %rsp (S); push %rax; push %rsp (S - 16); call: S - 16.
  /// - ld.so's `_start`: mov %rsp, %rdi; call _dl_start: S. Its `_dl_start_user` calls _dl_init at S & -16: S.
  ///   Before glibc 2.34 a program that was started as `ld.so program` had its SP raised by 8 for each argument dropped.
  /// - musl's crt1.o: mov %rsp, %rdi; and $-16, %rsp; call _start_c: S.
  ///
  /// Each is a multiple of 16. Above S lie argc, argv and the environment's pointers: no frame of a program can be there.
  static let belowStart: UInt64 = 32
  static let aboveStart: UInt64 = 128

  /// The objection of `base` to a chain that ended as `end` with `stackPointer` at the outermost call.
  func objection(to end: ChainEnd, stackPointer: UInt64, on ownership: Ownership) -> Reason? {
    // Whoever has executed a program began at its entry, and does not come to be a thread.
    if end == .threadStart, isFirstThread, hasExecuted == true { return .wrongDepth }
    switch (end, ownership) {
    case (.processEntry, .main):
      // Without the kernel's number all that is known is that the chain ends on the first stack.
      guard let startStack else { return nil }
      let isNear = stackPointer &- startStack &+ Snapshot.belowStart <= Snapshot.belowStart + Snapshot.aboveStart
      return isNear && stackPointer % 16 == 0 ? nil : .wrongDepth
    // Static TLS lies between a thread's first frame and its pthread: how much is not known here, so neither is the depth. The supervisor
    // knows where each thread was started.
    case (.threadStart, .thread), (.threadStart, .borrowed): return nil
    // musl's posix_spawn runs its child on a piece of the parent's own stack.
    case (.threadStart, .main): return borrowsMemory == true ? nil : .wrongDepth
    // A process that has executed a program runs its first thread where the kernel put it, and a thread of a library's has its TLS at its
    // stack's top: what is left is the child of a clone, before it executes anything.
    case (.threadStart, .chosen): return isFirstThread && hasExecuted == false ? nil : .wrongDepth
    // A library of coroutines marks the function where they start as makecontext's is: called by nobody, and it makes no system call.
    // Its stack may share a mapping with what else the program took from the kernel, a thread's TLS too.
    case (.coroutine, .chosen), (.coroutine, .thread), (.coroutine, .borrowed): return nil
    case (.coroutine, .main), (.coroutine, .go): return .wrongDepth
    case (.processEntry, .thread), (.processEntry, .borrowed), (.processEntry, .chosen), (.processEntry, .go), (.threadStart, .go):
      return .wrongDepth
    case (.goroutine, _), (.systemStack, _), (.programStart, _), (.goThreadStart, _), (.threadEnd, _):
      return objection(toGo: end, stackPointer: stackPointer, on: ownership)
    }
  }
}
