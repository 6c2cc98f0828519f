internal import BPF
package import Kernel
package import ProcFS
internal import Wire

/// Why a blocked thread could not be copied. Each one is a denial.
package enum SnapshotError: Error, Equatable, Sendable, CustomStringConvertible {
  case system(SyscallError)
  case text(ProcFSError)
  /// The thread no longer waits in the syscall that was received: there is nothing left to answer. It may make it again.
  case gone

  static func wrap<Value: ~Copyable>(_ body: () throws(SyscallError) -> Value) throws(SnapshotError) -> Value {
    do throws(SyscallError) { return try body() } catch { throw .system(error) }
  }

  package var description: String {
    switch self {
    case .system(let error): error.description
    case .text(let error): error.description
    case .gone: "the thread no longer waits"
    }
  }
}

/// Copies blocked threads: by BPF where the kernel and our capabilities allow it, else from /proc and by ptrace.
package struct Copier: ~Copyable {
  enum Way: ~Copyable {
    /// Not found out yet.
    case open
    case bpf(BPFSnapshot)
    case proc(ProcCopier)
  }

  private(set) var way = Way.open
  private let object: String
  private let mayInterrupt: Bool

  /// Enough for the bottom of about half of the stacks of shells and compilers; the inspector reads on from /proc/PID/mem.
  static let stackBytes = 4096

  /// `mayInterrupt`: the filter has no WAIT_KILLABLE_RECV, so that a blocked thread can be stopped.
  package init(bpfObject path: String, mayInterrupt: Bool) {
    object = path
    self.mayInterrupt = mayInterrupt
  }

  var isReady: Bool {
    switch way {
    case .open: false
    case .bpf: true
    case .proc: true
    }
  }

  /// Loads the BPF program, which takes some twenty-five milliseconds: nothing needs it before the container's own first call. Returns why BPF is
  /// not used.
  mutating func prepare() -> SyscallError? {
    do throws(SyscallError) {
      way = .bpf(try BPFSnapshot.loaded(from: object))
      return nil
    } catch {
      way = .proc(ProcCopier(mayInterrupt: mayInterrupt))
      return error
    }
  }

  /// A thread that was stopped too late waits to be let go on.
  var hasUnreleased: Bool {
    switch way {
    case .bpf: false
    case .open: false
    case .proc(let copier): copier.hasUnreleased
    }
  }

  func release() {
    switch way {
    case .bpf: break
    case .open: break
    case .proc(let copier): copier.release()
    }
  }

  /// `question`: what is asked about the facts of its address space meanwhile.
  mutating func copy(
    _ notification: borrowing Kernel.Notification, _ question: BPFSnapshot.Question?
  ) throws(SnapshotError) -> Snapshot {
    var snapshot = Snapshot(notification)
    switch way {
    case .bpf(let bpf): try fillByBPF(&snapshot, bpf, question)
    case .proc(let copier): try copier.fill(&snapshot)
    case .open: throw .gone
    }
    return snapshot
  }
}

extension Copier {
  /// What tells the address space of the thread that was looked at last from all others that live, and the count of its mappings' changes;
  /// nil where nobody can tell.
  var identity: (tables: UInt64, sequence: UInt64?)? {
    switch way {
    case .bpf(let bpf): (bpf.tables, bpf.sequence)
    case .proc: nil
    case .open: nil
    }
  }

  /// On which the thread that was looked at last has run; nil where nobody can tell.
  var core: CInt? {
    switch way {
    case .bpf(let bpf): bpf.core
    case .proc: nil
    case .open: nil
    }
  }

  /// Of the facts that the last copy was asked about, those that hold.
  var holds: UInt64 {
    switch way {
    case .bpf(let bpf): bpf.holds
    case .proc: 0
    case .open: 0
    }
  }

  /// Whose the thread is that was looked at last; false where nobody can tell.
  func identify(_ snapshot: inout Snapshot) -> Bool {
    switch way {
    case .bpf(let bpf):
      snapshot.identify(bpf)
      return true
    case .proc: return false
    case .open: return false
    }
  }

  /// Which process a thread belongs to, and which address space: no registers, and no word of its memory.
  func origin(of thread: UInt32) throws(SnapshotError) -> Snapshot {
    var snapshot = Snapshot()
    snapshot.thread = thread
    switch way {
    case .bpf(let bpf):
      try SnapshotError.wrap { () throws(SyscallError) in try bpf.run(thread, want: 0) }
      snapshot.process = bpf.process
      snapshot.startStack = bpf.startStack
    case .open: throw .gone
    case .proc:
      snapshot.process = try processOf(thread)
      let startStack = try processStat(thread).startStack
      snapshot.startStack = startStack == 0 ? nil : startStack
    }
    return snapshot
  }
}

func fillByBPF(
  _ snapshot: inout Snapshot, _ bpf: borrowing BPFSnapshot, _ question: BPFSnapshot.Question? = nil
) throws(SnapshotError) {
  let thread = snapshot.thread
  try SnapshotError.wrap { () throws(SyscallError) in try bpf.run(thread, want: Copier.stackBytes, question) }
  snapshot.take(bpf)
}

extension Snapshot {
  /// What the last run has copied.
  mutating func take(_ bpf: borrowing BPFSnapshot) {
    identify(bpf)
    for number in 0..<16 { registers[number] = bpf.register(number) }
    (below, stack, canary) = (bpf.stackBelow, bpf.stack, bpf.canary)
  }

  /// Whose the thread is, and when it was made: nothing that is allocated.
  mutating func identify(_ bpf: borrowing BPFSnapshot) {
    process = bpf.process
    made = bpf.made / nanosecondsPerTick
    threadPointer = bpf.threadPointer
    startStack = bpf.startStack
    borrowsMemory = bpf.borrowsMemory
    hasExecuted = bpf.hasExecuted
  }
}

/// USER_HZ is 100 on x86-64 (asm-generic/param.h): what /proc says in ticks, the kernel keeps in nanoseconds.
private let nanosecondsPerTick: UInt64 = 10_000_000

/// How many bytes at `address` can be copied without asking a file system for them, which may never answer: none where a file is mapped
/// there. The inspector reads such a stack, under a deadline, and objects to it.
func anonymousBytes(above address: UInt64, of thread: UInt32) throws(SyscallError) -> Int {
  switch try MemoryMap(of: thread).query(address) {
  case .mapping(let mapping):
    guard mapping.inode == 0 else { return 0 }
    return Int(clamping: min(UInt64(Copier.stackBytes), mapping.end - address))
  case .none: return 0
  // Without PROCMAP_QUERY the inspector reads the stack.
  case .notSupported: return 0
  }
}

/// The process that a thread belongs to.
func processOf(_ thread: UInt32) throws(SnapshotError) -> UInt32 {
  let text = try SnapshotError.wrap { () throws(SyscallError) in try procText(thread, "status") }
  do throws(ProcFSError) { return try threadGroup(status: text) } catch { throw .text(error) }
}

func parentOf(_ process: UInt32) throws(SnapshotError) -> UInt32 {
  let text = try SnapshotError.wrap { () throws(SyscallError) in try procText(process, "stat") }
  do throws(ProcFSError) { return try ProcessStat(text).parent } catch { throw .text(error) }
}

/// A small file of /proc/PID, as bytes: names that processes choose stand in some.
func procText(_ process: UInt32, _ name: String) throws(SyscallError) -> [UInt8] {
  try readFile("/proc/\(process)/\(name)", limit: 65536)
}
