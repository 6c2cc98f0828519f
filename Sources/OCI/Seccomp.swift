package import Diagnostics
package import JSON

/// `linux.seccomp` of the runtime specification (config-linux.md, Seccomp), field by field.
package struct Seccomp: Equatable, Sendable {
  package var defaultAction: SeccompAction
  package var architectures: [String] = []
  package var flags: [String] = []
  package var listenerPath: String?
  package var listenerMetadata: String?
  package var rules: [SeccompRule] = []

  package init(defaultAction: SeccompAction) { self.defaultAction = defaultAction }
}

/// What happens to a call. The errno belongs to its action: nil is the runtime's default, EPERM.
package enum SeccompAction: Hashable, Sendable {
  case killProcess, killThread, trap, allow, log, notify
  case errno(UInt16?)
  case trace(UInt16?)

  /// The call is made without anybody being asked.
  package var allows: Bool { self == .allow || self == .log }

  /// What of two actions is refused alike: a missing errno is EPERM in both runtimes.
  package var normalised: SeccompAction {
    switch self {
    case .errno(nil): .errno(1)
    case .trace(nil): .trace(1)
    case .killProcess, .killThread, .trap, .allow, .log, .notify, .errno, .trace: self
    }
  }
}

package struct SeccompRule: Equatable, Sendable {
  package var names: [String]
  package var action: SeccompAction
  /// Empty: always. The runtimes take several for one argument as alternatives, otherwise all must hold.
  package var arguments: [SeccompArgument]

  package init(_ names: [String], _ action: SeccompAction, where arguments: [SeccompArgument] = []) {
    self.names = names
    self.action = action
    self.arguments = arguments
  }
}

package struct SeccompArgument: Hashable, Sendable {
  package enum Operator: String, CaseIterable, Sendable {
    case notEqual = "SCMP_CMP_NE"
    case less = "SCMP_CMP_LT"
    case lessOrEqual = "SCMP_CMP_LE"
    case equal = "SCMP_CMP_EQ"
    case greaterOrEqual = "SCMP_CMP_GE"
    case greater = "SCMP_CMP_GT"
    /// `(argument & value) == valueTwo`
    case maskedEqual = "SCMP_CMP_MASKED_EQ"
  }
  /// 0 to 5.
  package var index: Int
  package var relation: Operator
  package var value: UInt64
  /// For maskedEqual only.
  package var valueTwo: UInt64

  package init(_ index: Int, _ relation: Operator, _ value: UInt64, _ valueTwo: UInt64 = 0) {
    self.index = index
    self.relation = relation
    self.value = value
    self.valueTwo = valueTwo
  }

  package func holds(for argument: UInt64) -> Bool {
    switch relation {
    case .notEqual: argument != value
    case .less: argument < value
    case .lessOrEqual: argument <= value
    case .equal: argument == value
    case .greaterOrEqual: argument >= value
    case .greater: argument > value
    case .maskedEqual: argument & value == valueTwo
    }
  }
}

// MARK: JSON -> model

/// A field that is not known cannot be carried over into the new section, so it is refused instead of lost.
extension Seccomp {
  package init(_ json: JSONValue) throws(Refusal) {
    let fields = try Members(
      json, "linux.seccomp",
      known: [
        "defaultAction", "defaultErrnoRet", "architectures", "flags", "listenerPath", "listenerMetadata", "syscalls",
      ])
    guard let word = try fields.text("defaultAction") else { throw badSeccomp("linux.seccomp lacks defaultAction") }
    defaultAction = try SeccompAction(word, errno: try fields.errno("defaultErrnoRet"), "linux.seccomp.defaultAction")
    architectures = try fields.texts("architectures")
    flags = try fields.texts("flags")
    listenerPath = try fields.text("listenerPath")
    listenerMetadata = try fields.text("listenerMetadata")
    for (index, rule) in try fields.list("syscalls").enumerated() {
      rules.append(try SeccompRule(rule, "linux.seccomp.syscalls[\(index)]"))
    }
  }
}

extension SeccompRule {
  fileprivate init(_ json: JSONValue, _ path: String) throws(Refusal) {
    let fields = try Members(json, path, known: ["names", "action", "errnoRet", "args"])
    names = try fields.texts("names")
    guard let word = try fields.text("action") else { throw badSeccomp("\(path) lacks action") }
    action = try SeccompAction(word, errno: try fields.errno("errnoRet"), "\(path).action")
    arguments = []
    for (index, argument) in try fields.list("args").enumerated() {
      arguments.append(try SeccompArgument(argument, "\(path).args[\(index)]"))
    }
  }
}

extension SeccompArgument {
  fileprivate init(_ json: JSONValue, _ path: String) throws(Refusal) {
    let fields = try Members(json, path, known: ["index", "value", "valueTwo", "op"])
    guard let index = try fields.number("index"), index < 6 else { throw badSeccomp("\(path).index is no number from 0 to 5") }
    guard let value = try fields.number("value") else { throw badSeccomp("\(path) lacks value") }
    guard let word = try fields.text("op"), let relation = Operator(rawValue: word) else {
      throw badSeccomp("\(path).op is no operator of the specification")
    }
    self.init(Int(index), relation, value, try fields.number("valueTwo") ?? 0)
  }
}

extension SeccompAction {
  fileprivate init(_ word: String, errno: UInt16?, _ path: String) throws(Refusal) {
    switch word {
    case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": self = .killThread
    case "SCMP_ACT_KILL_PROCESS": self = .killProcess
    case "SCMP_ACT_TRAP": self = .trap
    case "SCMP_ACT_ERRNO": self = .errno(errno)
    case "SCMP_ACT_TRACE": self = .trace(errno)
    case "SCMP_ACT_ALLOW": self = .allow
    case "SCMP_ACT_LOG": self = .log
    case "SCMP_ACT_NOTIFY": self = .notify
    default: throw badSeccomp("\(path) is '\(word)', no action of the specification")
    }
  }

  fileprivate var word: String {
    switch self {
    // The old name: runtimes from before KILL_THREAD know only this one, and to all it is the same.
    case .killThread: "SCMP_ACT_KILL"
    case .killProcess: "SCMP_ACT_KILL_PROCESS"
    case .trap: "SCMP_ACT_TRAP"
    case .errno: "SCMP_ACT_ERRNO"
    case .trace: "SCMP_ACT_TRACE"
    case .allow: "SCMP_ACT_ALLOW"
    case .log: "SCMP_ACT_LOG"
    case .notify: "SCMP_ACT_NOTIFY"
    }
  }

  fileprivate var errnoMember: UInt16? {
    switch self {
    case .errno(let errno), .trace(let errno): errno
    case .killProcess, .killThread, .trap, .allow, .log, .notify: nil
    }
  }
}

/// The members of one object, all of them known.
private struct Members {
  let json: JSONValue
  let path: String

  init(_ json: JSONValue, _ path: String, known: [String]) throws(Refusal) {
    guard let members = json.members else { throw badSeccomp("\(path) is \(json.kind), not an object") }
    for member in members where !known.contains(where: { isSame($0, member.key) }) {
      throw badSeccomp("\(path).\(member.key) is not known to this version and would be lost")
    }
    self.json = json
    self.path = path
  }

  /// Nil where the member is absent or null, as Go writes empty values.
  private func member(_ key: String) -> JSONValue? { json[key].flatMap { $0 == .null ? nil : $0 } }

  func text(_ key: String) throws(Refusal) -> String? {
    guard let value = member(key) else { return nil }
    guard let text = value.text else { throw badSeccomp("\(path).\(key) is \(value.kind), not a string") }
    return text.isEmpty ? nil : text
  }

  func list(_ key: String) throws(Refusal) -> [JSONValue] {
    guard let value = member(key) else { return [] }
    guard let elements = value.elements else { throw badSeccomp("\(path).\(key) is \(value.kind), not an array") }
    return elements
  }

  func texts(_ key: String) throws(Refusal) -> [String] {
    try list(key).map { element throws(Refusal) in
      guard let text = element.text else { throw badSeccomp("\(path).\(key) holds \(element.kind), not a string") }
      return text
    }
  }

  func number(_ key: String) throws(Refusal) -> UInt64? {
    guard let value = member(key) else { return nil }
    guard let number = value.integer(UInt64.self) else { throw badSeccomp("\(path).\(key) is no whole number below 2^64") }
    return number
  }

  func errno(_ key: String) throws(Refusal) -> UInt16? {
    guard let number = try number(key) else { return nil }
    guard number <= 4095 else { throw badSeccomp("\(path).\(key) is \(number), no errno (MAX_ERRNO is 4095)") }
    return UInt16(number)
  }
}

private func badSeccomp(_ reason: String) -> Refusal {
  Refusal(.badBundle, "cannot use the container's seccomp section: \(reason)")
}

// MARK: model -> JSON

extension Seccomp {
  package var json: JSONValue {
    var json = JSONValue.object([JSONMember("defaultAction", .string(defaultAction.word))])
    if let errno = defaultAction.errnoMember { json["defaultErrnoRet"] = .integer(errno) }
    if !architectures.isEmpty { json["architectures"] = .array(architectures.map(JSONValue.string)) }
    if !flags.isEmpty { json["flags"] = .array(flags.map(JSONValue.string)) }
    if let listenerPath { json["listenerPath"] = .string(listenerPath) }
    if let listenerMetadata { json["listenerMetadata"] = .string(listenerMetadata) }
    json["syscalls"] = .array(rules.map(\.json))
    return json
  }
}

extension SeccompRule {
  fileprivate var json: JSONValue {
    var json = JSONValue.object([
      JSONMember("names", .array(names.map(JSONValue.string))), JSONMember("action", .string(action.word)),
    ])
    if let errno = action.errnoMember { json["errnoRet"] = .integer(errno) }
    if !arguments.isEmpty { json["args"] = .array(arguments.map(\.json)) }
    return json
  }
}

extension SeccompArgument {
  fileprivate var json: JSONValue {
    var json = JSONValue.object([JSONMember("index", .integer(index)), JSONMember("value", .integer(value))])
    if relation == .maskedEqual { json["valueTwo"] = .integer(valueTwo) }
    json["op"] = .string(relation.rawValue)
    return json
  }
}
