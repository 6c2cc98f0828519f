import ArgumentParser
import Authoring
import Settings

struct CheckProfile: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Ask whether a profile allows all that was recorded.",
    discussion: """
      For a pipeline: ends with 0 where each way of the recordings is allowed, and each objection of a check is lifted; else with 1, and names \
      those that are not. What is only written down (audit) counts as not allowed. It runs nothing and needs no privileges. All of it, with \
      what is allowed by which line: callgatectl profile test NAME --replay REC.

        callgatectl profile check web --covers web.jsonl
      """)

  @Argument(help: "An installed profile's name, or a file.") var profile: ProfileSource
  @Option(parsing: .upToNextOption, help: "Recordings, or files or folders of some.") var covers: [String]

  func validate() throws {
    guard !covers.isEmpty else { throw ValidationError("--covers names at least one recording") }
  }

  func run() throws {
    let replay = Replay(try readRecordings(covers), under: try profile.effective(try Locations.own()))
    for result in replay.results where !result.verdict.isAllowed { print(ReplayText.result(result, of: replay)) }
    print(ReplayText.summary(replay))
    guard replay.isAllAllowed else { throw ExitCode(1) }
  }
}
