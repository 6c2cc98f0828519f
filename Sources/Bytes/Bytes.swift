/// Why bytes could not be read as what they should be.
package enum BytesError: Error, Equatable, Sendable {
  /// Fewer bytes are left than the value takes.
  case truncated(offset: Int, needed: Int, available: Int)
  /// A LEB128 that does not fit 64 bits, or goes on for more than ten bytes.
  case oversizedLEB(offset: Int)
}

/// A reading position in bytes that nobody vouches for. Every read is checked; a failed one leaves the position where it was.
package struct Cursor: ~Escapable {
  package let bytes: Span<UInt8>
  /// Always in 0...bytes.count.
  package private(set) var offset: Int

  @_lifetime(copy bytes)
  package init(_ bytes: Span<UInt8>) {
    self.bytes = bytes
    offset = 0
  }

  package var remaining: Int { bytes.count - offset }
  package var isAtEnd: Bool { offset == bytes.count }

  /// The place of `count` bytes, past which the position moves.
  private mutating func take(_ count: Int) throws(BytesError) -> Int {
    guard count >= 0, count <= remaining else {
      throw .truncated(offset: offset, needed: count, available: remaining)
    }
    defer { offset += count }
    return offset
  }

  package mutating func skip(_ count: Int) throws(BytesError) { _ = try take(count) }

  /// Moves to `target`, which may be the end.
  package mutating func seek(to target: Int) throws(BytesError) {
    guard target >= 0, target <= bytes.count else {
      throw .truncated(offset: target, needed: 0, available: bytes.count)
    }
    offset = target
  }

  package mutating func u8() throws(BytesError) -> UInt8 { bytes[try take(1)] }
  package mutating func i8() throws(BytesError) -> Int8 { Int8(bitPattern: try u8()) }

  package mutating func u16() throws(BytesError) -> UInt16 {
    let at = try take(2)
    return UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8
  }

  package mutating func i16() throws(BytesError) -> Int16 { Int16(bitPattern: try u16()) }

  package mutating func u32() throws(BytesError) -> UInt32 {
    let at = try take(4)
    return UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16 | UInt32(bytes[at + 3]) << 24
  }

  package mutating func i32() throws(BytesError) -> Int32 { Int32(bitPattern: try u32()) }

  package mutating func u64() throws(BytesError) -> UInt64 {
    let at = try take(8)
    var value: UInt64 = 0
    for index in 0..<8 { value |= UInt64(bytes[at + index]) << UInt64(8 * index) }
    return value
  }

  package mutating func i64() throws(BytesError) -> Int64 { Int64(bitPattern: try u64()) }

  /// A ULEB128 (DWARF 5, 7.6). At most ten bytes; a longer or larger one throws.
  package mutating func uleb() throws(BytesError) -> UInt64 {
    let start = offset
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let byte: UInt8
      do throws(BytesError) { byte = try u8() } catch {
        offset = start
        throw error
      }
      // The tenth byte holds bit 63 alone.
      guard shift < 63 || (shift == 63 && byte <= 1) else {
        offset = start
        throw .oversizedLEB(offset: start)
      }
      value |= UInt64(byte & 0x7f) << shift
      if byte & 0x80 == 0 { return value }
      shift += 7
    }
  }

  /// An SLEB128 (DWARF 5, 7.6). At most ten bytes; a longer or larger one throws.
  package mutating func sleb() throws(BytesError) -> Int64 {
    let start = offset
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let byte: UInt8
      do throws(BytesError) { byte = try u8() } catch {
        offset = start
        throw error
      }
      // The tenth byte holds bit 63 and its sign extension: all zeroes or all ones.
      guard shift < 63 || (shift == 63 && (byte == 0 || byte == 0x7f)) else {
        offset = start
        throw .oversizedLEB(offset: start)
      }
      value |= UInt64(byte & 0x7f) << shift
      shift += 7
      if byte & 0x80 == 0 {
        if byte & 0x40 != 0, shift < 64 { value |= ~0 << shift }
        return Int64(bitPattern: value)
      }
    }
  }

  /// `count` bytes, copied out.
  package mutating func copy(_ count: Int) throws(BytesError) -> [UInt8] {
    let at = try take(count)
    return [UInt8](capacity: count) { for index in 0..<count { $0.append(bytes[at + index]) } }
  }

  /// The bytes up to a NUL, which is passed over and not part of them. At most `limit`; without a NUL in reach it throws.
  package mutating func untilNUL(limit: Int) throws(BytesError) -> [UInt8] {
    var found: [UInt8] = []
    var at = offset
    while at < bytes.count, found.count <= limit {
      if bytes[at] == 0 {
        offset = at + 1
        return found
      }
      found.append(bytes[at])
      at += 1
    }
    throw .truncated(offset: offset, needed: found.count + 1, available: min(remaining, limit))
  }
}
