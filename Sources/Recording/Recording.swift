package import Wire

/// The ways along which the containers of some runs made system calls, and how often.
///
/// Modules and functions are told once each, and the ways by their places in those lists. Pure data: `RecordingFile` reads and writes it.
package struct Recording: Equatable, Sendable {
  package var runs: [RecordedRun] = []
  package var modules: [Module] = []
  package var functions: [RecordedFunction] = []
  package var paths: [RecordedPath] = []

  package init() {}

  package var calls: UInt64 { runs.reduce(0) { $0 + $1.calls } }
}

/// One container, or one `callgatectl run`.
package struct RecordedRun: Equatable, Sendable {
  /// Of the container or run.
  package var id: String
  package var profile: String
  package var profileVersion: String
  /// Milliseconds since 1970.
  package var began: Int64
  /// nil while it goes on, or where its supervisor did not end by itself.
  package var ended: Int64?
  /// All trapped calls.
  package var calls: UInt64 = 0
  /// Of those, how many were made after the last way that was new to this run.
  package var callsSinceNew: UInt64 = 0
  /// Calls whose way is not known, as their stack could not be walked to its end. By the reason.
  package var unwalked: [String: UInt64] = [:]
  /// Ways that were not recorded because there were too many of them (`RecordingFile.maxPaths`).
  package var left: UInt64 = 0

  package init(id: String, profile: String, profileVersion: String, began: Int64) {
    self.id = id
    self.profile = profile
    self.profileVersion = profileVersion
    self.began = began
  }
}

package struct RecordedFunction: Hashable, Sendable {
  /// Index into the recording's modules; nil for code that a runtime has made.
  package var module: Int?
  package var start: UInt64?
  /// The one that people know it by first; empty where the file names none.
  package var names: [String]
  package var fingerprint: UInt64?
  package var isStart: Bool

  package init(module: Int?, start: UInt64? = nil, names: [String] = [], fingerprint: UInt64? = nil, isStart: Bool = false) {
    self.module = module
    self.start = start
    self.names = names
    self.fingerprint = fingerprint
    self.isStart = isStart
  }
}

/// A check's objection to a recorded way: what a profile without a permission, or a declared runtime, would deny.
package struct RecordedObjection: Hashable, Sendable {
  /// As profiles name it, or "unknown".
  package var check: String
  package var because: String
  /// What a profile can say against it, where there is something.
  package var remedy: Remedy?

  package init(check: String, because: String, remedy: Remedy? = nil) {
    self.check = check
    self.because = because
    self.remedy = remedy
  }
}

package struct RecordedPath: Equatable, Sendable {
  package struct Step: Hashable, Sendable {
    /// Index into the recording's functions.
    package var function: Int
    /// It called itself: as many frames of it as there may be.
    package var repeats: Bool

    package init(_ function: Int, repeats: Bool = false) {
      self.function = function
      self.repeats = repeats
    }
  }

  package var syscall: String
  /// Innermost first.
  package var steps: [Step]
  /// The place in `steps` where some are left out, of a way that is too deep to be told.
  package var gap: Int?
  package var objections: Set<RecordedObjection>
  package var calls: UInt64
  /// Indices into the recording's runs.
  package var runs: Set<Int>
  /// Milliseconds since 1970: when it was seen first, in whatever run.
  package var first: Int64

  package init(
    syscall: String, steps: [Step], gap: Int? = nil, objections: Set<RecordedObjection> = [], calls: UInt64 = 0, runs: Set<Int> = [],
    first: Int64
  ) {
    self.syscall = syscall
    self.steps = steps
    self.gap = gap
    self.objections = objections
    self.calls = calls
    self.runs = runs
    self.first = first
  }

  /// What makes two of them the same.
  package struct Identity: Hashable, Sendable {
    package var syscall: String
    package var steps: [Step]
    package var gap: Int?

    package init(syscall: String, steps: [Step], gap: Int?) {
      self.syscall = syscall
      self.steps = steps
      self.gap = gap
    }
  }

  package var identity: Identity { Identity(syscall: syscall, steps: steps, gap: gap) }
}

extension Recording {
  /// Adds what `other` recorded. Modules are the same where path and build id are; functions where all that is known of them is.
  package mutating func merge(_ other: Recording) {
    let runOffset = runs.count
    runs += other.runs
    let moduleAt = other.modules.map { place(of: $0, in: &modules) }
    var knownFunctions = Dictionary(uniqueKeysWithValues: functions.enumerated().map { ($1, $0) })
    var functionAt: [Int] = []
    for function in other.functions {
      var function = function
      function.module = function.module.map { moduleAt[$0] }
      if let known = knownFunctions[function] {
        functionAt.append(known)
      } else {
        functions.append(function)
        knownFunctions[function] = functions.count - 1
        functionAt.append(functions.count - 1)
      }
    }
    var knownPaths = Dictionary(uniqueKeysWithValues: paths.enumerated().map { ($1.identity, $0) })
    for path in other.paths {
      var path = path
      path.steps = path.steps.map { RecordedPath.Step(functionAt[$0.function], repeats: $0.repeats) }
      path.runs = Set(path.runs.map { $0 + runOffset })
      if let known = knownPaths[path.identity] {
        paths[known].calls += path.calls
        paths[known].runs.formUnion(path.runs)
        paths[known].objections.formUnion(path.objections)
        paths[known].first = min(paths[known].first, path.first)
      } else {
        paths.append(path)
        knownPaths[path.identity] = paths.count - 1
      }
    }
  }

  private func place(of module: Module, in modules: inout [Module]) -> Int {
    if let known = modules.firstIndex(of: module) { return known }
    modules.append(module)
    return modules.count - 1
  }
}

/// How likely it is that more of the same would bring new ways.
package struct Saturation: Equatable, Sendable {
  /// Runs that have ended.
  package var endedRuns: Int
  /// Of those, the latest ones, one after the other, in which no way was new.
  package var runsWithoutNew: Int
  /// When the last new way was seen, in milliseconds since 1970; nil where there is none at all.
  package var lastNew: Int64?
  /// Calls after it, in all runs that began later, and in its own.
  package var callsSinceNew: UInt64

  package init(of recording: Recording) {
    lastNew = recording.paths.map(\.first).max()
    let order = recording.runs.indices.sorted { recording.runs[$0].began < recording.runs[$1].began }
    /// The run in which each way was seen first.
    let bearers = Set(
      recording.paths.compactMap { path in path.runs.min { (recording.runs[$0].began, $0) < (recording.runs[$1].began, $1) } })
    endedRuns = recording.runs.count { $0.ended != nil }
    runsWithoutNew = order.reversed().prefix { !bearers.contains($0) }.count { recording.runs[$0].ended != nil }
    callsSinceNew = 0
    for run in order.reversed() {
      if bearers.contains(run) {
        callsSinceNew += recording.runs[run].callsSinceNew
        break
      }
      callsSinceNew += recording.runs[run].calls
    }
  }
}
