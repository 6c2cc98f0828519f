import ArgumentParser
import Authoring
import JSON
import Profile
import Settings

extension ProfileCommand {
  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print a profile as it takes effect, and where each value comes from.",
      discussion: """
        With all that it extends, and the administrator's baseline (policy.baseline), where one is configured. What is printed is a \
        profile of its own; behind each value stand the profile and the line that it was written in.

        EXAMPLE
          callgatectl profile show default
        """)

    @Argument(help: "The profile: a file, or an installed one's name.") var profile: ProfileSource
    @Flag(help: "One JSON object.") var json = false

    func run() throws {
      let effective = try profile.effective(try Locations.own())
      if json {
        printJSON(effective.json)
      } else {
        print(effective.effectiveText, terminator: "")
      }
    }
  }
}
