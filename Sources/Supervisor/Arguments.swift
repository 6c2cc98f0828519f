internal import Kernel
internal import Report

/// A person's view of a trapped call's arguments. Addresses are left out: they would hand out the address layout. The bytes behind a
/// pointer may change after they were read; they decide nothing.
func describeArguments(_ notification: borrowing Notification, name: String, text: [UInt8]) -> String {
  let values = notification.arguments
  switch name {
  case "execve", "execveat": return quoted(text)
  case "mmap", "mprotect", "pkey_mprotect":
    return "length \(values[1]), \(protection(values[2]))"
  default:
    // Small numbers are ids, flags and descriptors; what is larger may be an address.
    return (0..<6).map { values[$0] < 1 << 32 ? String(values[$0]) : "…" }.joined(separator: ", ")
  }
}

/// The argument that points to a path worth showing.
func pathArgument(_ notification: borrowing Notification, name: String) -> UInt64? {
  switch name {
  case "execve": notification.arguments[0]
  case "execveat": notification.arguments[1]
  default: nil
  }
}

/// At most this much of a path is shown.
private let maxShownPath = 120

private func quoted(_ text: [UInt8]) -> String {
  let shown = String(decoding: text.prefix(maxShownPath), as: UTF8.self)
  return "\"\(escaped(shown))\"\(text.count > maxShownPath ? "…" : "")"
}

/// mmap(2)'s prot bits.
private func protection(_ value: UInt64) -> String {
  let names = [(1, "PROT_READ"), (2, "PROT_WRITE"), (4, "PROT_EXEC")].filter { value & UInt64($0.0) != 0 }.map(\.1)
  return names.isEmpty ? "PROT_NONE" : names.joined(separator: "|")
}
