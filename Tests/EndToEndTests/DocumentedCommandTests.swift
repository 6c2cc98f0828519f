import Foundation
import Testing

extension EndToEnd {
  /// What the documentation shows of a terminal is what a reader sees there.
  ///
  /// A block after `<!-- file: NAME -->` is a file; a `console` block has commands behind `$ `, and below each what it prints, on both
  /// streams. There `…` stands for anything: alone on a line for any lines. They share a folder, in the order of the page.
  @Suite struct `Documented commands` {
    @Test func `print what the authors' page shows`() throws {
      try Callgate.required()
      try expectSame("docs/profiles/authoring.md", programs: Callgate.programs)
    }

    /// Keys and profiles are put where an installation has them: one of its own.
    @Test func `print what the session shows`() throws {
      try Callgate.required()
      let installed = try Installed()
      defer {
        for verb in ["stop", "remove"] { _ = try? run([installed.ctl, "record", verb, "serve-pages"]) }
      }
      try expectSame("docs/profiles/session.md", programs: installed.folder.file("bin"))
    }

    private func expectSame(_ page: String, programs: String) throws {
      let folder = try Folder()
      let text = try String(contentsOfFile: "\(Repository.root)/\(page)", encoding: .utf8)
      var commands = 0
      for block in Page(text).blocks {
        switch block.kind {
        case .file(let name):
          try block.lines.joined(separator: "\n").appending("\n").write(toFile: folder.file(name), atomically: true, encoding: .utf8)
        case .console:
          for (command, expected) in block.commands {
            commands += 1
            let outcome = try run(["sh", "-c", "PATH='\(programs)':$PATH; exec 2>&1; \(command)"], in: folder)
            let seen = outcome.output.hasSuffix("\n") ? String(outcome.output.dropLast()) : outcome.output
            #expect(matches(seen, expected), "\(page): $ \(command)\n--- the page\n\(expected)\n--- seen\n\(seen)")
          }
        }
      }
      #expect(commands >= 10)
    }

    @Test func `are compared, and not only run`() {
      #expect(matches("a\nb\nc", "a\n…\nc") && matches("a b c", "a … c") && matches("", "") && matches("a\nc", "a\n…\nc"))
      #expect(matches("a\nb", "…\nb") && matches("b", "…\nb\n…") && matches("a\nb\nc", "…\nb\n…"))
      #expect(!matches("a\nb", "a") && !matches("a", "b") && !matches("", "a") && !matches("a\nb\nd", "a\n…\nc"))
    }
  }
}

private struct Page {
  struct Block {
    enum Kind { case file(String), console }
    var kind: Kind
    var lines: [String]

    var commands: [(command: String, output: String)] {
      var commands: [(String, [String])] = []
      for line in lines {
        if line.hasPrefix("$ ") {
          commands.append((String(line.dropFirst(2)), []))
        } else if !commands.isEmpty {
          commands[commands.count - 1].1.append(line)
        }
      }
      return commands.map { ($0.0, $0.1.joined(separator: "\n")) }
    }
  }
  var blocks: [Block] = []

  init(_ text: String) {
    var open: Block?
    var isOther = false
    var before = ""
    for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
      if line.hasPrefix("```") {
        if let block = open {
          blocks.append(block)
          open = nil
        } else if isOther {
          isOther = false
        } else if before.hasPrefix("<!-- file: "), before.hasSuffix(" -->") {
          open = Block(kind: .file(String(before.dropFirst(11).dropLast(4))), lines: [])
        } else if line == "```console" {
          open = Block(kind: .console, lines: [])
        } else {
          isOther = true
        }
      } else {
        open?.lines.append(line)
      }
      before = line
    }
  }
}

/// Whether `text` is `pattern`, whose `…` stands for anything.
private func matches(_ text: String, _ pattern: String) -> Bool {
  // Alone on its line it takes the line's end with it.
  let parts = ("\n" + pattern + "\n").replacing("\n…\n", with: "\n\u{0}").replacing("…", with: "\u{0}").split(
    separator: "\u{0}", omittingEmptySubsequences: false)
  var rest = Substring("\n" + text + "\n")
  guard let first = parts.first, rest.hasPrefix(first) else { return false }
  if parts.count == 1 { return rest == first }
  rest = rest.dropFirst(first.count)
  for part in parts.dropFirst().dropLast() {
    guard let found = rest.firstRange(of: part) else { return false }
    rest = rest[found.upperBound...]
  }
  return rest.hasSuffix(parts.last ?? "")
}
