/// What a line of /proc text says is not what is expected there. It is never skipped.
package struct ProcFSError: Error, Equatable, Sendable, CustomStringConvertible {
  package let file: StaticString
  package let text: String

  package var description: String { "cannot understand /proc/…/\(file): '\(text)'" }

  package static func == (a: ProcFSError, b: ProcFSError) -> Bool {
    a.file.description == b.file.description && a.text == b.text
  }
}

/// `/proc/TID/syscall` of a thread that is blocked in a system call (proc(5)): `nr a0 … a5 sp pc`, all but nr in hex.
package struct BlockedCall: Equatable, Sendable {
  package var number: Int
  package var arguments: [UInt64]
  package var stackPointer: UInt64
  package var instruction: UInt64

  /// Throws for `running` and for anything else that is not nine fields.
  package init(_ text: String) throws(ProcFSError) {
    let fields = text.split { $0 == " " || $0 == "\n" }
    let numbers = fields.dropFirst().compactMap { $0.hasPrefix("0x") ? UInt64($0.dropFirst(2), radix: 16) : nil }
    guard fields.count == 9, let number = Int(fields[0]), numbers.count == 8 else {
      throw ProcFSError(file: "syscall", text: text)
    }
    self.number = number
    arguments = Array(numbers[..<6])
    stackPointer = numbers[6]
    instruction = numbers[7]
  }
}

/// The fields of `/proc/PID/stat` (proc(5)) that an inspection needs.
package struct ProcessStat: Equatable, Sendable {
  /// At most 15 bytes, whatever the process says.
  package var command: String
  package var parent: UInt32
  /// SP at the process entry; 0 where it is hidden from the reader.
  package var startStack: UInt64

  package init(_ text: String) throws(ProcFSError) {
    // The name may hold anything, ")" and spaces too: it ends at the last ")".
    guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close else {
      throw ProcFSError(file: "stat", text: text)
    }
    let fields = text[text.index(after: close)...].split { $0 == " " || $0 == "\n" }
    // fields[0] is field 3 of the man page.
    guard fields.count > 25, let parent = UInt32(fields[1]), let startStack = UInt64(fields[25]) else {
      throw ProcFSError(file: "stat", text: text)
    }
    command = String(text[text.index(after: open)..<close])
    self.parent = parent
    self.startStack = startStack
  }
}

/// The thread group of a thread, from `/proc/TID/status`.
package func threadGroup(status text: String) throws(ProcFSError) -> UInt32 {
  for line in text.split(separator: "\n") where line.hasPrefix("Tgid:") {
    guard let number = UInt32(line.dropFirst(5).drop { $0 == "\t" || $0 == " " }) else { break }
    return number
  }
  throw ProcFSError(file: "status", text: String(text.prefix(80)))
}
