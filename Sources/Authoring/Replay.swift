internal import Diagnostics
package import JSON
package import Profile
package import Recording
package import Wire

/// What a profile would make of a recording, without running anything.
package struct Replay: Sendable {
  package enum Verdict: String, CaseIterable, Sendable {
    case allow, audit, deny
    /// A check objected when it was recorded, and this profile permits what may lift that: only another run can tell.
    case uncertain
    /// The call is not trapped, so nothing asks which way it came.
    case untrapped
    /// The call is refused in the kernel, whatever the way.
    case never

    package var isAllowed: Bool { self == .allow || self == .untrapped }
  }

  package struct Result: Equatable, Sendable {
    /// In the recording's paths; nil for calls whose stack could not be walked to its end.
    package var path: Int?
    package var syscall: String?
    package var calls: UInt64
    package var runs: Int
    package var verdict: Verdict
    /// What happens where it is denied.
    package var action: Action?
    /// What decides, as an event says it: `path = enforce`.
    package var rule: String
    /// Where that is written; nil for the format's own default.
    package var origin: Origin?
    package var because: String
    /// What lifts an objection that the recording has, in words.
    package var notes: [String]
    /// The place in `steps` of the step that no chain allows.
    package var step: Int?
  }

  package let recording: Recording
  package let profile: ResolvedProfile
  package private(set) var results: [Result] = []

  package init(_ recording: Recording, under profile: ResolvedProfile) {
    self.recording = recording
    self.profile = profile
    var sets: [String: (Paths, [PathFrame])] = [:]
    for (place, path) in recording.paths.enumerated() {
      if sets[path.syscall] == nil {
        let paths = Paths(to: path.syscall, by: profile.profile.paths, in: profile.profile.modules)
        sets[path.syscall] = (paths, paths.frames(of: recording))
      }
      if let (paths, functions) = sets[path.syscall] { results.append(result(place, path, paths, functions)) }
    }
    var unwalked: [String: (calls: UInt64, runs: Int)] = [:]
    for run in recording.runs {
      for (sentence, calls) in run.unwalked {
        let known = unwalked[sentence] ?? (0, 0)
        unwalked[sentence] = (known.calls &+ calls, known.runs + 1)
      }
    }
    for (sentence, count) in unwalked.sorted(by: { $0.key < $1.key }) { results.append(result(sentence, count.calls, count.runs)) }
  }

  package var isAllAllowed: Bool { results.allSatisfy(\.verdict.isAllowed) }

  package func count(_ verdict: Verdict) -> Int { results.count { $0.verdict == verdict } }

  // MARK: one way

  private struct Objection {
    var rule: String
    var origin: Origin?
    var because: String
    var verdict: Verdict
    var action: Action?
    var step: Int?
  }

  private func result(_ place: Int, _ path: RecordedPath, _ paths: Paths, _ functions: [PathFrame]) -> Result {
    var result = Result(
      path: place, syscall: path.syscall, calls: path.calls, runs: path.runs.count, verdict: .allow, rule: "", because: "", notes: [])
    if profile.profile.never.contains(path.syscall) {
      (result.verdict, result.rule, result.origin) = (.never, "never", profile.origin(of: .never(path.syscall)))
      result.because = "the profile never allows \(path.syscall): it is refused in the kernel, whatever the way"
      return result
    }
    if profile.profile.absent.contains(path.syscall) {
      (result.verdict, result.rule, result.origin) = (.never, "absent", profile.origin(of: .absent(path.syscall)))
      result.because = "under this profile \(path.syscall) does not exist: it is answered with ENOSYS in the kernel, whatever the way"
      return result
    }
    guard let trap = profile.profile.traps.first(where: { $0.syscall == path.syscall }) else {
      result.verdict = .untrapped
      result.because = "the profile does not trap \(path.syscall): it is let on without a look"
      return result
    }
    if trap.condition != nil {
      result.notes.append("trapped under a condition on its arguments, which a recording does not tell; elsewhere it is let on")
    }
    var objections: [Objection] = []
    let judgement = paths.judge(path, functions: functions)
    if let objection = self.objection(judgement, path, paths, functions) { objections.append(objection) }
    for recorded in path.objections.sorted(by: { ($0.check, $0.because) < ($1.check, $1.because) }) {
      // What the recording's profile listed is no matter of this one's.
      guard recorded.check != Check.path.name else { continue }
      if let objection = objection(recorded, to: path.syscall, &result.notes) { objections.append(objection) }
    }
    return decided(result, objections, allowedBy: judgement == .allowed ? listing(path, paths, functions) : nil)
  }

  private func decided(_ result: Result, _ objections: [Objection], allowedBy listed: (String, Origin?)?) -> Result {
    func rank(_ objection: Objection) -> Int {
      switch objection.verdict {
      case .deny, .never: 3
      case .uncertain: 2
      case .audit: 1
      case .allow, .untrapped: 0
      }
    }
    var result = result
    guard
      let worst = objections.reduce(
        nil,
        { (worst: Objection?, next) in
          guard let worst else { return next }
          if let a = worst.action, let b = next.action, worst.verdict == .deny, next.verdict == .deny {
            return b.isStricter(than: a) ? next : worst
          }
          return rank(next) > rank(worst) ? next : worst
        })
    else {
      if let listed { (result.rule, result.origin) = listed }
      result.because = listed == nil ? "no check objects, and the profile lists no ways to this call" : "the profile lists this way"
      return result
    }
    (result.verdict, result.action, result.rule) = (worst.verdict, worst.action, worst.rule)
    (result.origin, result.because, result.step) = (worst.origin, worst.because, worst.step)
    return result
  }

  /// Which of the profile's paths allow it; nil where it lists none to this call.
  private func listing(_ path: RecordedPath, _ paths: Paths, _ functions: [PathFrame]) -> (String, Origin?)? {
    guard !paths.chains.isEmpty else { return nil }
    for (place, rule) in profile.profile.paths.enumerated() where !rule.isDenied && rule.syscalls.contains(path.syscall) {
      let one = Paths(modules: paths.modules, chains: [rule.chain])
      if one.judge(path, functions: functions) == .allowed { return ("path", profile.origin(of: .path(place))) }
    }
    return ("path, by several chains together", nil)
  }

  private func objection(
    _ judgement: PathJudgement, _ path: RecordedPath, _ paths: Paths, _ functions: [PathFrame]
  ) -> Objection? {
    let because: String
    var origin = profile.origin(of: .check(Check.path.name))
    var step: Int?
    switch judgement {
    case .allowed: return nil
    case .denied(let place):
      let denied = profile.profile.paths.enumerated().filter { $1.isDenied && $1.syscalls.contains(path.syscall) }
      because = "the profile denies this way: \(text(paths.denied[place]))" + (denied[place].element.reason.map { " (\($0))" } ?? "")
      origin = profile.origin(of: .path(denied[place].offset))
    case .unlisted(let place):
      step = place
      let frame = path.steps.indices.contains(place) ? shown(path.steps[place], functions) : "the end"
      because = "the profile does not list this way: none of its chains for \(path.syscall) has \(frame) at frame \(place)"
    }
    return self.objection(
      check: Check.path.name, to: path.syscall, because, origin, step, path: profile.profile.paths.action(of: judgement, to: path.syscall))
  }

  private func objection(_ recorded: RecordedObjection, to syscall: String, _ notes: inout [String]) -> Objection? {
    if let remedy = recorded.remedy, profile.profile.grants(remedy) {
      let place = origin(of: remedy).map { " (\($0.place))" } ?? ""
      guard !remedy.isCertain else {
        notes.append("\(recorded.check) objected when it was recorded; \(remedy.text) of this profile lifts that\(place)")
        return nil
      }
      let setting = profile.profile.checks[recorded.check]?.setting ?? .enforce
      guard setting == .enforce else { return objection(check: recorded.check, to: syscall, recorded.because) }
      return Objection(
        rule: "\(recorded.check) = \(setting.rawValue)", origin: origin(of: remedy),
        because: "\(recorded.because); \(remedy.text) of this profile may lift that: record again under it to know", verdict: .uncertain)
    }
    return objection(check: recorded.check, to: syscall, recorded.because)
  }

  private func objection(
    check: String, to syscall: String, _ because: String, _ origin: Origin? = nil, _ step: Int? = nil, path: Action? = nil
  ) -> Objection? {
    let isCheck = Check.allCases.contains { $0.name == check }
    let setting = isCheck ? profile.profile.checks[check]?.setting ?? .enforce : profile.profile.unknown
    let name = isCheck ? check : "unknown.noUnwindInfo"
    let place = origin ?? profile.origin(of: isCheck ? .check(check) : .noUnwindInfo)
    switch setting {
    case .off: return nil
    case .audit: return Objection(rule: "\(name) = audit", origin: place, because: because, verdict: .audit, step: step)
    case .enforce:
      let (action, _) = profile.profile.actions.action(path: path, check: isCheck ? check : nil, syscall: syscall)
      return Objection(
        rule: "\(name) = enforce", origin: place, because: because, verdict: action == .audit ? .audit : .deny, action: action, step: step)
    }
  }

  private func origin(of remedy: Remedy) -> Origin? {
    switch remedy {
    case .permit(let permission): profile.origin(of: .permission(permission.name))
    case .declare(let runtime): profile.origin(of: .jit(runtime.name))
    }
  }

  /// Calls whose way nobody knows.
  private func result(_ sentence: String, _ calls: UInt64, _ runs: Int) -> Result {
    let result = Result(
      path: nil, syscall: nil, calls: calls, runs: runs, verdict: .allow, rule: "", because: "", notes: [])
    if let runtime = JITRuntime.proposed(by: sentence).first, profile.profile.grants(.declare(runtime)) {
      return decided(
        result,
        [
          Objection(
            rule: "unknown.noUnwindInfo", origin: profile.origin(of: .jit(runtime.name)),
            because: "\(sentence); this profile declares it: record again under it to know", verdict: .uncertain)
        ], allowedBy: nil)
    }
    var found = decided(result, [objection(check: "unknown", to: "", sentence)].compactMap(\.self), allowedBy: nil)
    if found.verdict == .allow { found.because = "\(sentence); unknown.noUnwindInfo is off" }
    return found
  }

  /// A step as a chain would name it.
  package func shown(_ step: RecordedPath.Step, _ functions: [PathFrame]? = nil) -> String {
    let function = recording.functions[step.function]
    guard let module = function.module else { return "\(Paths.madeCode):*" }
    let name = functions?[step.function].modules.min() ?? String(decoding: moduleName(recording.modules[module].path), as: UTF8.self)
    if let known = function.names.first { return PathElement.function(known, of: name).description }
    return (function.start.map { PathElement.start($0, of: name) } ?? .anyFunction(of: name)).description
  }
}

extension Replay {
  package func json(_ result: Result) -> JSONValue {
    var members = [JSONMember("verdict", .string(result.verdict.rawValue))]
    if let syscall = result.syscall { members.append(JSONMember("syscall", .string(syscall))) }
    if let place = result.path {
      members.append(JSONMember("chain", .array(recording.paths[place].steps.map { .string(shown($0)) })))
      if let gap = recording.paths[place].gap { members.append(JSONMember("gap", .integer(gap))) }
    }
    members += [JSONMember("calls", .integer(result.calls)), JSONMember("runs", .integer(result.runs))]
    if let action = result.action, result.verdict == .deny { members.append(JSONMember("action", .string(action.name))) }
    if !result.rule.isEmpty { members.append(JSONMember("rule", .string(result.rule))) }
    if let origin = result.origin {
      members.append(
        JSONMember(
          "origin",
          .object([
            JSONMember("profile", .string(origin.profile)), JSONMember("file", .string(origin.file)),
            JSONMember("line", .integer(origin.line)), JSONMember("column", .integer(origin.column)),
          ])))
    }
    members.append(JSONMember("because", .string(result.because)))
    if let step = result.step { members.append(JSONMember("frame", .integer(step))) }
    if !result.notes.isEmpty { members.append(JSONMember("notes", .array(result.notes.map(JSONValue.string)))) }
    return .object(members)
  }
}

extension Profile {
  /// It says what may lift an objection.
  func grants(_ remedy: Remedy) -> Bool {
    switch remedy {
    case .permit(let permission): permissions.contains(permission)
    case .declare(let runtime): jit.contains(runtime)
    }
  }
}
