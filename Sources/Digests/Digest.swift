internal import Sodium

/// A SHA-256 digest, in the words of the OCI image specification (descriptor.md): `sha256:` and 64 lower-case hex digits.
package struct Digest: Hashable, Sendable, CustomStringConvertible {
  /// The 64 digits.
  package let hex: String

  package init(of bytes: [UInt8]) { hex = hexDigits(sha256(bytes)) }

  /// Nil for anything but the one spelling: what is read becomes a file's name.
  package init?(_ text: String) {
    guard text.utf8.starts(with: "sha256:".utf8) else { return nil }
    let digits = text.utf8.dropFirst(7)
    guard digits.count == 64, digits.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else { return nil }
    hex = String(text.dropFirst(7))
  }

  package var description: String { "sha256:\(hex)" }
}

private func hexDigits(_ bytes: [UInt8]) -> String {
  let digits = Array("0123456789abcdef".utf8)
  return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
