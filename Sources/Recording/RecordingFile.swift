package import JSON
package import Wire

/// The file of one run: JSON, one object a line, each whole when it is written, so that what a crash leaves is short of its end and no
/// more. Names are those of the container's files: theirs to choose, and never trusted.
///
///     {"format":1,"run":"…","profile":"default","version":"1.0.0","began":1764400000000}
///     {"module":0,"path":"/usr/sbin/nginx","buildId":"3c1e…"}
///     {"function":0,"module":0,"start":"0x1a2c0","names":["ngx_execute_proc"]}
///     {"path":0,"syscall":"execve","steps":[3,2,0,1],"calls":17,"at":1764400000123}
///     {"counts":[40,3],"calls":43,"unwalked":{},"left":0,"at":…}
///     {"ended":1764400009000}
///
/// Members that say nothing are left out: `gap`, `repeats` (places in `steps`), `objections`, `fingerprint`, `isStart`.
///
/// Several runs that were merged are one file, too: its first line tells of all of them, and each way of its calls and of the runs that took it.
///
///     {"format":1,"runs":[{"run":"…","profile":"default","version":"1.0.0","began":…,"ended":…,"calls":43,"callsSinceNew":2,"unwalked":{},"left":0}, …]}
package enum RecordingFile {
  package static let format = 1
  /// Of one run. What records stays small, whatever a container does.
  package static let maxPaths = 16384
  package static let maxObjections = 8
  /// A file is read to here.
  package static let maxBytes = 256 << 20

  package enum Line: Equatable, Sendable {
    case run(RecordedRun)
    case module(Int, Module)
    case function(Int, RecordedFunction)
    /// Of merged ones.
    case runs([RecordedRun])
    /// In a run's own file `runs` of the path is empty, and `calls` how many the run had made before it.
    case path(Int, RecordedPath)
    case counts(Counts)
    case ended(Int64)
  }

  package struct Counts: Equatable, Sendable {
    /// By the ways' numbers.
    package var paths: [UInt64]
    package var calls: UInt64
    package var unwalked: [String: UInt64]
    package var left: UInt64
    package var at: Int64

    package init(paths: [UInt64] = [], calls: UInt64 = 0, unwalked: [String: UInt64] = [:], left: UInt64 = 0, at: Int64) {
      self.paths = paths
      self.calls = calls
      self.unwalked = unwalked
      self.left = left
      self.at = at
    }
  }
}

extension RecordingFile.Line {
  package var json: JSONValue {
    switch self {
    case .run(let run):
      .object([
        JSONMember("format", .integer(RecordingFile.format)), JSONMember("run", .string(run.id)),
        JSONMember("profile", .string(run.profile)),
        JSONMember("version", .string(run.profileVersion)), JSONMember("began", .integer(run.began)),
      ])
    case .runs(let runs):
      .object([JSONMember("format", .integer(RecordingFile.format)), JSONMember("runs", .array(runs.map(\.json)))])
    case .module(let number, let module):
      .object([
        JSONMember("module", .integer(number)), JSONMember("path", .string(module.path)), JSONMember("buildId", .string(module.buildID)),
      ])
    case .function(let number, let function): function.json(number)
    case .path(let number, let path): path.json(number)
    case .counts(let counts):
      .object([
        JSONMember("counts", .array(counts.paths.map(JSONValue.integer))), JSONMember("calls", .integer(counts.calls)),
        JSONMember("unwalked", .object(counts.unwalked.sorted { $0.key < $1.key }.map { JSONMember($0.key, .integer($0.value)) })),
        JSONMember("left", .integer(counts.left)), JSONMember("at", .integer(counts.at)),
      ])
    case .ended(let time): .object([JSONMember("ended", .integer(time))])
    }
  }

  /// nil where it is no such line.
  package init?(json: JSONValue) {
    if let format: Int = json["format"]?.integer() {
      guard format == RecordingFile.format else { return nil }
      if let elements = json["runs"]?.elements {
        var runs: [RecordedRun] = []
        for element in elements {
          guard let run = RecordedRun(json: element) else { return nil }
          runs.append(run)
        }
        self = .runs(runs)
        return
      }
      guard let id = json["run"]?.text, let profile = json["profile"]?.text,
        let version = json["version"]?.text, let began: Int64 = json["began"]?.integer()
      else { return nil }
      self = .run(RecordedRun(id: id, profile: profile, profileVersion: version, began: began))
    } else if let number: Int = json["function"]?.integer() {
      guard let function = RecordedFunction(json: json) else { return nil }
      self = .function(number, function)
    } else if let number: Int = json["module"]?.integer() {
      guard let path = json["path"]?.text, let buildID = json["buildId"]?.text else { return nil }
      self = .module(number, Module(path: path, buildID: buildID))
    } else if let number: Int = json["path"]?.integer() {
      guard let path = RecordedPath(json: json) else { return nil }
      self = .path(number, path)
    } else if let counted = json["counts"]?.elements {
      let paths: [UInt64] = counted.compactMap { $0.integer() }
      guard paths.count == counted.count, let calls: UInt64 = json["calls"]?.integer(), let left: UInt64 = json["left"]?.integer(),
        let at: Int64 = json["at"]?.integer(), let unwalked = json["unwalked"]?.members
      else { return nil }
      var reasons: [String: UInt64] = [:]
      for member in unwalked { reasons[member.key] = member.value.integer() ?? 0 }
      self = .counts(RecordingFile.Counts(paths: paths, calls: calls, unwalked: reasons, left: left, at: at))
    } else if let time: Int64 = json["ended"]?.integer() {
      self = .ended(time)
    } else {
      return nil
    }
  }
}

extension RecordedRun {
  fileprivate var json: JSONValue {
    var members = [
      JSONMember("run", .string(id)), JSONMember("profile", .string(profile)), JSONMember("version", .string(profileVersion)),
      JSONMember("began", .integer(began)),
    ]
    if let ended { members.append(JSONMember("ended", .integer(ended))) }
    members += [
      JSONMember("calls", .integer(calls)), JSONMember("callsSinceNew", .integer(callsSinceNew)),
      JSONMember("unwalked", .object(unwalked.sorted { $0.key < $1.key }.map { JSONMember($0.key, .integer($0.value)) })),
      JSONMember("left", .integer(left)),
    ]
    return .object(members)
  }

  fileprivate init?(json: JSONValue) {
    guard let id = json["run"]?.text, let profile = json["profile"]?.text, let version = json["version"]?.text,
      let began: Int64 = json["began"]?.integer(), let calls: UInt64 = json["calls"]?.integer(),
      let callsSinceNew: UInt64 = json["callsSinceNew"]?.integer(), let unwalked = json["unwalked"]?.members,
      let left: UInt64 = json["left"]?.integer()
    else { return nil }
    self.init(id: id, profile: profile, profileVersion: version, began: began)
    if let end = json["ended"] {
      guard let time: Int64 = end.integer() else { return nil }
      ended = time
    }
    (self.calls, self.callsSinceNew, self.left) = (calls, callsSinceNew, left)
    for member in unwalked {
      guard let calls: UInt64 = member.value.integer() else { return nil }
      self.unwalked[member.key] = calls
    }
  }
}

extension RecordedFunction {
  fileprivate func json(_ number: Int) -> JSONValue {
    var members = [JSONMember("function", .integer(number))]
    if let module { members.append(JSONMember("module", .integer(module))) }
    if let start { members.append(JSONMember("start", .string("0x\(String(start, radix: 16))"))) }
    if !names.isEmpty { members.append(JSONMember("names", .array(names.map(JSONValue.string)))) }
    if let fingerprint { members.append(JSONMember("fingerprint", .string(String(fingerprint, radix: 16)))) }
    if isStart { members.append(JSONMember("isStart", .bool(true))) }
    return .object(members)
  }

  fileprivate init?(json: JSONValue) {
    var function = RecordedFunction(module: nil)
    if let module = json["module"] {
      guard let number: Int = module.integer() else { return nil }
      function.module = number
    }
    if let start = json["start"] {
      guard let text = start.text, text.hasPrefix("0x"), let number = UInt64(text.dropFirst(2), radix: 16) else { return nil }
      function.start = number
    }
    for name in json["names"]?.elements ?? [] {
      guard let text = name.text else { return nil }
      function.names.append(text)
    }
    if let fingerprint = json["fingerprint"] {
      guard let number = fingerprint.text.flatMap({ UInt64($0, radix: 16) }) else { return nil }
      function.fingerprint = number
    }
    function.isStart = json["isStart"]?.flag ?? false
    self = function
  }
}

extension RecordedPath {
  fileprivate func json(_ number: Int) -> JSONValue {
    var members = [
      JSONMember("path", .integer(number)), JSONMember("syscall", .string(syscall)),
      JSONMember("steps", .array(steps.map { .integer($0.function) })),
    ]
    let repeated = steps.indices.filter { steps[$0].repeats }
    if !repeated.isEmpty { members.append(JSONMember("repeats", .array(repeated.map(JSONValue.integer)))) }
    if let gap { members.append(JSONMember("gap", .integer(gap))) }
    if !objections.isEmpty {
      let sorted = objections.sorted { ($0.check, $0.because) < ($1.check, $1.because) }
      members.append(JSONMember("objections", .array(sorted.map(\.json))))
    }
    members.append(JSONMember("calls", .integer(calls)))
    if !runs.isEmpty { members.append(JSONMember("runs", .array(runs.sorted().map(JSONValue.integer)))) }
    members.append(JSONMember("at", .integer(first)))
    return .object(members)
  }

  fileprivate init?(json: JSONValue) {
    guard let syscall = json["syscall"]?.text, let numbers = json["steps"]?.elements, let calls: UInt64 = json["calls"]?.integer(),
      let first: Int64 = json["at"]?.integer()
    else { return nil }
    var steps: [Step] = []
    for number in numbers {
      guard let function: Int = number.integer() else { return nil }
      steps.append(Step(function))
    }
    for place in json["repeats"]?.elements ?? [] {
      guard let place: Int = place.integer(), steps.indices.contains(place) else { return nil }
      steps[place].repeats = true
    }
    var gap: Int?
    if let place = json["gap"] {
      guard let number: Int = place.integer(), (0...steps.count).contains(number) else { return nil }
      gap = number
    }
    var objections: Set<RecordedObjection> = []
    for objection in json["objections"]?.elements ?? [] {
      guard let objection = RecordedObjection(json: objection) else { return nil }
      objections.insert(objection)
    }
    var runs: Set<Int> = []
    for element in json["runs"]?.elements ?? [] {
      guard let run: Int = element.integer() else { return nil }
      runs.insert(run)
    }
    self.init(syscall: syscall, steps: steps, gap: gap, objections: objections, calls: calls, runs: runs, first: first)
  }
}

extension RecordedObjection {
  fileprivate var json: JSONValue {
    var members = [JSONMember("check", .string(check)), JSONMember("because", .string(because))]
    if let remedy { members.append(JSONMember("remedy", .string(remedy.text))) }
    return .object(members)
  }

  fileprivate init?(json: JSONValue) {
    guard let check = json["check"]?.text, let because = json["because"]?.text else { return nil }
    var remedy: Remedy?
    if let member = json["remedy"] {
      guard let known = member.text.flatMap(Remedy.init(text:)) else { return nil }
      remedy = known
    }
    self.init(check: check, because: because, remedy: remedy)
  }
}

/// Why a run's file is not read.
package enum RecordingError: Error, Equatable, Sendable {
  /// The first line is not that of a run of this version.
  case notARecording
  /// Counted from 1. A last line that was torn is no error.
  case badLine(Int)
}

extension Recording {
  /// The file that this one is, as that of merged runs.
  package var lines: [RecordingFile.Line] {
    [.runs(runs)] + modules.enumerated().map { .module($0, $1) } + functions.enumerated().map { .function($0, $1) }
      + paths.enumerated().map { .path($0, $1) }
  }

  /// Reads the file of one run, or of several that were merged. A last line that is not whole is left out: its writer was stopped there.
  package init(run bytes: [UInt8]) throws(RecordingError) {
    self.init()
    var callsAtNew: UInt64?
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, text) in lines.enumerated() where !text.isEmpty {
      let isLast = index == lines.count - 1
      let value: JSONValue
      do throws(JSONError) { value = try JSONValue(parsing: Array(text)) } catch {
        if isLast { break }
        throw .badLine(index + 1)
      }
      guard let line = RecordingFile.Line(json: value) else { throw runs.isEmpty ? .notARecording : .badLine(index + 1) }
      guard add(line, &callsAtNew) else { throw runs.isEmpty ? .notARecording : .badLine(index + 1) }
    }
    guard !runs.isEmpty else { throw .notARecording }
    // The file of one run tells of its ways as they come; nil where it has none, or others have counted.
    if let callsAtNew { runs[0].callsSinceNew = runs[0].calls - min(runs[0].calls, callsAtNew) }
  }

  /// False where the line does not follow from those before it.
  private mutating func add(_ line: RecordingFile.Line, _ callsAtNew: inout UInt64?) -> Bool {
    switch line {
    case .run(let run):
      guard runs.isEmpty else { return false }
      runs = [run]
      callsAtNew = 0
      return true
    case .runs(let all):
      guard runs.isEmpty, !all.isEmpty else { return false }
      runs = all
      return true
    case .module, .function, .path, .counts, .ended: guard !runs.isEmpty else { return false }
    }
    let isMerged = callsAtNew == nil
    switch line {
    case .run, .runs: return false
    case .module(let number, let module):
      guard number == modules.count else { return false }
      modules.append(module)
    case .function(let number, let function):
      guard number == functions.count, function.module.map(modules.indices.contains) ?? true else { return false }
      functions.append(function)
    case .path(let number, var path):
      guard number == paths.count, path.steps.allSatisfy({ functions.indices.contains($0.function) }) else { return false }
      if isMerged {
        guard !path.runs.isEmpty, path.runs.allSatisfy(runs.indices.contains) else { return false }
      } else {
        guard path.runs.isEmpty else { return false }
        callsAtNew = path.calls
        runs[0].calls = max(runs[0].calls, path.calls)
        // It was new because a call was made along it.
        path.calls = 1
        path.runs = [0]
      }
      paths.append(path)
    case .counts(let counts):
      guard !isMerged, counts.paths.count <= paths.count else { return false }
      for (index, calls) in counts.paths.enumerated() { paths[index].calls = calls }
      runs[0].calls = counts.calls
      runs[0].unwalked = counts.unwalked
      runs[0].left = counts.left
    case .ended(let time):
      guard !isMerged else { return false }
      runs[0].ended = time
    }
    return true
  }
}
