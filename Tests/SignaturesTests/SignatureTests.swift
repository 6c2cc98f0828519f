import Diagnostics
import Foundation
import Signatures
import Sodium
import Testing

// Fixtures/README.md says with which commands the fixtures were made.

private func fixture(_ name: String) throws -> [UInt8] {
  let file = try #require(Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: nil), "\(name)")
  return Array(try Data(contentsOf: file))
}

private func keyring(_ names: String...) throws -> Keyring {
  var keyring = Keyring()
  for name in names { try keyring.add(name, try fixture(name), file: name) }
  return keyring
}

private func hex(_ text: String) -> [UInt8] {
  let digits = text.filter { !$0.isWhitespace }.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// RFC 8032, 7.1, TEST 3.
private enum Test3 {
  static let seed = hex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
  static let key = hex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
  static let message = hex("af82")
  static let signature = hex(
    """
    6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659
    4a7c15e9716ed28dc027beceea1ec40a
    """)
}

@Test func `Ed25519 is that of RFC 8032`() {
  #expect(Ed25519.publicKey(ofSeed: Test3.seed) == Test3.key)
  #expect(Ed25519.signature(of: Test3.message, seed: Test3.seed) == Test3.signature)
  #expect(Ed25519.isValid(Test3.signature, of: Test3.message, by: Test3.key))
  #expect(!Ed25519.isValid(Test3.signature, of: [0xaf, 0x83], by: Test3.key))
  #expect(!Ed25519.isValid(Array(Test3.signature.dropLast()), of: Test3.message, by: Test3.key))
  #expect(!Ed25519.isValid(Test3.signature, of: Test3.message, by: Array(Test3.key.dropLast())))
  #expect(!Ed25519.isValid(Test3.signature + [0], of: Test3.message, by: Test3.key))
  #expect(Ed25519.publicKey(ofSeed: []) == nil)
}

@Test func `a signature has one spelling, and a key of small order signs nothing`() {
  // S + L is as good as S in the equation; RFC 8032, 5.1.7 demands that S is below L.
  let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
  var other = Test3.signature
  var carry = 0
  for index in 0..<32 {
    let sum = Int(other[32 + index]) + Int(order[index]) + carry
    other[32 + index] = UInt8(sum & 0xff)
    carry = sum >> 8
  }
  #expect(!Ed25519.isValid(other, of: Test3.message, by: Test3.key))
  // The neutral element as key and R, with S = 0, satisfies the equation for every message.
  let neutral: [UInt8] = [1] + [UInt8](repeating: 0, count: 31)
  #expect(!Ed25519.isValid(neutral + [UInt8](repeating: 0, count: 32), of: Test3.message, by: neutral))
}

@Test func `the hashes are those of their standards`() {
  // FIPS 180-2, B.1, and RFC 7693, appendix A.
  #expect(sha256(Array("abc".utf8)) == hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
  #expect(
    blake2b512(Array("abc".utf8))
      == hex(
        """
        ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923
        """))
}

@Test(arguments: ["", "TQ==", "TWE=", "TWFu", "T W\nF u\r\n"]) func `base64 is read`(text: String) {
  #expect(
    base64Decoded(text.utf8).map { String(decoding: $0, as: UTF8.self) } == String("Man".prefix(text.filter(\.isLetter).count * 3 / 4)))
}

@Test(arguments: ["T", "TQ", "TQ=", "TQ==TQ==", "TR==", "TWF*", "TW_u", "é"]) func `what is no base64 is not read`(text: String) {
  #expect(base64Decoded(text.utf8) == nil)
}

@Test(arguments: [
  ("web.yaml.sig", SignatureFormat.raw, "openssl.pem"), ("web.yaml.sig.base64", .raw, "openssl.pem"),
  ("legacy.minisig", .minisign, "minisign.pub"), ("prehashed.minisig", .minisign, "minisign.pub"),
])
func `what openssl and minisign signed is known by its key`(file: String, format: SignatureFormat, key: String) throws {
  let (message, bytes) = (try fixture("web.yaml"), try fixture(file))
  let both = try keyring("minisign.pub", "openssl.pem")
  #expect(try both.signers(of: message, [SignatureFile(format, bytes, file: file)]) == [key])

  func refusal(_ keys: Keyring, _ message: [UInt8], _ bytes: [UInt8]) -> Refusal? {
    #expect(throws: Refusal.self) { try keys.signers(of: message, [SignatureFile(format, bytes, file: file)]) }
  }
  for place in message.indices {
    var other = message
    other[place] ^= 1
    #expect(refusal(both, other, bytes)?.code == .badSignature)
  }
  let other = try keyring(key == "openssl.pem" ? "minisign.pub" : "openssl.pem")
  #expect(refusal(other, message, bytes)?.hint?.contains("is trusted") == true)
  #expect(refusal(Keyring(), message, bytes)?.code == .badSignature)
  #expect(refusal(both, message, [])?.code == .badSignature)
  #expect(refusal(both, message, Array(bytes.dropLast(3)))?.code == .badSignature)
}

@Test func `of several signatures none may be wrong`() throws {
  let message = try fixture("web.yaml")
  let keys = try keyring("openssl.pem", "minisign.pub")
  let good = SignatureFile(.raw, try fixture("web.yaml.sig"), file: "a")
  let wrong = SignatureFile(.minisign, try fixture("web.yaml.sig"), file: "b")
  #expect(try keys.signers(of: message, [good, SignatureFile(.minisign, try fixture("legacy.minisig"), file: "b")]).count == 2)
  #expect(throws: Refusal.self) { try keys.signers(of: message, [good, wrong]) }
  #expect(throws: Refusal.self) { try keys.signers(of: message, [wrong, good]) }
}

@Test func `minisign's trusted comment is signed too`() throws {
  let message = try fixture("web.yaml")
  let text = String(decoding: try fixture("prehashed.minisig"), as: UTF8.self)
  func signers(_ text: String) throws -> [String] {
    try keyring("minisign.pub").signers(of: message, [SignatureFile(.minisign, Array(text.utf8), file: "x")])
  }
  #expect(try signers(text) == ["minisign.pub"])
  // The untrusted one is anybody's.
  #expect(try signers(text.replacing("signature from minisign secret key", with: "something else")) == ["minisign.pub"])
  #expect(throws: Refusal.self) { try signers(text.replacing("a trusted comment", with: "another comment")) }
}

@Test func `a key that is made signs as openssl's do, and is read back`() throws {
  let key = try SecretKey.make()
  let again = try SecretKey(pem: Array(key.pem.utf8), file: "k")
  #expect(again == key)
  #expect(try SecretKey.make() != key)
  #expect(try PublicKey(pem: Array(key.publicKey.pem.utf8), file: "k") == key.publicKey)
  var keys = Keyring()
  try keys.add("k.pem", Array(key.publicKey.pem.utf8), file: "k.pem")
  let message = Array("message".utf8)
  #expect(try keys.signers(of: message, [SignatureFile(.raw, try key.signature(of: message), file: "s")]) == ["k.pem"])

  let known = try SecretKey(pem: try fixture("openssl.key.pem"), file: "k")
  #expect(try known.signature(of: try fixture("web.yaml")) == fixture("web.yaml.sig"))
  #expect(try Array(known.pem.utf8) == fixture("openssl.key.pem") && Array(known.publicKey.pem.utf8) == fixture("openssl.pem"))
}

@Test(arguments: [
  ("openssl.key.pem", "not a public key"), ("x25519.pem", "no Ed25519 key"), ("rsa.pem", "no Ed25519 key"), ("web.yaml", "no PEM file"),
])
func `what is no public key of openssl's is refused`(file: String, reason: String) throws {
  let refusal = #expect(throws: Refusal.self) { try PublicKey(pem: try fixture(file), file: file) }
  #expect(refusal?.code == .badKey && refusal?.message.contains(reason) == true, "\(refusal as Any)")
}

@Test(arguments: [("openssl.pem", "not a private key"), ("encrypted.key.pem", "under a password"), ("legacy.minisig", "no PEM file")])
func `what is no private key is refused`(file: String, reason: String) throws {
  let refusal = #expect(throws: Refusal.self) { try SecretKey(pem: try fixture(file), file: file) }
  #expect(refusal?.code == .badKey && refusal?.message.contains(reason) == true, "\(refusal as Any)")
}

@Test func `damaged PEM is refused`() throws {
  let text = String(decoding: try fixture("openssl.pem"), as: UTF8.self)
  for other in [
    text + text, text.replacing("-----END PUBLIC", with: "-----END PRIVATE"), text.replacing("MC", with: "M*"), text + "more\n",
  ] {
    #expect(throws: Refusal.self) { try PublicKey(pem: Array(other.utf8), file: "k") }
  }
  #expect(try PublicKey(pem: Array(("a word before\n" + text.replacing("\n", with: "\r\n")).utf8), file: "k").bytes.count == 32)
}

@Test(arguments: ["openssl.pem", "legacy.minisig", "web.yaml"]) func `what is no public key of minisign's is refused`(file: String) throws {
  #expect(throws: Refusal.self) { try PublicKey(minisign: try fixture(file), file: file) }
}
