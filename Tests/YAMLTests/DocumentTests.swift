import Foundation
import Testing
import YAML

private func document(_ text: String) throws -> YAMLDocument { try YAMLDocument(parsing: Array(text.utf8)) }
private func formatted(_ text: String) throws -> String { try document(text).text }

@Test(arguments: [
  // Comments above, behind and below; two spaces a level; flow style where it is short.
  (
    """
    # head

    # of the file
    a:   1 # one
    b:
    - x     # the x
    # before y
    -   y
    # before c

    c: {d: [1, 2], 'e': "f"}
    # the end
    """,
    """
    # head

    # of the file
    a: 1  # one
    b:
      - x  # the x
      # before y
      - y
    # before c

    c:
      d: [1, 2]
      e: f
    # the end
    """
  ),
  // A comment as deep as what is above it is that one's.
  (
    """
    spec:
        trap:
            - execve
            # - connect
        # never trapped
        never: []
    # last
    """,
    """
    spec:
      trap:
        - execve
        # - connect
      # never trapped
      never: []
    # last
    """
  ),
  // Comments inside of flow style need a line each.
  (
    """
    spec: {trap: [execve, # first
        # above
        connect
        # below
      ], # after
      never: [a,
        b] } # spec's
    """,
    """
    spec:  # spec's
      trap:  # after
        - execve  # first
        # above
        - connect
        # below
      never: [a, b]
    """
  ),
  // A `#` in a text is no comment.
  ("a: 'x # y'\nb: x#y # z\nc: |  # block\n  # text\n\nd: \"#\"\n", "a: \"x # y\"\nb: x#y  # z\nc: |  # block\n  # text\n\nd: \"#\"\n"),
  // Numbers stay as they were written, and texts that look like one stay texts.
  (
    "a: {b: [0x4, '0x4', 1.0, \"1.0.0\", 'off', '@exec', 'libc:*', '...', \"it's\"]}\n",
    "a:\n  b: [0x4, \"0x4\", 1.0, 1.0.0, \"off\", \"@exec\", libc:*, \"...\", it's]\n"
  ),
  // JSON is read, too.
  ("{\"a\": {\"b\": [\"c\"]}}", "a:\n  b: [c]\n"),
  // An entry in a list that is too long for its line.
  (
    "s:\n  p:\n    - {syscalls: [execve], chain: ['libc:execve', '...', 'nginx:main']}\n    - # deep\n      {a: [x, y], b: \(String(repeating: "z", count: 120))}\n",
    "s:\n  p:\n    - {syscalls: [execve], chain: [libc:execve, \"...\", nginx:main]}\n    # deep\n    - a: [x, y]\n      b: \(String(repeating: "z", count: 120))\n"
  ),
  ("a:\n  # of the value\n  b\nc: # after\n  - d\n", "# of the value\na: b\nc:  # after\n  - d\n"),
])
func `the canonical form keeps comments with what they belong to`(text: String, canonical: String) throws {
  let canonical = canonical.hasSuffix("\n") ? canonical : canonical + "\n"
  #expect(try formatted(text) == canonical)
  #expect(try formatted(canonical) == canonical)
}

@Test func `a long text is folded, and lines stay lines`() throws {
  let words = Array(repeating: "word", count: 40).joined(separator: " ")
  let text = try formatted("a: \(words)\nb: \"x\\ny\\n\"\nc: \"x\\n y\"\n")
  #expect(text.split(separator: "\n").allSatisfy { $0.count <= 120 })
  #expect(text.hasPrefix("a: >-\n  word"))
  #expect(text.hasSuffix("b: |\n  x\n  y\nc: |-\n  x\n   y\n"))
  #expect(try YAMLNode(parsing: Array(text.utf8)).entries?.map(\.value.text) == [words, "x\ny\n", "x\n y"])
  #expect(try formatted(text) == text)
}

// MARK: changes

private let written = """
  # A profile
  spec:
      trap: [ "@exec",   connect ]   # what is judged
      paths:
      # the first
      - { syscalls: [execve],  chain: [a] }   # learnt
      # the end of the list
      never: [ reboot ]

  """

@Test func `what is appended is written in the list's own place, and nothing else changes`() throws {
  var changed = try document(written)
  try changed.append(
    .mapping(["syscalls": .list([.text("execve")]), "chain": .list([.text("libc:execve"), .text("...")])]), at: ["spec", "paths"],
    above: ["# learnt on Monday"])
  #expect(
    changed.sparingText
      == written.replacing(
        "# learnt\n",
        with: "# learnt\n    # learnt on Monday\n    - {syscalls: [execve], chain: [libc:execve, \"...\"]}\n"))
  #expect(try document(written).sparingText == written)
}

@Test func `what is set keeps the comments of what was there`() throws {
  var changed = try document(written)
  try changed.set(.list([.text("execve")]), at: ["spec", "trap"])
  try changed.set(.plain("12"), at: ["spec", "unknown", "depth"])
  try changed.remove(at: ["spec", "paths", 0])
  #expect(
    changed.text
      == """
      # A profile
      spec:
        trap: [execve]  # what is judged
        paths: []
        # the end of the list
        never: [reboot]
        unknown: {depth: 12}

      """)
  #expect(try document(changed.text).text == changed.text)
}

@Test func `what a path does not lead to is refused`() throws {
  var changed = try document(written)
  #expect(throws: YAMLDocument.EditError.self) { try changed.append(.text("x"), at: ["spec"]) }
  #expect(throws: YAMLDocument.EditError.self) { try changed.set(.text("x"), at: ["spec", "trap", 7]) }
  #expect(throws: YAMLDocument.EditError.self) { try changed.remove(at: ["spec", "nothing"]) }
  #expect(throws: YAMLDocument.EditError.self) { try changed.set(.text("x"), at: ["spec", "trap", 1, "x"]) }
  #expect(changed.sparingText == written)
}

// MARK: any document

/// Writes documents of every style that people use, from numbers that a seed gives.
private struct Writer {
  var state: UInt64

  mutating func below(_ limit: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int((state >> 33) % UInt64(limit))
  }
  mutating func pick(_ values: [String]) -> String { values[below(values.count)] }

  let words = [
    "a", "execve", "'quoted'", "\"double\"", "0x4", "'0x4'", "1.0", "\"off\"", "off", "libc:*", "\"x # y\"", "'it''s'", "\"@exec\"",
    "\"...\"", "\"tab\\there\"", "\"line\\nline\"", "\"line\\n\"", "\" \"", "\"\"", "a b", "\"a: b\"", "x#y", "-1", "'- x'", "\"\\u2028\"",
    "\"\\0\"", "ä", "\"🎈\"", "2026-01-01", "null", "\"\\\\\"", "'\"'", "\"\\n\"", "\"a\\n\\nb\\n\\n\"", "\"a \\nb\"",
  ]

  mutating func comment() -> String { "# c\(below(100))" + pick(["", " ", ": [", " # x", " \"", " '"]) }
  mutating func lines(_ indent: Int) -> String {
    var out = ""
    for _ in 0..<[0, 0, 0, 0, 1, 2][below(6)] {
      out +=
        below(4) == 0
        ? pick(["\n", "  \n"]) : String(repeating: " ", count: pick(["", "x"]).isEmpty ? indent : below(12)) + comment() + "\n"
    }
    return out
  }
  mutating func after() -> String { below(5) == 0 ? " " + comment() : "" }

  mutating func flow(_ depth: Int) -> String {
    func gap(_ writer: inout Writer) -> String {
      writer.below(12) == 0 ? " " + writer.comment() + "\n" + writer.lines(20) + "                    " : writer.pick(["", " "])
    }
    guard depth > 0, below(3) > 0 else { return pick(words) }
    let count = below(4)
    var parts: [String] = []
    let isMapping = below(2) == 0
    for index in 0..<count {
      parts.append(gap(&self) + (isMapping ? "k\(index): " : "") + flow(depth - 1))
    }
    let end = gap(&self)
    return (isMapping ? "{" : "[") + parts.joined(separator: ",") + end + (isMapping ? "}" : "]")
  }

  /// The rest of a line behind a key or a dash, and the lines below.
  mutating func value(_ indent: Int, _ depth: Int, inSequence: Bool) -> String {
    switch below(depth > 0 ? 8 : 4) {
    case 0: return " " + flow(2) + after() + "\n"
    case 1 where below(3) == 0:
      let pad = String(repeating: " ", count: indent + 2)
      return " " + pick(["|", ">", "|-", ">-", "|+", ">+"]) + after() + "\n\(pad)text # no comment\n\n\(pad)  more\n\(pad)end\n"
        + pick(["", "\n", "\n\n"])
    case 2 where below(4) == 0: return after() + "\n"
    case 0...3: return " " + pick(words) + after() + "\n"
    case 4 where inSequence: return " " + String(block(indent + 2, depth - 1).drop { $0 == " " })
    default: return after() + "\n" + lines(indent + 2) + block(indent + (below(3) == 0 ? 4 : 2), depth - 1)
    }
  }

  mutating func block(_ indent: Int, _ depth: Int) -> String {
    let pad = String(repeating: " ", count: indent)
    let isMapping = below(3) > 0
    var out = ""
    for index in 0...below(4) {
      // The first line is what continues the line above.
      if index > 0 { out += lines(indent) }
      out +=
        pad + (isMapping ? pick(["key\(index)", "'key\(index)'", "\"@\(index)\"", "\(index)"]) + ":" : "-")
        + value(indent, depth, inSequence: !isMapping)
    }
    return out + lines(indent)
  }

  mutating func document() -> String { lines(0) + pick(["", "---\n", "--- # doc\n"]) + lines(0) + block(0, 4) + lines(below(6)) }
}

/// Every comment that is none of a text's, by its number.
private func comments(_ text: String) -> [String] {
  text.matches(of: /# c[0-9]+/).map { String($0.output) }.sorted()
}

/// Without places, and with plainness only where it matters.
private func meaning(_ node: YAMLNode) -> String {
  switch node.content {
  case .scalar(let text, let isPlain):
    "\(text.debugDescription)\(isPlain && (node.unsigned != nil || ["off", "null", "1.0", ""].contains(text)) ? "!" : "")"
  case .sequence(let elements): "[" + elements.map(meaning).joined(separator: ",") + "]"
  case .mapping(let entries): "{" + entries.map { $0.key.debugDescription + ":" + meaning($0.value) }.joined(separator: ",") + "}"
  }
}

/// What goes wrong with a document, or nil.
private func fault(_ text: String, _ before: YAMLNode) throws -> String? {
  let parsed = try document(text)
  let once = parsed.text
  guard let after = try? YAMLNode(parsing: Array(once.utf8)) else { return "not YAML any more\n\(once)" }
  guard meaning(before) == meaning(after) else { return "another meaning\n\(once)" }
  guard comments(text) == comments(once) else { return "a comment less, or more\n\(once)" }
  let twice = try formatted(once)
  guard twice == once else { return "not its own form\n\(once)\n===\n\(twice)" }
  // Changed in one place and written sparingly, it is the same but for that place.
  var changed = parsed
  if before.entries != nil {
    try changed.set(.text("new"), at: ["new"])
  } else {
    try changed.append(.text("new"), at: [])
  }
  let sparing = changed.sparingText
  guard let node = try? YAMLNode(parsing: Array(sparing.utf8)) else { return "not YAML any more when changed\n\(sparing)" }
  guard try meaning(node) == meaning(YAMLNode(parsing: Array(changed.text.utf8))), comments(sparing) == comments(text) else {
    return "changed elsewhere\n\(sparing)\n===\n\(changed.text)"
  }
  return nil
}

@Test func `any document keeps its meaning and its comments, and its canonical form is its own`() throws {
  var seen = 0
  var shortest: (text: String, fault: String)?
  for seed in 0..<1500 {
    var writer = Writer(state: UInt64(seed))
    let text = writer.document()
    // What is no YAML (a comment in a place where none can be, say) is no document.
    guard let before = try? YAMLNode(parsing: Array(text.utf8)) else { continue }
    seen += 1
    if let fault = try fault(text, before), text.utf8.count < shortest?.text.utf8.count ?? Int.max { shortest = (text, fault) }
  }
  #expect(shortest == nil, "\(shortest.map { "\($0.text)\n=== \($0.fault)" } ?? "")")
  #expect(seen > 700)
}
