import Diagnostics
import Foundation
import Profile
import Testing

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// What stands between "```yaml" and "```", with the line that it begins at.
private func examples(of page: String) throws -> [(line: Int, text: String)] {
  var (examples, current): ([(Int, String)], (Int, [Substring])?) = ([], nil)
  let lines = try String(contentsOf: root.appending(path: page), encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
  for (index, line) in lines.enumerated() {
    if line == "```yaml" {
      current = (index + 2, [])
    } else if line == "```", let (start, text) = current {
      examples.append((start, text.joined(separator: "\n") + "\n"))
      current = nil
    } else {
      current?.1.append(line)
    }
  }
  return examples
}

@Test func `every example of the format's page is a profile`() throws {
  let examples = try examples(of: "docs/profiles/format.md")
  let shipped = try Data(contentsOf: root.appending(path: "profiles/default.yaml"))
  var seen: Set<String> = []
  for (line, text) in examples {
    let head = "apiVersion: callgate.dev/v1alpha1\nkind: CallProfile\nmetadata: {name: example, version: 1.0.0}\n"
    let whole = text.hasPrefix("apiVersion") ? text : head + text
    do throws(Refusal) {
      _ = try ResolvedProfile(parsing: Array(whole.utf8), file: "example at line \(line)") { name in
        name == "default" ? (Array(shipped), "default.yaml") : nil
      }
    } catch {
      Issue.record("docs/profiles/format.md:\(line): \(error)")
    }
    for line in text.split(separator: "\n") where line.hasPrefix("  ") && line.dropFirst(2).first?.isLetter == true {
      seen.insert(String(line.dropFirst(2).prefix { $0 != ":" }))
    }
  }
  // Of each field of spec there is one.
  let fields = [
    "extends", "trap", "untrap", "never", "checks", "unknown", "onViolation", "complainUntil", "permit", "forbid", "jit", "paths",
    "modules",
  ]
  for field in fields { #expect(seen.contains(field), "no example of \(field)") }
}
