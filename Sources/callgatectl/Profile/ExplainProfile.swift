import ArgumentParser
import Authoring
import JSON
import Profile
import Settings

extension ProfileCommand {
  struct ExplainProfile: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "explain", abstract: "Say in sentences what a profile does.",
      discussion: """
        What is looked at and why, what is refused, how hard each check works, what is permitted and what an attacker has of it, what \
        happens at a violation, and by which ways calls may be reached. A configured baseline has its say.

        EXAMPLE
          callgatectl profile explain default --origins
        """)

    @Argument(help: "The profile: a file, or an installed one's name.") var profile: ProfileSource
    @Flag(help: "Where each thing was written, too.") var origins = false
    @Flag(help: "One JSON object.") var json = false

    func run() throws {
      let explanation = Explanation(of: try profile.effective(try Locations.own()))
      if json {
        printJSON(explanation.json)
      } else {
        print(explanation.rendered(origins: origins))
      }
    }
  }
}
