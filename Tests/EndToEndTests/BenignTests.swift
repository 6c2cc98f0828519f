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

    @Test func `are counted when they have ended, which is no denial`() throws {
      try Callgate.required()
      let running = try Running(Callgate.run(["bash", "-c", "/bin/true; /bin/true; echo done"]))
      let outcome = running.end()
      #expect(outcome.output == "done\n", "\(outcome)")
      let name = "run-\(running.id)-"
      // The supervisor writes them when the last process is gone.
      #expect(try eventually { try run([Callgate.ctl, "counts", name, "--last", "1"], within: 20).output.contains("allowed") })
      let counts = try run([Callgate.ctl, "counts", name, "--last", "1"], within: 20).output
      #expect(counts.contains("container \(name)") && counts.contains("execve 2"), "\(counts)")
      #expect(counts.contains("inspected") && counts.contains("cfi") && !counts.contains("denied"), "\(counts)")
      let line = try run([Callgate.ctl, "counts", name, "--last", "1", "--json"], within: 20).output
      let summary = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      #expect(summary["outcome"] as? String == "summary" && summary["profile"] as? String == "default")
      #expect(try run([Callgate.ctl, "why", String((summary["container"] as? String)!)], within: 20).output.hasPrefix("no denial"))
      #expect(try run([Callgate.ctl, "counts", "no-such-container"], within: 20).output.hasPrefix("no container"))
    }

    /// Both low-level runtimes make calls of their own between the filter's installation and the handing over of its listener, when
    /// nobody can answer: none of them is among those that this profile traps.
    @Test(arguments: Engine.allCases) func `run in containers where ordinary calls are trapped`(_ engine: Engine) throws {
      try engine.required()
      try Callgate.required()
      let work = """
        cd /tmp; seq 100 | sort -rn | head -2; python3 -c 'import subprocess, threading; t = threading.Thread(target=print, args=("thread",))
        t.start(); t.join(); print(subprocess.check_output("echo a child", shell=True))'; git -c init.defaultBranch=main init -q r && git -C r status | head -1
        """
      let plain = try run(engine.run(["bash", "-c", work], as: Engine.freshName(), .none))
      let name = Engine.freshName()
      let gated = try Callgate.undisturbed {
        try run(engine.run(["bash", "-c", work], as: name, .untrusted, annotations: ["dev.callgate.profile=fifty"]))
      }
      #expect(plain.status == 0 && gated.visible == plain.visible, "\(gated)\nplain: \(plain)")
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
