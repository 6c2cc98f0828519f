import ArgumentParser
import JSON
import Launch
import Plan
import Report

struct Why: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Explain the latest denials, frame by frame.",
    discussion: "Containers and commands run by 'callgatectl run' write to the same record. The newest comes last.")

  @OptionGroup var wanted: RecordOptions

  func run() throws {
    let path = try StatePaths.eventsFile(try StatePaths.Environment.own())
    let events = try readRecord(at: path).events.filter { wanted.includes($0.container) }
    guard !events.isEmpty else {
      let whose = wanted.container.map { " of '\($0)'" } ?? ""
      print("no denial\(whose) is recorded in \(path)")
      return
    }
    let shown = events.suffix(wanted.last)
    if wanted.json {
      for event in shown { print(String(decoding: event.json.serialised(), as: UTF8.self)) }
    } else {
      print(shown.map { $0.rendered() }.joined(separator: "\n\n"))
    }
  }
}
