internal import Diagnostics
package import JSON

extension Event {
  /// One object; the events file holds one a line.
  package var json: JSONValue {
    .object([
      JSONMember("id", .string(id)), JSONMember("time", .string(timestamp(time))), JSONMember("ms", .integer(time)),
      JSONMember("container", .string(container)), JSONMember("profile", .string(profile)),
      JSONMember("profileVersion", .string(profileVersion)), JSONMember("profileDigest", .string(profileDigest)),
      JSONMember("outcome", .string(outcome.text)), JSONMember("code", .string(code.rawValue)),
      JSONMember("pid", .integer(process)), JSONMember("tid", .integer(thread)), JSONMember("comm", .string(command)),
      JSONMember("syscall", .string(syscall)), JSONMember("arguments", .string(arguments)),
      JSONMember("because", .string(because)),
      JSONMember(
        "marks",
        .array(
          marks.map {
            .object([
              JSONMember("frame", .integer($0.frame)), JSONMember("check", .string($0.check)),
              JSONMember("because", .string($0.because)),
            ])
          })),
      JSONMember("frames", .array(frames.map(\.json))), JSONMember("below", .array(below.map(\.json))),
      JSONMember("rule", .string(rule)), JSONMember("suppressed", .integer(suppressed)),
    ])
  }

  /// nil where the object is not what `json` writes: a line of another version, or a torn one.
  package init?(json: JSONValue) {
    func text(_ key: String) -> String? { json[key]?.text }
    guard let id = text("id"), let time: Int64 = json["ms"]?.integer(), let container = text("container"),
      let profile = text("profile"), let outcome = text("outcome").flatMap(Outcome.init(text:)),
      let code = text("code").flatMap(Code.init(rawValue:)), let process: UInt32 = json["pid"]?.integer(),
      let thread: UInt32 = json["tid"]?.integer(), let command = text("comm"), let syscall = text("syscall"),
      let arguments = text("arguments"), let because = text("because"), let rule = text("rule"),
      let suppressed: Int = json["suppressed"]?.integer(), let marks = json["marks"]?.elements,
      let frames = json["frames"]?.elements, let below = json["below"]?.elements
    else { return nil }
    self.init(
      id: id, time: time, container: container, profile: profile, profileVersion: text("profileVersion") ?? "",
      profileDigest: text("profileDigest") ?? "", outcome: outcome, code: code, process: process, thread: thread, command: command,
      syscall: syscall, arguments: arguments, because: because, marks: [], frames: [], rule: rule, suppressed: suppressed)
    for mark in marks {
      guard let frame: Int = mark["frame"]?.integer(), let check = mark["check"]?.text, let because = mark["because"]?.text
      else { return nil }
      self.marks.append(Mark(frame: frame, check: check, because: because))
    }
    do throws(NotAnEvent) {
      self.frames = try frames.map { line throws(NotAnEvent) in try Line(json: line) }
      self.below = try below.map { line throws(NotAnEvent) in try Line(json: line) }
    } catch {
      return nil
    }
  }
}

private struct NotAnEvent: Error {}

extension Event.Line {
  fileprivate var json: JSONValue {
    .object([
      JSONMember("place", .string(place)), JSONMember("function", .string(function)), JSONMember("source", .string(source)),
    ])
  }

  fileprivate init(json: JSONValue) throws(NotAnEvent) {
    guard let place = json["place"]?.text, let function = json["function"]?.text, let source = json["source"]?.text else {
      throw NotAnEvent()
    }
    self.init(place: place, function: function, source: source)
  }
}

extension Event.Outcome {
  package var text: String {
    switch self {
    case .killed: "killed"
    case .containerKilled: "container-killed"
    case .failed(let errno): errno
    case .audited: "audited"
    case .noted: "noted"
    }
  }

  init?(text: String) {
    switch text {
    case "killed": self = .killed
    case "container-killed": self = .containerKilled
    case "audited": self = .audited
    case "noted": self = .noted
    default:
      guard text.hasPrefix("E") else { return nil }
      self = .failed(text)
    }
  }
}
