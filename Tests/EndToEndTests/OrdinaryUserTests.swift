import Foundation
import Glibc
import Testing

extension EndToEnd {
  /// `callgatectl run` needs no privileges: threads are copied by way of /proc, and all files are the user's.
  @Suite struct `An ordinary user` {
    static let programs: [[String]] = [
      ["bash", "-c", "echo $(echo one | tr a-z A-Z); for i in 1 2 3; do /bin/echo $i; done | sort -r; id -u; exit 5"],
      [
        "/usr/bin/python3", "-c",
        "import ctypes, subprocess; print(subprocess.check_output('echo a child; exit 0', shell=True), ctypes.CDLL(None).getpid() > 0)",
      ],
      [
        "bash", "-c",
        "echo 'int puts(const char *); int main(void) { puts(\"compiled\"); return 3; }' >p.c; gcc -O2 -o p p.c && ./p; echo $?",
      ],
    ]

    @Test(arguments: programs) func `sees no difference`(_ program: [String]) throws {
      let (user, installed) = (try OrdinaryUser(), try Installed())
      func outcome(_ command: [String]) throws -> Outcome {
        let work = try Folder()
        try work.give(to: OrdinaryUser.number)
        return try run(user.command(command), in: work)
      }
      let alone = try outcome(program)
      #expect(!alone.output.isEmpty && !alone.late, "alone: \(alone)")
      try user.required(installed)
      let supervised = try outcome(installed.run(program))
      #expect(supervised == alone)
      let why = try run(user.command([installed.ctl, "why"]))
      #expect(why.output.hasPrefix("no denial"), "\(why)")
    }

    @Test(arguments: ["execve", "mprotect"]) func `is protected, and told why`(_ name: String) throws {
      let (user, installed) = (try OrdinaryUser(), try Installed())
      // The victim is built where the user can run it, and the mark goes where the user can write.
      let (build, marks) = (try Folder(), try Folder())
      try marks.give(to: OrdinaryUser.number)
      let options = ["--build", build.path, "--mark", marks.file("mark")]
      let alone = try Attack(name, options: options, launcher: user.command([]))
      #expect(alone.outcome == "succeeded", "\(alone)")
      try user.required(installed)
      let roots = geteuid() == 0 ? try Callgate.lastDenial() : ""
      let attack = try Attack(name, options: options, launcher: user.command(installed.run()))
      #expect(attack.outcome == "stopped" && attack.mark == nil && attack.killed, "\(attack)")

      let why = try run(user.command([installed.ctl, "why", "--last", "1"]))
      #expect(why.status == 0 && why.output.contains("DENIED \(Attack.target(of: name))"), "\(why)")
      #expect(why.output.contains("because") && why.output.contains("#0"), "\(why)")
      #expect(user.home.exists(".local/state/callgate/events.jsonl"), "the record is not the user's own")
      if geteuid() == 0 { #expect(try Callgate.lastDenial() == roots, "it is in root's record, too") }
    }

    /// Nothing of a run is left in the user's runtime directory, and no process.
    @Test func `is left with nothing to clear away`() throws {
      let (user, installed) = (try OrdinaryUser(), try Installed())
      try user.required(installed)
      let outcome = try run(user.command(installed.run(["bash", "-c", "/bin/true; /bin/echo done"])))
      #expect(outcome.output == "done\n" && outcome.status == 0, "\(outcome)")
      #expect(eventually { Callgate.processes(of: "callgate-supervisor", under: installed.folder.path).isEmpty })
      let state = user.home.file("runtime/callgate")
      #expect(eventually { (try? FileManager.default.contentsOfDirectory(atPath: state)) == [] }, "\(state)")
    }
  }
}
