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

  /// Reads a profile that extends none; `file` is only named in messages. Every field is known or an error, and every default is the stricter
  /// one.
  package init(parsing bytes: [UInt8], file: String) throws(Refusal) {
    self = try ResolvedProfile(parsing: bytes, file: file) { _ in nil }.profile
  }
}

/// The fields of one mapping, checked against the names it may have.
struct Fields {
  let node: YAMLNode
  let values: [String: YAMLNode]
}

/// One file, by itself: what it inherits is Compose.swift's.
struct ProfileReader {
  let file: String
  /// The profile's name, once it is known.
  private(set) var name = ""

  init(file: String) { self.file = file }

  func refuse(_ node: YAMLNode, _ reason: String, _ code: Code = .badProfile) -> Refusal {
    Refusal(code, "\(file):\(node.line):\(node.column): \(reason)")
  }

  func origin(_ node: YAMLNode) -> Origin { Origin(profile: name, file: file, line: node.line, column: node.column) }

  func given<Value>(_ value: Value, at node: YAMLNode) -> Given<Value> { Given(value: value, origin: origin(node)) }

  static func layer(_ bytes: [UInt8], file: String) throws(Refusal) -> Layer {
    let root: YAMLNode
    do throws(YAMLError) { root = try YAMLNode(parsing: bytes) } catch {
      throw Refusal(.badProfile, "\(file):\(error)")
    }
    return try layer(of: root, file: file)
  }

  static func layer(of root: YAMLNode, file: String) throws(Refusal) -> Layer {
    var reader = ProfileReader(file: file)
    return try reader.layer(root)
  }

  private mutating func layer(_ root: YAMLNode) throws(Refusal) -> Layer {
    let top = try fields(root, "the profile", required: ["apiVersion", "kind", "metadata", "spec"])
    try require(top, "apiVersion", toBe: Profile.apiVersion)
    try require(top, "kind", toBe: Profile.kind)
    let metadata = try fields(
      top.values["metadata"]!, "metadata", required: ["name", "version"], optional: ["description"])
    name = try text(metadata.values["name"]!, "metadata.name")
    guard Profile.isName(name) else {
      throw refuse(metadata.values["name"]!, "'\(name)' is no profile name: lower-case letters, digits and '-' only")
    }
    let node = top.values["spec"]!
    let isChild = node.entries?.contains { $0.key == "extends" } ?? false
    let spec = try fields(
      node, "spec", required: isChild ? ["extends"] : ["trap"],
      optional: (isChild ? ["trap"] : []) + [
        "untrap", "never", "checks", "unknown", "onViolation", "complainUntil", "jit", "permit", "forbid", "modules", "paths",
      ])
    var layer = Layer(
      name: name, version: try text(metadata.values["version"]!, "metadata.version", limit: Profile.maxVersionBytes),
      description: try metadata.values["description"].map { node throws(Refusal) in
        try text(node, "metadata.description", limit: Profile.maxDescriptionBytes)
      } ?? "",
      trapPlace: origin(spec.values["trap"] ?? node))
    layer.extends = try parents(spec.values["extends"])
    layer.traps = try traps(spec.values["trap"])
    layer.untraps = try untraps(spec.values["untrap"])
    layer.never = try never(spec.values["never"])
    layer.checks = try checks(spec.values["checks"])
    try unknown(spec.values["unknown"], into: &layer)
    layer.onViolation = try spec.values["onViolation"].map { node throws(Refusal) in given(try action(node, "spec.onViolation"), at: node) }
    layer.complainUntil = try spec.values["complainUntil"].map { node throws(Refusal) in given(try moment(node), at: node) }
    layer.permissions = try permissions(spec.values["permit"], "spec.permit")
    layer.forbidden = try permissions(spec.values["forbid"], "spec.forbid")
    layer.jit = try jit(spec.values["jit"])
    layer.paths = try paths(spec.values["paths"])
    layer.modules = try modules(spec.values["modules"])
    return layer
  }

  // MARK: spec

  private func parents(_ node: YAMLNode?) throws(Refusal) -> [Given<String>] {
    guard let node else { return [] }
    var parents: [Given<String>] = []
    for element in try list(node, "spec.extends", limit: Profile.maxParents) {
      let name = try text(element, "a profile's name")
      guard !parents.contains(where: { $0.value == name }) else { throw refuse(element, "'\(name)' is listed twice") }
      parents.append(given(name, at: element))
    }
    guard !parents.isEmpty else { throw refuse(node, "spec.extends names at least one profile, or is left out") }
    return parents
  }

  private func traps(_ node: YAMLNode?) throws(Refusal) -> [Given<Layer.TrapEntry>] {
    guard let node else { return [] }
    var entries: [Given<Layer.TrapEntry>] = []
    for element in try list(node, "spec.trap", limit: Profile.maxTraps) {
      let entry = try trap(element)
      for trap in entry.traps { try refuseUntrappable(trap, at: element) }
      entries.append(given(entry, at: element))
    }
    return entries
  }

  /// `connect`, `"@exec"`, or a mapping.
  private func trap(_ node: YAMLNode) throws(Refusal) -> Layer.TrapEntry {
    guard let word = node.text else { return try trapMapping(node) }
    guard word.hasPrefix("@") else { return Layer.TrapEntry(traps: [Trap(try syscall(node))]) }
    return try trapGroup(node, onViolation: nil)
  }

  private func trapGroup(_ node: YAMLNode, onViolation: Action?) throws(Refusal) -> Layer.TrapEntry {
    let group = try group(node)
    return Layer.TrapEntry(
      traps: group.traps.map { Trap($0.syscall, where: $0.condition, onViolation: onViolation) }, absent: group.absent, group: group.name)
  }

  private func group(_ node: YAMLNode) throws(Refusal) -> Group {
    let word = try text(node, "a group")
    guard let group = Group.named(word) else {
      throw refuse(node, "unknown group '\(word)'\(suggestion(for: word, among: Group.all.map(\.name)))")
    }
    return group
  }

  /// `{syscall: mmap, argument: 2, anySet: 0x4}`, `{syscall: connect, onViolation: {…}}`, `{group: "@exec", onViolation: {…}}`
  private func trapMapping(_ node: YAMLNode) throws(Refusal) -> Layer.TrapEntry {
    if node.entries?.contains(where: { $0.key == "group" }) ?? false {
      let trap = try fields(node, "a trapped group", required: ["group"], optional: ["onViolation"])
      return try trapGroup(trap.values["group"]!, onViolation: try trapAction(trap))
    }
    let trap = try fields(node, "a trap", required: ["syscall"], optional: ["argument", "anySet", "allSet", "onViolation"])
    let name = try syscall(trap.values["syscall"]!)
    return Layer.TrapEntry(traps: [Trap(name, where: try condition(trap), onViolation: try trapAction(trap))])
  }

  private func trapAction(_ trap: Fields) throws(Refusal) -> Action? {
    try trap.values["onViolation"].map { node throws(Refusal) in try action(node, "onViolation") }
  }

  private func condition(_ trap: Fields) throws(Refusal) -> Condition? {
    guard let argument = trap.values["argument"] else {
      if let mask = trap.values["anySet"] ?? trap.values["allSet"] { throw refuse(mask, "a mask is of an argument: 'argument' is missing") }
      return nil
    }
    guard let index = argument.unsigned, index < 6 else { throw refuse(argument, "an argument is a number from 0 to 5") }
    let (mask, relation): (YAMLNode, Condition.Relation)
    switch (trap.values["anySet"], trap.values["allSet"]) {
    case (let any?, nil): (mask, relation) = (any, .anySet)
    case (nil, let all?): (mask, relation) = (all, .allSet)
    case (nil, nil), (_?, _?): throw refuse(trap.node, "a trap on an argument has either anySet or allSet")
    }
    guard let bits = mask.unsigned, bits != 0 else { throw refuse(mask, "a mask is a number other than 0, such as 0x4") }
    return Condition(argument: Int(index), mask: bits, relation: relation)
  }

  private func untraps(_ node: YAMLNode?) throws(Refusal) -> [Given<Layer.Untrap>] {
    guard let node else { return [] }
    var untraps: [Given<Layer.Untrap>] = []
    for element in try list(node, "spec.untrap", limit: Profile.maxTraps) {
      let isGroup = element.text?.hasPrefix("@") ?? false
      untraps.append(given(isGroup ? .group(try group(element)) : .syscall(try syscall(element)), at: element))
    }
    return untraps
  }

  private func never(_ node: YAMLNode?) throws(Refusal) -> [Given<String>] {
    guard let node else { return [] }
    let never = try names(node, "spec.never")
    for name in never
    where untrappable.contains(name.value) || trappableWithCondition.contains(name.value) || name.value == "execve" {
      throw Refusal(.untrappable, "\(name.origin.place): '\(name.value)' cannot be refused: no container starts without it")
    }
    return never
  }

  private func refuseUntrappable(_ trap: Trap, at node: YAMLNode) throws(Refusal) {
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

  private func checks(_ node: YAMLNode?) throws(Refusal) -> [String: Given<CheckRule>] {
    guard let node else { return [:] }
    var checks: [String: Given<CheckRule>] = [:]
    for (name, node) in try fields(node, "spec.checks", optional: Profile.checkNames).values {
      checks[name] = given(try check(node), at: node)
    }
    return checks
  }

  /// `enforce`, or `{setting: enforce, onViolation: {action: errno, errno: EACCES}}`
  private func check(_ node: YAMLNode) throws(Refusal) -> CheckRule {
    guard node.entries != nil else { return CheckRule(try setting(node)) }
    let fields = try fields(node, "a check", required: ["setting"], optional: ["onViolation"])
    return CheckRule(
      try setting(fields.values["setting"]!),
      onViolation: try fields.values["onViolation"].map { node throws(Refusal) in try action(node, "onViolation") })
  }

  private func unknown(_ node: YAMLNode?, into layer: inout Layer) throws(Refusal) {
    guard let node else { return }
    let unknown = try fields(node, "spec.unknown", optional: ["noUnwindInfo", "depth", "onLimit"])
    layer.noUnwindInfo = try unknown.values["noUnwindInfo"].map { node throws(Refusal) in given(try setting(node), at: node) }
    layer.onLimit = try unknown.values["onLimit"].map { node throws(Refusal) in given(try setting(node), at: node) }
    guard let depth = unknown.values["depth"] else { return }
    guard let number = depth.unsigned, (UInt64(Profile.leastDepth)...UInt64(Profile.greatestDepth)).contains(number) else {
      throw refuse(depth, "a depth is a number from \(Profile.leastDepth) to \(Profile.greatestDepth)")
    }
    layer.depth = given(Int(number), at: depth)
  }

  /// `{action: kill-process}`, `{action: errno, errno: EACCES}`
  func action(_ node: YAMLNode, _ what: String) throws(Refusal) -> Action {
    let fields = try fields(node, what, required: ["action"], optional: ["errno"])
    let action = try text(fields.values["action"]!, "\(what).action")
    let errno = fields.values["errno"]
    if let errno, action != "errno", Action.names.contains(action) {
      throw refuse(errno, "errno goes with the action 'errno' only")
    }
    switch action {
    case "audit": return .audit
    case "kill-process": return .killProcess
    case "kill-container": return .killContainer
    case "errno":
      guard let errno else { return .errno(1) }
      let name = try text(errno, "\(what).errno")
      guard let known = errnoNames.first(where: { $0.name == name }) else {
        let near = nearest(name, among: errnoNames.map(\.name)).map { "; did you mean '\($0)'?" } ?? "; see errno(3)"
        throw refuse(errno, "unknown errno '\(name)'\(near)")
      }
      return .errno(known.number)
    default:
      throw refuse(fields.values["action"]!, "unknown action '\(action)'\(suggestion(for: action, among: Action.names))")
    }
  }

  private func moment(_ node: YAMLNode) throws(Refusal) -> Int64 {
    let text = try text(node, "spec.complainUntil")
    guard let seconds = secondsSince1970(text) else {
      throw refuse(node, "'\(text)' is no date as 2026-12-24 (its beginning, UTC) and no time as 2026-12-24T08:00:00Z (RFC 3339)")
    }
    return seconds
  }

  private func permissions(_ node: YAMLNode?, _ what: String) throws(Refusal) -> [Given<Permission>] {
    guard let node else { return [] }
    var permissions: [Given<Permission>] = []
    for element in try list(node, what, limit: Permission.allCases.count) {
      let name = try text(element, "a permission")
      guard let permission = Permission(name: name) else {
        throw refuse(element, "unknown permission '\(name)'\(suggestion(for: name, among: Permission.allCases.map(\.name)))")
      }
      guard !permissions.contains(where: { $0.value == permission }) else { throw refuse(element, "'\(name)' is listed twice") }
      permissions.append(given(permission, at: element))
    }
    return permissions
  }

  private func jit(_ node: YAMLNode?) throws(Refusal) -> [Given<JITRuntime>] {
    guard let node else { return [] }
    var runtimes: [Given<JITRuntime>] = []
    for element in try list(node, "spec.jit") {
      let name = try text(element, "a runtime")
      guard let runtime = JITRuntime(name: name) else {
        throw refuse(element, "unknown runtime '\(name)'\(suggestion(for: name, among: JITRuntime.allCases.map(\.name)))")
      }
      guard !runtimes.contains(where: { $0.value == runtime }) else { throw refuse(element, "'\(name)' is listed twice") }
      runtimes.append(given(runtime, at: element))
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

  func text(_ node: YAMLNode, _ what: String, limit: Int = Profile.maxDescriptionBytes) throws(Refusal) -> String {
    guard let text = node.text, !text.isEmpty else { throw refuse(node, "\(what) must be a text") }
    guard text.utf8.count <= limit else { throw refuse(node, "\(what) has more than \(limit) bytes") }
    return text
  }

  func list(_ node: YAMLNode, _ what: String, limit: Int = Profile.maxTraps) throws(Refusal) -> [YAMLNode] {
    guard let elements = node.elements else { throw refuse(node, "\(what) must be a list, not \(node.kind)") }
    guard elements.count <= limit else { throw refuse(node, "\(what) has more than \(limit) entries") }
    return elements
  }

  func names(_ node: YAMLNode, _ what: String) throws(Refusal) -> [Given<String>] {
    var names: [Given<String>] = []
    for element in try list(node, what) {
      let name = try syscall(element)
      guard !names.contains(where: { $0.value == name }) else { throw refuse(element, "'\(name)' is listed twice") }
      names.append(given(name, at: element))
    }
    return names
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
