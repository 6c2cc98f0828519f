import ArgumentParser
import JSON
import Launch
import Plan
import Report

struct CountsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "counts",
    abstract: "Show what was inspected of containers that have ended, and what came of it.",
    discussion: """
      How many calls were trapped, how their stacks were unwound, and how many were allowed and denied. A container's counts are written \
      when its last process has ended. The newest comes last.
      """)

  @Argument(help: "Only those of this container or run: its id, or the beginning of it.") var container: String?
  @Option(help: "How many at most.") var last = 5
  @Flag(help: "One JSON object a line.") var json = false

  func validate() throws {
    guard last > 0 else { throw ValidationError("--last takes a number above 0") }
  }

  func run() throws {
    let path = try StatePaths.eventsFile(try StatePaths.Environment.own())
    let summaries = try readRecord(at: path).summaries.filter { summary in container.map { summary.container.hasPrefix($0) } ?? true }
    guard !summaries.isEmpty else {
      // For a program that reads JSON, none is no line.
      if !json { print("no container\(container.map { " '\($0)'" } ?? "") that has ended is counted in \(path)") }
      return
    }
    for (index, summary) in summaries.suffix(last).enumerated() {
      if json {
        print(String(decoding: summary.json.serialised(), as: UTF8.self))
      } else {
        print((index == 0 ? "" : "\n") + summary.rendered())
      }
    }
  }
}
