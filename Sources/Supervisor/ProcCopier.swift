internal import Kernel
internal import ProcFS
internal import Wire

/// Copies blocked threads without BPF: SP and the arguments from /proc/TID/syscall, the other registers by stopping the thread for a
/// moment. That voids the notification, so they are kept until the thread makes its call again.
final class ProcCopier {
  private let mayInterrupt: Bool
  private var kept: [UInt32: Kept] = [:]
  /// Threads that were interrupted and had not stopped in time: when they do, they must not stay stopped.
  private var unreleased: Set<UInt32> = []

  private struct Kept {
    var registers: TracedRegisters
    var call: BlockedCall
    var time: Int64
  }

  /// A call that was interrupted comes again at once.
  private static let keepMilliseconds: Int64 = 2000
  private static let maxKept = 4096

  init(mayInterrupt: Bool) { self.mayInterrupt = mayInterrupt }

  var hasUnreleased: Bool { !unreleased.isEmpty }

  func release() { unreleased = unreleased.filter { !releaseInterrupted($0) } }

  func fill(_ snapshot: inout Snapshot) throws(SnapshotError) {
    let thread = snapshot.thread
    let call = try blockedCall(thread)
    if let registers = try registers(of: thread, in: call) {
      for (number, value) in registers.general.enumerated() { snapshot.registers[number] = value }
      snapshot.threadPointer = registers.threadPointer
    } else {
      snapshot.registers[Registers.rsp] = call.stackPointer
    }
    try snapshot.fillFromProc(above: call.stackPointer)
  }

  /// Those kept of the interruption that this call is the repetition of; without any, the thread is interrupted, and this call is void.
  /// nil where threads may not be interrupted.
  private func registers(of thread: UInt32, in call: BlockedCall) throws(SnapshotError) -> TracedRegisters? {
    guard mayInterrupt else { return nil }
    let now = monotonicMilliseconds()
    if let found = kept.removeValue(forKey: thread), found.call == call, now - found.time < ProcCopier.keepMilliseconds {
      return found.registers
    }
    if kept.count >= ProcCopier.maxKept { kept = [:] }
    let registers: TracedRegisters?
    do throws(SyscallError) {
      registers = try interruptForRegisters(thread)
    } catch {
      if error.errno == Errno.timedOut { unreleased.insert(thread) }
      throw .system(error)
    }
    if let registers, registers.general[Registers.rsp] == call.stackPointer, registers.instruction == call.instruction {
      kept[thread] = Kept(registers: registers, call: call, time: now)
    }
    throw .gone
  }
}

extension Snapshot {
  /// What /proc tells of the process, and the words of the stack. The thread does not run meanwhile.
  mutating func fillFromProc(above stackPointer: UInt64) throws(SnapshotError) {
    let (thread, process) = (self.thread, try processOf(self.thread))
    let stat = try processStat(process)
    self.process = process
    made = thread == process ? stat.made : try processStat(thread).made
    hasExecuted = stat.hasExecuted
    startStack = stat.startStack == 0 ? nil : stat.startStack
    borrowsMemory = try SnapshotError.wrap { () throws(SyscallError) in
      stat.parent == 0 ? false : try sharesMemory(process, stat.parent)
    }
    stack = try SnapshotError.wrap { () throws(SyscallError) in
      let count = try anonymousBytes(above: stackPointer, of: thread)
      return try ProcessMemory(of: thread).read(stackPointer, count: count)
    }
  }
}

func blockedCall(_ thread: UInt32) throws(SnapshotError) -> BlockedCall {
  let text = try SnapshotError.wrap { () throws(SyscallError) in try procText(thread, "syscall") }
  do throws(ProcFSError) { return try BlockedCall(text) } catch { throw .text(error) }
}

func processStat(_ process: UInt32) throws(SnapshotError) -> ProcessStat {
  let text = try SnapshotError.wrap { () throws(SyscallError) in try procText(process, "stat") }
  do throws(ProcFSError) { return try ProcessStat(text) } catch { throw .text(error) }
}

/// A parent that this process may not look at is another user's: it shares nothing with this one.
private func sharesMemory(_ process: UInt32, _ parent: UInt32) throws(SyscallError) -> Bool {
  do throws(SyscallError) {
    return try shareMemory(process, parent)
  } catch {
    if error.errno == Errno.notPermitted { return false }
    throw error
  }
}
