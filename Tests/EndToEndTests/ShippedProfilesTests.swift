import Foundation
import Testing

extension EndToEnd {
  /// profiles/: each lets the real programs that it is made for do their work, and stops what a looser one would let through.
  @Suite struct `Shipped profiles` {
    static let suite = Repository.root + "/Tests/Benign/suite"
    static let attacks = Repository.root + "/Tests/Attacks/suite"

    static let names =
      ((try? FileManager.default.contentsOfDirectory(atPath: Repository.root + "/profiles")) ?? [])
      .filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()

    /// What Tests/Benign/catalogue.py names for each.
    static let rows: [Row] = names.flatMap { profile in
      let listed = (try? EndToEndTests.run([suite, "--list", "--profile", profile], within: 20).output) ?? ""
      return listed.split(separator: "\n").map { Row(profile: profile, program: String($0)) }
    }

    struct Row: CustomTestStringConvertible {
      var profile: String
      var program: String
      var engine: Engine?
      var testDescription: String { "\(program) under \(profile)" + (engine.map { ", \($0.rawValue)" } ?? "") }
    }

    @Test func `are listed, each with what it is for`() throws {
      try Callgate.required()
      let expected = [
        "batch", "classic-20", "database", "default", "exec-only", "go-service", "java", "node", "python", "strict", "web-server",
      ]
      #expect(Self.names == expected)
      let installed = try Installed()
      let lines = try run([installed.ctl, "profile", "list"], within: 20).lines
      // A line with name, version and digest, and one that says what it is for.
      let heads = lines.filter { !$0.hasPrefix(" ") }
      let descriptions = lines.filter { $0.hasPrefix("    ") }
      #expect(heads.map { String($0.prefix { $0 != " " }) } == expected && descriptions.count == expected.count, "\(lines)")
      #expect(heads.allSatisfy { $0.contains("  1.0.0  sha256:") } && descriptions.allSatisfy { $0.count > 30 }, "\(lines)")
      for name in expected { #expect(Self.rows.contains { $0.profile == name }, "\(name) is tested with nothing") }
    }

    /// Nothing may be looser than the reader is told: no check is left at audit or off, here or in what a profile extends.
    @Test(arguments: names) func `enforce every check`(_ name: String) throws {
      let text = try String(contentsOfFile: Repository.root + "/profiles/\(name).yaml", encoding: .utf8)
      let lines = text.split(separator: "\n").filter { !$0.drop { $0 == " " }.hasPrefix("#") }
      for line in lines { #expect(!line.contains(": audit") && !line.contains(": off") && !line.contains("{audit"), "\(line)") }
    }

    @Test(arguments: rows) func `let the programs that they are for do what they do alone`(_ row: Row) throws {
      try Callgate.required()
      try expectUndisturbed(row, prefix: [])
    }

    /// The image has few programs: /usr and /etc are this machine's.
    @Test(arguments: [
      Row(profile: "strict", program: "redis.bash", engine: .podmanCrun),
      Row(profile: "strict", program: "service-go-static", engine: .podmanRunc),
      Row(profile: "classic-20", program: "sqlite.bash", engine: .podmanCrun),
      Row(profile: "exec-only", program: "script.bash", engine: .podmanCrun),
      Row(profile: "web-server", program: "nginx.bash", engine: .podmanCrun),
      Row(profile: "web-server", program: "apache.bash", engine: .podmanRunc),
      Row(profile: "database", program: "redis.bash", engine: .podmanCrun),
      Row(profile: "database", program: "postgres.bash", engine: .podmanRunc), Row(profile: "node", program: "node", engine: .podmanCrun),
      Row(profile: "node", program: "node", engine: .podmanRunc), Row(profile: "java", program: "java", engine: .podmanCrun),
      Row(profile: "java", program: "java", engine: .podmanRunc),
      Row(profile: "go-service", program: "service-go", engine: .podmanCrun),
      Row(profile: "go-service", program: "service-go-static", engine: .podmanRunc),
      Row(profile: "python", program: "callbacks.py", engine: .podmanCrun),
      Row(profile: "python", program: "callbacks.py", engine: .podmanRunc),
      Row(profile: "batch", program: "git.bash", engine: .podmanCrun), Row(profile: "batch", program: "worker.bash", engine: .podmanRunc),
    ]) func `let them do it in containers`(_ row: Row) throws {
      let engine = try #require(row.engine)
      try engine.required()
      try Callgate.required()
      let ours = [Repository.root + "/Tests/Benign/programs", Repository.root + "/.build/benign"]
      let mounts = (["/usr", "/etc"] + ours).flatMap { ["-v", "\($0):\($0):ro"] }
      // Not /tmp: the sources may lie there.
      let place = ["--tmpfs", "/scratch:exec,mode=1777", "-w", "/scratch"]
      let prefix = engine.run(
        [], as: Engine.freshName(), .untrusted, annotations: ["dev.callgate.profile=\(row.profile)"], options: mounts + place)
      try Callgate.undisturbed { try expectUndisturbed(row, prefix: prefix) }
    }

    private func expectUndisturbed(_ row: Row, prefix: [String]) throws {
      let options = ["--json", "--profile", row.profile, "--only", row.program] + (prefix.isEmpty ? [] : ["--"] + prefix)
      let outcome = try run(["env", "CALLGATE_PROGRAMS=\(Callgate.programs)", Self.suite] + options, within: 300)
      let result = try JSONDecoder().decode(Result.self, from: Data(outcome.output.utf8))
      if let missing = result.missing { try cancel("no \(missing) here") }
      #expect(result.problems == [], "\(result.why ?? outcome.output)")
    }

    /// For each the difference that is the point: attacks on calls that `default` does not trap.
    @Test(arguments: [
      ("strict", "connect"), ("strict", "listen"), ("classic-20", "chmod"), ("web-server", "listen"), ("database", "listen"),
      ("node", "listen"), ("java", "listen"), ("go-service", "listen"), ("python", "listen"),
    ]) func `judge calls that the default profile leaves alone`(_ profile: String, _ call: String) throws {
      let command = try Evasion.command("pivoted-call", [call])
      try expectKilled(command, by: [Callgate.ctl, "run", "--profile", profile, "--"], for: ["CG4006"])
      let byDefault = try run(Callgate.run(command), within: 40)
      #expect(byDefault.evaded && byDefault.status == 0, "\(byDefault)")
    }

    @Test func `judge the execution of programs at least`() throws {
      for profile in ["exec-only", "classic-20", "batch"] {
        try expectKilled(try Evasion.command("pivot", ["heap"]), by: [Callgate.ctl, "run", "--profile", profile, "--"], for: ["CG4006"])
      }
    }

    /// What a permission of `default` lets through: a call while a handler runs, and a library that the attacker has just written.
    @Test func `refuse what the default profile permits`() throws {
      try Callgate.required()
      let expected = [
        "signal-frame-exact": ["web-server", "node", "java", "go-service", "python", "batch", "strict"],
        "handler": ["web-server", "node", "java", "go-service", "python", "batch", "strict"],
        "own-library": ["web-server", "database", "node", "java", "go-service", "python", "strict"],
      ]
      for (attack, stopping) in expected.sorted(by: { $0.key < $1.key }) {
        let profiles = (["default"] + stopping).flatMap { ["--shipped", $0] }
        let outcome = try run(
          ["env", "CALLGATE_PROGRAMS=\(Callgate.programs)", Self.attacks, attack, "--form", "dynamic", "--main", "--brief", "--json"]
            + profiles,
          within: 200)
        let made = try JSONDecoder().decode(Made.self, from: Data(outcome.output.utf8)).profiles
        #expect(made["default"]?.outcome == "missed", "\(outcome)")
        let check = attack == "own-library" ? "text" : "signal"
        for profile in stopping {
          #expect(made[profile] == Made.Outcome(outcome: "stopped", by: check), "\(attack) under \(profile): \(outcome)")
        }
      }
    }

    /// A script that has the C library run a program, by libffi: in a web server it is an attacker's.
    @Test(arguments: ["strict", "web-server", "database", "batch"]) func `refuse foreign calls`(_ profile: String) throws {
      try Callgate.required()
      let command = ["/usr/bin/python3", "-c", "import ctypes; ctypes.CDLL(None).system(b'echo a foreign call')"]
      for permitting in ["default", "python"] {
        let outcome = try run([Callgate.ctl, "run", "--profile", permitting, "--"] + command, within: 40)
        #expect(outcome.output == "a foreign call\n" && outcome.status == 0, "\(permitting): \(outcome)")
      }
      let outcome = try run([Callgate.ctl, "run", "--profile", profile, "--"] + command, within: 40)
      #expect(outcome.killed && outcome.output.isEmpty && outcome.errors.contains("libffi"), "\(outcome)")
      #expect(["CG4004", "CG4008"].contains { outcome.errors.contains($0) }, "\(outcome)")
    }

    @Test func `declare made code of one runtime each`() throws {
      try Callgate.required()
      let command = ["node", "-e", "console.log(String(require('child_process').execSync('echo a child')))"]
      guard try run(["which", "node"]).status == 0 else { try cancel("node is not installed") }
      let outcome = try run([Callgate.ctl, "run", "--profile", "java", "--"] + command, within: 40)
      #expect(outcome.errors.contains("jit: [v8]") && !outcome.output.contains("a child"), "\(outcome)")
    }
  }
}

/// One line of Tests/Benign/suite --json, as far as it is looked at here.
private struct Result: Decodable {
  var problems: [String]?
  var missing: String?
  var why: String?
}

/// One line of Tests/Attacks/suite --json.
private struct Made: Decodable {
  struct Outcome: Decodable, Equatable {
    var outcome: String
    var by: String
  }
  var profiles: [String: Outcome]
}
