import Foundation
import Testing

extension EndToEnd {
  /// `callgatectl run -- COMMAND`: what a command does, prints and returns is the same as without it.
  @Suite struct `Benign commands` {
    /// Runs the same command alone and supervised.
    private func expectSame(
      _ command: [String], input: String = "", sourceLocation: SourceLocation = #_sourceLocation,
      under place: ([String]) -> [String] = Callgate.run
    ) throws {
      let alone = try run(command, input: input, in: try Folder())
      #expect(!alone.late && !alone.output.isEmpty, "alone: \(alone)", sourceLocation: sourceLocation)
      try Callgate.required()
      let supervised = try Callgate.undisturbed { try run(place(command), input: input, in: try Folder()) }
      #expect(supervised == alone, sourceLocation: sourceLocation)
    }

    @Test func `get their input and arguments`() throws {
      try expectSame(["bash", "-c", "cat; printf '<%s>' \"$@\"", "bash", "a b", "", "--", "-x", "*"], input: "input\nwithout an end")
    }

    @Test func `get their environment`() throws {
      try expectSame(["env", "-i", "A=1", "B=2 3", "env"])
      let outcome = try run(["env", "A=1 2", "printenv", "A"])
      #expect(outcome.output == "1 2\n")
      try Callgate.required()
      #expect(try run(["env", "A=1 2"] + Callgate.run(["printenv", "A"])).output == "1 2\n")
    }

    @Test(arguments: [[], ["--static"]]) func `include the victim's ordinary work`(_ options: [String]) throws {
      // The driver starts the victim itself.
      try expectSame([Repository.attack] + options + ["benign"]) { $0 + ["--"] + Callgate.run([]) }
    }

    @Test(arguments: ["exit 0", "exit 1", "exit 42", "exit 255", "kill -TERM $$", "kill -KILL $$", "kill -SEGV $$", "exec /etc/passwd"])
    func `end as they end alone`(_ text: String) throws {
      let alone = try run(["bash", "-c", text])
      try Callgate.required()
      #expect(try run(Callgate.run(["bash", "-c", text])).status == alone.status)
    }

    @Test func `that do not exist are said to be missing`() throws {
      try Callgate.required()
      let outcome = try run(Callgate.run(["/no/such/program"]))
      #expect(outcome.status == 127 && outcome.errors.contains("/no/such/program"), "\(outcome)")
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP, SIGUSR1]) func `get the signals that callgatectl gets`(_ number: Int32) throws {
      try Callgate.required()
      let script = "trap 'echo caught; exit 7' TERM INT HUP USR1; echo ready; while :; do sleep 0.05; done"
      let running = try Running(Callgate.run(["bash", "-c", script]))
      try running.awaitOutput("ready")
      running.signal(number)
      let outcome = running.end(within: 20)
      #expect(outcome.status == 7 && outcome.output.contains("caught"), "\(outcome)")
    }

    @Test func `have the terminal`() throws {
      guard FileManager.default.isExecutableFile(atPath: "/usr/bin/script") else { try cancel("no script(1) here") }
      let inside = "bash -c 'test -t 0 && test -t 1 && stty size && echo a terminal'"
      let alone = try Running(["script", "-qec", inside, "/dev/null"]).end(keepingInput: true)
      #expect(alone.output.contains("a terminal"))
      try Callgate.required()
      let line = Callgate.run([]).joined(separator: " ") + " " + inside
      let supervised = try Running(["script", "-qec", line, "/dev/null"]).end(keepingInput: true)
      #expect(supervised.visible == alone.visible)
    }

    @Test func `run beside one another`() throws {
      try Callgate.required()
      try Callgate.undisturbed {
        let all = try (1...4).map { try Running(Callgate.run(["bash", "-c", "for i in 1 2 3 4 5; do /bin/echo \($0) $i; done"])) }
        for (n, running) in all.enumerated() {
          let outcome = running.end()
          #expect(outcome.output == (1...5).map { "\(n + 1) \($0)\n" }.joined(), "\(outcome)")
        }
      }
    }

    @Test func `leave no process behind`() throws {
      try Callgate.required()
      let before = Callgate.processes(of: "callgate-supervisor").union(Callgate.processes(of: "callgate-inspector"))
      _ = try run(Callgate.run(["bash", "-c", "/bin/true; /bin/true"]))
      #expect(eventually { Callgate.processes(of: "callgate-supervisor").union(Callgate.processes(of: "callgate-inspector")) == before })
    }
  }
}
