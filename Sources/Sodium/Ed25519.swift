internal import CSodium

/// RFC 8032, "pure" Ed25519. Keys and signatures are their bytes; what files they stand in is the Signatures target's.
package enum Ed25519 {
  package static let keyBytes = Int(crypto_sign_ed25519_PUBLICKEYBYTES)
  package static let seedBytes = Int(crypto_sign_ed25519_SEEDBYTES)
  package static let signatureBytes = Int(crypto_sign_ed25519_BYTES)

  /// False for a wrong signature, and for one or a key that is not of its length, not canonical, or of small order.
  package static func isValid(_ signature: [UInt8], of message: [UInt8], by key: [UInt8]) -> Bool {
    guard signature.count == signatureBytes, key.count == keyBytes else { return false }
    // SAFETY: the lengths that libsodium reads are those just checked, and the message's own; all three outlive the call.
    return unsafe crypto_sign_ed25519_verify_detached(signature, message, UInt64(message.count), key) == 0
  }

  /// Nil for a seed that is not of its length.
  package static func signature(of message: [UInt8], seed: [UInt8]) -> [UInt8]? {
    guard let pair = Pair(seed: seed) else { return nil }
    var signature = [UInt8](repeating: 0, count: signatureBytes)
    // SAFETY: libsodium writes `signatureBytes` and reads the pair's own 64 bytes; no length is asked back.
    let result = unsafe crypto_sign_ed25519_detached(&signature, nil, message, UInt64(message.count), pair.secret)
    return result == 0 ? signature : nil
  }

  /// The public key of a seed, nil for a seed that is not of its length.
  package static func publicKey(ofSeed seed: [UInt8]) -> [UInt8]? { Pair(seed: seed)?.key }

  /// A new secret: 32 bytes of the kernel's random numbers. Nil where it has none to give.
  package static func newSeed() -> [UInt8]? {
    guard isReady else { return nil }
    var seed = [UInt8](repeating: 0, count: seedBytes)
    // SAFETY: the buffer is our own, and its count bounds what is written.
    unsafe randombytes_buf(&seed, seed.count)
    return seed
  }

  private struct Pair {
    var key = [UInt8](repeating: 0, count: keyBytes)
    /// Seed and public key, as libsodium keeps them.
    var secret = [UInt8](repeating: 0, count: Int(crypto_sign_ed25519_SECRETKEYBYTES))

    init?(seed: [UInt8]) {
      guard seed.count == seedBytes else { return nil }
      // SAFETY: all three have the lengths that libsodium names, and outlive the call.
      guard unsafe crypto_sign_ed25519_seed_keypair(&key, &secret, seed) == 0 else { return nil }
    }
  }
}
