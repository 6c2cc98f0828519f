import Foundation
import Testing

extension EndToEnd {
  /// Tests/Attacks/suite: every attack of the catalogue succeeds alone, and under callgate it goes as the catalogue says.
  @Suite struct `The attack suite` {
    static let suite = Repository.root + "/Tests/Attacks/suite"

    /// The attacks, each in several forms.
    static let names: [String] = {
      let listed = (try? EndToEndTests.run([suite, "--list", "--json"], within: 20).output) ?? ""
      let rows = listed.split(separator: "\n").compactMap { try? JSONDecoder().decode(Listed.self, from: Data($0.utf8)) }
      var seen: Set<String> = []
      return rows.map(\.attack).filter { seen.insert($0).inserted }
    }()

    /// The rows that the suite makes of one attack.
    private func rows(_ arguments: [String]) throws -> [Row] {
      try Callgate.required()
      let outcome = try run(
        ["env", "CALLGATE_PROGRAMS=\(Callgate.programs)", Self.suite, "--json"] + arguments, within: 300)
      let rows = outcome.output.split(separator: "\n").compactMap { try? JSONDecoder().decode(Row.self, from: Data($0.utf8)) }
      #expect(!rows.isEmpty, "\(outcome)")
      for row in rows where row.outcome == "impossible" { print("note: \(row) is impossible here: \(row.why ?? "")") }
      return rows
    }

    @Test func `lists all of it`() {
      #expect(Self.names.count > 90 && Set(Self.names).count == Self.names.count)
    }

    @Test(arguments: names) func `is stopped, or missed for a reason that is stated`(_ name: String) throws {
      for row in try rows([name, "--brief"]) { #expect(row.surprise == nil, "\(row): \(row.surprise ?? "")") }
    }

    /// For each check an attack that it stops when it is the only one, and that gets through when it is off as well. `path` holds where a
    /// profile lists ways: `Listed ways` has its attack.
    static let carried = [
      ("site", "patched-text"), ("text", "memory-file"), ("function", "between-functions"), ("call", "call-memory"),
      ("edge", "random-functions"), ("seam", "pointer-system"), ("stack", "copied-mapping"), ("base", "copied-from-thread"),
      ("residue", "genuine-tail"), ("canary", "canary-unknown"), ("signal", "signal-frame"), ("lineage", "copied-later"),
    ]

    @Test(arguments: carried) func `needs each check`(_ check: String, _ name: String) throws {
      // What moves a thread's outer end is what `lineage` sees; the first thread's is known to `base`.
      let place = check == "lineage" ? ["--form", "static", "--thread"] : ["--form", "dynamic", "--main"]
      let arguments = [name] + place + ["--only"]
      let with = try rows(arguments + [check])
      #expect(with.allSatisfy { $0.outcome == "stopped" && $0.by == check }, "\(with)")
      let without = try rows(arguments + ["none"])
      #expect(without.allSatisfy { $0.outcome == "missed" }, "\(without)")
    }
  }
}

private struct Listed: Decodable {
  var attack: String
}

/// One line of `suite --json`, as far as it is looked at here.
private struct Row: Decodable, CustomStringConvertible {
  var attack: String
  var form: String
  var thread: Bool
  /// stopped, missed, impossible or broken.
  var outcome: String
  /// The check that stopped it.
  var by: String?
  var why: String?
  /// What is not as the catalogue says.
  var surprise: String?

  var description: String { "\(attack) (\(form)\(thread ? ", in another thread" : "")): \(outcome) \(by ?? "")" }
}
