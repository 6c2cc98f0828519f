package import Diagnostics
internal import Wire
internal import YAML

extension Profile {
  package static let apiVersion = "callgate.dev/v1alpha1"
  package static let kind = "CallProfile"

  /// A profile's name: what a file, an annotation and a message call it. Never a path.
  package static func isName(_ text: String) -> Bool {
    guard let first = text.utf8.first, text.utf8.count <= 64 else { return false }
    func isPlain(_ byte: UInt8) -> Bool {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
    return isPlain(first) && text.utf8.allSatisfy { isPlain($0) || $0 == UInt8(ascii: "-") }
  }

  /// Reads a profile; `file` is only named in messages. Every field is known or an error, and every default is the stricter one.
  package init(parsing bytes: [UInt8], file: String) throws(Refusal) {
    let root: YAMLNode
    do throws(YAMLError) { root = try YAMLNode(parsing: bytes) } catch {
      throw Refusal(.badProfile, "\(file):\(error)")
    }
    self = try ProfileReader(file: file).profile(root)
  }
}

/// The fields of one mapping, checked against the names it may have.
struct Fields {
  let node: YAMLNode
  let values: [String: YAMLNode]
}

struct ProfileReader {
  let file: String

  func refuse(_ node: YAMLNode, _ reason: String, _ code: Code = .badProfile) -> Refusal {
    Refusal(code, "\(file):\(node.line):\(node.column): \(reason)")
  }

  func profile(_ root: YAMLNode) throws(Refusal) -> Profile {
    let top = try fields(root, "the profile", required: ["apiVersion", "kind", "metadata", "spec"])
    try require(top, "apiVersion", toBe: Profile.apiVersion)
    try require(top, "kind", toBe: Profile.kind)
    let metadata = try fields(
      top.values["metadata"]!, "metadata", required: ["name", "version"], optional: ["description"])
    let name = try text(metadata.values["name"]!, "metadata.name")
    guard Profile.isName(name) else {
      throw refuse(metadata.values["name"]!, "'\(name)' is no profile name: lower-case letters, digits and '-' only")
    }
    let spec = try fields(
      top.values["spec"]!, "spec", required: ["trap"],
      optional: ["never", "checks", "unknown", "onViolation", "jit", "permit", "modules", "paths"])
    let (traps, groupsAbsent) = try traps(spec.values["trap"]!)
    let never = try spec.values["never"].map { node throws(Refusal) in try names(node, "spec.never") } ?? []
    for name in never where untrappable.contains(name) || trappableWithCondition.contains(name) || name == "execve" {
      throw refuse(spec.values["never"]!, "'\(name)' cannot be refused: no container starts without it", .untrappable)
    }
    for name in never where traps.contains(where: { $0.syscall == name }) {
      throw refuse(spec.values["never"]!, "'\(name)' is trapped too: it can only be one of both")
    }
    let absent = groupsAbsent.filter { name in !never.contains(name) && !traps.contains { $0.syscall == name } }
    let modules = try modules(spec.values["modules"])
    let (unknown, depth) = try unknown(spec.values["unknown"])
    return Profile(
      name: name, version: try text(metadata.values["version"]!, "metadata.version"),
      description: try metadata.values["description"].map { node throws(Refusal) in try text(node, "metadata.description") }
        ?? "",
      traps: traps, never: never.sorted(), absent: absent.sorted(), checks: try checks(spec.values["checks"]), unknown: unknown,
      depth: depth, onViolation: try onViolation(spec.values["onViolation"]), jit: try jit(spec.values["jit"], traps),
      permissions: try permissions(spec.values["permit"]), paths: try paths(spec.values["paths"], modules, traps), modules: modules)
  }

  // MARK: spec

  /// Groups expanded, one entry a syscall: an unconditional trap covers every condition, masks of the same argument are joined.
  func traps(_ node: YAMLNode) throws(Refusal) -> (traps: [Trap], absent: [String]) {
    var bySyscall: [String: Trap] = [:]
    var absent: Set<String> = []
    for element in try list(node, "spec.trap") {
      for trap in try trap(element, absent: &absent) {
        try refuseUntrappable(trap, at: element)
        guard let known = bySyscall[trap.syscall] else {
          bySyscall[trap.syscall] = trap
          continue
        }
        guard let joined = joined(known.condition, trap.condition) else {
          throw refuse(element, "'\(trap.syscall)' is trapped under two conditions that cannot be joined")
        }
        bySyscall[trap.syscall]!.condition = joined
      }
    }
    guard !bySyscall.isEmpty else { throw refuse(node, "a profile must trap something") }
    return (bySyscall.values.sorted { $0.syscall < $1.syscall }, absent.sorted())
  }

  func trap(_ node: YAMLNode, absent: inout Set<String>) throws(Refusal) -> [Trap] {
    guard let word = node.text else { return [try conditionalTrap(node)] }
    guard word.hasPrefix("@") else { return [Trap(try syscall(node))] }
    guard let group = Group.named(word) else {
      throw refuse(node, "unknown group '\(word)'\(suggestion(for: word, among: Group.all.map(\.name)))")
    }
    absent.formUnion(group.absent)
    return group.traps
  }

  /// `{syscall: mmap, argument: 2, anySet: 0x4}`
  func conditionalTrap(_ node: YAMLNode) throws(Refusal) -> Trap {
    let trap = try fields(node, "a trap", required: ["syscall", "argument"], optional: ["anySet", "allSet"])
    let argument = trap.values["argument"]!
    guard let index = argument.unsigned, index < 6 else { throw refuse(argument, "an argument is a number from 0 to 5") }
    let (mask, relation): (YAMLNode, Condition.Relation)
    switch (trap.values["anySet"], trap.values["allSet"]) {
    case (let any?, nil): (mask, relation) = (any, .anySet)
    case (nil, let all?): (mask, relation) = (all, .allSet)
    case (nil, nil), (_?, _?): throw refuse(node, "a trap on an argument has either anySet or allSet")
    }
    guard let bits = mask.unsigned, bits != 0 else { throw refuse(mask, "a mask is a number other than 0, such as 0x4") }
    return Trap(
      try syscall(trap.values["syscall"]!), where: Condition(argument: Int(index), mask: bits, relation: relation))
  }

  func refuseUntrappable(_ trap: Trap, at node: YAMLNode) throws(Refusal) {
    if untrappable.contains(trap.syscall) {
      throw refuse(
        node, "'\(trap.syscall)' cannot be trapped: the low-level runtime needs it before anybody can answer", .untrappable)
    }
    if trappableWithCondition.contains(trap.syscall), trap.condition == nil {
      throw refuse(
        node,
        "'\(trap.syscall)' can only be trapped under a condition on an argument: the low-level runtime needs it before "
          + "anybody can answer", .untrappable)
    }
  }

  func checks(_ node: YAMLNode?) throws(Refusal) -> [String: Setting] {
    var checks = Dictionary(uniqueKeysWithValues: Profile.checkNames.map { ($0, Setting.enforce) })
    guard let node else { return checks }
    for (name, value) in try fields(node, "spec.checks", optional: Profile.checkNames).values {
      checks[name] = try setting(value)
    }
    return checks
  }

  func unknown(_ node: YAMLNode?) throws(Refusal) -> (Setting, depth: Int) {
    guard let node else { return (.enforce, Profile.usualDepth) }
    let unknown = try fields(node, "spec.unknown", optional: ["noUnwindInfo", "depth"])
    let setting = try unknown.values["noUnwindInfo"].map { node throws(Refusal) in try self.setting(node) } ?? .enforce
    guard let depth = unknown.values["depth"] else { return (setting, Profile.usualDepth) }
    guard let number = depth.unsigned, (UInt64(Profile.leastDepth)...UInt64(Profile.greatestDepth)).contains(number) else {
      throw refuse(depth, "a depth is a number from \(Profile.leastDepth) to \(Profile.greatestDepth)")
    }
    return (setting, Int(number))
  }

  func onViolation(_ node: YAMLNode?) throws(Refusal) -> Action {
    guard let node else { return .killProcess }
    let fields = try fields(node, "spec.onViolation", required: ["action"], optional: ["errno"])
    let action = try text(fields.values["action"]!, "spec.onViolation.action")
    let errno = fields.values["errno"]
    switch action {
    case "kill-process":
      if let errno { throw refuse(errno, "errno goes with the action 'errno' only") }
      return .killProcess
    case "errno":
      guard let errno else { return .errno(1) }
      let name = try text(errno, "spec.onViolation.errno")
      guard let known = errnoNames.first(where: { $0.name == name }) else {
        throw refuse(errno, "unknown errno '\(name)'\(suggestion(for: name, among: errnoNames.map(\.name)))")
      }
      return .errno(known.number)
    default:
      throw refuse(
        fields.values["action"]!, "unknown action '\(action)'\(suggestion(for: action, among: ["kill-process", "errno"]))")
    }
  }

  func permissions(_ node: YAMLNode?) throws(Refusal) -> Set<Permission> {
    guard let node else { return [] }
    var permissions: Set<Permission> = []
    for element in try list(node, "spec.permit") {
      let name = try text(element, "a permission")
      guard let permission = Permission(name: name) else {
        throw refuse(element, "unknown permission '\(name)'\(suggestion(for: name, among: Permission.allCases.map(\.name)))")
      }
      guard permissions.insert(permission).inserted else { throw refuse(element, "'\(name)' is listed twice") }
    }
    return permissions
  }

  func jit(_ node: YAMLNode?, _ traps: [Trap]) throws(Refusal) -> Set<JITRuntime> {
    guard let node else { return [] }
    var runtimes: Set<JITRuntime> = []
    for element in try list(node, "spec.jit") {
      let name = try text(element, "a runtime")
      guard let runtime = JITRuntime(name: name) else {
        throw refuse(element, "unknown runtime '\(name)'\(suggestion(for: name, among: JITRuntime.allCases.map(\.name)))")
      }
      guard runtimes.insert(runtime).inserted else { throw refuse(element, "'\(name)' is listed twice") }
    }
    // Code is a runtime's because a call was seen to make its memory executable: all ways to do that have to be seen.
    for needed in Group.named("@exec-memory")?.traps ?? [] where !runtimes.isEmpty {
      guard traps.contains(where: { $0.covers(needed) }) else {
        throw refuse(node, "a runtime can only be declared where the whole of @exec-memory is trapped; '\(needed.syscall)' is not")
      }
    }
    return runtimes
  }

  func setting(_ node: YAMLNode) throws(Refusal) -> Setting {
    let word = try text(node, "a setting")
    guard let setting = Setting(rawValue: word) else {
      throw refuse(node, "unknown setting '\(word)'\(suggestion(for: word, among: Setting.allCases.map(\.rawValue)))")
    }
    return setting
  }

  // MARK: shapes

  func fields(_ node: YAMLNode, _ what: String, required: [String] = [], optional: [String] = []) throws(Refusal) -> Fields {
    guard let entries = node.entries else { throw refuse(node, "\(what) must be a mapping, not \(node.kind)") }
    var values: [String: YAMLNode] = [:]
    for entry in entries {
      guard required.contains(entry.key) || optional.contains(entry.key) else {
        throw Refusal(
          .badProfile,
          "\(file):\(entry.line):\(entry.column): unknown field '\(entry.key)' in \(what)"
            + suggestion(for: entry.key, among: required + optional))
      }
      values[entry.key] = entry.value
    }
    for name in required where values[name] == nil { throw refuse(node, "\(what) lacks '\(name)'") }
    return Fields(node: node, values: values)
  }

  func require(_ fields: Fields, _ name: String, toBe expected: String) throws(Refusal) {
    let node = fields.values[name]!
    guard node.text == expected else { throw refuse(node, "\(name) must be '\(expected)'") }
  }

  func text(_ node: YAMLNode, _ what: String) throws(Refusal) -> String {
    guard let text = node.text, !text.isEmpty else { throw refuse(node, "\(what) must be a text") }
    return text
  }

  func list(_ node: YAMLNode, _ what: String) throws(Refusal) -> [YAMLNode] {
    guard let elements = node.elements else { throw refuse(node, "\(what) must be a list, not \(node.kind)") }
    return elements
  }

  func names(_ node: YAMLNode, _ what: String) throws(Refusal) -> [String] {
    var names: Set<String> = []
    for element in try list(node, what) {
      guard names.insert(try syscall(element)).inserted else { throw refuse(element, "'\(element.text!)' is listed twice") }
    }
    return names.sorted()
  }

  /// The shape of a syscall's name; whether the kernel has one so called is the Filter's to say, which asks libseccomp.
  func syscall(_ node: YAMLNode) throws(Refusal) -> String {
    let name = try text(node, "a system call")
    guard name.utf8.allSatisfy({ isNameByte($0) }) else { throw refuse(node, "'\(name)' is no system call's name") }
    return name
  }

  private func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
    default: false
    }
  }
}

extension Trap {
  /// Whatever `other` traps, this does.
  fileprivate func covers(_ other: Trap) -> Bool {
    guard syscall == other.syscall else { return false }
    guard let condition else { return true }
    guard let needed = other.condition else { return false }
    return condition == needed
      || condition.argument == needed.argument && condition.relation == .anySet && needed.relation == .anySet
        && condition.mask & needed.mask == needed.mask
  }
}

/// The condition that holds where either does: nil inside for "always", nil outside where no condition says that.
private func joined(_ a: Condition?, _ b: Condition?) -> Condition?? {
  guard let a, let b else { return .some(nil) }
  if a == b { return .some(a) }
  guard a.argument == b.argument, a.relation == .anySet, b.relation == .anySet else { return nil }
  return .some(Condition(argument: a.argument, mask: a.mask | b.mask, relation: .anySet))
}
