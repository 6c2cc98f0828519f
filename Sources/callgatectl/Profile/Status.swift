import ArgumentParser
import Authoring
import Diagnostics
import JSON
import Kernel
import Profile
import Settings
import Wire

struct ProfileStatus: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Say what a new version of an image means for a profile, before it is rolled out.",
    discussion: """
      Looks at the files that the profile pins by build id as the image has them. A way through a changed file carries over where all its \
      functions are found again, by their names or, where they have none, by their looks; others have to be recorded again. \
      'callgatectl profile rebase' writes the profile for the new version.

      Example: callgatectl profile status web --image registry.example/web:2

      The exit status is 0 where nothing has changed, 1 where something has, and 2 where it could not be found out.
      """)

  @Argument(help: "The profile.") var name: String
  @OptionGroup var image: ImageOptions
  @Flag(help: "One JSON object.") var json = false

  func run() throws {
    let report = try orFail {
      let profile = try Locations.own().readProfile(name).profile
      return DriftReport(profile, try withImageRoot(image) { root in try drift(of: profile, in: root) })
    }
    if json { printJSONLine(report.json) } else { print(report.text(against: image.image ?? image.root ?? "")) }
    if !report.drift.isNone { throw ExitCode(1) }
  }
}

/// 1 says that something has changed.
private let couldNotTell = ExitCode(2)

/// What cannot be told ends with a status of its own.
func orFail<Value>(_ body: () throws -> Value) throws -> Value {
  do { return try body() } catch let refusal as Refusal {
    complain("callgatectl: \(refusal)")
    throw couldNotTell
  }
}

/// What became of each file and each way.
struct DriftReport {
  let profile: Profile
  let drift: Drift
  private let fates: [ChainDrift]

  init(_ profile: Profile, _ drift: Drift) {
    self.profile = profile
    self.drift = drift
    fates = profile.paths.map { drift.fate(of: $0.chain) }
  }

  func text(against image: String) -> String {
    var lines = ["profile '\(profile.name)' \(profile.version), against \(image)"]
    if drift.modules.isEmpty { lines.append("  it pins no file: nothing can be told") }
    let width = drift.modules.map(\.module.name.count).max() ?? 0
    for module in drift.modules {
      let name = module.module.name
      lines.append("  \(name)\(String(repeating: " ", count: width - name.count))  \(module.sentence)")
    }
    let (same, carried) = (fates.count { $0 == .same }, fates.count { if case .carried = $0 { true } else { false } })
    if !fates.isEmpty {
      lines.append("  ways: \(same) untouched, \(carried) carry over, \(fates.count - same - carried) to be recorded again")
    }
    for (rule, fate) in zip(profile.paths, fates) {
      guard case .lost(let reasons) = fate else { continue }
      lines.append("    \(rule.syscalls.joined(separator: ", ")): \(shown(rule.chain))")
      for reason in reasons { lines.append("      \(reason)") }
    }
    if !drift.isNone { lines.append("  next: callgatectl profile rebase \(profile.name)") }
    return lines.joined(separator: "\n")
  }

  var json: JSONValue {
    .object([
      JSONMember("profile", .string(profile.name)), JSONMember("version", .string(profile.version)),
      JSONMember("drifted", .bool(!drift.isNone)), JSONMember("modules", .array(drift.modules.map(\.json))),
      JSONMember(
        "paths",
        .array(
          zip(profile.paths, fates).map { rule, fate in
            .object([
              JSONMember("syscalls", .array(rule.syscalls.map(JSONValue.string))),
              JSONMember("chain", .array(rule.chain.map { .string($0.description) })), JSONMember("fate", .string(fate.word)),
              JSONMember("reasons", .array(fate.reasons.map(JSONValue.string))),
            ])
          })),
    ])
  }
}

extension ModuleDrift {
  fileprivate var json: JSONValue {
    var members = [JSONMember("name", .string(module.name)), JSONMember("state", .string(state.word))]
    if let path = module.path { members.append(JSONMember("path", .string(path))) }
    if let buildID = module.buildID { members.append(JSONMember("buildId", .string(buildID))) }
    if case .changed(let buildID) = state { members.append(JSONMember("newBuildId", .string(buildID))) }
    return .object(members)
  }
}

extension ModuleDrift.State {
  fileprivate var word: String {
    switch self {
    case .same: "same"
    case .changed: "changed"
    case .missing: "missing"
    case .unreadable: "unreadable"
    case .unpinned: "unpinned"
    }
  }
}

extension ChainDrift {
  fileprivate var word: String {
    switch self {
    case .same: "same"
    case .carried: "carried"
    case .lost: "lost"
    }
  }

  fileprivate var reasons: [String] { if case .lost(let reasons) = self { reasons } else { [] } }
}
