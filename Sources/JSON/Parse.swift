internal import CJansson

package enum JSONError: Error, Equatable, Sendable, CustomStringConvertible {
  case tooLarge(limit: Int)
  case tooDeep(limit: Int, offset: Int)
  case badNumber(String, offset: Int)
  /// jansson's own words, with the line and column it stopped at.
  case malformed(String, line: Int, column: Int)

  package var description: String {
    switch self {
    case .tooLarge(let limit): "larger than \(limit) bytes"
    case .tooDeep(let limit, let offset): "nested deeper than \(limit) at byte \(offset)"
    case .badNumber(let literal, let offset): "'\(literal)' at byte \(offset) is no JSON number"
    case .malformed(let reason, let line, let column): "line \(line), column \(column): \(reason)"
    }
  }
}

extension JSONValue {
  /// A config.json of podman is 10 to 60 kB; one with a thousand mounts is below 1 MB.
  package static let maxBytes = 16 << 20
  /// The deepest path in the runtime specification has 7 levels; features documents have fewer.
  package static let maxDepth = 64

  /// Reads one document, refusing duplicate keys, trailing text, U+0000 in strings and bytes that are not UTF-8.
  package init(parsing bytes: [UInt8]) throws(JSONError) {
    guard bytes.count <= JSONValue.maxBytes else { throw .tooLarge(limit: JSONValue.maxBytes) }
    let numbered = try Numbered(bytes.span, maxDepth: JSONValue.maxDepth)
    var problem = json_error_t()
    // SAFETY: jansson reads `count` bytes of an array that outlives the call and keeps no pointer into it.
    let root = unsafe numbered.text.withUnsafeBytes { text in
      unsafe json_loadb(
        text.baseAddress?.assumingMemoryBound(to: CChar.self), text.count,
        Int(JSON_REJECT_DUPLICATES | JSON_DECODE_ANY), &problem)
    }
    guard let root = unsafe root else { throw JSONError(problem) }
    // SAFETY: the reference json_loadb gave us is dropped once, after everything was copied out.
    defer { unsafe json_decref(root) }
    self = unsafe JSONValue(copying: root, literals: numbered.literals)
  }

  /// Copies a jansson tree, whose depth the scan has bounded.
  private init(copying node: UnsafeMutablePointer<json_t>, literals: [String]) {
    // SAFETY: `node` is held by the root reference for the whole copy, and each accessor matches the node's type.
    switch unsafe node.pointee.type {
    case JSON_TRUE: self = .bool(true)
    case JSON_FALSE: self = .bool(false)
    case JSON_INTEGER: self = .number(unsafe literals[Int(json_integer_value(node))])
    case JSON_STRING: self = .string(unsafe copyText(json_string_value(node), json_string_length(node)))
    case JSON_ARRAY:
      var elements: [JSONValue] = []
      for index in 0..<(unsafe json_array_size(node)) {
        elements.append(unsafe JSONValue(copying: json_array_get(node, index)!, literals: literals))
      }
      self = .array(elements)
    case JSON_OBJECT:
      var members: [JSONMember] = []
      var place = unsafe json_object_iter(node)
      while let current = unsafe place {
        let key = unsafe String(cString: json_object_iter_key(current)!)
        let value = unsafe JSONValue(copying: json_object_iter_value(current)!, literals: literals)
        members.append(JSONMember(key, value))
        unsafe place = json_object_iter_next(node, current)
      }
      self = .object(members)
    case JSON_NULL: self = .null
    default: preconditionFailure("jansson has no other types, and reals were replaced before it saw them")
    }
  }
}

/// Text that jansson has checked to be UTF-8.
private func copyText(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
  // SAFETY: jansson says how many bytes stand there, and the node is alive.
  let bytes = unsafe UnsafeRawBufferPointer(start: start, count: count)
  return unsafe String(decoding: bytes, as: UTF8.self)
}

extension JSONError {
  fileprivate init(_ problem: json_error_t) {
    // SAFETY: `text` is an array in the struct that jansson ends with NUL.
    let reason = unsafe withUnsafeBytes(of: problem.text) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    self = unsafe .malformed(reason, line: Int(problem.line), column: Int(problem.column))
  }
}
