import Foundation
import Glibc
import Testing

extension EndToEnd {
  /// Attackers who know how callgate looks at a process, and change what it looks at.
  @Suite struct `Evasions` {
    /// What does not trap execve: calls that the low-level runtime makes too, and one that it does not make.
    static let withoutExec = ["only-credentials": "{trap: [\"@credentials\"]}", "only-personality": "{trap: [personality]}"]
    static let calls = [("only-credentials", "117"), ("only-personality", "135")]

    // MARK: Code

    /// Without @exec nothing tells by a trapped execve that the program has begun: it must be known all the same.
    @Test(arguments: calls)
    func `code in anonymous memory is seen under a profile that does not trap execve`(_ profile: String, _ call: String) throws {
      let installed = try Installed(profiles: Self.withoutExec)
      for order in ["parent", "child"] {
        let command = try Evasion.command("anonymous-code", [call, order])
        let alone = try run(command, within: 20).possible()
        #expect(alone.evaded && alone.output.contains("evaded in a child"), "\(alone)")
        try Callgate.required()
        let outcome = try run(installed.run(command, profile: profile), within: 40)
        #expect(!outcome.evaded && outcome.killed && outcome.errors.contains("CG4002"), "\(order) first: \(outcome)")
        if order == "child" { #expect(outcome.output.contains("the child was killed by 9"), "\(outcome)") }
      }
    }

    @Test(arguments: [Engine.podmanCrun, .podmanRunc], calls)
    func `code in anonymous memory is seen in a container whose profile does not trap execve`(
      _ engine: Engine, _ call: (profile: String, number: String)
    ) throws {
      try engine.required()
      try Callgate.required()
      let installed = try Installed(profiles: Self.withoutExec, over: engine.lowLevel)
      let folder = try Evasion.folder()
      for order in ["parent", "child"] {
        let command = ["/tmp/shared/anonymous-code", call.number, order]
        let plain = try RuntimeBundle(command, under: engine.runtime(.none), sharing: folder)
        let alone = try plain.call("run", "--bundle", plain.path, plain.name)
        #expect(alone.evaded, "\(alone)")
        let bundle = try RuntimeBundle(command, under: installed.runtime, profile: call.profile, sharing: folder)
        let outcome = try bundle.call("run", "--bundle", bundle.path, bundle.name)
        #expect(!outcome.evaded && outcome.killed, "\(order) first: \(outcome)")
        if order == "child" { #expect(outcome.output.contains("the child was killed by 9"), "\(outcome)") }
      }
    }

    /// U+0301 joins to the character before it, U+0600 to the one behind it: "/memfd:" and " (deleted)" are then not what they were.
    static let names = ["plain", "\u{301}x\u{600}", "\u{301}", "\u{600}", "x (deleted)\u{600}", "[vdso]", "\u{200d}\n\u{600}"]

    @Test(arguments: ["memfd", "deleted"], names)
    func `code of a file that has vanished is seen whatever its name is`(_ kind: String, _ name: String) throws {
      let folder = try Folder()
      let payload = try Evasion.folder() + "/payload"
      try expectKilled(
        try Evasion.command("vanished-file", [kind, payload, name]), by: Callgate.run([]), for: ["CG4002"], in: folder)
    }

    @Test(arguments: Place.allCases, ["call", "jump"])
    func `code that is not the file's any more is seen`(_ place: Place, _ gate: String) throws {
      try place.enter { supervised, alone, evasions in
        for way in ["memory", "mapping"] {
          let command = try Evasion.command("changed-text", [gate, way], in: evasions.path)
          let free = try run(alone + command, within: 20).possible()
          #expect(free.evaded, "\(way), alone: \(free)")
          let outcome = try run(supervised + command, within: 40)
          #expect(!outcome.evaded && outcome.killed && outcome.errors.contains("CG4002"), "\(way): \(outcome)")
        }
      }
    }

    @Test(arguments: Place.allCases) func `a program written after the start needs a permission`(_ place: Place) throws {
      let trap = "trap: ['@exec']"
      let installed = try Installed(
        withBPF: place != .rootWithoutBPF, profiles: ["strict": "{\(trap)}", "lenient": "{\(trap), permit: [written-files]}"])
      if place != .ordinaryUser && geteuid() != 0 { try cancel("not root") }
      try Callgate.required()
      let user = place == .ordinaryUser ? try OrdinaryUser() : nil
      try user?.required(installed)
      let folder = try Folder()
      try user.map { try folder.give(to: type(of: $0).number) }
      let copy = folder.file("env")
      for (profile, isSeen) in [("strict", true), ("lenient", false)] {
        let script = ["/bin/sh", "-c", "cp /usr/bin/env \(copy) && \(copy) /bin/echo evaded"]
        let command = installed.run(script, profile: profile)
        let outcome = try run(user?.command(command) ?? command, within: 40)
        #expect(outcome.evaded != isSeen && outcome.errors.contains("CG4002") == isSeen, "\(profile): \(outcome)")
      }
    }

    // MARK: Repeated calls

    /// A stack that is known word for word is not asked about again: unless anything that its finding rests on is another.
    @Test(arguments: Place.allCases, [("return", "CG4005"), ("canary", "CG4010"), ("text", "CG4002"), ("memory", "CG4002")])
    func `what changes after many equal calls is seen`(_ place: Place, _ change: (what: String, code: String)) throws {
      try place.enter { supervised, alone, evasions in
        for process in [[], ["child"], ["depths"]] {
          let command = try Evasion.command("repeated", [change.what] + process, in: evasions.path)
          let free = try run(alone + command, within: 20).possible()
          #expect(free.evaded, "alone: \(free)")
          let outcome = try run(supervised + command, within: 40)
          #expect(!outcome.evaded && outcome.killed && outcome.errors.contains(change.code), "\(process): \(outcome)")
          #expect(outcome.output.contains("warm"), "\(outcome)")
        }
      }
    }

    @Test func `a file that is written after many equal calls is seen`() throws {
      try Callgate.required()
      let installed = try Installed(profiles: ["strict": "{trap: ['@credentials']}"])
      let folder = try Folder()
      let copy = folder.file("repeated")
      // Older than the container, to begin with.
      try FileManager.default.copyItem(atPath: try Evasion.command("repeated")[0], toPath: copy)
      Thread.sleep(forTimeInterval: 0.1)
      let quiet = try run(installed.run([copy, "nothing"], profile: "strict"), within: 40)
      #expect(quiet.evaded && quiet.status == 0, "\(quiet)")
      let outcome = try run(installed.run([copy, "file"], profile: "strict"), within: 40)
      #expect(outcome.output.contains("warm") && !outcome.evaded && outcome.errors.contains("CG4002"), "\(outcome)")
    }

    /// Without an environment, the outermost frames lie near the stack's end: nothing is read beyond it.
    @Test(arguments: [[], ["deep"]]) func `equal calls are answered by what was found before`(_ from: [String]) throws {
      try Callgate.required()
      // Other tests' containers are counted in the same place.
      let name = "repeats-\(getpid())\(from.joined())"
      let installed = try Installed(profiles: [name: "{trap: ['@credentials']}"])
      let command = ["/usr/bin/env", "-i"] + (try Evasion.command("repeated", ["nothing"] + from))
      let outcome = try run(installed.run(command, profile: name), within: 40)
      #expect(outcome.evaded && outcome.status == 0, "\(outcome)")
      let counts = try run([installed.ctl, "counts", "--last", "500", "--json"], within: 20)
      let summary = try #require(counts.lines.last { $0.contains("\"\(name)\"") }, "\(counts)")
      let repeated = try #require(summary.firstMatch(of: /"repeated":([0-9]+)/).flatMap { Int($0.1) }, "\(summary)")
      #expect(repeated > 150, "\(summary)")
    }

    // MARK: Stacks

    @Test(arguments: Place.allCases, ["heap", "bss", "mapping"]) func `a pivot is seen`(_ place: Place, _ target: String) throws {
      try place.enter { supervised, alone, evasions in
        let command = try Evasion.command("pivot", [target], in: evasions.path)
        let free = try run(alone + command, within: 20).possible()
        #expect(free.evaded, "alone: \(free)")
        let outcome = try run(supervised + command, within: 40)
        #expect(!outcome.evaded && outcome.killed && outcome.errors.contains("CG4006"), "\(outcome)")
      }
    }

    /// The place might be a thread's stack; the chain is not a thread's.
    @Test(arguments: Place.allCases) func `a pivot to memory joined to the thread's TLS is seen`(_ place: Place) throws {
      try place.enter { supervised, alone, evasions in
        let command = try Evasion.command("pivot", ["beside-tls"], in: evasions.path)
        let free = try run(alone + command, within: 20).possible()
        #expect(free.evaded, "alone: \(free)")
        let outcome = try run(supervised + command, within: 40)
        #expect(!outcome.evaded && outcome.killed, "\(outcome)")
        // By stack or base, or by edge: the copy holds what an earlier call of main's has left where this one's return address would be.
        #expect(["CG4004", "CG4006", "CG4007"].contains { outcome.errors.contains($0) }, "\(outcome)")
      }
    }

    @Test(arguments: Place.allCases) func `a thread's chain in memory far from everything is seen`(_ place: Place) throws {
      try place.enter { supervised, alone, evasions in
        let command = try Evasion.command("thread-chain", ["mapping"], in: evasions.path)
        let free = try run(alone + command, within: 20).possible()
        #expect(free.evaded, "alone: \(free)")
        let outcome = try run(supervised + command, within: 40)
        #expect(!outcome.evaded && outcome.killed && outcome.errors.contains("CG4006"), "\(outcome)")
      }
    }

    /// Joined to the first thread's TLS; elsewhere on the own stack; on another thread's stack, that lives or has ended.
    @Test(arguments: Place.allCases, ["beside-tls", "deeper", "other", "ended"])
    func `a thread's chain that does not end where the thread was started is seen`(_ place: Place, _ target: String) throws {
      try place.enter { supervised, alone, evasions in
        let command = try Evasion.command("thread-chain", [target], in: evasions.path)
        let free = try run(alone + command, within: 20).possible()
        #expect(free.evaded, "alone: \(free)")
        let outcome = try run(supervised + command, within: 40)
        #expect(!outcome.evaded && outcome.killed && outcome.errors.contains("CG4007"), "\(outcome)")
      }
    }

    @Test(arguments: Place.allCases) func `the start of the stack cannot be moved`(_ place: Place) throws {
      try place.enter { supervised, alone, evasions in
        let command = try Evasion.command("moved-start", in: evasions.path)
        let free = try run(alone + command, within: 20).possible()
        #expect(free.evaded && free.output.contains("prctl: done"), "alone: \(free)")
        let outcome = try run(supervised + command, within: 40)
        #expect(outcome.output.contains("prctl: EPERM"), "\(outcome)")
        #expect(!outcome.evaded && outcome.killed && outcome.errors.contains("CG4006"), "\(outcome)")
      }
    }

    @Test(arguments: Place.allCases) func `a process's name is not taken for more than a name`(_ place: Place) throws {
      try place.enter { supervised, alone, evasions in
        let command = try Evasion.command("false-name", in: evasions.path)
        let free = try run(alone + command, within: 20).possible()
        #expect(free.evaded, "alone: \(free)")
        let outcome = try run(supervised + command, within: 40)
        #expect(!outcome.evaded && outcome.killed && outcome.errors.contains("CG4006"), "\(outcome)")
      }
    }

    // MARK: Other ways into the kernel

    private func answers(to way: String) throws -> (alone: Outcome, supervised: Outcome) {
      let command = try Evasion.command("other-entry", [way])
      let alone = try run(command, within: 20).possible()
      try Callgate.required()
      return (alone, try run(Callgate.run(command), within: 40))
    }

    @Test func `a system call that is newer than callgate does not exist`() throws {
      let (alone, supervised) = try answers(to: "newer")
      if alone.output.contains("ENOSYS") { try cancel("this kernel has no open_tree_attr") }
      #expect(supervised.output == "answer: ENOSYS\n" && supervised.status == 0, "\(supervised)")
    }

    @Test func `io_uring does not exist`() throws {
      let (alone, supervised) = try answers(to: "io_uring")
      if alone.output.contains("ENOSYS") || alone.output.contains("EPERM") { try cancel("this kernel offers no io_uring: \(alone.output)") }
      #expect(supervised.output == "answer: ENOSYS\n" && supervised.status == 0, "\(supervised)")
    }

    @Test(arguments: ["x32", "int80"]) func `the other system call tables are closed`(_ way: String) throws {
      let (alone, supervised) = try answers(to: way)
      if !alone.evaded { print("note: \(way) is not to be had in this kernel either: \(alone.output)") }
      #expect(!supervised.evaded, "\(supervised)")
      #expect(supervised.status == 128 + SIGSYS || supervised.output == "answer: ENOSYS\n", "\(supervised)")
    }

    // MARK: Attempts

    /// Documented: what is killed is the process that made the call. One that shares its memory lives on, and may try again.
    @Test(arguments: Place.allCases) func `of processes that share memory only the one that called is killed`(_ place: Place) throws {
      try place.enter { supervised, alone, evasions in
        let command = try Evasion.command("shared-memory", in: evasions.path)
        let free = try run(alone + command, within: 20).possible()
        #expect(free.output.contains("evaded in attempt 3"), "alone: \(free)")
        let outcome = try run(supervised + command, within: 40)
        #expect(!outcome.evaded, "\(outcome)")
        let expected = (1...3).map { "attempt \($0): killed by 9\n" }.joined() + "the process goes on\n"
        #expect(outcome.output == expected && outcome.status == 0, "\(outcome)")
      }
    }

    // MARK: What waits for the attacker

    /// Starts a command of two processes: the judgement of one's call waits for the attacker's answer, which never comes; the other
    /// wants to go on. Then all of it is ended, the attacker's server still being silent.
    private func expectOthersGoOn(_ command: [String]) throws {
      let before = Callgate.processes(of: "callgate-supervisor")
      let running = try Running(Callgate.run(command))
      _ = eventually(within: 10) { running.output.contains("\n") }
      if running.output.hasPrefix("impossible") { try cancel(running.output) }
      // Of its processes the one that is no other's child.
      let new = Callgate.processes(of: "callgate-supervisor").subtracting(before)
      let supervisors = try new.filter { try !new.contains(Int32(Callgate.stat(of: $0)[1]) ?? 0) }
      guard supervisors.count == 1, let supervisor = supervisors.first else { throw Unexpected("not one supervisor: \(new)") }
      _ = eventually(within: 30) { running.output.hasSuffix("\nanswered\n") }
      #expect(running.output.hasSuffix("\nanswered\n"), "the other process waits, too. \(running.output)\(running.errors)")

      // The end of all processes is the end of the supervisor. A child of it that waits in the kernel cannot be ended by anybody; but it
      // must not hold what the supervisor held.
      for child in Callgate.processes(of: "callgate-supervisor").subtracting(before).subtracting(supervisors) {
        guard let numbers = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(child)/fd") else { continue }
        let held = numbers.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(child)/fd/\($0)") }
        #expect(!held.contains { $0.contains("seccomp") }, "a child of the supervisor that may stay for ever holds the listener: \(held)")
      }
      let line = running.output.split(separator: "\n").first { $0.hasPrefix("child ") }
      if let child = line.flatMap({ pid_t($0.dropFirst(6)) }) { kill(child, SIGKILL) }
      let outcome = running.end(within: 20)
      #expect(!outcome.late && !outcome.evaded, "\(outcome)")
      #expect(
        eventually(within: 20) { !Callgate.processes(of: "callgate-supervisor").contains(supervisor) }, "the supervisor has not ended")
    }

    /// The judge needs memory or a file that a server of the attacker's own does not give. Nobody else may wait for that.
    @Test(arguments: ["stack", "code"]) func `a silent file server blocks nobody else`(_ what: String) throws {
      guard geteuid() == 0 else { try cancel("not root") }
      guard FileManager.default.isWritableFile(atPath: "/dev/fuse") else { try cancel("no /dev/fuse here") }
      try Callgate.required()
      let folder = try Folder()
      let file = folder.file("mount/f")
      try FileManager.default.createDirectory(atPath: folder.file("mount"), withIntermediateDirectories: false)
      // The server ends with this function at the latest: all who still wait for it then get an error.
      let server = try Running(
        try Evasion.command("fuse-server", [folder.file("mount"), try Evasion.folder() + "/payload", what]))
      defer { _ = try? run(["umount", "-l", folder.file("mount")], within: 10) }
      guard eventually(within: 10, { server.output.contains("\n") }) else { throw Unexpected("no file server: \(server.errors)") }
      if server.output.hasPrefix("impossible") { try cancel(server.output) }
      try expectOthersGoOn(try Evasion.command("silent-server", [what, file]))
      let reader = try run(["timeout", "--signal", "KILL", "1", "cat", file], within: 10)
      #expect(reader.killed, "the server answers: nothing was tested. \(reader)")
      // With the server's end nobody waits any longer.
      let late = { Callgate.processes(of: "callgate-supervisor").filter { (try? Callgate.stat(of: $0)[0]) == "D" } }
      kill(server.id, SIGKILL)
      #expect(eventually(within: 10) { late().isEmpty }, "\(late())")
    }

    @Test func `memory whose faults nobody handles blocks nobody else`() throws {
      try Callgate.required()
      try expectOthersGoOn(try Evasion.command("silent-server", ["fault", "-"]))
    }
  }

  /// What is done again and again goes well again and again.
  @Suite struct `Starts` {
    @Test(arguments: [Engine.podmanCrun, .podmanRunc]) func `succeed every time`(_ engine: Engine) throws {
      try engine.required()
      try Callgate.required()
      let bundle = try RuntimeBundle(["/bin/true"], under: engine.runtime(.untrusted))
      for number in 1...25 {
        let outcome = try bundle.call("run", "--bundle", bundle.path, "\(bundle.name)-\(number)")
        #expect(outcome.status == 0, "start \(number): \(outcome)")
        if outcome.late { _ = try bundle.call("delete", "--force", "\(bundle.name)-\(number)") }
      }
    }
  }

  /// An id can be used again, whatever became of the supervisor that had it.
  @Suite struct `A container of the same name` {
    private func works(_ bundle: RuntimeBundle, sourceLocation: SourceLocation = #_sourceLocation) throws {
      let inside = try bundle.call("exec", bundle.name, "sh", "-c", "/bin/echo inside")
      #expect(inside.output == "inside\n" && inside.status == 0, "\(inside)", sourceLocation: sourceLocation)
    }

    @Test(arguments: [Engine.podmanCrun, .podmanRunc]) func `starts where a dead supervisor was`(_ engine: Engine) throws {
      try engine.required()
      try Callgate.required()
      let bundle = try RuntimeBundle(["sleep", "1000"], under: engine.runtime(.untrusted))
      let first = try bundle.start()
      try works(bundle)
      kill(first, SIGKILL)
      #expect(eventually { !Callgate.processes(of: "callgate-supervisor").contains(first) })
      #expect(try bundle.call("delete", "--force", bundle.name).status == 0)
      _ = try bundle.start()
      try works(bundle)
    }

    /// What the old supervisor takes away when it continues is its own.
    @Test(arguments: [Engine.podmanCrun, .podmanRunc]) func `is not harmed by a supervisor that was stopped`(_ engine: Engine) throws {
      try engine.required()
      try Callgate.required()
      let bundle = try RuntimeBundle(["sleep", "1000"], under: engine.runtime(.untrusted))
      let first = try bundle.start()
      try works(bundle)
      kill(first, SIGSTOP)
      defer {
        kill(first, SIGCONT)
        if !eventually(within: 10, { !Callgate.processes(of: "callgate-supervisor").contains(first) }) { kill(first, SIGKILL) }
      }
      #expect(try bundle.call("delete", "--force", bundle.name).status == 0)
      let second = try bundle.start()
      try works(bundle)
      kill(first, SIGCONT)
      #expect(eventually { !Callgate.processes(of: "callgate-supervisor").contains(first) }, "the old supervisor has nothing left to do")
      #expect(Callgate.processes(of: "callgate-supervisor").contains(second))
      try works(bundle)
    }
  }
}
