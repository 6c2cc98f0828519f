import ArgumentParser
import Authoring
import Diagnostics
import Glibc
import JSON
import Kernel
import Launch
import Plan
import Profile
import Recording
import Report
import Settings
import Wire
import YAML

struct Learn: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write the ways of a recording into a profile, asking for each.",
    discussion: """
      Asks of each way that the profile does not list yet, shows what would change in the file, and writes it only then. Comments and layout \
      of the file stay. A profile that does not exist is made; it extends the one that was recorded under. Without --file it lies in the first \
      of the directories that profiles are looked for in.

        callgatectl profile learn web --recording web
        callgatectl profile learn web --event 01JD8Y…      the way that an event of 'callgatectl why' tells of
        callgatectl profile learn web --recording web --yes --level 1

      Each file that a chain names is told by its build id, so that another build of it is known as such. A file that a profile knows by its \
      name alone stays so.
      """)

  @Argument(help: "The profile that is written.") var name: String
  @Option(help: "A recording, or a file or folder of one; may be given more than once. The one of the profile's name by default.")
  var recording: [String] = []
  @Option(help: "Take the way of this event instead; its id, or the beginning of it.") var event: String?
  @Option(help: "The profile's file.") var file: String?
  @Flag(help: "Ask nothing: everything as it is proposed. Ways to which a check objects that nothing lifts are left out.") var yes = false
  @Option(help: "0 to 3: how much of each chain is left open; see docs/profiles/learning.md. Otherwise as little as the limits allow.")
  var level: Int?
  @Flag(help: "Show what would be written, and write nothing.") var dryRun = false
  @Flag(help: "Say what was done as one JSON object; with --yes or --dry-run.") var json = false
  @Flag(inversion: .prefixedNo, help: "Tell each file by its build id.") var buildIds = true

  func validate() throws {
    guard Profile.isName(name) else { throw ValidationError("'\(name)' is no profile name: lower-case letters, digits and '-' only") }
    if let level, Level(rawValue: level) == nil { throw ValidationError("--level is 0, 1, 2 or 3") }
    guard !json || yes || dryRun else { throw ValidationError("--json goes with --yes or --dry-run") }
    guard event == nil || recording.isEmpty else { throw ValidationError("--event and --recording: only one of both") }
  }

  func run() throws {
    let locations = try Locations.own()
    let (source, title, target) = try input(locations)
    let learner = Learner(source, for: target.before.profile, level: level.flatMap(Level.init(rawValue:)), pinning: buildIds)
    let isAsking = !yes && !dryRun
    if isAsking, !isTerminal {
      throw Refusal(.badArguments, "there is no terminal to ask on", hint: "--yes takes all as it is proposed, --dry-run shows it")
    }
    var session = LearnSession(learner)
    if json {
      session.answerAll()
      let text = try target.changed(by: session)
      let isWritten = text != target.text && !dryRun
      if isWritten { try target.write(text) }
      return printJSON(object(session, target, isWritten: isWritten))
    }
    print(LearnText.opening(learner, target, title))
    guard !learner.questions.isEmpty else {
      print("\nnothing new to learn")
      return
    }
    if isAsking {
      guard LearnScreen(target).ask(&session) else {
        print("\nnothing was written")
        throw ExitCode(130)
      }
      return
    }
    session.answerAll()
    print("")
    print(LearnText.answers(session))
    let text = try target.changed(by: session)
    print(textDiff(from: target.isNew ? "" : target.text, to: text).joined(separator: "\n"))
    guard text != target.text else {
      print("nothing to write")
      return
    }
    if dryRun { return }
    try target.write(text)
    print("\nwritten: \(target.file)")
  }

  private func object(_ session: LearnSession, _ target: LearnTarget, isWritten: Bool) -> JSONValue {
    let (allowed, denied, ignored, _) = session.tally
    return .object([
      JSONMember("profile", .string(name)), JSONMember("file", .string(target.file)), JSONMember("written", .bool(isWritten)),
      JSONMember("allowed", .integer(allowed)), JSONMember("denied", .integer(denied)), JSONMember("ignored", .integer(ignored)),
    ])
  }

  private func input(_ locations: Locations) throws -> (Recording, title: String, LearnTarget) {
    guard let event else {
      let names = recording.isEmpty ? [name] : recording
      let recording = try readRecordings(names)
      let target = try LearnTarget(name, file: file, recording, locations)
      return (recording, names.map { "'\($0)'" }.joined(separator: ", "), target)
    }
    let path = try StatePaths.eventsFile(try StatePaths.Environment.own())
    let found = try readRecord(at: path).events.filter { $0.id.hasPrefix(event) }
    guard let first = found.first else {
      throw Refusal(.noSuchRecording, "there is no event '\(event)' in \(path)", hint: "their ids: callgatectl why --json")
    }
    guard found.count == 1 else { throw Refusal(.badArguments, "\(found.count) events have an id that begins with '\(event)'") }
    func refuse() -> Refusal {
      Refusal(.badRecording, "the event '\(first.id)' tells of no way that a profile could list: callgatectl why shows its stack")
    }
    guard let alone = Recording(first) else { throw refuse() }
    let target = try LearnTarget(name, file: file, alone, locations)
    guard let recording = Recording(first, among: target.before.profile.modules) else { throw refuse() }
    return (recording, "the event \(first.id)", target)
  }

  private var isTerminal: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 }
}

/// The file that is written, and what it says now.
struct LearnTarget {
  let file: String
  /// It does not exist yet.
  let isNew: Bool
  /// Where a profile of this name lies that will no longer be found.
  let hidden: String?
  /// Of the file as it is; of one that is made, its beginning.
  let text: String
  let before: ResolvedProfile
  private let name: String
  private let locations: Locations

  init(_ name: String, file: String?, _ recording: Recording, _ locations: Locations) throws(Refusal) {
    self.name = name
    self.locations = locations
    let found = try file == nil ? locations.verifiedProfile(name) : nil
    self.file = file ?? "\(locations.profiles[0])/\(name).yaml"
    hidden = found.flatMap { [path = self.file] found in found.file == path ? nil : found.file }
    if let found {
      text = String(decoding: found.bytes, as: UTF8.self)
      isNew = false
    } else if exists(self.file) {
      do throws(SyscallError) { text = String(decoding: try readFile(self.file, limit: FoundProfile.maxBytes), as: UTF8.self) } catch {
        throw Refusal(.badProfile, error.plain)
      }
      isNew = false
    } else {
      isNew = true
      text = newProfile(name, extending: try LearnTarget.parent(of: recording))
    }
    before = try LearnTarget.parse(text, name, self.file, locations)
  }

  private static func parse(_ text: String, _ name: String, _ file: String, _ locations: Locations) throws(Refusal) -> ResolvedProfile {
    let profile = try locations.resolve(Array(text.utf8), file: file)
    guard profile.profile.name == name else {
      throw Refusal(.badProfile, "\(file): metadata.name is '\(profile.profile.name)', not '\(name)'")
    }
    return profile
  }

  /// What most of its runs were recorded under.
  private static func parent(of recording: Recording) throws(Refusal) -> String {
    let runs = Dictionary(grouping: recording.runs, by: \.profile).mapValues(\.count)
    guard let most = runs.max(by: { ($0.value, $1.key) < ($1.value, $0.key) })?.key else {
      throw Refusal(.badRecording, "the recording has no runs yet", hint: "callgatectl record status NAME says what it holds")
    }
    return most
  }

  /// The file with what was answered. What does not read back, or does not allow what was allowed, is not written.
  func changed(by session: LearnSession) throws(Refusal) -> String {
    let changes = session.changes
    guard !changes.isEmpty else { return text }
    var document: YAMLDocument
    do throws(YAMLError) { document = try YAMLDocument(parsing: Array(text.utf8)) } catch {
      throw Refusal(.badProfile, "\(file):\(error)")
    }
    do throws(YAMLDocument.EditError) { try changes.apply(to: &document) } catch {
      throw Refusal(.badProfile, "\(file) cannot be changed: \(error)")
    }
    let changed = document.sparingText
    let after = try LearnTarget.parse(changed, name, file, locations)
    for place in session.allowed {
      let path = session.learner.recording.paths[place]
      let paths = Paths(to: path.syscall, by: after.profile.paths, in: after.profile.modules)
      guard paths.judge(path, of: session.learner.recording) == .allowed else {
        throw Refusal(
          .internalError, "\(file) would not allow a way to \(path.syscall) that was to be allowed; nothing was written",
          hint: "two of its files may have one name: record it instead")
      }
    }
    return changed
  }

  func write(_ text: String) throws(Refusal) {
    let folder = file.lastIndex(of: "/").map { String(file[..<$0]) } ?? "."
    do throws(SyscallError) {
      if folder != ".", !folder.isEmpty { try makeDirectories(folder) }
      try replaceFile(file, with: Array(text.utf8))
    } catch { throw Refusal(.badProfile, error.plain) }
  }
}
