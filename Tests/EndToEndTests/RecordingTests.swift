import Foundation
import Testing

extension EndToEnd {
  /// Recordings as their authors make them.
  @Suite struct `Recordings` {
    private static let source = """
      #include <string.h>
      #include <unistd.h>
      extern char **environ;
      __attribute__((noinline)) static int launch(char *word) {
        char *words[] = {"true", word, 0};
        if (vfork() == 0) { execve("/bin/true", words, environ); _exit(1); }
        return 1;
      }
      __attribute__((noinline)) static int deeper(int depth) { return depth ? deeper(depth - 1) + 1 : launch("x") + 1; }
      int main(int count, char **words) {
        int sum = 0;
        for (int i = 1; i < count; i++) sum += strcmp(words[i], "deep") ? launch(words[i]) : deeper(i * 10);
        return sum < 0;
      }
      """

    private func program(_ folder: Folder) throws -> String {
      try folder.write(Self.source, to: "program.c")
      let made = try run(["gcc", "-O1", "-fno-optimize-sibling-calls", "-o", folder.file("program"), folder.file("program.c")])
      guard made.status == 0 else { throw Unexpected("program.c does not compile: \(made)") }
      return folder.file("program")
    }

    private func status(_ name: String) throws -> [String: Any] {
      let outcome = try run([Callgate.ctl, "record", "status", name, "--json"])
      return try #require(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any], "\(outcome)")
    }

    private func recorded(_ name: String, _ body: () throws -> Void) throws {
      defer {
        _ = try? run([Callgate.ctl, "record", "stop", name])
        _ = try? run([Callgate.ctl, "record", "remove", name])
      }
      try body()
    }

    private func freshName() -> String { "test-\(UInt32.random(in: .min ... .max))" }

    @Test func `a command's ways are recorded function by function, and recursion once`() throws {
      try Callgate.required()
      let folder = try Folder()
      let program = try program(folder)
      let name = freshName()
      try recorded(name) { () throws in
        let command = [Callgate.ctl, "run", "--record", name, "--", program]
        #expect(try run(command + ["a", "b", "c"]).status == 0)
        var seen = try status(name)
        #expect((seen["syscalls"] as? [String: Int])?["execve"] == 1, "\(seen)")
        #expect(seen["runs"] as? Int == 1 && seen["runsWithoutNew"] as? Int == 0, "\(seen)")
        // The same in another process, and as deep as nobody has seen it: one more way, however deep.
        #expect(try run(command + ["a", "deep", "deep", "deep"]).status == 0)
        seen = try status(name)
        #expect((seen["syscalls"] as? [String: Int])?["execve"] == 2, "\(seen)")
        #expect(try run(command + ["b", "deep"]).status == 0)
        seen = try status(name)
        #expect((seen["syscalls"] as? [String: Int])?["execve"] == 2 && seen["runsWithoutNew"] as? Int == 1, "\(seen)")
        let text = try run([Callgate.ctl, "record", "status", name]).output
        #expect(text.contains("nor in the last 1 run") && text.contains("execve: 2, "), "\(text)")
      }
      #expect(try run([Callgate.ctl, "record", "status", name]).errors.contains("CG2020"))
    }

    @Test func `a recording denies as usual, or with --audit only writes down`() throws {
      try Callgate.required()
      let name = freshName()
      try recorded(name) { () throws in
        let attack = try Attack("execve", launcher: [Callgate.ctl, "run", "--record", name, "--"])
        #expect(attack.outcome == "stopped", "\(attack)")
      }
      try recorded(name) { () throws in
        #expect(try run([Callgate.ctl, "record", "start", name, "--audit"]).status == 0)
        let attack = try Attack("execve", launcher: [Callgate.ctl, "run", "--record", name, "--"])
        #expect(attack.outcome == "succeeded", "\(attack)")
        let seen = try status(name)
        #expect((seen["objected"] as? Int ?? 0) + (seen["unwalked"] as? Int ?? 0) > 0, "\(seen)")
      }
    }

    @Test(arguments: Engine.allCases) func `a container asks for a recording by its name, and leaves it when it is removed`(
      _ engine: Engine
    ) throws {
      try engine.required()
      try Callgate.required()
      let name = freshName()
      let command = ["sh", "-c", "ls / >/dev/null; python3 -c 'import os; os.system(\"true\")'"]
      func container() throws -> Outcome {
        try run(engine.run(command, as: Engine.freshName(), .untrusted, annotations: ["dev.callgate.record=\(name)"]))
      }
      let refused = try container()
      #expect(refused.status != 0 && refused.errors.contains("CG2020"), "\(refused)")
      try recorded(name) { () throws in
        #expect(try run([Callgate.ctl, "record", "start", name]).status == 0)
        // The installed programs keep theirs where root's are.
        #expect(try container().status == 0)
        #expect(try container().status == 0)
        let seen = try status(name)
        #expect(seen["runs"] as? Int == 2 && seen["running"] as? Int == 0, "\(seen)")
        #expect((seen["syscalls"] as? [String: Int])?["execve"] ?? 0 >= 2 && seen["objected"] as? Int == 0, "\(seen)")
        let before = seen["ways"] as? Int
        #expect(try run([Callgate.ctl, "record", "stop", name]).status == 0)
        #expect(try container().status != 0)
        #expect(try status(name)["ways"] as? Int == before)
      }
    }

    @Test func `with --all new containers belong to it by profile and id`() throws {
      let engine = Engine.podmanCrun
      try engine.required()
      try Callgate.required()
      let name = freshName()
      try recorded(name) { () throws in
        let started = try run([Callgate.ctl, "record", "start", name, "--all", "--profile", "none-such"])
        #expect(started.status == 0, "\(started)")
        #expect(try run(engine.run(["true"], as: Engine.freshName(), .untrusted)).status == 0)
        #expect(try status(name)["runs"] as? Int == 0)
        // Neither does it take one that asks.
        let asked = try run(engine.run(["true"], as: Engine.freshName(), .untrusted, annotations: ["dev.callgate.record=\(name)"]))
        #expect(asked.status != 0 && asked.errors.contains("does not take this container"), "\(asked)")
      }
      try recorded(name) { () throws in
        #expect(try run([Callgate.ctl, "record", "start", name, "--all", "--profile", "default"]).status == 0)
        #expect(try run(engine.run(["true"], as: Engine.freshName(), .untrusted)).status == 0)
        #expect(try run(engine.run(["true"], as: Engine.freshName(), .trusted)).status == 0)
        #expect(try status(name)["runs"] as? Int == 1)
      }
    }
  }
}
