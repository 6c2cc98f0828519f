import JSON
import Testing

private func parse(_ text: String) throws(JSONError) -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }
private func text(_ value: JSONValue) -> String { String(decoding: value.serialised(), as: UTF8.self) }

@Test(arguments: [
  #"{"z":1,"a":[true,false,null],"m":{"y":"ü\n","x":""}}"#,
  #"{"hard":18446744073709551615,"soft":1.0,"tiny":-0.5e-300,"zero":-0,"long":123456789012345678901234567890}"#,
  #"[]"#, #"{}"#, #"7"#, #""0 [ { \" 1.0 \\""#, #"{"1":2,"2":1}"#,
])
func `a document comes back as it was written`(document: String) throws {
  #expect(text(try parse(document)) == document)
}

@Test(arguments: [
  #"{"a":1,"a":2}"#, #"{"a":1,}"#, #"[1,]"#, #"{"a":01}"#, #"{"a":1.}"#, #"{"a":+1}"#, #"{"a":.5}"#, #"{"a":1e}"#, #"{"a":-}"#,
  #"{"a":1-2}"#, #"{"a":"\u0000"}"#, #"{"a":"\ud800"}"#, #"{} {}"#, #"{"a":tru1e}"#, #"["unterminated"#, #"["\"#, "", "1true",
  "[NaN]",
])
func `what is no JSON is refused`(document: String) {
  #expect(throws: JSONError.self) { try parse(document) }
}

@Test func `bytes that are not UTF-8 are refused`() {
  #expect(throws: JSONError.self) { try JSONValue(parsing: [UInt8(ascii: "\""), 0xC3, 0x28, UInt8(ascii: "\"")]) }
}

@Test func `nesting and size have limits`() {
  let deep = String(repeating: "[", count: JSONValue.maxDepth + 1) + String(repeating: "]", count: JSONValue.maxDepth + 1)
  #expect(throws: JSONError.tooDeep(limit: JSONValue.maxDepth, offset: JSONValue.maxDepth)) { try parse(deep) }
  #expect(throws: JSONError.tooLarge(limit: JSONValue.maxBytes)) {
    try JSONValue(parsing: [UInt8](repeating: UInt8(ascii: " "), count: JSONValue.maxBytes + 1))
  }
}

@Test func `members are replaced in place, appended, and removed`() throws {
  var value = try parse(#"{"a":1,"b":2,"c":3}"#)
  value["b"] = .string("x")
  value["d"] = .null
  value["a"] = nil
  value["never"] = nil
  #expect(text(value) == #"{"b":"x","c":3,"d":null}"#)
}

@Test func `a key is compared by its bytes`() throws {
  let kelvin = try parse("{\"\\u212A\": 1}")
  #expect(kelvin["K"] == nil)
}

@Test func `an integer that does not fit is absent`() throws {
  #expect(try parse("18446744073709551615").integer(UInt64.self) == UInt64.max)
  #expect(try parse("18446744073709551615").integer(Int64.self) == nil)
  #expect(try parse("1.0").integer(Int.self) == nil)
}
