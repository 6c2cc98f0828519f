internal import BPF
package import Kernel
internal import ProcFS
internal import Wire

/// How a thread's registers were come by.
package enum Copying: Equatable, Sendable {
  /// It stands still while it is inspected.
  case stopped
  /// It was copied as it waited, and not touched.
  case bpf
  /// It could neither be copied, for this reason, nor be stopped: only SP and the instruction are known.
  case proc(SyscallError)
}

/// Any thread of this machine with what is open of it. One that was stopped stands still until this value goes.
struct HeldThread: ~Copyable {
  let snapshot: Snapshot
  let copying: Copying
  /// In a system call, or leaving one.
  let call: Int32?
  let memory: ProcessMemory
  let map: MemoryMap
  let pages: PageMap
  private let stopped: StoppedThread?

  /// Copies a thread that waits in `call`, and does not touch it. Whether it still waits is the caller's to find out.
  static func copied(
    _ thread: UInt32, _ call: BlockedCall, bpf: () throws(SyscallError) -> BPFSource
  ) throws(SnapshotError) -> HeldThread {
    var snapshot = Snapshot()
    snapshot.thread = thread
    let copying = try snapshot.fill(call, bpf)
    return try HeldThread.opened(snapshot, copying, call: Int32(truncatingIfNeeded: call.number), stopped: nil)
  }

  /// Stops a thread, whatever it does. `bpf` is only asked for where the thread does not stop. ETIMEDOUT: it did not, nor does it wait in a system call.
  static func held(_ thread: UInt32, bpf: () throws(SyscallError) -> BPFSource) throws(SnapshotError) -> HeldThread {
    var snapshot = Snapshot()
    snapshot.thread = thread
    var registers: TracedRegisters?
    let stopped = try SnapshotError.wrap { () throws(SyscallError) in try stop(thread, &registers) }
    guard let registers else { return try copied(thread, try blockedCall(thread), bpf: bpf) }
    try snapshot.fill(registers)
    return try opened(snapshot, .stopped, call: registers.call, stopped: stopped)
  }

  private static func opened(
    _ filled: Snapshot, _ copying: Copying, call: Int32?, stopped: consuming StoppedThread?
  ) throws(SnapshotError) -> HeldThread {
    var snapshot = filled
    let thread = snapshot.thread
    snapshot.number = call ?? -1
    snapshot.isInterrupted = call == nil
    let memory = try SnapshotError.wrap { () throws(SyscallError) in try ProcessMemory(of: thread) }
    let map = try SnapshotError.wrap { () throws(SyscallError) in try MemoryMap(of: thread) }
    let pages = try SnapshotError.wrap { () throws(SyscallError) in try PageMap(of: thread) }
    return HeldThread(snapshot: snapshot, copying: copying, call: call, memory: memory, map: map, pages: pages, stopped: stopped)
  }

  var mayMove: Bool { copying != .stopped }
}

/// nil where the thread does not stop: it stays traced.
private func stop(_ thread: UInt32, _ registers: inout TracedRegisters?) throws(SyscallError) -> StoppedThread? {
  do throws(SyscallError) {
    let stopped = try StoppedThread(thread)
    registers = stopped.registers
    return stopped
  } catch {
    guard error.errno == Errno.timedOut else { throw error }
    return nil
  }
}

/// The BPF program, shared by the threads that need it.
final class BPFSource {
  let program: BPFSnapshot

  init(_ program: consuming BPFSnapshot) { self.program = program }
}

extension Snapshot {
  fileprivate mutating func fill(_ registers: TracedRegisters) throws(SnapshotError) {
    for (number, value) in registers.general.enumerated() { self.registers[number] = value }
    threadPointer = registers.threadPointer
    instruction = registers.instruction
    try fillFromProc(above: registers.general[Registers.rsp])
  }

  /// Also of a thread that does not stop: a parent in vfork, or one whose call waits for the answer to a notification.
  fileprivate mutating func fill(
    _ call: BlockedCall, _ bpf: () throws(SyscallError) -> BPFSource
  ) throws(SnapshotError) -> Copying {
    instruction = call.instruction
    do throws(SnapshotError) {
      let source = try SnapshotError.wrap(bpf)
      try fillByBPF(&self, source.program)
      return .bpf
    } catch {
      guard case .system(let error) = error else { throw error }
      registers[Registers.rsp] = call.stackPointer
      try fillFromProc(above: call.stackPointer)
      return .proc(error)
    }
  }
}
