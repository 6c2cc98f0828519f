import ArgumentParser
import Diagnostics
import Kernel
import Settings

extension ProfileCommand {
  struct PrintSchema: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "schema", abstract: "Print the JSON Schema of profiles.",
      discussion: """
        Of the draft 2020-12, for editors and for checks where callgatectl is not: it refuses most of what is no profile; what only \
        'callgatectl profile lint' can know (what is trapped by a group, which profiles are installed) it lets pass.

        EXAMPLE
          callgatectl profile schema >callprofile.schema.json
        """)

    func run() throws {
      let folders = try Locations.own().profiles
      for folder in folders {
        do throws(SyscallError) {
          print(String(decoding: try readFile("\(folder)/callprofile.schema.json", limit: 1 << 20), as: UTF8.self), terminator: "")
          return
        } catch {
          guard error.isNotFound else { throw Refusal(.badConfiguration, error.plain) }
        }
      }
      throw Refusal(
        .badConfiguration, "the schema is not installed: callprofile.schema.json is in none of \(folders.joined(separator: ", "))")
    }
  }
}
