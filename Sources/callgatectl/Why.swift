import ArgumentParser
import Diagnostics
import JSON
import Kernel
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
    let (recorded, unreadable) = try recordedEvents(at: path)
    if unreadable > 0 { complain("callgatectl: \(unreadable) lines of \(path) are torn, or not of this version, and left out") }
    let events = recorded.filter { event in container.map { event.container.hasPrefix($0) } ?? true }
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

/// The record's events, oldest first: the file before the last rotation, then the present one; and how many lines were none. No file yet
/// is no event.
private func recordedEvents(at path: String) throws -> (events: [Event], unreadable: Int) {
  var events: [Event] = []
  var unreadable = 0
  for file in [path + ".1", path] {
    let bytes: [UInt8]
    do throws(SyscallError) {
      bytes = try readFile(file, limit: 128 << 20)
    } catch {
      if error.isNotFound { continue }
      throw Refusal(.stateDirectory, error.description, hint: "the record of root's containers is root's to read")
    }
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      if let event = event(of: Array(line)) { events.append(event) } else { unreadable += 1 }
    }
  }
  return (events, unreadable)
}

/// nil for a line that a full disk has torn, or that another version wrote.
private func event(of line: [UInt8]) -> Event? {
  do throws(JSONError) { return Event(json: try JSONValue(parsing: line)) } catch { return nil }
}
