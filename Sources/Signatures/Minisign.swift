package import Diagnostics
internal import Sodium

// The formats of minisign 0.11 (https://jedisct1.github.io/minisign/, "Signature format", "Public key format").

private let idBytes = 8
private let legacy = Array("Ed".utf8)
private let prehashed = Array("ED".utf8)

extension PublicKey {
  /// Reads a minisign public key: a comment and a line of base64, or that line alone. `file` is only named in messages.
  package init(minisign text: [UInt8], file: String) throws(Refusal) {
    var lines = textLines(text)[...]
    if lines.first?.hasPrefix("untrusted comment:") == true { lines = lines.dropFirst() }
    guard let line = lines.first, lines.dropFirst().allSatisfy(\.isEmpty), let bytes = base64Decoded(line.utf8),
      bytes.count == legacy.count + idBytes + Ed25519.keyBytes, bytes.starts(with: legacy)
    else { throw Refusal(.badKey, "\(file): this is no public key of minisign's") }
    self.init(kind: .minisign(id: Array(bytes[2..<10])), bytes: Array(bytes[10...]))
  }
}

/// A `.minisig` file: a signature of the file's bytes or of their hash, and one of that signature and a comment.
struct MinisignSignature {
  let isPrehashed: Bool
  let keyID: [UInt8]
  let signature: [UInt8]
  let trustedComment: [UInt8]
  let globalSignature: [UInt8]

  /// Nil where the text is none.
  init?(_ text: [UInt8]) {
    let lines = textLines(text)
    let comment = "trusted comment: "
    guard lines.count >= 4, lines[4...].allSatisfy(\.isEmpty), lines[0].hasPrefix("untrusted comment:"), lines[2].hasPrefix(comment),
      let first = base64Decoded(lines[1].utf8), first.count == 2 + idBytes + Ed25519.signatureBytes,
      let second = base64Decoded(lines[3].utf8), second.count == Ed25519.signatureBytes
    else { return nil }
    switch Array(first[..<2]) {
    case legacy: isPrehashed = false
    case prehashed: isPrehashed = true
    default: return nil
    }
    keyID = Array(first[2..<10])
    signature = Array(first[10...])
    trustedComment = Array(lines[2].utf8.dropFirst(comment.utf8.count))
    globalSignature = second
  }

  func isValid(of message: [UInt8], by key: PublicKey) -> Bool {
    key.kind == .minisign(id: keyID)
      && Ed25519.isValid(signature, of: isPrehashed ? blake2b512(message) : message, by: key.bytes)
      && Ed25519.isValid(globalSignature, of: signature + trustedComment, by: key.bytes)
  }
}
