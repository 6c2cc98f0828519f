import Foundation
import Glibc
import Testing

extension EndToEnd {
  /// What a profile says of actions, times, parents and baselines, as a program and its user meet it.
  @Suite struct `Profiles` {
    /// Executes echo along two ways, `serve` and `debug`; with a folder, it first has children, a daemon among them, that wait.
    private static let source = """
      #include <errno.h>
      #include <stdio.h>
      #include <string.h>
      #include <unistd.h>
      extern char **environ;
      __attribute__((noinline)) static int launch(char *program, char *word) {
        char *words[] = {program, word, 0};
        execve(program, words, environ);
        printf("%s\\n", strerrorname_np(errno));
        fflush(stdout);
        return 1;
      }
      __attribute__((noinline)) static int serve(char *program, char *word) { int failed = launch(program, word); return failed + 1; }
      __attribute__((noinline)) static int debug(void) { int failed = launch("/bin/echo", "debugged"); return failed + 2; }
      static char *in(char *folder, char *name) {
        static char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        return path;
      }
      static void note(char *folder, char *name) {
        FILE *file = fopen(in(folder, "new"), "w");
        fprintf(file, "%d", getpid());
        fclose(file);
        char from[512];
        strcpy(from, in(folder, "new"));
        rename(from, in(folder, name));
      }
      static void await(char *folder, char *name) { while (access(in(folder, name), F_OK)) usleep(1000); }
      int main(int count, char **words) {
        char *folder = count > 2 ? words[2] : 0;
        if (folder) {
          if (!fork()) { note(folder, "child"); for (;;) pause(); }
          await(folder, "child");
          if (!fork()) { setsid(); if (!fork()) { note(folder, "daemon"); for (;;) pause(); } _exit(0); }
          await(folder, "daemon");
          if (!fork()) { note(folder, "waiter"); await(folder, "go"); serve("/bin/mkdir", in(folder, "made")); }
          await(folder, "waiter");
        }
        int failed = count > 1 && !strcmp(words[1], "debug") ? debug() : serve("/bin/echo", "served");
        return failed + 3;
      }
      """

    private func program(_ folder: Folder, _ options: [String] = []) throws -> String {
      try folder.write("#define _GNU_SOURCE\n" + Self.source, to: "ways.c")
      let made = try run(["gcc", "-O1", "-fno-optimize-sibling-calls"] + options + ["-o", folder.file("ways"), folder.file("ways.c")])
      guard made.status == 0 else { throw Unexpected("ways.c does not compile: \(made)") }
      return folder.file("ways")
    }

    private static let debugging = #"chain: ["libc:execve", "...", "ways:debug", "..."], deny: true"#

    /// A spec that denies `debug`, and what else it says.
    private static func spec(trap: String = "[execve]", path: String = "", _ more: String = "") -> String {
      "{trap: \(trap), paths: [{syscalls: [execve], \(debugging)\(path)}]\(more)}"
    }

    private func expectServed(_ installed: Installed, _ ways: String, _ profile: String) throws {
      let served = try run(installed.run([ways], profile: profile), within: 40)
      #expect(served.status == 0 && served.output == "served\n", "\(served)")
    }

    @Test func `a way that is denied is denied, in its own words, and every other one is open`() throws {
      try Callgate.required()
      let folder = try Folder()
      let ways = try program(folder)
      let installed = try Installed(profiles: ["denying": Self.spec()])
      try expectServed(installed, ways, "denying")
      let debugged = try run(installed.run([ways, "debug"], profile: "denying"), within: 40)
      #expect(debugged.killed && debugged.output.isEmpty && debugged.errors.contains("CG4013"), "\(debugged)")
      #expect(debugged.errors.contains("along a way that the profile denies: libc:execve, ..., ways:debug, ..."), "\(debugged)")
    }

    @Test(arguments: [
      (spec(trap: "[{syscall: execve, onViolation: {action: errno, errno: EXDEV}}]"), "EXDEV\n", "onViolation of the trap"),
      (
        spec(
          trap: #"[{group: "@exec", onViolation: {action: kill-container}}]"#,
          ", checks: {path: {setting: enforce, onViolation: {action: errno, errno: ENOTTY}}}"), "ENOTTY\n", "onViolation of the check"
      ),
      (
        spec(
          path: ", onViolation: {action: errno, errno: ENOTDIR}",
          ", checks: {path: {setting: enforce, onViolation: {action: errno, errno: ENOTTY}}}, onViolation: {action: kill-container}"),
        "ENOTDIR\n", "onViolation of the path"
      ),
      (spec(", onViolation: {action: errno, errno: EHOSTDOWN}"), "EHOSTDOWN\n", "profile  p: path = enforce"),
      (spec(", onViolation: {action: audit}"), "debugged\n", "action = audit"),
      (spec(", complainUntil: 2999-01-01"), "debugged\n", "path = enforce, complainUntil = 2999-01-01T00:00:00Z"),
    ])
    func `the nearest action is the one that is taken, and the record says whose it was`(spec: String, output: String, rule: String) throws
    {
      try Callgate.required()
      let folder = try Folder()
      let ways = try program(folder)
      let installed = try Installed(profiles: ["p": spec])
      let debugged = try run(installed.run([ways, "debug"], profile: "p"), within: 40)
      #expect(debugged.output == output, "\(debugged)")
      let record = try recent(installed)
      #expect(record.contains(rule), "\(record)")
    }

    @Test func `a profile complains until its day, and not after`() throws {
      try Callgate.required()
      let folder = try Folder()
      let ways = try program(folder)
      let installed = try Installed(profiles: ["past": Self.spec(", complainUntil: 2026-01-01T00:00:00+01:00")])
      let debugged = try run(installed.run([ways, "debug"], profile: "past"), within: 40)
      #expect(debugged.killed && debugged.output.isEmpty, "\(debugged)")
    }

    /// Others write to the same record at the same time. Without versions and digests.
    private func recent(_ installed: Installed) throws -> String {
      try run([installed.ctl, "why", "--last", "40"]).output.replacing(#/ 1\.0\.0 \(sha256:[0-9a-f]+…?\)/#, with: "")
    }

    /// A process that has ended is there until somebody has waited for it, which the machine's first process may never do.
    private func isAlive(_ process: pid_t) -> Bool {
      guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else { return false }
      return !stat.contains(") Z ")
    }

    @Test(arguments: [true, false])
    func `kill-container ends every process of the command, orphans too, and no call of theirs goes on`(_ withBPF: Bool) throws {
      try Callgate.required()
      let folder = try Folder()
      let ways = try program(folder)
      let installed = try Installed(withBPF: withBPF, profiles: ["last": Self.spec(", onViolation: {action: kill-container}")])
      let debugged = try run(installed.run([ways, "debug", folder.path], profile: "last"), within: 40)
      #expect(debugged.killed && debugged.output.isEmpty, "\(debugged)")
      #expect(debugged.errors.contains("killed all processes of the command"), "\(debugged)")
      for name in ["child", "daemon", "waiter"] {
        let process = try #require(pid_t(folder.text(name)), "\(name) never ran")
        #expect(eventually(within: 3) { !isAlive(process) }, "\(name) is alive")
      }
      try folder.write("", to: "go")
      usleep(300_000)
      #expect(!folder.exists("made"))
      let record = try recent(installed)
      #expect(record.contains("→ container killed"), "\(record)")
    }

    @Test(arguments: Engine.allCases) func `kill-container ends a whole container`(_ engine: Engine) throws {
      try engine.required()
      try Callgate.required()
      let folder = try Folder()
      let ways = try program(folder, ["-static"])
      let profile = "ends-\(Engine.freshName())"
      let file = "\(engine.settings)/profiles/\(profile).yaml"
      let spec = Self.spec(", onViolation: {action: kill-container}").replacingOccurrences(of: "libc:execve", with: "ways:*")
      let head = "apiVersion: callgate.dev/v1alpha1\nkind: CallProfile\nmetadata: {name: \(profile), version: 1.0.0}\n"
      try (head + "spec: \(spec)\n").write(toFile: file, atomically: true, encoding: .utf8)
      defer { try? FileManager.default.removeItem(atPath: file) }
      let marks = ["dev.callgate.profile=\(profile)"]
      let script = "/shared/ways; setsid sleep 1000 & /shared/ways debug; echo survived; sleep 1000"
      let name = Engine.freshName()
      defer { engine.remove(name) }
      let outcome = try run(
        engine.run(["sh", "-c", script], as: name, .untrusted, annotations: marks, sharing: folder.path), within: 60)
      #expect(!outcome.late && outcome.killed && outcome.output == "served\n", "\(outcome) \(ways)")
      let record = try recent(try Installed())
      #expect(record.contains("\(profile): path = enforce") && record.contains("→ container killed"), "\(record)")
    }

    @Test func `a kill of the process leaves the others alone`() throws {
      try Callgate.required()
      let folder = try Folder()
      let ways = try program(folder)
      let installed = try Installed(profiles: ["one": Self.spec()])
      let debugged = try run(installed.run([ways, "debug", folder.path], profile: "one"), within: 40)
      #expect(debugged.killed, "\(debugged)")
      let processes = try ["child", "daemon", "waiter"].map { try #require(pid_t(folder.text($0)), "\($0) never ran") }
      defer { for process in processes { kill(process, SIGKILL) } }
      try folder.write("", to: "go")
      #expect(eventually(within: 10) { folder.exists("made") })
      #expect(isAlive(processes[0]) && isAlive(processes[1]))
    }

    @Test func `a child has what its parents say, and its own word before theirs`() throws {
      try Callgate.required()
      let folder = try Folder()
      let ways = try program(folder)
      let installed = try Installed(profiles: [
        "base": Self.spec(", checks: {path: enforce}, permit: [dlsym], onViolation: {action: errno, errno: ENOTTY}"),
        "same": "{extends: [base]}", "other": "{extends: [base], onViolation: {action: errno, errno: ENOTDIR}, forbid: [dlsym]}",
        "milder": "{extends: [other], checks: {path: off}}", "lost": "{extends: [bass]}",
      ])
      for (profile, output) in [("same", "ENOTTY\n"), ("other", "ENOTDIR\n"), ("milder", "debugged\n")] {
        let debugged = try run(installed.run([ways, "debug"], profile: profile), within: 40)
        #expect(debugged.output == output, "\(profile): \(debugged)")
        if profile == "milder" { continue }
        let record = try recent(installed)
        #expect(record.contains("\(profile): path = enforce (base)"), "\(record)")
      }
      let lost = try run(installed.run([ways], profile: "lost"), within: 40)
      #expect(lost.status != 0 && lost.output.isEmpty && lost.errors.contains("lost.yaml:4:18: profile 'bass' is not installed"), "\(lost)")
    }

    @Test func `no profile is looser than the administrator's baseline`() throws {
      try Callgate.required()
      let folder = try Folder()
      let ways = try program(folder)
      let installed = try Installed(profiles: [
        "floor": "{trap: [setuid], onViolation: {action: kill-process}}",
        "soft": Self.spec(", checks: {path: audit}, onViolation: {action: errno}, complainUntil: 2999-01-01"),
        "program": Self.spec(),
      ])
      let config = "etc/callgate/config.toml"
      #expect(try run(installed.run([ways, "debug"], profile: "soft"), within: 40).output == "debugged\n")
      try installed.folder.write("[policy]\nbaseline = \"floor\"\n", to: config)
      try expectServed(installed, ways, "soft")
      let debugged = try run(installed.run([ways, "debug"], profile: "soft"), within: 40)
      #expect(debugged.killed && debugged.output.isEmpty, "\(debugged)")
      let record = try recent(installed)
      #expect(record.contains("soft: path = enforce (floor)"), "\(record)")

      for (baseline, message) in [
        ("absent", "cannot read the baseline 'absent' (policy.baseline): profile 'absent' is not installed"),
        ("program", "program.yaml:4:32: profile 'program' lists paths"),
      ] {
        try installed.folder.write("[policy]\nbaseline = \"\(baseline)\"\n", to: config)
        let refused = try run(installed.run([ways], profile: "soft"), within: 40)
        #expect(refused.status != 0 && refused.output.isEmpty && refused.errors.contains(message), "\(refused)")
      }
    }
  }
}
