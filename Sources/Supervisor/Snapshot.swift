internal import BPF
package import Kernel
package import ProcFS
package import Wire

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
  private enum Way: ~Copyable {
    case bpf(BPFSnapshot)
    case proc(ProcCopier)
  }

  private var way: Way
  /// Why BPF is not used, for the supervisor's own record.
  package let fallback: SyscallError?

  /// Enough for the bottom of about half of the stacks of shells and compilers; the inspector reads on from /proc/PID/mem.
  static let stackBytes = 4096

  /// `mayInterrupt`: the filter has no WAIT_KILLABLE_RECV, so that a blocked thread can be stopped.
  package init(bpfObject path: String, mayInterrupt: Bool) {
    do throws(SyscallError) {
      way = .bpf(try BPFSnapshot.loaded(from: path))
      fallback = nil
    } catch {
      way = .proc(ProcCopier(mayInterrupt: mayInterrupt))
      fallback = error
    }
  }

  package mutating func copy(_ notification: borrowing Kernel.Notification) throws(SnapshotError) -> Snapshot {
    var snapshot = Snapshot()
    snapshot.thread = notification.thread
    snapshot.architecture = notification.architecture
    snapshot.number = notification.number
    snapshot.instruction = notification.instruction
    switch way {
    case .bpf(let bpf): try fill(&snapshot, by: bpf)
    case .proc(let copier): try copier.fill(&snapshot)
    }
    return snapshot
  }
}

private func fill(_ snapshot: inout Snapshot, by bpf: borrowing BPFSnapshot) throws(SnapshotError) {
  let thread = snapshot.thread
  let copy = try SnapshotError.wrap { () throws(SyscallError) in try bpf.copy(of: thread, want: Copier.stackBytes) }
  snapshot.process = copy.process
  for number in 0..<16 { snapshot.registers[number] = copy.registers[number] }
  snapshot.threadPointer = copy.threadPointer
  snapshot.startStack = copy.startStack
  snapshot.borrowsMemory = copy.borrowsMemory
  snapshot.stack = copy.stack
}

/// The process that a thread belongs to.
func processOf(_ thread: UInt32) throws(SnapshotError) -> UInt32 {
  let text = try SnapshotError.wrap { () throws(SyscallError) in try procText(thread, "status") }
  do throws(ProcFSError) { return try threadGroup(status: text) } catch { throw .text(error) }
}

/// A small file of /proc/PID as text.
func procText(_ process: UInt32, _ name: String) throws(SyscallError) -> String {
  String(decoding: try readFile("/proc/\(process)/\(name)", limit: 65536), as: UTF8.self)
}
