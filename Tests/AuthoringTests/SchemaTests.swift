import Authoring
import Diagnostics
import Foundation
import JSON
import Profile
import Testing
import Wire

private let schemaFile = repository.appending(path: "profiles/callprofile.schema.json")

private func schema() throws -> JSONValue { try JSONValue(parsing: Array(Data(contentsOf: schemaFile))) }

extension JSONValue {
  fileprivate func at(_ path: String...) -> JSONValue? {
    path.reduce(Optional(self)) { value, key in value?[key] }
  }
  fileprivate var texts: Set<String> { Set((elements ?? []).compactMap(\.text)) }
  fileprivate var keys: Set<String> { Set((members ?? []).map(\.key)) }
}

@Test func `the schema has the parser's words`() throws {
  let definitions = try #require(try schema()["$defs"])
  #expect(definitions.at("groupName", "enum")?.texts == Set(Group.all.map(\.name)))
  #expect(definitions.at("setting", "enum")?.texts == Set(Setting.allCases.map(\.rawValue)))
  #expect(definitions.at("permission", "enum")?.texts == Set(Permission.allCases.map(\.name)))
  #expect(definitions.at("errno", "enum")?.texts == Set(errnoNames.map(\.name)))
  #expect(definitions.at("action", "properties", "action", "enum")?.texts == Set(Action.names))
  let spec = try schema().at("properties", "spec", "properties")
  #expect(spec?.at("jit", "items", "enum")?.texts == Set(JITRuntime.allCases.map(\.name)))
  #expect(spec?.at("checks", "properties")?.keys == Set(Profile.checkNames))
  #expect(try schema().at("properties", "apiVersion", "const")?.text == Profile.apiVersion)
}

/// Where a field that nobody knows is put, and what the schema says of that mapping.
private let mappings: [(place: String, text: String, schema: [String])] = [
  ("the profile", "zzzzzzzzzzzzzz: 1\n" + profile("trap: [execve]"), ["properties"]),
  ("metadata", profile("trap: [execve]").replacing("{name", with: "{zzzzzzzzzzzzzz: 1, name"), ["properties", "metadata", "properties"]),
  ("spec", profile("extends: [base]\nzzzzzzzzzzzzzz: 1"), ["properties", "spec", "properties"]),
  ("checks", profile("trap: [execve]\nchecks: {zzzzzzzzzzzzzz: 1}"), ["properties", "spec", "properties", "checks", "properties"]),
  ("unknown", profile("trap: [execve]\nunknown: {zzzzzzzzzzzzzz: 1}"), ["properties", "spec", "properties", "unknown", "properties"]),
  ("an action", profile("trap: [execve]\nonViolation: {zzzzzzzzzzzzzz: 1}"), ["$defs", "action", "properties"]),
  ("a check", profile("trap: [execve]\nchecks: {edge: {zzzzzzzzzzzzzz: 1}}"), ["$defs", "check", "anyOf", "1", "properties"]),
  ("a group", profile("trap: [{group: '@exec', zzzzzzzzzzzzzz: 1}]"), ["$defs", "trap", "anyOf", "2", "properties"]),
  ("a trap", profile("trap: [{zzzzzzzzzzzzzz: 1}]"), ["$defs", "trap", "anyOf", "3", "properties"]),
  (
    "a module", profile("trap: [execve]\nmodules: {n: {zzzzzzzzzzzzzz: 1}}"),
    ["properties", "spec", "properties", "modules", "additionalProperties", "properties"]
  ),
  (
    "a path", profile("trap: [execve]\npaths: [{zzzzzzzzzzzzzz: 1}]"),
    ["properties", "spec", "properties", "paths", "items", "properties"]
  ),
]

@Test func `the schema has the parser's fields, all and no others`() throws {
  for (place, text, path) in mappings {
    let refusal = #expect(throws: Refusal.self) { try resolved(text) }
    // The parser answers a field that is like none with all that it knows.
    let known = try #require(refusal?.message.split(separator: "valid: ").last).split(separator: ", ").map(String.init)
    let fields = path.reduce(Optional(try schema())) { value, key in Int(key).flatMap { value?.elements?[$0] } ?? value?[key] }
    #expect(fields?.keys == Set(known), "\(place): \(refusal?.message ?? "")")
    #expect(known.count > 1)
  }
}

@Test func `each field is described`() throws {
  func undescribed(_ value: JSONValue, _ path: String) -> [String] {
    var missing: [String] = []
    for member in value["properties"]?.members ?? [] {
      var field = member.value
      if field["description"] == nil, let name = field["$ref"]?.text?.split(separator: "/").last {
        field = (try? schema().at("$defs", String(name))) ?? field
      }
      if field["description"] == nil, member.key != "name" { missing.append("\(path).\(member.key)") }
    }
    for member in value.members ?? [] { missing += undescribed(member.value, "\(path).\(member.key)") }
    // What a condition says of a field is no description of it.
    return missing.filter { !$0.contains(".then.") }
  }
  #expect(undescribed(try schema(), "") == [])
}

// MARK: both say the same of profiles

/// What the schema says of texts: nil for those it accepts.
private func verdicts(_ texts: [String]) throws -> [String?] {
  let script = try #require(Bundle.module.url(forResource: "validate", withExtension: nil, subdirectory: "Fixtures"))
  let process = Process()
  process.executableURL = URL(filePath: "/usr/bin/env")
  process.arguments = ["python3", script.path, schemaFile.path]
  let (input, output) = (Pipe(), Pipe())
  (process.standardInput, process.standardOutput) = (input, output)
  try process.run()
  // The script reads all before it writes.
  try input.fileHandleForWriting.write(contentsOf: JSONEncoder().encode(texts))
  try input.fileHandleForWriting.close()
  let answer = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  #expect(process.terminationStatus == 0, "python3 with jsonschema and yaml is needed: make test-dependencies")
  return try JSONDecoder().decode([String?].self, from: answer)
}

private let rich = """
  extends: [base]
  untrap: [connect]
  trap: ['@credentials', {group: '@inject', onViolation: {action: errno, errno: EIO}}, {syscall: bind, argument: 1, anySet: 0x2}, ptrace]
  never: [kexec_load]
  checks: {edge: {setting: audit, onViolation: {action: errno}}, path: off}
  permit: [written-files]
  forbid: [dlsym]
  jit: [v8]
  unknown: {noUnwindInfo: audit, depth: 64, onLimit: off}
  modules: {n: {path: /n, buildId: 3c1e5a07, functions: {'+0x10': 9f27c6d4a18b3e50}}}
  paths: [{syscalls: [execve], chain: ['n:a', '...', 'n:+0x10', 'n:*'], deny: true, onViolation: {action: audit}, reason: r}]
  onViolation: {action: kill-container}
  complainUntil: 2027-01-01T08:00:00Z
  """

@Test func `the schema accepts every profile in the repository`() throws {
  let texts = try shippedProfiles().map(\.text) + [profile(rich), profile("trap: [execve]")]
  _ = try resolved(profile(rich))
  for (text, verdict) in zip(texts, try verdicts(texts)) { #expect(verdict == nil, "\(verdict ?? "")\n\(text)") }
}

/// Only the parser can know: it reads several fields together, other profiles, the calendar, or counts bytes; and a text in quotes is no
/// number to it. A build id of decimal digits is a number to the schema.
private let parserOnly = [
  "is not installed", "is trapped by nothing", "is permitted by nothing", "both trapped and never", "is not trapped", "named by no chain",
  "only be declared where", "cannot be trapped", "can only be trapped", "cannot be refused", "more than", "no date as", "listed twice",
  "nothing of '", "would extend itself", "permitted here, too", "must trap something", "conditions that cannot be joined",
  "has no system call", "'99999999999' is no build id",
]

@Test func `schema and parser refuse the same faults`() throws {
  let values = [
    "[]", "{}", "x", "'@exec'", "'@no'", "{a: b}", "[x, x]", "99999999999", "-1", "0", "true", "off", "''", "['@exec']", "[[x]]", "execve",
    "1.5",
  ]
  var texts: [String] = []
  // Each scalar and each bracketed value replaced by each of the values, and each key by another.
  for match in rich.matches(of: #/[A-Za-z]+: /#) {
    for value in values {
      let rest = rich[match.range.upperBound...]
      var depth = 0
      let end = rest.firstIndex { character in
        if depth == 0, ",}]\n".contains(character) { return true }
        depth += "[{".contains(character) ? 1 : "]}".contains(character) ? -1 : 0
        return false
      }
      texts.append(profile(rich[..<match.range.upperBound] + value + rich[(end ?? rich.endIndex)...]))
    }
    texts.append(profile(rich[..<match.range.lowerBound] + "zz" + rich[match.range.lowerBound...]))
  }
  let context = LintContext(
    syscalls: ["execve", "connect", "bind", "ptrace", "kexec_load", "reboot"], secondsSince1970: 0, parent: parent)
  var (bothRefuse, onlyParser) = (0, 0)
  for (text, verdict) in zip(texts, try verdicts(texts)) {
    let errors = lint(Array(text.utf8), file: "web.yaml", context).filter { $0.severity == .error }
    switch (verdict, errors.first) {
    case (nil, _?):
      onlyParser += 1
      for error in errors {
        #expect(
          parserOnly.contains { error.message.contains($0) }, "the schema accepts what the parser does not: \(error.description)\n\(text)")
      }
    case (let verdict?, nil): Issue.record("the schema refuses what the parser accepts: \(verdict)\n\(text)")
    case (_?, _?): bothRefuse += 1
    case (nil, nil): break
    }
  }
  #expect(bothRefuse > 300 && onlyParser < bothRefuse, "\(bothRefuse) \(onlyParser)")
}
