extension JSONValue {
  /// The document as UTF-8 text: compact, or indented by two spaces. Numbers are written as they were read.
  package func serialised(indented: Bool = false) -> [UInt8] {
    var out: [UInt8] = []
    append(to: &out, indent: indented ? 0 : nil)
    return out
  }

  private func append(to out: inout [UInt8], indent: Int?) {
    switch self {
    case .null: out += "null".utf8
    case .bool(let flag): out += (flag ? "true" : "false").utf8
    case .number(let literal): out += literal.utf8
    case .string(let text): appendString(text, to: &out)
    case .array(let elements):
      appendList(elements, "[", "]", to: &out, indent: indent) { element, out, indent in
        element.append(to: &out, indent: indent)
      }
    case .object(let members):
      appendList(members, "{", "}", to: &out, indent: indent) { member, out, indent in
        appendString(member.key, to: &out)
        out += (indent == nil ? ":" : ": ").utf8
        member.value.append(to: &out, indent: indent)
      }
    }
  }
}

private func appendList<Element>(
  _ elements: [Element], _ opening: Unicode.Scalar, _ closing: Unicode.Scalar, to out: inout [UInt8], indent: Int?,
  _ appendOne: (Element, inout [UInt8], Int?) -> Void
) {
  out.append(UInt8(ascii: opening))
  let inner = indent.map { $0 + 1 }
  for (index, element) in elements.enumerated() {
    if index > 0 { out.append(UInt8(ascii: ",")) }
    if let inner { appendLine(inner, to: &out) }
    appendOne(element, &out, inner)
  }
  if let indent, !elements.isEmpty { appendLine(indent, to: &out) }
  out.append(UInt8(ascii: closing))
}

private func appendLine(_ indent: Int, to out: inout [UInt8]) {
  out.append(UInt8(ascii: "\n"))
  out += repeatElement(UInt8(ascii: " "), count: indent * 2)
}

/// RFC 8259, 7: the quote, the backslash and what is below U+0020 are escaped, nothing else.
private func appendString(_ text: String, to out: inout [UInt8]) {
  let digits = Array("0123456789abcdef".utf8)
  out.append(UInt8(ascii: "\""))
  for byte in text.utf8 {
    switch byte {
    case UInt8(ascii: "\""): out += "\\\"".utf8
    case UInt8(ascii: "\\"): out += "\\\\".utf8
    case UInt8(ascii: "\n"): out += "\\n".utf8
    case UInt8(ascii: "\r"): out += "\\r".utf8
    case UInt8(ascii: "\t"): out += "\\t".utf8
    case 0..<0x20:
      out += "\\u00".utf8
      out.append(digits[Int(byte >> 4)])
      out.append(digits[Int(byte & 15)])
    default: out.append(byte)
    }
  }
  out.append(UInt8(ascii: "\""))
}
