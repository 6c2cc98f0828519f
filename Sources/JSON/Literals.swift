/// A document in which every number stands for its place in `literals`.
///
/// jansson holds integers as 64 bits signed and reals as doubles, so 18446744073709551615 and 1.0 would not come back as they were.
/// All numbers are replaced, not only the difficult ones: whatever integer jansson then returns is a place in the list and nothing
/// else, so a number in the document cannot be mistaken for one.
struct Numbered {
  var text: [UInt8] = []
  var literals: [String] = []

  /// Scans outside strings, checks every number against RFC 8259 (6) and the nesting against `maxDepth`. Everything else is
  /// jansson's to refuse.
  init(_ source: Span<UInt8>, maxDepth: Int) throws(JSONError) {
    text.reserveCapacity(source.count)
    var depth = 0
    var index = 0
    while index < source.count {
      let byte = source[index]
      switch byte {
      case UInt8(ascii: "\""):
        let end = Numbered.endOfString(source, from: index)
        for place in index..<end { text.append(source[place]) }
        index = end
        continue
      case UInt8(ascii: "["), UInt8(ascii: "{"):
        depth += 1
        if depth > maxDepth { throw .tooDeep(limit: maxDepth, offset: index) }
      case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
        let end = Numbered.endOfNumber(source, from: index)
        var literal: [UInt8] = []
        for place in index..<end { literal.append(source[place]) }
        guard isNumber(literal) else { throw .badNumber(String(decoding: literal, as: UTF8.self), offset: index) }
        text += String(literals.count).utf8
        literals.append(String(decoding: literal, as: UTF8.self))
        index = end
        continue
      default: break
      }
      text.append(byte)
      index += 1
    }
  }

  /// The offset after the closing quote, or the end of an unterminated string.
  private static func endOfString(_ source: Span<UInt8>, from start: Int) -> Int {
    var index = start + 1
    while index < source.count {
      switch source[index] {
      case UInt8(ascii: "\\"): index += 2
      case UInt8(ascii: "\""): return index + 1
      default: index += 1
      }
    }
    return source.count
  }

  private static func endOfNumber(_ source: Span<UInt8>, from start: Int) -> Int {
    var index = start
    while index < source.count {
      switch source[index] {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
        UInt8(ascii: "e"), UInt8(ascii: "E"):
        index += 1
      default: return index
      }
    }
    return index
  }
}

/// `number = [ minus ] int [ frac ] [ exp ]` (RFC 8259, 6).
private func isNumber(_ literal: [UInt8]) -> Bool {
  var rest = literal[...]
  func digits() -> Int {
    let count = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.count
    rest = rest.dropFirst(count)
    return count
  }
  if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
  let leadingZero = rest.first == UInt8(ascii: "0")
  let whole = digits()
  if whole == 0 || (leadingZero && whole > 1) { return false }
  if rest.first == UInt8(ascii: ".") {
    rest = rest.dropFirst()
    if digits() == 0 { return false }
  }
  if let sign = rest.first, sign == UInt8(ascii: "e") || sign == UInt8(ascii: "E") {
    rest = rest.dropFirst()
    if let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { rest = rest.dropFirst() }
    if digits() == 0 { return false }
  }
  return rest.isEmpty
}
