internal import Kernel
internal import Report

/// A person's view of a trapped call's arguments. Addresses are left out: they would hand out the address layout. The bytes behind a
/// pointer may change after they were read; they decide nothing.
func describeArguments(_ notification: borrowing Notification, name: String, memory: borrowing ProcessMemory) -> String {
  let values = notification.arguments
  switch name {
  case "execve": return quoted(values[0], memory)
  case "execveat": return quoted(values[1], memory)
  case "mmap", "mprotect", "pkey_mprotect":
    return "length \(values[1]), \(protection(values[2]))"
  default:
    // Small numbers are ids, flags and descriptors; what is larger may be an address.
    return (0..<6).map { values[$0] < 1 << 32 ? String(values[$0]) : "…" }.joined(separator: ", ")
  }
}

/// At most this much of a path is shown.
private let maxShownPath = 120

private func quoted(_ address: UInt64, _ memory: borrowing ProcessMemory) -> String {
  let bytes = memory.read(address, count: maxShownPath + 1)
  let text = bytes.prefix { $0 != 0 }
  guard !bytes.isEmpty else { return "unreadable path" }
  let isCut = text.count > maxShownPath
  return "\"\(escaped(String(decoding: text.prefix(maxShownPath), as: UTF8.self)))\"\(isCut ? "…" : "")"
}

/// mmap(2)'s prot bits.
private func protection(_ value: UInt64) -> String {
  let names = [(1, "PROT_READ"), (2, "PROT_WRITE"), (4, "PROT_EXEC")].filter { value & UInt64($0.0) != 0 }.map(\.1)
  return names.isEmpty ? "PROT_NONE" : names.joined(separator: "|")
}
