/// A JSON document as it was written: members keep their order, numbers their literal.
package indirect enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  /// The literal, byte for byte: rlimits hold 18446744073709551615, which neither a Double nor an Int64 can.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([JSONMember])
}

package struct JSONMember: Equatable, Sendable {
  package var key: String
  package var value: JSONValue

  package init(_ key: String, _ value: JSONValue) {
    self.key = key
    self.value = value
  }
}

extension JSONValue {
  package static func integer(_ value: some BinaryInteger) -> JSONValue { .number(String(value)) }

  package var text: String? { if case .string(let text) = self { text } else { nil } }
  package var flag: Bool? { if case .bool(let flag) = self { flag } else { nil } }
  package var elements: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
  package var members: [JSONMember]? { if case .object(let members) = self { members } else { nil } }

  /// The number as `Integer`, or nil where it is none: not a number, not whole, out of range.
  package func integer<Integer: FixedWidthInteger>(_: Integer.Type = Integer.self) -> Integer? {
    guard case .number(let literal) = self else { return nil }
    return Integer(literal)
  }

  /// What a person calls it: "a string", "an object".
  package var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }

  /// The member of an object. Setting one that exists keeps its place; setting nil removes it; setting one in something that is no
  /// object makes it an object.
  ///
  /// Keys are compared as bytes. Swift compares strings by canonical equivalence, in which U+212A equals "K": no JSON reader agrees.
  package subscript(key: String) -> JSONValue? {
    get { members?.first { isSame($0.key, key) }?.value }
    set {
      var members = self.members ?? []
      let place = members.firstIndex { isSame($0.key, key) }
      switch (place, newValue) {
      case (let place?, let value?): members[place].value = value
      case (let place?, nil): members.remove(at: place)
      case (nil, let value?): members.append(JSONMember(key, value))
      case (nil, nil): return
      }
      self = .object(members)
    }
  }
}

/// Byte equality: see the subscript above.
package func isSame(_ a: String, _ b: String) -> Bool { a.utf8.elementsEqual(b.utf8) }
