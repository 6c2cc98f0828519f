/// One node of a YAML document and where it stands, for error messages. Lines and columns count from 1.
package struct YAMLNode: Equatable, Sendable {
  package indirect enum Content: Equatable, Sendable {
    /// `isPlain`: written without quotes, so that `true` may be read as a boolean and `12` as a number.
    case scalar(String, isPlain: Bool)
    case sequence([YAMLNode])
    /// Keys are scalars, each once.
    case mapping([YAMLEntry])
  }
  package var content: Content
  package var line: Int
  package var column: Int

  package init(content: Content, line: Int, column: Int) {
    self.content = content
    self.line = line
    self.column = column
  }

  /// The scalar's text, or nil for a sequence or mapping.
  package var text: String? { if case .scalar(let text, _) = content { text } else { nil } }
  package var elements: [YAMLNode]? { if case .sequence(let elements) = content { elements } else { nil } }
  package var entries: [YAMLEntry]? { if case .mapping(let entries) = content { entries } else { nil } }

  /// A whole number in decimal, or hexadecimal or octal with 0x or 0o.
  package var unsigned: UInt64? {
    guard case .scalar(let text, isPlain: true) = content else { return nil }
    if text.hasPrefix("0x") { return UInt64(text.dropFirst(2), radix: 16) }
    if text.hasPrefix("0o") { return UInt64(text.dropFirst(2), radix: 8) }
    return UInt64(text)
  }

  package var kind: String {
    switch content {
    case .scalar: "a value"
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }
}

package struct YAMLEntry: Equatable, Sendable {
  package var key: String
  package var line: Int
  package var column: Int
  package var value: YAMLNode

  package init(key: String, line: Int, column: Int, value: YAMLNode) {
    self.key = key
    self.line = line
    self.column = column
    self.value = value
  }
}

/// What is wrong with a document, and where (counted from 1).
package struct YAMLError: Error, Equatable, Sendable, CustomStringConvertible {
  package let reason: String
  package let line: Int
  package let column: Int

  package init(reason: String, line: Int, column: Int) {
    self.reason = reason
    self.line = line
    self.column = column
  }

  package var description: String { "\(line):\(column): \(reason)" }
}
