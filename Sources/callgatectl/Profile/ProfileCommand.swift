import ArgumentParser
import JSON

struct ProfileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile", abstract: "Look at the installed profiles, sign them, and send and fetch them.",
    subcommands: [List.self, Groups.self, Keygen.self, Sign.self, Verify.self, Export.self, Import.self])
}

/// What `--json` prints: one document, for programs and for people with jq.
func printJSON(_ value: JSONValue) { print(String(decoding: value.serialised(indented: true), as: UTF8.self)) }
