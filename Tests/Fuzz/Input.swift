/// The fuzzer's bytes, taken one after the other: zeroes where they have ended.
struct Input {
  private let bytes: ArraySlice<UInt8>
  private var at: Int

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    at = bytes.startIndex
  }

  var isAtEnd: Bool { at == bytes.endIndex }

  mutating func byte() -> UInt8 {
    guard at < bytes.endIndex else { return 0 }
    defer { at += 1 }
    return bytes[at]
  }

  mutating func number<Value: FixedWidthInteger & UnsignedInteger>(_: Value.Type = Value.self) -> Value {
    (0..<(Value.bitWidth / 8)).reduce(0) { $0 | Value(byte()) << Value(8 * $1) }
  }

  /// At most `limit`.
  mutating func bytes(_ limit: Int) -> [UInt8] {
    let end = min(bytes.endIndex, at + limit)
    defer { at = end }
    return Array(bytes[at..<end])
  }

  mutating func rest() -> [UInt8] { bytes(Int.max / 2) }

  /// One of `choices`.
  mutating func choice<Value>(_ choices: [Value]) -> Value { choices[Int(byte()) % choices.count] }
}

/// What must hold whatever the input.
func check(_ holds: Bool, _ what: StaticString) { if !holds { fatalError("\(what)") } }

/// What `body` gives, nil where it throws: any error is an answer, a trap or a hang is none.
func attempt<Value, Failure: Error>(_ body: () throws(Failure) -> Value) -> Value? {
  do throws(Failure) { return try body() } catch { return nil }
}
