internal import Diagnostics
package import JSON

/// What a container's supervisor leaves when the container has ended: one line of the events file, whose `outcome` is "summary".
package struct Summary: Equatable, Sendable {
  /// As an event's: sorts by time, unique within the host.
  package var id: String
  /// Milliseconds since 1970.
  package var time: Int64
  /// Container or run.
  package var container: String
  package var profile: String
  /// As an event's.
  package var profileVersion: String
  package var profileDigest: String
  package var counts: Counts

  package init(
    id: String, time: Int64, container: String, profile: String, profileVersion: String = "", profileDigest: String = "", counts: Counts
  ) {
    self.id = id
    self.time = time
    self.container = container
    self.profile = profile
    self.profileVersion = profileVersion
    self.profileDigest = profileDigest
    self.counts = counts
  }

  /// The word by which a line is told from a denial's.
  package static let outcome = "summary"

  package var json: JSONValue {
    .object([
      JSONMember("id", .string(id)), JSONMember("time", .string(timestamp(time))), JSONMember("ms", .integer(time)),
      JSONMember("container", .string(container)), JSONMember("profile", .string(profile)),
      JSONMember("profileVersion", .string(profileVersion)), JSONMember("profileDigest", .string(profileDigest)),
      JSONMember("outcome", .string(Summary.outcome)), JSONMember("counts", counts.json),
    ])
  }

  /// nil where the object is not what `json` writes.
  package init?(json: JSONValue) {
    guard json["outcome"]?.text == Summary.outcome, let id = json["id"]?.text, let time: Int64 = json["ms"]?.integer(),
      let container = json["container"]?.text, let profile = json["profile"]?.text, let counts = json["counts"].flatMap(Counts.init(json:))
    else { return nil }
    self.init(
      id: id, time: time, container: container, profile: profile, profileVersion: json["profileVersion"]?.text ?? "",
      profileDigest: json["profileDigest"]?.text ?? "", counts: counts)
  }

  /// The counts as a person reads them:
  ///
  ///     container web   profile default 1.0.0 (sha256:eb719c91afda…)   2026-11-22T18:54:05Z
  ///       calls     1204: 1203 allowed, 1 denied
  ///       stacks    1204 inspected, 15310 frames: cfi 14106
  package func rendered() -> String {
    let outcomes = [
      (counts.allowed, "allowed"), (counts.audited, "audited"), (counts.denied, "denied"), (counts.unjudged, "could not be judged"),
      (counts.withdrawn, "taken back by their caller"),
    ].filter { $0.0 > 0 }.map { "\($0) \($1)" }
    var lines = ["container \(escaped(container))   profile \(identified(profile, profileVersion, profileDigest))   \(timestamp(time))"]
    lines.append("  calls     \(counts.calls)" + (outcomes.isEmpty ? "" : ": \(outcomes.joined(separator: ", "))"))
    func add(_ label: String, _ before: String, _ named: [String: UInt64]) {
      guard !named.isEmpty else { return }
      lines.append("  \(label)\(before)\(mostFirst(named).map { "\($0.key) \($0.value)" }.joined(separator: ", "))")
    }
    if counts.sources.isEmpty, counts.stacks > 0 { lines.append("  stacks    \(counts.stacks) inspected, \(counts.frames) frames") }
    add("stacks    ", "\(counts.stacks) inspected, \(counts.frames) frames: ", counts.sources)
    if counts.repeated > 0, counts.calls > 0 {
      let tenths = (counts.repeated &* 1000 &+ counts.calls / 2) / counts.calls
      lines.append("  repeated  \(counts.repeated), \(tenths / 10).\(tenths % 10) % of the calls: as found before, word for word")
    }
    add("denied    ", "by ", counts.deniedBy)
    add("objected  ", "", counts.objections)
    add("unknown   ", "", counts.unknown)
    add("syscalls  ", "", counts.syscalls)
    return lines.joined(separator: "\n")
  }
}

/// The largest first; equal ones by name.
private func mostFirst(_ named: [String: UInt64]) -> [(key: String, value: UInt64)] {
  named.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
}

extension Counts {
  var json: JSONValue {
    func object(_ named: [String: UInt64]) -> JSONValue { .object(mostFirst(named).map { JSONMember($0.key, .integer($0.value)) }) }
    return .object([
      JSONMember("calls", .integer(calls)), JSONMember("allowed", .integer(allowed)), JSONMember("audited", .integer(audited)),
      JSONMember("denied", .integer(denied)), JSONMember("unjudged", .integer(unjudged)), JSONMember("withdrawn", .integer(withdrawn)),
      JSONMember("repeated", .integer(repeated)), JSONMember("deniedBy", object(deniedBy)), JSONMember("stacks", .integer(stacks)),
      JSONMember("frames", .integer(frames)),
      JSONMember("sources", object(sources)), JSONMember("objections", object(objections)), JSONMember("unknown", object(unknown)),
      JSONMember("syscalls", object(syscalls)),
    ])
  }

  init?(json: JSONValue) {
    func number(_ key: String) -> UInt64? { json[key]?.integer() }
    guard let allowed = number("allowed"), let audited = number("audited"), let denied = number("denied"),
      let unjudged = number("unjudged"), let withdrawn = number("withdrawn"), let stacks = number("stacks"),
      let frames = number("frames"), let deniedBy = named(json["deniedBy"]), let sources = named(json["sources"]),
      let objections = named(json["objections"]), let unknown = named(json["unknown"]), let syscalls = named(json["syscalls"])
    else { return nil }
    self.init()
    (self.allowed, self.audited, self.denied, self.unjudged, self.withdrawn) = (allowed, audited, denied, unjudged, withdrawn)
    // Summaries of versions before it was counted have none.
    repeated = number("repeated") ?? 0
    (self.stacks, self.frames) = (stacks, frames)
    (self.deniedBy, self.sources, self.objections) = (deniedBy, sources, objections)
    (self.unknown, self.syscalls) = (unknown, syscalls)
  }
}

private func named(_ value: JSONValue?) -> [String: UInt64]? {
  guard let members = value?.members else { return nil }
  var result: [String: UInt64] = [:]
  for member in members {
    guard let number: UInt64 = member.value.integer() else { return nil }
    result[member.key] = number
  }
  return result
}
