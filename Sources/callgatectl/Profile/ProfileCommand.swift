import ArgumentParser
import JSON

struct ProfileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile", abstract: "Read, write, learn, compare, try, sign, send and fetch profiles.",
    subcommands: [
      List.self, Groups.self, Show.self, ExplainProfile.self, Diff.self, Lint.self, Format.self, PrintSchema.self, Learn.self,
      MergeProfiles.self, CheckProfile.self, TestProfile.self, ProfileStatus.self, ProfileRebase.self, Keygen.self, Sign.self, Verify.self,
      Export.self, Import.self,
    ])
}

/// What `--json` prints where there may be many: one object a line.
func printJSONLine(_ value: JSONValue) { print(String(decoding: value.serialised(), as: UTF8.self)) }

/// What `--json` prints: one document, for programs and for people with jq.
func printJSON(_ value: JSONValue) { print(String(decoding: value.serialised(indented: true), as: UTF8.self)) }
