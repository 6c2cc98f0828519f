import Foundation
import Testing

extension EndToEnd {
  /// From a recording to a profile, on a terminal and without.
  @Suite struct `Learning` {
    /// Three ways to execve, the last of which a check objected to.
    fileprivate static let recording = """
      {"format":1,"run":"one","profile":"default","version":"1.0.0","began":1764400000000}
      {"module":0,"path":"/usr/lib/libc.so.6","buildId":"c1c1c1c1c1"}
      {"module":1,"path":"/usr/sbin/it","buildId":"a0a0a0a0a0"}
      {"function":0,"module":0,"start":"0x10","names":["execve"],"isStart":true}
      {"function":1,"module":1,"start":"0x20","names":["launch"]}
      {"function":2,"module":1,"start":"0x30","names":["deeper"]}
      {"function":3,"module":1,"start":"0x40","names":["main"]}
      {"function":4,"module":0,"start":"0x50","names":["__libc_start_main"],"isStart":true}
      {"function":5,"module":1,"start":"0x60","fingerprint":"abcd"}
      {"path":0,"syscall":"execve","steps":[0,1,2,3,4],"repeats":[2],"calls":0,"at":1764400000001}
      {"path":1,"syscall":"execve","steps":[0,1,5,2,3,4],"calls":1,"at":1764400000002}
      {"path":2,"syscall":"execve","steps":[0,3,4],"objections":[{"check":"edge","because":"frame 1 \\u001b[31m was not called"}],"calls":2,"at":1764400000003}
      {"counts":[5,2,1],"calls":8,"unwalked":{},"left":0,"at":1764400000004}
      {"ended":1764400000005}

      """

    private struct Place {
      let folder: Folder
      var recording: String { folder.file("it.jsonl") }
      var profile: String { folder.file("it.yaml") }

      init() throws {
        try Callgate.required()
        folder = try Folder()
        try folder.write(Learning.recording, to: "it.jsonl")
      }

      func profile(_ command: String, _ words: String...) throws -> Outcome {
        try run([Callgate.ctl, "profile", command] + (command == "learn" ? ["it", "--file", profile] : [profile]) + words)
      }
    }

    /// A session on a terminal: each key once what stands beside it was shown.
    private func session(_ place: Place, _ keys: [(after: String, key: String)]) throws -> Outcome {
      let command = "\(Callgate.ctl) profile learn it --recording \(place.recording) --file \(place.profile)"
      let running = try Running(["script", "--quiet", "--return", "--command", command, "/dev/null"])
      for (text, key) in keys {
        try running.awaitOutput(text)
        running.send(key)
      }
      return running.end(within: 20, keepingInput: true)
    }

    @Test func `each way is asked for, and the file is written when all is said`() throws {
      let place = try Place()
      let asked = try session(
        place,
        [
          ("[1/3]", "g"), ("level 1", "v"), ("build id a0a0a0a0a0", "g"), ("level 3", "ga"), ("→ allowed, level 0", "u"),
          ("(Q)uit u", "a\r\r"), ("[(W)rite]", "w"),
        ])
      #expect(asked.status == 0, "\(asked)")
      #expect(asked.output.contains("OBJECTION edge") && asked.output.contains("[(I)gnore]"), "\(asked)")
      #expect(!asked.output.contains("\u{1b}[31m"), "a name that a container chose reached the terminal")
      #expect(asked.output.contains("2 allowed, 0 denied, 1 left as they are"), "\(asked)")
      let text = place.folder.text("it.yaml")
      #expect(text.contains("extends: [default]") && text.contains("# 5 calls in 1 run"), "\(text)")
      #expect(text.contains("chain: [libc:execve, it:launch, it:deeper, \"...\", it:deeper, it:main]"), "\(text)")
      // All but the one that was ignored.
      let check = try place.profile("check", "--covers", place.recording)
      #expect(check.status == 1 && check.output.contains("2 would allow, 1 would deny"), "\(check)")
      let test = try place.profile("test", "--replay", place.recording, "--json")
      #expect(test.output.split(separator: "\n").count == 3 && test.output.contains("\"verdict\":\"allow\""), "\(test)")
      // There is no more to ask but that one.
      let again = try place.profile("learn", "--recording", place.recording, "--dry-run")
      #expect(again.output.contains("1 new, 2 listed already") && again.output.contains("nothing to write"), "\(again)")
    }

    @Test func `who stops in the middle has changed nothing`() throws {
      for key in ["\u{03}", "q", "\u{04}"] {
        let place = try Place()
        let stopped = try session(place, [("[1/3]", "a"), ("[2/3]", key)])
        #expect(stopped.status == 130 && stopped.output.contains("nothing was written"), "\(stopped)")
        #expect(!place.folder.exists("it.yaml"))
      }
      let place = try Place()
      let refused = try session(place, [("[1/3]", "f"), ("nothing to write", "")])
      #expect(refused.status == 0 && !place.folder.exists("it.yaml"), "\(refused)")
    }

    @Test func `a denied way is written as such, and denied`() throws {
      let place = try Place()
      let asked = try session(place, [("[1/3]", "d"), ("[2/3]", "f"), ("[(W)rite]", "\r")])
      #expect(asked.status == 0, "\(asked)")
      #expect(place.folder.text("it.yaml").contains("deny: true"))
      let test = try place.profile("test", "--replay", place.recording)
      #expect(test.status == 1 && test.output.contains("the profile denies this way"), "\(test)")
    }

    @Test func `without a terminal it asks nothing, takes all that is proposed with --yes, and can be told to`() throws {
      let place = try Place()
      let refused = try place.profile("learn", "--recording", place.recording)
      #expect(refused.status != 0 && refused.errors.contains("--yes"), "\(refused)")
      let dry = try place.profile("learn", "--recording", place.recording, "--dry-run")
      #expect(dry.status == 0 && dry.output.contains("+    - {syscalls: [execve]") && !place.folder.exists("it.yaml"), "\(dry)")
      // A function without a name needs its file's in any case.
      let byName = try place.profile("learn", "--recording", place.recording, "--dry-run", "--no-build-ids")
      #expect(byName.output.contains("a0a0a0a0a0") && !byName.output.contains("c1c1c1c1c1"), "\(byName)")
      let taken = try place.profile("learn", "--recording", place.recording, "--yes")
      #expect(taken.status == 0 && taken.output.contains("left out: a way to execve, as edge objected"), "\(taken)")
      let first = place.folder.text("it.yaml")
      #expect(first.contains("functions: {\"+0x60\": ") && first.contains("buildId: a0a0a0a0a0"), "\(first)")
      _ = try place.profile("learn", "--recording", place.recording, "--yes")
      #expect(place.folder.text("it.yaml") == first)
      // Nothing new: the file is not even laid out anew.
      try place.folder.write(first + "    # my own\n", to: "it.yaml")
      _ = try place.profile("learn", "--recording", place.recording, "--yes", "--level", "3")
      #expect(place.folder.text("it.yaml") == first + "    # my own\n")
    }

    @Test func `recordings and profiles are merged`() throws {
      let place = try Place()
      #expect(try place.profile("learn", "--recording", place.recording, "--yes").status == 0)
      let merged = place.folder.file("merged.jsonl")
      let merge = try run([Callgate.ctl, "record", "merge", place.recording, place.recording, "--file", merged])
      #expect(merge.status == 0 && merge.output.contains("3 ways in 2 runs"), "\(merge)")
      #expect(try place.profile("check", "--covers", merged).output.contains("3 ways in 2 runs"))
      try place.folder.write(
        place.folder.text("it.yaml").replacingOccurrences(of: "it:launch", with: "it:other"), to: "second.yaml")
      let both = place.folder.file("both.yaml")
      let profiles = try run([Callgate.ctl, "profile", "merge", place.profile, place.folder.file("second.yaml"), "--file", both])
      #expect(profiles.status == 0 && profiles.output.contains("2 ways more"), "\(profiles)")
      let other = place.folder.text("second.yaml").replacingOccurrences(of: "[default]", with: "[default]\n  forbid: [dlsym]")
      try place.folder.write(other, to: "third.yaml")
      let refused = try run([Callgate.ctl, "profile", "merge", place.profile, place.folder.file("third.yaml"), "--file", both])
      #expect(refused.status != 0 && refused.errors.contains("only 'it' has dlsym"), "\(refused)")
    }

    @Test func `a program that was recorded does under its own profile what it did, and nothing else`() throws {
      try Callgate.required()
      let folder = try Folder()
      try folder.write(
        """
        #include <string.h>
        #include <unistd.h>
        extern char **environ;
        __attribute__((noinline)) int launch(char *word) {
          char *words[] = {"true", word, 0};
          if (vfork() == 0) { execve("/bin/true", words, environ); _exit(1); }
          return 1;
        }
        __attribute__((noinline)) int deeper(int depth) { return depth ? deeper(depth - 1) + 1 : launch("x") + 1; }
        __attribute__((noinline)) int other(char *word) { return launch(word) + 2; }
        int main(int count, char **words) {
          int sum = 0;
          for (int i = 1; i < count; i++)
            sum += !strcmp(words[i], "deep") ? deeper(count * 5) : !strcmp(words[i], "other") ? other(words[i]) : launch(words[i]);
          return sum < 0;
        }
        """, to: "program.c")
      let program = folder.file("program")
      let made = try run(["gcc", "-O1", "-fno-optimize-sibling-calls", "-w", "-o", program, folder.file("program.c")])
      guard made.status == 0 else { throw Unexpected("program.c does not compile: \(made)") }
      let name = "learn-\(UInt32.random(in: .min ... .max))"
      let profile = Callgate.programs + "/etc/callgate/profiles/\(name).yaml"
      defer {
        _ = try? run([Callgate.ctl, "record", "stop", name])
        _ = try? run([Callgate.ctl, "record", "remove", name])
        try? FileManager.default.removeItem(atPath: profile)
      }
      #expect(try run([Callgate.ctl, "run", "--record", name, "--", program, "a", "deep"]).status == 0)
      let learnt = try run([Callgate.ctl, "profile", "learn", name, "--yes"])
      #expect(learnt.status == 0 && FileManager.default.fileExists(atPath: profile), "\(learnt)")
      #expect(try run([Callgate.ctl, "profile", "check", name, "--covers", name]).status == 0)
      // Recursion of another depth is the same way.
      #expect(try run([Callgate.ctl, "run", "--profile", name, "--", program, "b", "deep", "deep"]).status == 0)
      let denied = try run([Callgate.ctl, "run", "--profile", name, "--", program, "other"])
      #expect(try Callgate.lastDenial().contains("CG4013 path"), "\(denied)")
      // What an event tells of is learnt, too.
      let line = try run([Callgate.ctl, "why", "--last", "1", "--json"]).output
      let event = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let more = try run([Callgate.ctl, "profile", "learn", name, "--yes", "--event", try #require(event["id"] as? String)])
      #expect(more.status == 0 && more.output.contains("other"), "\(more)")
      #expect(try run([Callgate.ctl, "run", "--profile", name, "--", program, "other"]).status == 0)
    }
  }
}
