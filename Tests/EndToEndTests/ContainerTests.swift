import Foundation
import Testing

extension EndToEnd {
  /// What users do with containers is the same with callgate in between, whether it supervises or only hands over.
  @Suite struct `Containers` {
    static let gates: [Engine.Gate] = [.trusted, .untrusted]

    /// Runs the same plain and through callgate, and expects the same to be seen.
    private func expectSame(
      _ engine: Engine, _ gate: Engine.Gate, _ command: [String], terminal: Bool = false, output: String? = nil,
      status: Int32? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      try engine.required()
      func outcome(_ gate: Engine.Gate) throws -> Outcome {
        let words = engine.run(command, as: Engine.freshName(), gate, terminal: terminal)
        guard terminal else { return try run(words) }
        // A terminal for the engine to pass on; what script(1) runs is a shell's line. Its input stays open: an end of it would be echoed.
        let quoted = words.map { "'" + $0.replacingOccurrences(of: "'", with: "'\\''") + "'" }.joined(separator: " ")
        return try Running(["script", "-qec", quoted, "/dev/null"]).end(keepingInput: true)
      }
      let plain = try outcome(.none)
      if let output { #expect(plain.output.contains(output), "plain: \(plain)", sourceLocation: sourceLocation) }
      if let status { #expect(plain.status == status, "plain: \(plain)", sourceLocation: sourceLocation) }
      try Callgate.required()
      let gated = try Callgate.undisturbed { try outcome(gate) }
      #expect(gated.visible == plain.visible, "\(gated)", sourceLocation: sourceLocation)
    }

    @Test(arguments: Engine.allCases, gates) func `run programs`(_ engine: Engine, _ gate: Engine.Gate) throws {
      let work = """
        cd /tmp; seq 100 | sort -rn | head -2 | sha256sum; python3 -c 'import ctypes, subprocess; print(subprocess.check_output("echo a child", shell=True))'
        perl -e 'print `echo perl`'; echo 'int puts(const char *); int main(void) { puts("compiled"); return 3; }' >p.c; gcc -O2 -o p p.c; ./p; echo $?
        git -c init.defaultBranch=main init -q r && git -C r status | head -1; sqlite3 :memory: 'select 6 * 7'
        """
      // A container's /tmp is its own; nothing in it is mounted noexec by either engine.
      try expectSame(engine, gate, ["bash", "-c", work], output: "compiled\n3\nOn branch main\n42\n", status: 0)
    }

    @Test(arguments: Engine.allCases, gates) func `pass exit codes on`(_ engine: Engine, _ gate: Engine.Gate) throws {
      try expectSame(engine, gate, ["sh", "-c", "exit 42"], status: 42)
      try expectSame(engine, gate, ["sh", "-c", "exit 0"], status: 0)
      try expectSame(engine, gate, ["sh", "-c", "sh -c 'kill -SEGV $$'; exit $?"], status: 139)
    }

    @Test(arguments: Engine.allCases, [Engine.Gate.none] + gates) func `take input`(_ engine: Engine, _ gate: Engine.Gate) throws {
      try engine.required()
      if gate != .none { try Callgate.required() }
      let running = try Running(engine.run(["sh", "-c", "echo ready; cat; echo end"], as: Engine.freshName(), gate))
      // ctr never passes on an end of input that comes before the container has started.
      try running.awaitOutput("ready")
      running.send("one\ntwo\n")
      let outcome = running.end()
      #expect(outcome.output == "ready\none\ntwo\nend\n" && outcome.status == 0, "\(outcome)")
    }

    @Test(arguments: Engine.allCases, gates) func `have a terminal`(_ engine: Engine, _ gate: Engine.Gate) throws {
      guard FileManager.default.isExecutableFile(atPath: "/usr/bin/script") else { try cancel("no script(1) here") }
      try expectSame(engine, gate, ["sh", "-c", "test -t 0 && test -t 1 && echo a terminal; tty"], terminal: true, output: "a terminal")
    }

    @Test(arguments: Engine.allCases, gates) func `say what cannot be run`(_ engine: Engine, _ gate: Engine.Gate) throws {
      try engine.required()
      let plain = try run(engine.run(["/no/such/program"], as: Engine.freshName(), .none))
      #expect(plain.status != 0, "\(plain)")
      try Callgate.required()
      let name = Engine.freshName()
      defer { engine.remove(name) }
      let gated = try run(engine.run(["/no/such/program"], as: name, gate))
      #expect(gated.status == plain.status && gated.errors.contains("/no/such/program"), "\(gated)\nplain: \(plain)")
    }

    @Test(arguments: Engine.allCases, [Engine.Gate.none] + gates) func `run further programs`(_ engine: Engine, _ gate: Engine.Gate) throws
    {
      try engine.required()
      if gate != .none { try Callgate.required() }
      try engine.withContainer(gate) { name in
        let first = try run(engine.exec(["bash", "-c", "cat; echo $(echo inner); exit 5"], in: name), input: "in\n")
        #expect(first.output == "in\ninner\n" && first.status == 5, "\(first)")
        // Several at once, each with a filter and a listener of its own.
        let several = try (1...3).map { try Running(engine.exec(["sh", "-c", "for i in 1 2 3; do /bin/echo \($0); done"], in: name)) }
        for (n, running) in several.enumerated() {
          let outcome = running.end()
          #expect(outcome.output == String(repeating: "\(n + 1)\n", count: 3), "\(outcome)")
        }
        #expect(try engine.isRunning(name))
      }
    }

    @Test(arguments: Engine.allCases, [Engine.Gate.none] + gates) func `get signals`(_ engine: Engine, _ gate: Engine.Gate) throws {
      try engine.required()
      if gate != .none { try Callgate.required() }
      for (signal, status) in [("TERM", Int32(7)), ("KILL", 137)] {
        let name = Engine.freshName()
        defer { engine.remove(name) }
        let running = try Running(
          engine.run(["bash", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"], as: name, gate))
        try running.awaitOutput("ready")
        let sent = try engine.signal(signal, to: name)
        #expect(sent.status == 0, "\(sent)")
        let outcome = running.end(within: 30)
        #expect(outcome.status == status, "\(signal): \(outcome)")
      }
    }

    @Test(arguments: Engine.allCases) func `run beside one another`(_ engine: Engine) throws {
      try engine.required()
      try Callgate.required()
      try Callgate.undisturbed {
        let all = try [Engine.Gate.untrusted, .untrusted, .trusted].enumerated().map { n, gate in
          try Running(engine.run(["sh", "-c", "for i in 1 2 3 4 5; do /bin/echo \(n); done"], as: Engine.freshName(), gate))
        }
        for (n, running) in all.enumerated() {
          let outcome = running.end()
          #expect(outcome.output == String(repeating: "\(n)\n", count: 5) && outcome.status == 0, "\(outcome)")
        }
      }
    }

    @Test(arguments: Engine.allCases) func `leave nothing behind`(_ engine: Engine) throws {
      try engine.required()
      try Callgate.required()
      let before = Callgate.processes(of: "callgate-supervisor")
      try engine.withContainer(.untrusted) { _ in
        #expect(Callgate.processes(of: "callgate-supervisor").count == before.count + 1)
      }
      #expect(eventually { Callgate.processes(of: "callgate-supervisor") == before })
      #expect(eventually { Callgate.processes(of: "callgate-inspector").count <= before.count })
    }

    @Test(arguments: Engine.allCases) func `refuse an annotation that loosens or is unknown`(_ engine: Engine) throws {
      try engine.required()
      try Callgate.required()
      for annotation in ["dev.callgate.untrusted=false", "dev.callgate.untrustd=true", "dev.callgate.profile=no-such-profile"] {
        let name = Engine.freshName()
        defer { engine.remove(name) }
        let gate: Engine.Gate = annotation.contains("profile") ? .untrusted : .trusted
        let outcome = try run(engine.run(["echo", "it ran"], as: name, gate, annotations: [annotation]))
        #expect(outcome.status != 0 && !outcome.output.contains("it ran"), "\(annotation): \(outcome)")
        #expect(outcome.errors.contains("CG"), "the engine must show callgate's own words. \(annotation): \(outcome)")
      }
    }
  }

  /// The same exploits in a container: they work without callgate and in a trusted container, and not in an untrusted one.
  @Suite struct `Attacks in a container` {
    @Test(arguments: Engine.allCases) func `succeed without callgate`(_ engine: Engine) throws {
      try engine.required()
      let folder = try Folder()
      for name in Attack.names {
        let launcher = engine.run([], as: Engine.freshName(), .none, sharing: folder.path)
        let attack = try Attack(name, options: Engine.attackOptions(markIn: folder), launcher: launcher)
        #expect(attack.outcome == "succeeded", "\(attack)")
      }
    }

    @Test(arguments: Engine.allCases, Attack.names) func `are stopped and explained`(_ engine: Engine, _ name: String) throws {
      try engine.required()
      try Callgate.required()
      let folder = try Folder()
      let container = Engine.freshName()
      let launcher = engine.run([], as: container, .untrusted, sharing: folder.path)
      try expectStopped(
        name, options: Engine.attackOptions(markIn: folder), launcher: launcher, in: engine.isPodman ? nil : container)
    }

    @Test(arguments: Engine.allCases) func `leave the container's other processes alone`(_ engine: Engine) throws {
      try engine.required()
      try Callgate.required()
      let folder = try Folder()
      try engine.withContainer(.untrusted, sharing: folder.path) { container in
        let attack = try Attack("execve", options: Engine.attackOptions(markIn: folder), launcher: engine.exec([], in: container))
        #expect(attack.outcome == "stopped" && attack.killed, "\(attack)")
        #expect(try engine.isRunning(container))
        let next = try run(engine.exec(["sh", "-c", "/bin/echo still here"], in: container))
        #expect(next.output == "still here\n", "\(next)")
      }
    }

    @Test(arguments: Engine.allCases) func `are not let through by a lost guard`(_ engine: Engine) throws {
      try engine.required()
      try Callgate.required()
      for program in ["callgate-supervisor", "callgate-inspector"] {
        let folder = try Folder()
        let container = Engine.freshName()
        defer { engine.remove(container) }
        let launcher = engine.run([], as: container, .untrusted, sharing: folder.path)
        let options = Engine.attackOptions(markIn: folder) + ["--before", Callgate.killing(program), "--patience", "20"]
        let attack = try Attack("execve", options: options, launcher: launcher)
        #expect(attack.outcome == "stopped" && attack.status != nil, "\(program): \(attack)")
      }
    }
  }
}
