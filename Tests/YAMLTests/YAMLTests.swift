import Testing
import YAML

private func parse(_ text: String) throws(YAMLError) -> YAMLNode { try YAMLNode(parsing: Array(text.utf8)) }

@Test func `nodes know their text and their place`() throws {
  let root = try parse("a: 1\nb:\n  - 'two'\n  - {c: 0x10}\n")
  let entries = try #require(root.entries)
  #expect(entries.map(\.key) == ["a", "b"])
  #expect(entries[0].value.unsigned == 1)
  let list = try #require(entries[1].value.elements)
  #expect(list[0].text == "two")
  #expect(list[0].unsigned == nil)
  #expect((list[0].line, list[0].column) == (3, 5))
  #expect(list[1].entries?.first?.value.unsigned == 16)
}

@Test func `JSON is the YAML that it is`() throws {
  #expect(try parse(#"{"a": ["b", {"c": 1}]}"#).entries?.first?.value.elements?.count == 2)
}

@Test(arguments: [
  ("a: &x 1\nb: 2", "anchors are not accepted", 1, 4),
  ("a: *x", "aliases are not accepted", 1, 4),
  ("a: !!str 1", "tags are not accepted", 1, 4),
  ("a: 1\na: 2", "'a' is given twice", 2, 1),
  ("<<: 1", "merge keys are not accepted", 1, 1),
  ("[a]: 1", "a key must be a plain name", 1, 1),
  ("a: 1\n---\nb: 2", "only one document is accepted", 3, 1),
  ("", "the document is empty", 1, 1),
])
func `what a configuration has no use for is refused with its place`(text: String, reason: String, line: Int, column: Int) {
  #expect(throws: YAMLError(reason: reason, line: line, column: column)) { try parse(text) }
}

@Test func `malformed text is refused with its line`() {
  let error = #expect(throws: YAMLError.self) { try parse("a: 1\nb: [1, 2\nc: 3\n") }
  #expect(error?.line == 3)
}

@Test func `nesting and size have limits`() {
  let deep = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
  #expect(throws: YAMLError.self) { try parse(deep) }
  #expect(throws: YAMLError.self) { try YAMLNode(parsing: [UInt8](repeating: UInt8(ascii: "#"), count: YAMLNode.maxBytes + 1)) }
}
