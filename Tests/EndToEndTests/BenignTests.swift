import Foundation
import Testing

extension EndToEnd {
  /// Tests/Benign/suite: programs of every kind do under callgate what they do alone, and every stack of theirs is walked to its base.
  @Suite struct `Benign programs` {
    static let suite = Repository.root + "/Tests/Benign/suite"
    static let names =
      (try? EndToEndTests.run([suite, "--list"], within: 20).output.split(separator: "\n").map(String.init)) ?? []

    @Test func `are listed`() {
      #expect(Self.names.count > 100 && Set(Self.names).count == Self.names.count)
    }

    @Test(arguments: names, ["default", "fifty"]) func `are not disturbed, and understood`(program: String, profile: String) throws {
      try Callgate.required()
      let outcome = try run(
        ["env", "CALLGATE_PROGRAMS=\(Callgate.programs)", Self.suite, "--json", "--profile", profile, "--only", program], within: 400)
      let result = try JSONDecoder().decode(Result.self, from: Data(outcome.output.utf8))
      if let missing = result.missing { try cancel("no \(missing) here") }
      #expect(result.problems == [], "\(result.why ?? outcome.output)")
    }
  }
}

/// One line of `suite --json`, as far as it is looked at here.
private struct Result: Decodable {
  var problems: [String]?
  var missing: String?
  /// What `callgatectl why` says of the last denial, or the compiler of a program that could not be built.
  var why: String?
}
