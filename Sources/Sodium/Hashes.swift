internal import CSodium

/// libsodium chooses its code for this processor and finds the kernel's random numbers; a second call does nothing (sodium_init(3)).
/// False where there are no random numbers.
let isReady: Bool = sodium_init() >= 0

/// FIPS 180-4; 32 bytes.
package func sha256(_ bytes: [UInt8]) -> [UInt8] {
  var hash = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
  // SAFETY: both arrays outlive the call; the hash has the bytes that libsodium writes, and the count is the input's own.
  _ = unsafe crypto_hash_sha256(&hash, bytes, UInt64(bytes.count))
  return hash
}

/// RFC 7693 without a key; 64 bytes. What minisign signs in place of the file unless it is told otherwise.
package func blake2b512(_ bytes: [UInt8]) -> [UInt8] {
  var hash = [UInt8](repeating: 0, count: Int(crypto_generichash_blake2b_BYTES_MAX))
  // SAFETY: as above; no key is a null pointer and no bytes.
  let result = unsafe crypto_generichash_blake2b(&hash, hash.count, bytes, UInt64(bytes.count), nil, 0)
  precondition(result == 0, "BLAKE2b refuses its own greatest length")
  return hash
}
