import ArgumentParser

@main
struct CallgateControl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "callgatectl",
    abstract: "Run commands under callgate, and ask what it denied and why.",
    subcommands: [Run.self, Why.self, CountsCommand.self, ProfileCommand.self, Explain.self])
}
