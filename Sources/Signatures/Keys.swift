package import Diagnostics
internal import Sodium

/// A key that signatures are checked by.
package struct PublicKey: Equatable, Sendable {
  /// Whose signatures it checks: an openssl key's are `.sig` files, a minisign key's `.minisig` files. Neither checks the other's, so
  /// that nothing that was signed as one kind can be shown as the other.
  package enum Kind: Equatable, Sendable {
    case openssl
    /// With the number that minisign gave the key, 8 bytes.
    case minisign(id: [UInt8])
  }

  package let kind: Kind
  /// 32 bytes.
  package let bytes: [UInt8]

  package init(kind: Kind, bytes: [UInt8]) {
    self.kind = kind
    self.bytes = bytes
  }
}

/// What signs: openssl's kind only, minisign keeps its own under a password.
package struct SecretKey: Equatable, Sendable {
  /// RFC 8032, 5.1.5: 32 bytes, of which all else is made.
  private let seed: [UInt8]
  package let publicKey: PublicKey

  private init?(seed: [UInt8]) {
    guard let bytes = Ed25519.publicKey(ofSeed: seed) else { return nil }
    self.seed = seed
    publicKey = PublicKey(kind: .openssl, bytes: bytes)
  }

  package static func make() throws(Refusal) -> SecretKey {
    guard let seed = Ed25519.newSeed(), let key = SecretKey(seed: seed) else {
      throw Refusal(.badKey, "cannot make a key: the kernel gives no random numbers")
    }
    return key
  }

  /// The 64 bytes of a `.sig` file, as `openssl pkeyutl -sign -rawin` writes them.
  package func signature(of message: [UInt8]) throws(Refusal) -> [UInt8] {
    guard let signature = Ed25519.signature(of: message, seed: seed) else { throw Refusal(.badKey, "cannot sign with this key") }
    return signature
  }
}

// MARK: openssl's files

/// RFC 8410, 4: SubjectPublicKeyInfo of id-Ed25519, up to the 32 bytes of the key. DER has no other way to say it.
private let publicPrefix: [UInt8] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]
/// RFC 8410, 7: version 1 of OneAsymmetricKey, without attributes, up to the 32 bytes of the seed: what openssl writes.
private let secretPrefix: [UInt8] = [
  0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
]

extension SecretKey {
  package var pem: String { encodedPEM("PRIVATE KEY", secretPrefix + seed) }

  /// Reads what `openssl genpkey -algorithm ed25519` writes; `file` is only named in messages.
  package init(pem bytes: [UInt8], file: String) throws(Refusal) {
    let (label, der) = try decodedPEM(bytes, file)
    switch label {
    case "PRIVATE KEY": break
    case "ENCRYPTED PRIVATE KEY":
      throw Refusal(.badKey, "\(file): the key is under a password", hint: "openssl pkey -in \(file) -out PLAIN.pem takes it off")
    default: throw Refusal(.badKey, "\(file): this is a \(label.lowercased()), not a private key")
    }
    guard der.starts(with: secretPrefix), let key = SecretKey(seed: Array(der.dropFirst(secretPrefix.count))) else {
      throw Refusal(.badKey, "\(file): this is no Ed25519 key", hint: "openssl genpkey -algorithm ed25519 makes one")
    }
    self = key
  }
}

extension PublicKey {
  /// As `openssl pkey -pubout` writes it.
  package var pem: String { encodedPEM("PUBLIC KEY", publicPrefix + bytes) }

  /// Reads what `openssl pkey -pubout` writes; `file` is only named in messages.
  package init(pem text: [UInt8], file: String) throws(Refusal) {
    let (label, der) = try decodedPEM(text, file)
    guard label == "PUBLIC KEY" else {
      throw Refusal(
        .badKey, "\(file): this is a \(label.lowercased()), not a public key",
        hint: label.hasSuffix("PRIVATE KEY") ? "a private key belongs to its owner alone: openssl pkey -pubout makes the public one" : nil)
    }
    guard der.starts(with: publicPrefix), der.count == publicPrefix.count + Ed25519.keyBytes else {
      throw Refusal(.badKey, "\(file): this is no Ed25519 key", hint: "openssl genpkey -algorithm ed25519 makes one")
    }
    self.init(kind: .openssl, bytes: Array(der.dropFirst(publicPrefix.count)))
  }
}

private func encodedPEM(_ label: String, _ der: [UInt8]) -> String {
  // At most 48 bytes are 64 characters: one line (RFC 7468, 2).
  "-----BEGIN \(label)-----\n\(base64(der))\n-----END \(label)-----\n"
}

/// One block and nothing after it; what stands before it is an explanation (RFC 7468, 2).
private func decodedPEM(_ bytes: [UInt8], _ file: String) throws(Refusal) -> (label: String, der: [UInt8]) {
  let lines = textLines(bytes)
  guard let begin = lines.firstIndex(where: { $0.hasPrefix("-----BEGIN ") && $0.hasSuffix("-----") && $0.utf8.count > 16 }) else {
    throw Refusal(.badKey, "\(file): this is no PEM file")
  }
  let label = String(lines[begin].dropFirst(11).dropLast(5))
  guard let end = lines[begin...].firstIndex(of: "-----END \(label)-----"), lines[(end + 1)...].allSatisfy(\.isEmpty),
    let der = base64Decoded(lines[(begin + 1)..<end].joined().utf8)
  else { throw Refusal(.badKey, "\(file): the PEM block '\(label)' is damaged, or not the only one") }
  return (label, der)
}

/// Without line ends, of which a carriage return may be a part.
func textLines(_ bytes: [UInt8]) -> [String] {
  bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
    String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
  }
}
