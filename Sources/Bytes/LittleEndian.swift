/// The number that `count` bytes, at most eight, hold at `offset`, the lowest byte first. They must lie within `bytes`.
package func littleEndian(_ bytes: [UInt8], at offset: Int, count: Int = 8) -> UInt64 {
  (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
}

/// The same for eight bytes, as one load.
@inlinable
package func littleEndianWord(_ bytes: [UInt8], at offset: Int) -> UInt64 {
  precondition(offset >= 0 && bytes.count >= 8 && offset <= bytes.count - 8, "the caller has looked whether they lie within the bytes")
  // SAFETY: the line above, and any eight bytes are a number.
  return UInt64(littleEndian: unsafe bytes.span.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
}
