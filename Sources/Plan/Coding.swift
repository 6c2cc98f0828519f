package import Diagnostics
internal import JSON
internal import Profile
internal import Wire

/// The version of this encoding. callgate and its supervisor come from one build; another number means that they do not.
private let formatVersion = 4

// MARK: encode

extension Plan {
  /// One JSON object.
  package func encoded() -> [UInt8] { json.serialised() }

  private var json: JSONValue {
    .object([
      JSONMember("version", .integer(formatVersion)),
      JSONMember("id", .string(id)),
      JSONMember("bundle", .string(bundle)),
      JSONMember("stateDirectory", .string(stateDirectory)),
      JSONMember("socketPath", .string(socketPath)),
      JSONMember("eventsPath", .string(eventsPath)),
      JSONMember("runtimeProcess", runtimeProcess.map(JSONValue.integer) ?? .null),
      JSONMember("runtime", .string(runtime.rawValue)),
      JSONMember("mode", .string(mode.rawValue)),
      JSONMember("profileName", .string(profileName)),
      JSONMember("profileVersion", .string(profileVersion)),
      JSONMember("profileDigest", .string(profileDigest)),
      JSONMember("traps", .array(traps.map(\.json))),
      JSONMember(
        "checks", .object(checks.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value.rawValue)) })),
      JSONMember("unknown", .string(unknown.rawValue)),
      JSONMember("depth", .integer(depth)),
      JSONMember("onLimit", .string(onLimit.rawValue)),
      JSONMember("actions", actions.json),
      JSONMember("complainUntil", complainUntil.map(JSONValue.integer) ?? .null),
      JSONMember("givers", .object(givers.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) })),
      JSONMember("jit", .array(jit.map(\.name).sorted().map(JSONValue.string))),
      JSONMember("permissions", .array(permissions.map(\.name).sorted().map(JSONValue.string))),
      JSONMember("paths", .array(paths.map(\.json))),
      JSONMember("modules", .array(modules.map(\.json))),
      JSONMember("cgroup", cgroup.map(JSONValue.string) ?? .null),
      JSONMember("seesThreadStarts", .bool(seesThreadStarts)),
      JSONMember("waitKillable", .bool(waitKillable)),
      JSONMember("recording", recording?.json ?? .null),
    ])
  }
}

extension ResolvedTrap {
  fileprivate var json: JSONValue {
    .object([
      JSONMember("syscall", .string(syscall)), JSONMember("number", .integer(number)),
      JSONMember("condition", condition?.json ?? .null),
    ])
  }
}

extension Condition {
  fileprivate var json: JSONValue {
    .object([
      JSONMember("argument", .integer(argument)), JSONMember("mask", .integer(mask)),
      JSONMember("relation", .string(relation.rawValue)),
    ])
  }
}

extension PathRule {
  fileprivate var json: JSONValue {
    .object([
      JSONMember("syscalls", .array(syscalls.map(JSONValue.string))),
      JSONMember("chain", .array(chain.map { .string($0.description) })),
      JSONMember("deny", .bool(isDenied)),
      JSONMember("onViolation", onViolation?.json ?? .null),
      JSONMember("reason", reason.map(JSONValue.string) ?? .null),
    ])
  }
}

extension PathModule {
  fileprivate var json: JSONValue {
    .object([
      JSONMember("name", .string(name)), JSONMember("path", path.map(JSONValue.string) ?? .null),
      JSONMember("buildId", buildID.map(JSONValue.string) ?? .null),
    ])
  }
}

extension RecordingPlan {
  fileprivate var json: JSONValue {
    .object([
      JSONMember("name", .string(name)), JSONMember("file", .string(file)), JSONMember("stopFile", .string(stopFile)),
    ])
  }
}

extension Action {
  /// The errno, or the action's name.
  fileprivate var json: JSONValue {
    switch self {
    case .audit, .killProcess, .killContainer: .string(name)
    case .errno(let number): .integer(number)
    }
  }
}

private func byName(_ actions: [String: Action]) -> JSONValue {
  .object(actions.sorted { $0.key < $1.key }.map { JSONMember($0.key, $0.value.json) })
}

extension ActionRules {
  fileprivate var json: JSONValue {
    .object([
      JSONMember("onViolation", onViolation.json), JSONMember("checks", byName(checks)), JSONMember("traps", byName(traps)),
      JSONMember("floor", floor?.json ?? .null),
    ])
  }
}

extension ActionFloor {
  fileprivate var json: JSONValue {
    .object([
      JSONMember("onViolation", onViolation.json), JSONMember("checks", byName(checks)), JSONMember("traps", byName(traps)),
    ])
  }
}

// MARK: decode

extension Plan {
  /// Reads what `encoded` wrote: every member present, none besides, every value in range.
  package init(decoding bytes: [UInt8]) throws(Refusal) {
    let json: JSONValue
    do throws(JSONError) { json = try JSONValue(parsing: bytes) } catch { throw badPlan("\(error)") }
    let fields = try PlanFields(
      json, "the plan",
      [
        "version", "id", "bundle", "stateDirectory", "socketPath", "eventsPath", "runtimeProcess", "runtime", "mode",
        "profileName", "profileVersion", "profileDigest", "traps", "checks", "unknown", "depth", "onLimit", "actions", "complainUntil",
        "givers", "jit", "permissions", "paths", "modules", "cgroup", "seesThreadStarts", "waitKillable", "recording",
      ])
    guard try fields.integer("version") == formatVersion else { throw badPlan("it is of another version") }
    id = try fields.text("id")
    bundle = try fields.text("bundle")
    stateDirectory = try fields.text("stateDirectory")
    socketPath = try fields.text("socketPath")
    eventsPath = try fields.text("eventsPath")
    runtimeProcess = fields["runtimeProcess"] == .null ? nil : try fields.integer("runtimeProcess")
    runtime = try fields.choice("runtime")
    mode = try fields.choice("mode")
    profileName = try fields.text("profileName")
    profileVersion = try fields.text("profileVersion")
    profileDigest = try fields.text("profileDigest")
    traps = try fields.list("traps").map { trap throws(Refusal) in try ResolvedTrap(trap) }
    checks = [:]
    let checkFields = try PlanFields(fields["checks"], "checks", Profile.checkNames)
    for name in Profile.checkNames { checks[name] = try checkFields.choice(name) }
    unknown = try fields.choice("unknown")
    depth = try fields.integer("depth")
    guard (Profile.leastDepth...Profile.greatestDepth).contains(depth) else { throw badPlan("depth is out of range") }
    onLimit = try fields.choice("onLimit")
    actions = try ActionRules(fields["actions"])
    complainUntil = fields["complainUntil"] == .null ? nil : try fields.integer("complainUntil")
    givers = [:]
    for member in fields["givers"].members ?? [] { givers[member.key] = member.value.text }
    guard givers.count == fields["givers"].members?.count else { throw badPlan("givers is no object of names") }
    jit = []
    for name in try fields.list("jit") {
      guard let runtime = name.text.flatMap(JITRuntime.init(name:)), jit.insert(runtime).inserted else {
        throw badPlan("jit is no list of runtimes")
      }
    }
    permissions = []
    for name in try fields.list("permissions") {
      guard let permission = name.text.flatMap(Permission.init(name:)), permissions.insert(permission).inserted else {
        throw badPlan("permissions is no list of permissions")
      }
    }
    paths = try fields.list("paths").map { rule throws(Refusal) in try PathRule(rule) }
    modules = try fields.list("modules").map { module throws(Refusal) in try PathModule(module) }
    cgroup = fields["cgroup"] == .null ? nil : try fields.text("cgroup")
    seesThreadStarts = try fields.flag("seesThreadStarts")
    waitKillable = try fields.flag("waitKillable")
    recording = fields["recording"] == .null ? nil : try RecordingPlan(fields["recording"])
  }
}

extension ResolvedTrap {
  fileprivate init(_ json: JSONValue) throws(Refusal) {
    let fields = try PlanFields(json, "a trap", ["syscall", "number", "condition"])
    let condition = fields["condition"] == .null ? nil : try Condition(fields["condition"])
    self.init(syscall: try fields.text("syscall"), number: try fields.integer("number"), condition: condition)
  }
}

extension PathRule {
  fileprivate init(_ json: JSONValue) throws(Refusal) {
    let fields = try PlanFields(json, "a path", ["syscalls", "chain", "deny", "onViolation", "reason"])
    let syscalls = try fields.list("syscalls").compactMap(\.text)
    let chain = try fields.list("chain").compactMap(\.text).compactMap(PathElement.init)
    guard try syscalls.count == fields.list("syscalls").count, try chain.count == fields.list("chain").count, !chain.isEmpty else {
      throw badPlan("a path has other than system calls and elements of a chain")
    }
    self.init(
      syscalls: syscalls, chain: chain, isDenied: try fields.flag("deny"),
      onViolation: fields["onViolation"] == .null ? nil : try Action(fields["onViolation"]),
      reason: fields["reason"] == .null ? nil : try fields.text("reason"))
  }
}

extension Action {
  fileprivate init(_ json: JSONValue) throws(Refusal) {
    switch json.text {
    case Action.audit.name: self = .audit
    case Action.killProcess.name: self = .killProcess
    case Action.killContainer.name: self = .killContainer
    case _?: throw badPlan("an action is none of its values")
    case nil:
      guard let number = json.integer(Int32.self), (1...4095).contains(number) else { throw badPlan("an action is no errno") }
      self = .errno(number)
    }
  }

  fileprivate static func byName(_ json: JSONValue) throws(Refusal) -> [String: Action] {
    guard let members = json.members else { throw badPlan("actions are no object") }
    var actions: [String: Action] = [:]
    for member in members { actions[member.key] = try Action(member.value) }
    return actions
  }
}

extension ActionRules {
  fileprivate init(_ json: JSONValue) throws(Refusal) {
    let fields = try PlanFields(json, "actions", ["onViolation", "checks", "traps", "floor"])
    self.init(
      onViolation: try Action(fields["onViolation"]), checks: try Action.byName(fields["checks"]),
      traps: try Action.byName(fields["traps"]),
      floor: fields["floor"] == .null ? nil : try ActionFloor(fields["floor"]))
  }
}

extension ActionFloor {
  fileprivate init(_ json: JSONValue) throws(Refusal) {
    let fields = try PlanFields(json, "a baseline's actions", ["onViolation", "checks", "traps"])
    self.init(
      onViolation: try Action(fields["onViolation"]), checks: try Action.byName(fields["checks"]), traps: try Action.byName(fields["traps"])
    )
  }
}

extension RecordingPlan {
  fileprivate init(_ json: JSONValue) throws(Refusal) {
    let fields = try PlanFields(json, "the recording", ["name", "file", "stopFile"])
    self.init(name: try fields.text("name"), file: try fields.text("file"), stopFile: try fields.text("stopFile"))
  }
}

extension PathModule {
  fileprivate init(_ json: JSONValue) throws(Refusal) {
    let fields = try PlanFields(json, "a module", ["name", "path", "buildId"])
    self.init(
      name: try fields.text("name"), path: fields["path"] == .null ? nil : try fields.text("path"),
      buildID: fields["buildId"] == .null ? nil : try fields.text("buildId"))
  }
}

extension Condition {
  fileprivate init(_ json: JSONValue) throws(Refusal) {
    let fields = try PlanFields(json, "a condition", ["argument", "mask", "relation"])
    let argument: Int = try fields.integer("argument")
    guard (0..<6).contains(argument) else { throw badPlan("an argument is out of range") }
    self.init(argument: argument, mask: try fields.integer("mask"), relation: try fields.choice("relation"))
  }
}

private struct PlanFields {
  let json: JSONValue
  let what: String

  init(_ json: JSONValue, _ what: String, _ names: [String]) throws(Refusal) {
    guard let members = json.members else { throw badPlan("\(what) is no object") }
    guard members.count == names.count, names.allSatisfy({ json[$0] != nil }) else {
      throw badPlan("\(what) does not have the members \(names.joined(separator: ", "))")
    }
    self.json = json
    self.what = what
  }

  /// A member that `init` has seen.
  subscript(name: String) -> JSONValue { json[name] ?? .null }

  func text(_ name: String) throws(Refusal) -> String {
    guard let text = self[name].text else { throw badPlan("\(name) is no string") }
    return text
  }

  func flag(_ name: String) throws(Refusal) -> Bool {
    guard let flag = self[name].flag else { throw badPlan("\(name) is no boolean") }
    return flag
  }

  func list(_ name: String) throws(Refusal) -> [JSONValue] {
    guard let list = self[name].elements else { throw badPlan("\(name) is no array") }
    return list
  }

  func integer<Integer: FixedWidthInteger>(_ name: String) throws(Refusal) -> Integer {
    guard let number = self[name].integer(Integer.self) else { throw badPlan("\(name) is no number in range") }
    return number
  }

  func choice<Choice: RawRepresentable<String>>(_ name: String) throws(Refusal) -> Choice {
    guard let choice = Choice(rawValue: try text(name)) else { throw badPlan("\(name) is none of its values") }
    return choice
  }
}

private func badPlan(_ reason: String) -> Refusal { Refusal(.internalError, "cannot read the supervisor's plan: \(reason)") }
