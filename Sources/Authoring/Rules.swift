internal import Diagnostics
package import Profile
internal import Wire
internal import YAML

/// What a profile may say, but hardly means to. A rule each, by its stable name.
struct Rules {
  let root: YAMLNode
  let document: YAMLDocument
  let file: String
  let context: LintContext
  var findings: [LintFinding] = []
  /// Of what the profile extends, from left to right.
  private var parents: [ResolvedProfile] = []

  init(root: YAMLNode, document: YAMLDocument, file: String, context: LintContext) {
    self.root = root
    self.document = document
    self.file = file
    self.context = context
  }

  mutating func run() {
    // Who calls this has found no error: what cannot be read here, the profile or one that it extends, was one.
    guard let spec = root["spec"], let own = try? ResolvedProfile(reading: root, file: file, parent: context.parent) else { return }
    for name in (spec["extends"]?.elements ?? []).compactMap(\.text) {
      guard let found = try? context.parent(name) else { continue }
      if let parent = try? ResolvedProfile(parsing: found.bytes, file: found.file, parent: context.parent) { parents.append(parent) }
    }
    metadata()
    traps(spec)
    permissions(spec, own.profile)
    checks(spec)
    unknown(spec)
    paths(spec, own.profile)
    if spec.entries?.map(\.key) == ["extends"] {
      warn(
        "says-nothing", spec, "the profile says nothing that '\(parents.map(\.profile.name).joined(separator: "', '"))' does not",
        "name that one instead")
    }
    if let until = spec["complainUntil"], let moment = until.text.flatMap(secondsSince1970), moment <= context.secondsSince1970 {
      warn("complaint-over", until, "complainUntil lies in the past: the profile is enforced", "take it out, or move it")
    }
  }

  private mutating func warn(_ rule: String, _ node: YAMLNode, _ message: String, _ hint: String?) {
    findings.append(
      LintFinding(.warning, rule, file: file, line: node.line, column: node.column, message: message, hint: hint))
  }

  private mutating func metadata() {
    guard let metadata = root["metadata"], let name = metadata["name"], let text = name.text else { return }
    if metadata["description"] == nil {
      warn("no-description", metadata, "the profile has no description", "say in metadata.description which program it is for")
    }
    let base = file.split(separator: "/").last.map(String.init) ?? file
    if base.hasSuffix(".yaml"), base != text + ".yaml" {
      warn("other-name", name, "the profile is called '\(text)', its file '\(base)'", "an installed one must be called like its file")
    }
  }

  // MARK: traps

  private mutating func traps(_ spec: YAMLNode) {
    let entries = spec["trap"]?.elements ?? []
    let groups = entries.compactMap { ($0.text ?? $0["group"]?.text).flatMap(Group.named) }
    let untrapped = (spec["untrap"]?.elements ?? []).compactMap(\.text)
    for entry in entries where entry["onViolation"] == nil {
      guard let trapped = Rules.traps(of: entry) else { continue }
      let name = entry.text ?? entry["syscall"]?.text ?? ""
      if !name.hasPrefix("@"),
        let group = groups.first(where: { group in trapped.allSatisfy { trap in group.traps.contains { $0.covers(trap) } } })
      {
        warn("in-group", entry, "'\(name)' is part of '\(group.name)', which is trapped", "take it out")
      } else if let parent = parents.first(where: { parent in
        trapped.allSatisfy { trap in
          parent.profile.traps.contains { $0.covers(trap) } && !untrapped.contains(trap.syscall)
        } && (Group.named(name)?.absent ?? []).allSatisfy { parent.profile.absent.contains($0) }
      }), !untrapped.contains(where: { $0.hasPrefix("@") }) {
        warn("trapped-already", entry, "'\(name)' is trapped by '\(parent.profile.name)', which this profile extends", "take it out")
      }
    }
  }

  private static func traps(of entry: YAMLNode) -> [Trap]? {
    if let word = entry.text ?? entry["group"]?.text, word.hasPrefix("@") { return Group.named(word)?.traps }
    guard let name = entry.text ?? entry["syscall"]?.text else { return nil }
    guard let argument = entry["argument"]?.unsigned else { return [Trap(name)] }
    if let mask = entry["anySet"]?.unsigned {
      return [Trap(name, where: Condition(argument: Int(argument), mask: mask, relation: .anySet))]
    }
    return entry["allSet"]?.unsigned.map { [Trap(name, where: Condition(argument: Int(argument), mask: $0, relation: .allSet))] }
  }

  // MARK: checks and permissions

  private mutating func checks(_ spec: YAMLNode) {
    let commented = document.node(at: ["spec"])?.item("checks")
    let isCommented = commented.map { !$0.above.filter { !$0.isEmpty }.isEmpty || $0.after != nil } ?? false
    for entry in spec["checks"]?.entries ?? [] {
      guard let word = entry.value.text ?? entry.value["setting"]?.text, let setting = Setting(rawValue: word), setting != .enforce else {
        continue
      }
      if entry.key == "text" || entry.key == "call" {
        warn(
          "pillar-loosened", entry.value,
          "'\(entry.key)' is at \(word): without it code that the attacker brought is taken for the program's",
          "enforce it, and permit or declare (permit, jit) what the program needs")
      }
      let item = commented?.value.item(entry.key)
      if !isCommented, item?.after == nil, item?.above.contains(where: { !$0.isEmpty }) != true {
        warn(
          "no-reason", entry.value, "'\(entry.key)' is at \(word), and no comment says why",
          "say which program needs it, on its line or above")
      }
    }
  }

  private mutating func permissions(_ spec: YAMLNode, _ profile: Profile) {
    for element in spec["permit"]?.elements ?? [] {
      guard let permission = element.text.flatMap(Permission.init(name:)) else { continue }
      if let check = permission.check, profile.checks[check.name]?.setting == .off {
        warn("useless-permission", element, "'\(permission.name)' only loosens '\(check.name)', which is off", "take it out")
      } else if let parent = parents.first(where: { $0.profile.permissions.contains(permission) }) {
        warn(
          "permitted-already", element, "'\(permission.name)' is permitted by '\(parent.profile.name)', which this profile extends",
          "take it out")
      }
    }
  }

  private mutating func unknown(_ spec: YAMLNode) {
    guard let node = spec["unknown"]?["depth"], let depth = node.unsigned, depth < Rules.shallow else { return }
    warn(
      "shallow", node, "honest stacks have more than \(depth) frames: parsers and interpreters recurse some thousand deep",
      "\(Profile.usualDepth) is the usual depth")
  }

  /// Fewer frames than ordinary programs have been seen with when they start others.
  private static let shallow = 512

  // MARK: paths

  private mutating func paths(_ spec: YAMLNode, _ profile: Profile) {
    // A profile's own come last, and one that a parent has already is none of its own.
    let nodes = spec["paths"]?.elements ?? []
    let rules = nodes.map(Rules.rule)
    var named: Set<String> = []
    for (index, node) in nodes.enumerated() {
      guard let rule = rules[index], let chain = node["chain"] else { continue }
      for (place, element) in (chain.elements ?? []).enumerated() where place > 0 {
        if rule.chain[place] == .anyFrames, rule.chain[place - 1] == .anyFrames {
          warn("dots-twice", element, "'...' stands beside '...', which says the same", "take one out")
        }
      }
      for module in rule.chain.compactMap(\.module) where !Rules.everywhere.contains(module) && named.insert(module).inserted {
        if profile.modules.first(where: { $0.name == module })?.buildID == nil {
          warn(
            "module-by-name", chain, "'\(module)' is known by its name only: any file that is called so is taken for it",
            "give its build id in spec.modules (readelf -n)")
        }
      }
      if !rule.isDenied, case .function(let name, let module) = rule.chain.last, module == "libc", context.syscalls.contains(name) {
        warn("no-end", chain, "no stack ends in 'libc:\(name)', so this path matches none", "go on with \"...\" or with what calls it")
      }
      if let other = rules.indices.first(where: { other in
        guard other != index, let general = rules[other], general.isDenied == rule.isDenied || general.isDenied else { return false }
        guard general.covers(rule), general.isDenied || rule.onViolation == nil else { return false }
        // Of two that are the same, the second is too much.
        return other < index || !rule.covers(general)
      }), let general = rules[other] {
        let place = "line \(nodes[other].line)"
        if general.isDenied, !rule.isDenied {
          warn("denied-path", node, "the path in \(place) denies whatever this one allows", "take one of them out")
        } else {
          warn("shadowed-path", node, "the path in \(place) already covers this one", "take one of them out")
        }
      }
    }
  }

  /// Code made at run time is no file's, and there is one C library in an image.
  private static let everywhere = [Paths.madeCode, "libc"]

  private static func rule(_ node: YAMLNode) -> PathRule? {
    let chain = (node["chain"]?.elements ?? []).compactMap { $0.text.flatMap(PathElement.init) }
    guard !chain.isEmpty else { return nil }
    let action: Action? = node["onViolation"].map { _ in .audit }
    return PathRule(
      syscalls: (node["syscalls"]?.elements ?? []).compactMap(\.text), chain: chain, isDenied: node["deny"]?.text == "true",
      onViolation: action)
  }
}

extension Permission {
  /// The check that it loosens.
  var check: Check? {
    switch self {
    case .dlsym: .edge
    case .foreignCalls: .seam
    case .signalHandlers: .signal
    case .writtenFiles: .text
    }
  }
}

extension PathRule {
  /// Every stack that matches `other`, for every system call that it speaks of, matches this one.
  package func covers(_ other: PathRule) -> Bool {
    guard Set(other.syscalls).isSubset(of: syscalls) else { return false }
    let (own, others) = (Set(chain.compactMap(\.module)), Set(other.chain.compactMap(\.module)))
    // `...` is frames of the modules that its chain names; in a chain that is denied, any.
    func includes(_ element: PathElement) -> Bool {
      if isDenied { return true }
      if let module = element.module { return own.contains(module) }
      return !other.isDenied && others.isSubset(of: own)
    }
    // reached[j]: what was looked at of this chain matches the first j elements of the other.
    var reached = [true] + other.chain.map { _ in false }
    for element in chain {
      if element == .anyFrames {
        for (index, next) in other.chain.enumerated() where reached[index] && includes(next) { reached[index + 1] = true }
      } else {
        let before = reached
        reached[0] = false
        for (index, next) in other.chain.enumerated() {
          reached[index + 1] = before[index] && (element == next || next.module.map { element == .anyFunction(of: $0) } ?? false)
        }
      }
    }
    return reached[other.chain.count]
  }
}
