import ArgumentParser

@main
struct CallgateControl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "callgatectl",
    abstract: "Run commands under callgate, look at stacks, and ask what it denied and why.",
    subcommands: [Run.self, Why.self, Stack.self, CountsCommand.self, RecordCommand.self, ProfileCommand.self, Explain.self])
}
