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

  @OptionGroup var wanted: RecordOptions

  func run() throws {
    let path = try StatePaths.eventsFile(try StatePaths.Environment.own())
    let summaries = try readRecord(at: path).summaries.filter { wanted.includes($0.container) }
    guard !summaries.isEmpty else {
      // For a program that reads JSON, none is no line.
      if !wanted.json { print("no container\(wanted.container.map { " '\($0)'" } ?? "") that has ended is counted in \(path)") }
      return
    }
    for (index, summary) in summaries.suffix(wanted.last).enumerated() {
      if wanted.json {
        print(String(decoding: summary.json.serialised(), as: UTF8.self))
      } else {
        print((index == 0 ? "" : "\n") + summary.rendered())
      }
    }
  }
}
