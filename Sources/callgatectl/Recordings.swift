import ArgumentParser
import Authoring
import Diagnostics
import JSON
import Kernel
import Launch
import Recording
import Report

struct RecordCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "record", abstract: "Record along which ways containers make their system calls.",
    discussion: """
      A recording goes on until it is stopped, and takes containers that are started meanwhile: those that ask for it by the annotation \
      dev.callgate.record=NAME, commands run by 'callgatectl run --record NAME', and with --all every new untrusted container. It is written \
      as it happens, so that nothing is lost with a container that is removed. All checks but 'path' are enforced as usual.

        callgatectl record start web --audit
        podman run --rm --annotation dev.callgate.untrusted=true --annotation dev.callgate.record=web IMAGE
        callgatectl record status web
        callgatectl record stop web
        callgatectl profile learn web --recording web
      """,
    subcommands: [Start.self, Stop.self, Status.self, List.self, MergeRecordings.self, Remove.self])

  struct Start: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Start a recording, or have one that was stopped go on.",
      discussion: "Example: callgatectl record start web --all --profile default")

    @Argument(help: "What to call it: lower-case letters, digits and '-'.") var name: String
    @Flag(help: "Take every new untrusted container, not only those that ask for it.") var all = false
    @Option(help: "Only those under this profile.") var profile: String?
    @Option(help: "Only those whose id begins so.") var container: String?
    @Flag(help: "Deny nothing meanwhile; what would have been denied is recorded, too.") var audit = false
    @Flag(help: "One JSON object.") var json = false

    func run() throws {
      let store = try RecordingStore.own()
      var wanted = RecordingStore.Wanted()
      (wanted.everything, wanted.profile, wanted.container, wanted.isAudited) = (all, profile, container, audit)
      try store.start(name, wanted)
      if json { return try printStatus(of: name, store) }
      print("recording '\(name)': \(sentence(wanted))")
      print("it is kept in \(store.directory)/\(name); how far it is: callgatectl record status \(name)")
    }
  }

  struct Stop: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Stop a recording.",
      discussion: "Containers that run go on, and are no longer recorded. Example: callgatectl record stop web")

    @Argument(help: "Its name.") var name: String
    @Flag(help: "One JSON object.") var json = false

    func run() throws {
      let store = try RecordingStore.own()
      try store.stop(name)
      if json { return try printStatus(of: name, store) }
      let recording = try store.read(name)
      print("stopped '\(name)': \(counted(recording.paths.count, "way")) in \(counted(recording.runs.count, "run"))")
      if !recording.paths.isEmpty { print("make a profile of it: callgatectl profile learn \(name) --recording \(name)") }
    }
  }

  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say what a recording holds, and whether anything new still comes.",
      discussion: "Example: callgatectl record status web --json")

    @Argument(help: "Its name.") var name: String
    @Flag(help: "One JSON object.") var json = false

    func run() throws {
      let store = try RecordingStore.own()
      if json { return try printStatus(of: name, store) }
      print(try status(of: name, store).text)
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the recordings.", discussion: "Example: callgatectl record list")

    @Flag(help: "One JSON object a line.") var json = false

    func run() throws {
      let store = try RecordingStore.own()
      let entries = try store.entries()
      for entry in entries {
        let recording = try store.read(entry.name)
        if json {
          printJSONLine(RecordingStatus(entry, recording, now: wallMilliseconds()).json)
        } else {
          let state = entry.isActive ? "going on" : "stopped"
          print("\(entry.name)  \(state)  \(counted(recording.runs.count, "run"))  \(counted(recording.paths.count, "way"))")
        }
      }
      if entries.isEmpty, !json { print("there is no recording in \(store.directory)") }
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete a recording that was stopped.", discussion: "Example: callgatectl record remove web")

    @Argument(help: "Its name.") var name: String
    @Flag(help: "One JSON object.") var json = false

    func run() throws {
      try RecordingStore.own().remove(name)
      if json { return printJSON(.object([JSONMember("removed", .string(name))])) }
      print("removed '\(name)'")
    }
  }
}

private func status(of name: String, _ store: RecordingStore) throws(Refusal) -> RecordingStatus {
  guard let entry = try store.entry(name) else {
    throw Refusal(.noSuchRecording, "there is no recording '\(name)'", hint: "those that there are: callgatectl record list")
  }
  return RecordingStatus(entry, try store.read(name), now: wallMilliseconds())
}

private func printStatus(of name: String, _ store: RecordingStore) throws(Refusal) {
  printJSONLine(try status(of: name, store).json)
}

private func sentence(_ wanted: RecordingStore.Wanted) -> String {
  var text = "takes those that ask for it (dev.callgate.record, callgatectl run --record)"
  if wanted.everything { text = "takes every new untrusted container" }
  if let profile = wanted.profile { text += ", under the profile '\(profile)'" }
  if let container = wanted.container { text += ", with an id that begins with '\(container)'" }
  return text + (wanted.isAudited ? "; nothing is denied meanwhile" : "; all checks but 'path' are as usual")
}

/// What `record status` tells.
private struct RecordingStatus {
  let entry: RecordingStore.Entry
  let recording: Recording
  let saturation: Saturation
  let now: Int64

  init(_ entry: RecordingStore.Entry, _ recording: Recording, now: Int64) {
    self.entry = entry
    self.recording = recording
    self.now = now
    saturation = Saturation(of: recording)
  }

  private var running: Int { recording.runs.count { $0.ended == nil } }
  private var unwalked: UInt64 { recording.runs.reduce(0) { $0 + $1.unwalked.values.reduce(0, +) } }
  private var left: UInt64 { recording.runs.reduce(0) { $0 + $1.left } }

  var text: String {
    var lines = ["recording '\(entry.name)', \(entry.isActive ? "going on" : "stopped"): \(sentence(entry.wanted))"]
    lines.append("  runs     \(recording.runs.count)" + (running == 0 ? "" : ", \(running) of them not ended"))
    lines.append("  calls    \(recording.calls)")
    var ways: [String: (ways: Int, calls: UInt64)] = [:]
    for path in recording.paths {
      ways[path.syscall, default: (0, 0)].ways += 1
      ways[path.syscall, default: (0, 0)].calls += path.calls
    }
    lines.append("  ways     \(recording.paths.count)")
    for (syscall, numbers) in ways.sorted(by: { ($1.value.ways, $0.key) < ($0.value.ways, $1.key) }) {
      lines.append("    \(syscall): \(numbers.ways), \(counted(numbers.calls, "call"))")
    }
    let objected = recording.paths.count { !$0.objections.isEmpty }
    if objected > 0 { lines.append("  objected to: \(counted(objected, "way")), by checks that the profile recorded under has") }
    if unwalked > 0 {
      lines.append("  not walked to their end: \(counted(unwalked, "call"))")
      for (reason, calls) in allUnwalked.sorted(by: { $0.value > $1.value }) { lines.append("    \(calls)  \(escaped(reason))") }
    }
    if left > 0 { lines.append("  left out: \(counted(left, "call")), as a run has more than \(RecordingFile.maxPaths) ways") }
    lines.append("  " + saturationText)
    return lines.joined(separator: "\n")
  }

  private var allUnwalked: [String: UInt64] {
    var all: [String: UInt64] = [:]
    for run in recording.runs { all.merge(run.unwalked, uniquingKeysWith: +) }
    return all
  }

  private var saturationText: String {
    guard let last = saturation.lastNew else { return "nothing was recorded yet" }
    let without = saturation.runsWithoutNew == 0 ? "" : ", nor in the last \(counted(saturation.runsWithoutNew, "run"))"
    return "no new way for \(duration(now - last)) and \(counted(saturation.callsSinceNew, "call"))\(without)"
  }

  private func duration(_ milliseconds: Int64) -> String {
    let seconds = max(0, milliseconds / 1000)
    switch seconds {
    case ..<120: return "\(seconds) s"
    case ..<7200: return "\(seconds / 60) min"
    case ..<172_800: return "\(seconds / 3600) h"
    default: return "\(seconds / 86400) days"
    }
  }

  var json: JSONValue {
    var syscalls: [String: Int] = [:]
    for path in recording.paths { syscalls[path.syscall, default: 0] += 1 }
    return .object([
      JSONMember("name", .string(entry.name)), JSONMember("active", .bool(entry.isActive)),
      JSONMember("runs", .integer(recording.runs.count)),
      JSONMember("running", .integer(running)), JSONMember("calls", .integer(recording.calls)),
      JSONMember("ways", .integer(recording.paths.count)),
      JSONMember("syscalls", .object(syscalls.sorted { $0.key < $1.key }.map { JSONMember($0.key, .integer($0.value)) })),
      JSONMember("objected", .integer(recording.paths.count { !$0.objections.isEmpty })), JSONMember("unwalked", .integer(unwalked)),
      JSONMember("left", .integer(left)), JSONMember("lastNew", saturation.lastNew.map(JSONValue.integer) ?? .null),
      JSONMember("callsSinceNew", .integer(saturation.callsSinceNew)), JSONMember("endedRuns", .integer(saturation.endedRuns)),
      JSONMember("runsWithoutNew", .integer(saturation.runsWithoutNew)),
    ])
  }
}
