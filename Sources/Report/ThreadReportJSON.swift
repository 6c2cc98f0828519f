package import JSON
internal import Wire

extension ThreadReport {
  /// One object a thread. Names stay as they are; new members may come.
  package var json: JSONValue {
    .object([
      JSONMember("tid", .integer(thread)), JSONMember("comm", .string(command)), JSONMember("state", .string(state)),
      JSONMember("syscall", call.map(JSONValue.string) ?? .null), JSONMember("notes", .array(notes.map(JSONValue.string))),
      JSONMember("clean", .bool(finding.isClean)), JSONMember("depth", .integer(finding.depth)),
      JSONMember("end", finding.end.map { .string($0.name) } ?? .null),
      JSONMember("unknown", unknown), JSONMember("frames", .array(finding.frames.indices.map(frame))),
      JSONMember("below", .array(finding.below.map { .object(members(of: $0)) })),
      JSONMember("verdict", verdict.map(JSONValue.string) ?? .null),
    ])
  }

  private var unknown: JSONValue {
    guard let unknown = finding.unknown else { return .null }
    return .object([
      JSONMember("frame", .integer(unknown.frame)),
      JSONMember("because", .string("it \(finding.predicate(unknown.reason, frame: Int(unknown.frame)))")),
    ])
  }

  private func frame(_ index: Int) -> JSONValue {
    let frame = finding.frames[index]
    let checks = Check.allCases.map { JSONMember($0.name, .string(outcome(of: $0, at: index).name)) }
    let objections = finding.violations.filter { Int($0.frame) == index }.map {
      JSONValue.object([
        JSONMember("check", .string($0.check.name)), JSONMember("because", .string("it \(finding.predicate($0.reason, frame: index))")),
      ])
    }
    return .object(
      [JSONMember("frame", index < finding.consecutiveFrames ? .integer(index) : .null)] + members(of: frame) + [
        JSONMember("source", frame.source == .none ? .null : .string(frame.source.text)),
        JSONMember("checks", .object(checks)), JSONMember("objections", .array(objections)),
      ])
  }

  /// Names are the container's to choose: written as a terminal bears them.
  private func members(of frame: Frame) -> [JSONMember] {
    let module = frame.module.flatMap { Int($0) < finding.modules.count ? finding.modules[Int($0)] : nil }
    return [
      JSONMember("module", module.map { .string(escaped($0.path, limit: 4096)) } ?? .null),
      JSONMember("buildId", module.map { .string($0.buildID) } ?? .null),
      JSONMember("offset", .integer(frame.offset)),
      JSONMember("function", frame.function.map { .string(escaped($0, limit: 1024)) } ?? .null),
      JSONMember("functionOffset", .integer(frame.functionOffset)),
    ]
  }
}

extension ChainEnd {
  fileprivate var name: String {
    switch self {
    case .processEntry: "process entry"
    case .threadStart: "thread start"
    case .coroutine: "coroutine start"
    case .goroutine: "goroutine start"
    case .systemStack: "go system stack"
    case .programStart: "go program start"
    case .goThreadStart: "go thread start"
    case .threadEnd: "go thread end"
    }
  }
}
