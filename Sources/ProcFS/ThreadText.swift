/// `/proc/TID/syscall` of a thread that is blocked in a system call (proc(5)): `nr a0 … a5 sp pc`, all but nr in hex.
package struct BlockedCall: Equatable, Sendable {
  package var number: Int
  package var arguments: [UInt64]
  package var stackPointer: UInt64
  package var instruction: UInt64

  /// Throws for `running` and for anything else that is not nine fields.
  package init(_ text: [UInt8]) throws(ProcFSError) {
    let fields = text.split(whereSeparator: isBlank)
    let numbers = fields.dropFirst().compactMap { $0.starts(with: "0x".utf8) ? hexadecimal($0.dropFirst(2)) : nil }
    guard fields.count == 9, let number = ProcFS.number(fields[0], as: Int.self), numbers.count == 8 else {
      throw ProcFSError("syscall", text)
    }
    self.number = number
    arguments = Array(numbers[..<6])
    stackPointer = numbers[6]
    instruction = numbers[7]
  }
}

/// What a thread is doing by `/proc/TID/syscall` (proc(5)).
package enum CallState: Equatable, Sendable {
  case running
  case blocked(BlockedCall)
  /// It waits in the kernel, but for no system call: a page fault, say.
  case waiting

  package init(_ text: [UInt8]) throws(ProcFSError) {
    let fields = text.split(whereSeparator: isBlank)
    if fields.count == 1, fields[0].elementsEqual("running".utf8) {
      self = .running
    } else if fields.count == 3, fields[0].elementsEqual("-1".utf8) {
      self = .waiting
    } else {
      self = .blocked(try BlockedCall(text))
    }
  }
}

/// The fields of `/proc/PID/stat` (proc(5)) that an inspection needs. The path may name any thread of the process.
package struct ProcessStat: Equatable, Sendable {
  /// At most 15 bytes, whatever the process says.
  package var command: String
  /// The letter of proc(5): R S D Z T t X I …
  package var state: UInt8
  package var parent: UInt32
  /// The kernel's own thread, which has no memory of a user's (PF_KTHREAD, linux/sched.h).
  package var isKernelThread: Bool
  /// Clock ticks since boot.
  package var made: UInt64
  /// SP at the process entry; 0 where it is hidden from the reader.
  package var startStack: UInt64
  /// PF_FORKNOEXEC of linux/sched.h is not set: the task has executed a program since it was made.
  package var hasExecuted: Bool

  package init(_ text: [UInt8]) throws(ProcFSError) {
    // The name may hold anything, ")" and spaces too: it ends at the last ")", for nothing after it is the process's to choose.
    guard let open = text.firstIndex(of: UInt8(ascii: "(")), let close = text.lastIndex(of: UInt8(ascii: ")")), open < close else {
      throw ProcFSError("stat", text)
    }
    let fields = text[(close + 1)...].split(whereSeparator: isBlank)
    // fields[0] is field 3 of the man page.
    guard fields.count > 25, let state = fields[0].first, let parent = number(fields[1], as: UInt32.self),
      let flags = number(fields[6], as: UInt32.self), let made = number(fields[19], as: UInt64.self),
      let startStack = number(fields[25], as: UInt64.self)
    else { throw ProcFSError("stat", text) }
    command = String(decoding: text[(open + 1)..<close], as: UTF8.self)
    self.state = state
    self.parent = parent
    isKernelThread = flags & 0x0020_0000 != 0
    self.made = made
    self.startStack = startStack
    hasExecuted = flags & 0x40 == 0
  }
}

/// The thread group of a thread, from `/proc/TID/status`.
package func threadGroup(status text: [UInt8]) throws(ProcFSError) -> UInt32 { try statusNumber("Tgid:", text) }

/// Who traces a thread, from `/proc/TID/status`; 0 for nobody.
package func tracer(status text: [UInt8]) throws(ProcFSError) -> UInt32 { try statusNumber("TracerPid:", text) }

/// How often a thread has been taken off a processor, from `/proc/TID/status`: while it only waits, this stays what it is.
package func contextSwitches(status text: [UInt8]) throws(ProcFSError) -> UInt64 {
  let voluntary: UInt64 = try statusNumber("voluntary_ctxt_switches:", text)
  return voluntary &+ (try statusNumber("nonvoluntary_ctxt_switches:", text))
}

/// The name, which stands before all else, cannot hold a line's end: the kernel escapes it.
private func statusNumber<Value: FixedWidthInteger>(_ name: String, _ text: [UInt8]) throws(ProcFSError) -> Value {
  for line in text.split(separator: UInt8(ascii: "\n")) where line.starts(with: name.utf8) {
    guard let value = number(line.dropFirst(name.utf8.count).drop(while: isBlank), as: Value.self) else { break }
    return value
  }
  throw ProcFSError("status", text.prefix(80))
}

/// The process's number in its own pid namespace, the last of `NSpid` in `/proc/PID/status`.
package func ownNumber(status text: [UInt8]) throws(ProcFSError) -> UInt32 {
  for line in text.split(separator: UInt8(ascii: "\n")) where line.starts(with: "NSpid:".utf8) {
    guard let last = line.split(whereSeparator: isBlank).last, let value = number(last, as: UInt32.self) else { break }
    return value
  }
  throw ProcFSError("status", text.prefix(80))
}

/// The process's cgroup of version 2, from `/proc/PID/cgroup`: `/` or an absolute path; nil where the kernel has no such hierarchy.
package func unifiedCgroup(_ text: [UInt8]) -> String? {
  for line in text.split(separator: UInt8(ascii: "\n")) where line.starts(with: "0::/".utf8) {
    return String(decoding: line.dropFirst(3), as: UTF8.self)
  }
  return nil
}
