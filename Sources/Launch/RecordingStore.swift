package import Diagnostics
internal import JSON
internal import Kernel
package import Plan
internal import Profile
package import Recording
internal import Wire

/// Where recordings are kept, and which of them a new container belongs to.
///
///     <recordings>/NAME/recording.json        what was asked for
///                       RUN.jsonl             one a run: `RecordingFile`
///                       stopped               there once it was stopped
package struct RecordingStore: Equatable, Sendable {
  package let directory: String

  package init(directory: String) { self.directory = directory }

  /// That of this process's user.
  package static func own() throws(Refusal) -> RecordingStore {
    RecordingStore(directory: try StatePaths.recordings(try StatePaths.Environment.own()))
  }

  /// What a recording takes.
  package struct Wanted: Equatable, Sendable {
    /// Every new container that fits the rest; else only those that ask for it by name.
    package var everything = false
    /// Only those whose profile has this name.
    package var profile: String?
    /// Only those whose id begins so.
    package var container: String?
    /// Nothing is denied meanwhile.
    package var isAudited = false

    package init() {}

    fileprivate func fits(_ id: String, _ profile: String) -> Bool {
      self.profile ?? profile == profile && container.map(id.hasPrefix) ?? true
    }
  }

  /// What is known of one without reading its runs.
  package struct Entry: Equatable, Sendable {
    package var name: String
    package var wanted: Wanted
    /// Milliseconds since 1970.
    package var began: Int64
    package var isActive: Bool
  }

  private static let stopFile = "stopped"
  private static let requestFile = "recording.json"
  private static let suffix = ".jsonl"
  private static let format = 1

  private func folder(_ name: String) throws(Refusal) -> String {
    // As a profile's: never a path.
    guard Profile.isName(name) else {
      throw Refusal(.badRecording, "'\(name)' is no recording's name: lower-case letters, digits and '-' only")
    }
    return "\(directory)/\(name)"
  }

  // MARK: - Looking

  /// Sorted by name.
  package func entries() throws(Refusal) -> [Entry] {
    let names: [String]
    do throws(SyscallError) { names = try list(directory) } catch {
      if error.isNotFound { return [] }
      throw Refusal(.badRecording, error.plain)
    }
    var entries: [Entry] = []
    for name in names.sorted() where Profile.isName(name) {
      if let entry = try entry(name) { entries.append(entry) }
    }
    return entries
  }

  /// nil where there is none.
  package func entry(_ name: String) throws(Refusal) -> Entry? {
    let folder = try folder(name)
    let bytes: [UInt8]
    do throws(SyscallError) { bytes = try readFile("\(folder)/\(RecordingStore.requestFile)", limit: 65536) } catch {
      if error.isNotFound { return nil }
      throw Refusal(.badRecording, error.plain)
    }
    let json: JSONValue
    do throws(JSONError) { json = try JSONValue(parsing: bytes) } catch { throw bad(folder) }
    guard json["format"]?.integer() == RecordingStore.format, let began: Int64 = json["began"]?.integer(),
      let everything = json["everything"]?.flag, let isAudited = json["audit"]?.flag
    else { throw bad(folder) }
    var wanted = Wanted()
    (wanted.everything, wanted.isAudited) = (everything, isAudited)
    (wanted.profile, wanted.container) = (json["profile"]?.text, json["container"]?.text)
    return Entry(name: name, wanted: wanted, began: began, isActive: !exists("\(folder)/\(RecordingStore.stopFile)"))
  }

  private func bad(_ folder: String) -> Refusal {
    Refusal(.badRecording, "'\(folder)/\(RecordingStore.requestFile)' is not of this version")
  }

  /// The files of its runs, oldest first.
  package func runs(_ name: String) throws(Refusal) -> [String] {
    let folder = try folder(name)
    guard exists("\(folder)/\(RecordingStore.requestFile)") else { throw missing(name) }
    do throws(SyscallError) {
      return try list(folder).filter { $0.hasSuffix(RecordingStore.suffix) }.sorted().map { "\(folder)/\($0)" }
    } catch { throw Refusal(.badRecording, error.plain) }
  }

  /// All its runs, merged.
  package func read(_ name: String) throws(Refusal) -> Recording { try RecordingStore.read(try runs(name)) }

  package static func read(_ files: [String]) throws(Refusal) -> Recording {
    var all = Recording()
    for file in files {
      let bytes: [UInt8]
      do throws(SyscallError) { bytes = try readFile(file, limit: RecordingFile.maxBytes) } catch {
        throw Refusal(.badRecording, error.plain)
      }
      do throws(RecordingError) { all.merge(try Recording(run: bytes)) } catch {
        switch error {
        case .notARecording: throw Refusal(.badRecording, "\(file): no recording of this version")
        case .badLine(let line): throw Refusal(.badRecording, "\(file):\(line): no line of a recording")
        }
      }
    }
    return all
  }

  private func missing(_ name: String) -> Refusal {
    Refusal(.noSuchRecording, "there is no recording '\(name)'", hint: "those that there are: callgatectl record list")
  }

  // MARK: - Changing

  /// Makes it, or has one that was stopped go on.
  package func start(_ name: String, _ wanted: Wanted) throws(Refusal) {
    let folder = try folder(name)
    if let entry = try entry(name), entry.isActive {
      throw Refusal(.badRecording, "the recording '\(name)' is going on", hint: "callgatectl record status \(name)")
    }
    var members = [
      JSONMember("format", .integer(RecordingStore.format)), JSONMember("began", .integer(wallMilliseconds())),
      JSONMember("everything", .bool(wanted.everything)), JSONMember("audit", .bool(wanted.isAudited)),
    ]
    if let profile = wanted.profile { members.append(JSONMember("profile", .string(profile))) }
    if let container = wanted.container { members.append(JSONMember("container", .string(container))) }
    do throws(SyscallError) {
      try makeDirectories(folder)
      try replaceFile("\(folder)/\(RecordingStore.requestFile)", with: JSONValue.object(members).serialised(indented: true))
      try removeIfThere("\(folder)/\(RecordingStore.stopFile)")
    } catch { throw Refusal(.badRecording, error.plain) }
  }

  /// Containers that are being recorded notice within a second of their next call.
  package func stop(_ name: String) throws(Refusal) {
    let folder = try folder(name)
    guard let entry = try entry(name), entry.isActive else { throw missing(name) }
    do throws(SyscallError) { try replaceFile("\(folder)/\(RecordingStore.stopFile)", with: []) } catch {
      throw Refusal(.badRecording, error.plain)
    }
  }

  /// One that goes on is refused: its containers would make it anew.
  package func remove(_ name: String) throws(Refusal) {
    let folder = try folder(name)
    guard let entry = try entry(name) else { throw missing(name) }
    guard !entry.isActive else {
      throw Refusal(.badRecording, "the recording '\(name)' is going on", hint: "first: callgatectl record stop \(name)")
    }
    do throws(SyscallError) {
      // What says that it is stopped goes last but for the folder.
      for file in try list(folder) where file != RecordingStore.stopFile { try Kernel.remove("\(folder)/\(file)") }
      try Kernel.remove("\(folder)/\(RecordingStore.stopFile)")
      try removeDirectory(folder)
    } catch { throw Refusal(.badRecording, error.plain) }
  }

  private func removeIfThere(_ file: String) throws(SyscallError) {
    do throws(SyscallError) { try Kernel.remove(file) } catch { if !error.isNotFound { throw error } }
  }

  // MARK: - A new container

  /// What `id` under `profile` is recorded for: what it asks for by name, else the first by name that takes all that are like it.
  fileprivate func recording(of id: String, profile: String, asked: String?) throws(Refusal) -> (plan: RecordingPlan, isAudited: Bool)? {
    guard let entry = try chosen(id, profile, asked) else { return nil }
    let folder = try folder(entry.name)
    let file = "\(folder)/\(wallMilliseconds())-\(StatePaths.readable(id))\(RecordingStore.suffix)"
    return (RecordingPlan(name: entry.name, file: file, stopFile: "\(folder)/\(RecordingStore.stopFile)"), entry.wanted.isAudited)
  }

  private func chosen(_ id: String, _ profile: String, _ asked: String?) throws(Refusal) -> Entry? {
    if let asked {
      guard let entry = try entry(asked), entry.isActive else { throw missing(asked) }
      guard entry.wanted.fits(id, profile) else {
        throw Refusal(
          .noSuchRecording, "the recording '\(asked)' does not take this container",
          hint: "which it takes: callgatectl record status \(asked)")
      }
      return entry
    }
    return try entries().first { $0.isActive && $0.wanted.everything && $0.wanted.fits(id, profile) }
  }
}

extension Plan {
  /// Has the container recorded, if it asks for that (`asked`, a recording's name) or a recording takes it unasked: ways that no chain lists can
  /// be gone then, and where the recording audits nothing is denied.
  package mutating func record(asked: String?, in store: RecordingStore) throws(Refusal) {
    guard let recorded = try store.recording(of: id, profile: profileName, asked: asked) else { return }
    recording = recorded.plan
    checks[Check.path.name] = .off
    if recorded.isAudited { mode = .audit }
  }
}
