package import Diagnostics
internal import Sodium

/// What lies beside a profile and signs its bytes: `NAME.yaml` and one of these endings.
package enum SignatureFormat: String, CaseIterable, Sendable {
  /// 64 bytes, or their base64: `openssl pkeyutl -sign -rawin`.
  case raw = ".sig"
  /// `minisign -S`.
  case minisign = ".minisig"
}

/// A signature as it was found.
package struct SignatureFile: Equatable, Sendable {
  package let format: SignatureFormat
  package let bytes: [UInt8]
  /// Only named in messages.
  package let file: String

  package init(_ format: SignatureFormat, _ bytes: [UInt8], file: String) {
    self.format = format
    self.bytes = bytes
    self.file = file
  }

  /// A base64 of 64 bytes is longer than this, whatever its lines.
  package static let maxBytes = 4096
}

/// The keys that are trusted, with the names of their files.
package struct Keyring: Equatable, Sendable {
  package struct Entry: Equatable, Sendable {
    package let name: String
    package let key: PublicKey
  }

  package private(set) var entries: [Entry] = []

  package init() {}

  /// Adds what a file holds that `isKeyFile`: `*.pem` one of openssl's, any other one of minisign's. Throws where it holds none.
  package mutating func add(_ name: String, _ bytes: [UInt8], file: String) throws(Refusal) {
    let key = name.hasSuffix(".pem") ? try PublicKey(pem: bytes, file: file) : try PublicKey(minisign: bytes, file: file)
    entries.append(Entry(name: name, key: key))
  }

  package static func isKeyFile(_ name: String) -> Bool { name.hasSuffix(".pem") || name.hasSuffix(".pub") }

  /// The names of the keys that made `signatures` of `message`, one for each. Throws where one of them was made by none of the keys, or
  /// is no signature at all.
  package func signers(of message: [UInt8], _ signatures: [SignatureFile]) throws(Refusal) -> [String] {
    var names: [String] = []
    for signature in signatures { names.append(try signer(of: message, signature)) }
    return names
  }

  private func signer(of message: [UInt8], _ signature: SignatureFile) throws(Refusal) -> String {
    let found: Entry?
    switch signature.format {
    case .raw:
      guard let bytes = rawSignature(signature.bytes) else {
        throw Refusal(
          .badSignature, "\(signature.file): this is no Ed25519 signature: 64 bytes, or their base64",
          hint: "openssl pkeyutl -sign -rawin makes one")
      }
      found = entries.first { $0.key.kind == .openssl && Ed25519.isValid(bytes, of: message, by: $0.key.bytes) }
    case .minisign:
      guard let parsed = MinisignSignature(signature.bytes) else {
        throw Refusal(.badSignature, "\(signature.file): this is no signature of minisign's", hint: "minisign -S makes one")
      }
      found = entries.first { parsed.isValid(of: message, by: $0.key) }
    }
    guard let found else {
      let kind = signature.format == .raw ? "*.pem" : "*.pub"
      let tried = entries.filter { $0.name.hasSuffix(String(kind.dropFirst())) }.map(\.name)
      throw Refusal(
        .badSignature,
        "\(signature.file): no trusted key made this signature of the file as it is",
        hint: tried.isEmpty ? "no key of this kind (\(kind)) is trusted" : "trusted are: \(tried.joined(separator: ", "))")
    }
    return found.name
  }
}

private func rawSignature(_ bytes: [UInt8]) -> [UInt8]? {
  if bytes.count == Ed25519.signatureBytes { return bytes }
  guard let decoded = base64Decoded(bytes), decoded.count == Ed25519.signatureBytes else { return nil }
  return decoded
}
