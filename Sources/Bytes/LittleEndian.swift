/// The number that `count` bytes, at most eight, hold at `offset`, the lowest byte first. They must lie within `bytes`.
package func littleEndian(_ bytes: [UInt8], at offset: Int, count: Int = 8) -> UInt64 {
  (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
}
