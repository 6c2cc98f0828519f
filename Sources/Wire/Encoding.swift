/// Why a message is refused. Whoever sends one is no longer believed.
package enum WireError: Error, Equatable, Sendable {
  case truncated(offset: Int, needed: Int, available: Int)
  case trailing(Int)
  case badMagic(UInt32)
  case badVersion(UInt8)
  case badKind(UInt8)
  case badValue(offset: Int)
  case tooMany(offset: Int, count: Int, limit: Int)
}

/// Appends little-endian numbers and bounded strings.
struct Writer {
  private(set) var bytes: [UInt8] = []

  init(reserving count: Int) { bytes.reserveCapacity(count) }

  mutating func put(_ value: some FixedWidthInteger) {
    // SAFETY: the bytes are the value's own, for the call.
    unsafe withUnsafeBytes(of: value.littleEndian) { unsafe bytes.append(contentsOf: $0) }
  }

  mutating func put(_ value: UInt64?) {
    put(UInt8(value == nil ? 0 : 1))
    put(value ?? 0)
  }

  mutating func put(_ value: [UInt8]) {
    put(UInt32(value.count))
    bytes.append(contentsOf: value)
  }

  /// Each as its address and its two bounds.
  mutating func put(words: [Basis.Word]) {
    // SAFETY: the bytes are the array's own, for the call. A word is three numbers with nothing between them, and so laid out as the wire has
    // them on the one processor that this is for, which keeps the lowest byte first.
    unsafe words.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }

  /// At most `limit` bytes of UTF-8, cut at a character.
  mutating func put(_ value: String, limit: Int) {
    if value.isEmpty { return put(UInt32(0)) }
    var text = Substring(value)
    while text.utf8.count > limit { text.removeLast() }
    put(Array(text.utf8))
  }
}

/// Takes the same from a message that a confined, but possibly subverted, process sent: every length is checked first.
struct Reader {
  private let bytes: [UInt8]
  private(set) var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func take<Value: FixedWidthInteger & BitwiseCopyable>(_: Value.Type = Value.self) throws(WireError) -> Value {
    let width = Value.bitWidth / 8
    try need(width)
    // SAFETY: `need` has found that so many bytes are there, and any bytes are a number.
    let value = unsafe bytes.span.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: Value.self)
    offset += width
    return Value(littleEndian: value)
  }

  mutating func takeOptional() throws(WireError) -> UInt64? {
    let isThere = try takeFlag()
    let value = try take(UInt64.self)
    return isThere ? value : nil
  }

  mutating func takeFlag() throws(WireError) -> Bool {
    let place = offset
    switch try take(UInt8.self) {
    case 0: return false
    case 1: return true
    default: throw .badValue(offset: place)
    }
  }

  mutating func takeBytes(limit: Int) throws(WireError) -> [UInt8] {
    let count = try takeCount(limit: limit)
    try need(count)
    defer { offset += count }
    return Array(bytes[offset..<(offset + count)])
  }

  mutating func takeString(limit: Int) throws(WireError) -> String {
    let place = offset
    if try isZero() { return "" }
    // What the other side writes is UTF-8. Put right here, it would be longer than what may be sent on.
    guard let text = String(validating: try takeBytes(limit: limit), as: UTF8.self) else { throw .badValue(offset: place) }
    return text
  }

  /// Takes a count if that is zero: most names are not there.
  private mutating func isZero() throws(WireError) -> Bool {
    guard try take(UInt32.self) == 0 else {
      offset -= 4
      return false
    }
    return true
  }

  mutating func takeCount(limit: Int) throws(WireError) -> Int {
    let place = offset
    let count = Int(try take(UInt32.self))
    guard count <= limit else { throw .tooMany(offset: place, count: count, limit: limit) }
    return count
  }

  /// A case of an enum by its raw byte.
  mutating func takeCase<Value: RawRepresentable<UInt8>>(_: Value.Type = Value.self) throws(WireError) -> Value {
    let place = offset
    guard let value = Value(rawValue: try take(UInt8.self)) else { throw .badValue(offset: place) }
    return value
  }

  func end() throws(WireError) {
    guard offset == bytes.count else { throw .trailing(bytes.count - offset) }
  }

  private func need(_ count: Int) throws(WireError) {
    guard count <= bytes.count - offset else {
      throw .truncated(offset: offset, needed: count, available: bytes.count - offset)
    }
  }
}
