import ArgumentParser
import Diagnostics
import Profile
import Settings

struct ProfileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile", abstract: "Read, write, compare and try profiles.",
    subcommands: [
      List.self, Groups.self, Show.self, ExplainProfile.self, Diff.self, Lint.self, Format.self, PrintSchema.self, ProfileStatus.self,
      ProfileRebase.self, Learn.self, MergeProfiles.self, CheckProfile.self, TestProfile.self,
    ])

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the installed profiles.")

    func run() throws {
      let locations = try Locations.own()
      for name in try locations.installedProfiles() {
        let profile = try locations.readProfile(name).profile
        print("\(name)  \(profile.version)  \(profile.description)")
      }
    }
  }

  struct Groups: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the groups of system calls that a profile can trap.")

    func run() throws {
      for group in Group.all {
        print("\(group.name)\n\(wrapped(group.sentence, width: 78, indent: 2))")
        for trap in group.traps { print("    \(trap.syscall)\(condition(trap))") }
        for name in group.absent { print("    \(name)  answered with ENOSYS") }
      }
    }

    /// Whole words, at most `width` columns a line.
    private func wrapped(_ text: String, width: Int, indent: Int) -> String {
      var lines = [""]
      for word in text.split(separator: " ") {
        if !lines[lines.count - 1].isEmpty, indent + lines[lines.count - 1].count + 1 + word.count > width { lines.append("") }
        lines[lines.count - 1] += (lines[lines.count - 1].isEmpty ? "" : " ") + word
      }
      return lines.map { String(repeating: " ", count: indent) + $0 }.joined(separator: "\n")
    }

    private func condition(_ trap: Trap) -> String {
      guard let condition = trap.condition else { return "" }
      let how = condition.relation == .allSet ? "all of" : "any of"
      return "  where argument \(condition.argument) has \(how) 0x\(String(condition.mask, radix: 16))"
    }
  }
}
