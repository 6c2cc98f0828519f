/// What a line of /proc text says is not what is expected there. It is never skipped.
package struct ProcFSError: Error, Equatable, Sendable, CustomStringConvertible {
  package let file: StaticString
  package let text: String

  package var description: String { "cannot understand /proc/…/\(file): '\(text)'" }

  init(_ file: StaticString, _ bytes: some Collection<UInt8>) {
    self.file = file
    text = String(decoding: bytes.prefix(200), as: UTF8.self)
  }

  package static func == (a: ProcFSError, b: ProcFSError) -> Bool {
    a.file.description == b.file.description && a.text == b.text
  }
}

// Everything here works on bytes. Processes choose names that stand in these texts, and a Swift Character can swallow the bracket or
// the space after a name that ends in a combining mark.

func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\t") }

/// A number of ASCII digits and nothing else.
func number<Value: FixedWidthInteger>(_ bytes: some Sequence<UInt8>, radix: Value = 10, as _: Value.Type = Value.self) -> Value? {
  var value: Value = 0
  var isEmpty = true
  for byte in bytes {
    let digit: UInt8
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
    default: return nil
    }
    guard Value(digit) < radix else { return nil }
    let (scaled, tooLarge) = value.multipliedReportingOverflow(by: radix)
    let (sum, overflow) = scaled.addingReportingOverflow(Value(digit))
    guard !tooLarge, !overflow else { return nil }
    value = sum
    isEmpty = false
  }
  return isEmpty ? nil : value
}

func hexadecimal(_ bytes: some Sequence<UInt8>) -> UInt64? { number(bytes, radix: 16) }
