import Foundation
import Testing

extension EndToEnd {
  /// Real exploits of a real program: they work, and under callgate they do not.
  @Suite struct `Attacks on a plain command` {
    @Test(arguments: Attack.names) func `succeed without callgate`(_ name: String) throws {
      let attack = try Attack(name)
      #expect(attack.outcome == "succeeded", "\(attack)")
    }

    @Test(arguments: Attack.names, [false, true]) func `are stopped and explained`(_ name: String, isStatic: Bool) throws {
      let options = isStatic ? ["--static"] : []
      let alone = try Attack(name, options: options)
      #expect(alone.outcome == "succeeded", "\(alone)")
      try Callgate.required()
      try expectStopped(name, options: options, launcher: Callgate.run([]))
    }

    /// A static program that makes no coroutines does not hold where they start.
    @Test func `a pivot that ends as coroutines do is stopped`() throws {
      try Callgate.required()
      try expectStopped("planted-coroutine", launcher: Callgate.run([]))
    }

    @Test func `are stopped where a shell started the victim`() throws {
      try Callgate.required()
      let attack = try Attack("execve", launcher: Callgate.run(["bash", "-c", "\"$0\"; echo the victim ended with $? >&2"]))
      #expect(attack.outcome == "stopped", "\(attack)")
      #expect(attack.errors.contains("the victim ended with 137"), "only the victim is killed. \(attack)")
    }

    @Test func `are stopped by every profile`() throws {
      try Callgate.required()
      let profiles = try FileManager.default.contentsOfDirectory(atPath: Repository.root + "/profiles").filter { $0.hasSuffix(".yaml") }
      #expect(!profiles.isEmpty)
      for profile in profiles.map({ String($0.dropLast(5)) }).sorted() {
        let attack = try Attack("execve", launcher: [Callgate.ctl, "run", "--profile", profile, "--"])
        #expect(attack.outcome == "stopped", "profile \(profile): \(attack)")
      }
    }
  }

  /// What cannot be inspected is not let through, and nothing waits for ever.
  @Suite struct `A lost guard` {
    @Test(arguments: ["callgate-supervisor", "callgate-inspector"]) func `does not let an attack through`(_ program: String) throws {
      try Callgate.required()
      let attack = try Attack("execve", options: ["--before", Callgate.killing(program), "--patience", "20"], launcher: Callgate.run([]))
      #expect(attack.mark == nil, "\(attack)")
      #expect(attack.status != nil, "it must end by itself. \(attack)")
      #expect(attack.outcome == "stopped", "\(attack)")
    }

    @Test(arguments: ["callgate-supervisor", "callgate-inspector"]) func `does not leave a benign command hanging`(_ program: String) throws
    {
      try Callgate.required()
      let folder = try Folder()
      let running = try Running(Callgate.run(["bash", "-c", "echo ready; read line; /bin/touch after; echo $?"]), in: folder)
      try running.awaitOutput("ready")
      let killed = try run(["bash", "-c", Callgate.killing(program)])
      #expect(killed.status == 0, "\(killed)")
      running.send("go\n")
      let outcome = running.end(within: 30)
      #expect(!outcome.late, "\(outcome)")
      // A supervisor may replace its inspector; nobody replaces the supervisor.
      if program == "callgate-supervisor" { #expect(!folder.exists("after"), "a trapped syscall was let through. \(outcome)") }
    }
  }
}
