/// How a scalar is written: without quotes where that reads back as the same.
extension YAMLDocument.Scalar {
  func written(inFlow: Bool) -> String {
    if canBePlain(inFlow: inFlow), isPlain || !looksTyped(text) { return text }
    if text.unicodeScalars.contains(where: { $0 == "\"" || $0 == "\\" }), !text.unicodeScalars.contains("'"), isPrintable(text) {
      return "'\(text)'"
    }
    return doubleQuoted(text)
  }

  private func canBePlain(inFlow: Bool) -> Bool {
    guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last, isPrintable(text) else { return false }
    if "-?:,[]{}#&*!|>'\"%@`".unicodeScalars.contains(first) {
      // A number's sign; other indicators are quoted wherever they stand.
      guard first == "-", text.unicodeScalars.dropFirst().first.map({ ("0"..."9").contains($0) }) == true else { return false }
    }
    if first == " " || last == " " || first == "\t" || last == "\t" || last == ":" { return false }
    if text.hasPrefix("---") || text.hasPrefix("...") { return false }
    var before: Unicode.Scalar = " "
    for scalar in text.unicodeScalars {
      if scalar == "\t" || before == ":" && scalar == " " || before == " " && scalar == "#" { return false }
      if inFlow, ",[]{}?".unicodeScalars.contains(scalar) { return false }
      before = scalar
    }
    return true
  }

  /// The lines of a text that has several, or (folded) one too long for its place; nil where quotes serve better. `indicator` stands on
  /// the line above.
  func blockForm(fits: Bool) -> (indicator: String, lines: [String])? {
    guard !isPlain || !canBePlain(inFlow: false) || !fits else { return nil }
    let endsWithBreak = text.unicodeScalars.last == "\n"
    let lines = text.unicodeScalars.dropLast(endsWithBreak ? 1 : 0).split(separator: "\n", omittingEmptySubsequences: false).map {
      String($0)
    }
    guard let first = lines.first, let last = lines.last, !first.isEmpty, !last.isEmpty, !first.hasPrefix(" ") else { return nil }
    // Where an empty line has spaces, or a line ends with them, they would be lost sight of.
    guard lines.allSatisfy({ isPrintable($0) && $0.unicodeScalars.last != " " && !$0.unicodeScalars.contains("\t") }) else { return nil }
    if lines.count > 1 || endsWithBreak { return (endsWithBreak ? "|" : "|-", lines) }
    // A plain number stays one, however long.
    guard !fits, !isPlain || !looksTyped(text), let folded = folded(first) else { return nil }
    return (">-", folded)
  }

  /// Whole words on lines of at most a hundred columns, or nil where folding back would not give the same.
  private func folded(_ text: String) -> [String]? {
    let words = text.unicodeScalars.split(separator: " ", omittingEmptySubsequences: false).map { String($0) }
    guard words.count > 1, words.allSatisfy({ !$0.isEmpty }) else { return nil }
    var lines = [words[0]]
    for word in words.dropFirst() {
      if lines[lines.count - 1].unicodeScalars.count + 1 + word.unicodeScalars.count > 100 {
        lines.append(word)
      } else {
        lines[lines.count - 1] += " " + word
      }
    }
    return lines
  }
}

/// YAML's own printable characters without the breaks of lines and the byte order mark.
private func isPrintable(_ text: String) -> Bool {
  text.unicodeScalars.allSatisfy { scalar in
    switch scalar.value {
    case 0x09, 0x20...0x7E, 0xA0...0xD7FF, 0xE000...0xFEFE, 0xFF00...0xFFFD, 0x10000...0x10FFFF:
      scalar != "\u{2028}" && scalar != "\u{2029}"
    default: false
    }
  }
}

/// Some reader of YAML 1.1 or 1.2 would take it for a number, a boolean, a time or nothing.
func looksTyped(_ text: String) -> Bool {
  let words = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "<<", "=", ".nan", ".inf", "+.inf", "-.inf"]
  if words.contains(text.lowercased()) { return true }
  let scalars = text.unicodeScalars
  guard scalars.contains(where: { ("0"..."9").contains($0) }) else { return false }
  guard let first = scalars.first, ("0"..."9").contains(first) || "+-.".unicodeScalars.contains(first) else { return false }
  guard scalars.allSatisfy({ "0123456789abcdefABCDEFxotTzZ_.:+- ".unicodeScalars.contains($0) }) else { return false }
  // Versions and addresses of networks are no numbers.
  return scalars.contains(":") || scalars.filter { $0 == "." }.count < 2
}

/// YAML 1.1, 5.6.
private func doubleQuoted(_ text: String) -> String {
  var out = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": out += "\\\""
    case "\\": out += "\\\\"
    case "\n": out += "\\n"
    case "\t": out += "\\t"
    case "\r": out += "\\r"
    default:
      if isPrintable(String(scalar)) {
        out.unicodeScalars.append(scalar)
      } else {
        let hex = String(scalar.value, radix: 16)
        let (mark, digits) = scalar.value > 0xFFFF ? ("U", 8) : scalar.value > 0xFF ? ("u", 4) : ("x", 2)
        out += "\\\(mark)\(String(repeating: "0", count: digits - hex.count))\(hex)"
      }
    }
  }
  return out + "\""
}
