import ArgumentParser
import Authoring
import Diagnostics
import JSON
import Kernel
import Profile
import Settings

extension ProfileCommand {
  struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say what another profile, or another version of one, does otherwise.",
      discussion: """
        In words, by consequence: what is looser, what is stricter, and the rest. Both are compared with all that they extend.

        Exit status: 0 if both mean the same; 1 if not; 2 if one cannot be read.

        EXAMPLE
          callgatectl profile diff default profiles/web.yaml --markdown
        """)

    @Argument(help: "The old one: a file, or an installed one's name.") var old: ProfileSource
    @Argument(help: "The new one.") var new: ProfileSource
    @Flag(help: "As Markdown, for a review.") var markdown = false
    @Flag(help: "One JSON object.") var json = false

    func validate() throws {
      if markdown, json { throw ValidationError("--markdown and --json exclude one another") }
    }

    func run() throws {
      let changes: [Change]
      do {
        let locations = try Locations.own()
        changes = differences(from: try old.resolve(locations).profile, to: try new.resolve(locations).profile)
      } catch {
        complain("callgatectl: \(error)")
        throw ExitCode(2)
      }
      if json {
        printJSON(Authoring.json(changes, from: old.word, to: new.word))
      } else {
        print(rendered(changes, from: old.word, to: new.word, markdown: markdown))
      }
      if !changes.isEmpty { throw ExitCode(1) }
    }
  }
}
