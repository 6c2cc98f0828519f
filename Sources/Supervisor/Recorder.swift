internal import JSON
package import Kernel
package import Plan
internal import Recording
internal import Report
package import Wire

/// Writes down along which ways the container's calls are made: a way at once when it is new, and how often each was gone now and then.
///
/// It decides nothing. What goes wrong here ends the recording, and not the container.
package struct Recorder {
  private let plan: RecordingPlan
  private var modules: [Module: Int] = [:]
  private var functions: [RecordedFunction: Int] = [:]
  private var paths: [RecordedPath.Identity: Int] = [:]
  private var counts = RecordingFile.Counts(at: 0)
  /// When the counts were written last, by the monotonic clock.
  private var written = monotonicMilliseconds()
  /// Why nothing is recorded any more.
  package private(set) var end: End?

  package enum End: Equatable {
    case stopped
    case failed(SyscallError)
  }

  /// How often the counts are written at most.
  private static let milliseconds: Int64 = 1000
  private static let maxReasons = 32

  package init(_ plan: RecordingPlan, of id: String, profile: String, version: String) {
    self.plan = plan
    append(.run(RecordedRun(id: id, profile: profile, profileVersion: version, began: wallMilliseconds())))
  }

  /// A call that was inspected.
  package mutating func note(_ finding: Finding, of syscall: String) {
    guard end == nil else { return }
    counts.calls &+= 1
    if let route = finding.route {
      // Which one a repeated call was made along is asked of the trail.
      if let number = number(of: route, finding, syscall) { counts.paths[number] &+= 1 } else { counts.left &+= 1 }
    } else {
      noteUnwalked(finding.unknown.map(finding.sentence) ?? finding.violations.last.map(finding.sentence) ?? "its way was not told")
    }
    flush()
  }

  /// A call that `trail` has answered.
  package mutating func count(_ trail: Trail) {
    guard end == nil else { return }
    if trail.recorded == nil, let route = trail.finding.route {
      trail.recorded = number(of: route, trail.finding, trail.syscall)
    }
    counts.calls &+= 1
    if let number = trail.recorded { counts.paths[number] &+= 1 } else { counts.left &+= 1 }
    flush()
  }

  /// A call that could not be judged.
  package mutating func noteUnjudged(_ sentence: String) {
    guard end == nil else { return }
    counts.calls &+= 1
    noteUnwalked(sentence)
    flush()
  }

  /// The container has ended.
  package mutating func finish() {
    guard end == nil else { return }
    writeCounts()
    append(.ended(wallMilliseconds()))
  }

  private mutating func noteUnwalked(_ sentence: String) {
    let known = counts.unwalked[sentence] != nil || counts.unwalked.count < Recorder.maxReasons
    counts.unwalked[known ? sentence : "other reasons", default: 0] &+= 1
  }

  private mutating func flush() {
    let now = monotonicMilliseconds()
    guard now - written >= Recorder.milliseconds else { return }
    written = now
    writeCounts()
    guard end == nil, exists(plan.stopFile) else { return }
    append(.ended(wallMilliseconds()))
    if end == nil { end = .stopped }
  }

  private mutating func writeCounts() {
    counts.at = wallMilliseconds()
    append(.counts(counts))
  }

  /// The number of a way, which is written down where it is new; nil where there are too many.
  private mutating func number(of route: Route, _ finding: Finding, _ syscall: String) -> Int? {
    var steps: [RecordedPath.Step] = []
    for step in route.steps {
      steps.append(RecordedPath.Step(number(of: step, finding.modules), repeats: step.repeats))
    }
    let gap = route.gap.map(Int.init)
    let identity = RecordedPath.Identity(syscall: syscall, steps: steps, gap: gap)
    if let known = paths[identity] { return known }
    guard paths.count < RecordingFile.maxPaths else { return nil }
    let objections = finding.violations.map { violation in
      RecordedObjection(check: violation.check.name, because: finding.sentence(violation), remedy: violation.reason.remedy)
    }
    append(
      .path(
        paths.count,
        RecordedPath(
          syscall: syscall, steps: steps, gap: gap, objections: Set(objections.prefix(RecordingFile.maxObjections)), calls: counts.calls,
          first: wallMilliseconds())))
    paths[identity] = paths.count
    counts.paths.append(0)
    return paths.count - 1
  }

  private mutating func number(of step: RouteStep, _ list: [Module]) -> Int {
    var function = RecordedFunction(
      module: nil, start: step.start, names: step.names, fingerprint: step.fingerprint, isStart: step.isStart)
    if let index = step.module, Int(index) < list.count {
      let module = list[Int(index)]
      if modules[module] == nil {
        append(.module(modules.count, module))
        modules[module] = modules.count
      }
      function.module = modules[module]
    }
    if let known = functions[function] { return known }
    append(.function(functions.count, function))
    functions[function] = functions.count
    return functions.count - 1
  }

  private mutating func append(_ line: RecordingFile.Line) {
    guard end == nil else { return }
    do throws(SyscallError) {
      // Its size is bounded by what is recorded.
      try appendLine(line.json.serialised(), to: plan.file, rotatingAt: .max)
    } catch { end = .failed(error) }
  }
}
