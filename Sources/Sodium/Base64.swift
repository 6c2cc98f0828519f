internal import CSodium

/// RFC 4648, 4, with padding and without line breaks.
package func base64(_ bytes: [UInt8]) -> String {
  var text = [CChar](repeating: 0, count: (bytes.count + 2) / 3 * 4 + 1)
  // SAFETY: the buffer holds four characters for three bytes begun, and the NUL that libsodium adds.
  _ = unsafe sodium_bin2base64(&text, text.count, bytes, bytes.count, sodium_base64_VARIANT_ORIGINAL)
  return String(decoding: text.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
}

/// What `text` encodes, nil where it is no base64 with its padding. Line breaks and spaces do not count, wherever they stand.
package func base64Decoded(_ text: some Collection<UInt8>) -> [UInt8]? {
  let blanks: [UInt8] = [0x20, 0x09, 0x0a, 0x0d]
  let characters = text.filter { !blanks.contains($0) }.map(CChar.init(bitPattern:))
  var bytes = [UInt8](repeating: 0, count: characters.count / 4 * 3)
  var count = 0
  // SAFETY: both lengths are the arrays' own. Without a place for the end, anything but base64 to the last character is a failure.
  let result = unsafe sodium_base642bin(
    &bytes, bytes.count, characters, characters.count, nil, &count, nil, sodium_base64_VARIANT_ORIGINAL)
  guard result == 0 else { return nil }
  bytes.removeLast(bytes.count - count)
  return bytes
}
