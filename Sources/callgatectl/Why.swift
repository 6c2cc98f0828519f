import ArgumentParser
import JSON
import Launch
import Plan
import Report

struct Why: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Explain the latest denials, frame by frame.",
    discussion: "Containers and commands run by 'callgatectl run' write to the same record. The newest comes last.")

  @Argument(help: "Only those of this container or run: its id, or the beginning of it.") var container: String?
  @Option(help: "How many at most.") var last = 5
  @Flag(help: "One JSON object a line.") var json = false

  func validate() throws {
    guard last > 0 else { throw ValidationError("--last takes a number above 0") }
  }

  func run() throws {
    let path = try StatePaths.eventsFile(try StatePaths.Environment.own())
    let events = try readRecord(at: path).events.filter { event in container.map { event.container.hasPrefix($0) } ?? true }
    guard !events.isEmpty else {
      let whose = container.map { " of '\($0)'" } ?? ""
      print("no denial\(whose) is recorded in \(path)")
      return
    }
    let shown = events.suffix(last)
    if json {
      for event in shown { print(String(decoding: event.json.serialised(), as: UTF8.self)) }
    } else {
      print(shown.map { $0.rendered() }.joined(separator: "\n\n"))
    }
  }
}
