package import Profile
internal import Wire

/// Two profiles in one: the ways of both, and the rest of the first.
package struct ProfileMerge: Sendable {
  /// Of the rest, in sentences: what the other says otherwise, which the first decides.
  package private(set) var conflicts: [String] = []
  /// What the first one's file gets.
  package private(set) var changes = LearnedChanges(rules: [])

  package init(_ first: ResolvedProfile, _ second: ResolvedProfile) {
    let (a, b) = (first.profile, second.profile)
    let names = ProfileMerge.names(of: b, in: a)
    changes.modules = b.modules.filter { names[$0.name].map { new in !a.modules.contains { $0.name == new } } ?? true }.map { module in
      var module = module
      module.name = names[module.name] ?? module.name
      return module
    }
    for rule in b.paths {
      var rule = rule
      rule.chain = rule.chain.map { $0.renamed(names) }
      guard !a.paths.contains(rule) else { continue }
      if let opposite = a.paths.first(where: { $0.chain == rule.chain && $0.isDenied != rule.isDenied && !$0.isApart(from: rule) }) {
        let (who, other) = opposite.isDenied ? (a.name, b.name) : (b.name, a.name)
        conflicts.append("'\(who)' denies a way that '\(other)' allows, and it stays denied: \(text(rule.chain))")
      }
      changes.rules.append(LearnedChanges.Rule(rule: rule, comment: "from '\(b.name)'"))
    }
    let mine = Set(changes.rules.flatMap(\.rule.chain).compactMap(\.module)).subtracting(names.values)
    for module in a.modules where mine.contains(module.name) {
      conflicts.append("modules: to '\(b.name)' any file called '\(module.name)' is that module, to '\(a.name)' one file is")
    }
    let named = Set(changes.rules.flatMap(\.rule.chain).compactMap(\.module))
    changes.modules.removeAll { !named.contains($0.name) }
    compare(a, b)
  }

  /// What of `b`'s modules is called otherwise in `a`: another file has that name there, or the same has another.
  private static func names(of b: Profile, in a: Profile) -> [String: String] {
    func isSame(_ x: PathModule, _ y: PathModule) -> Bool {
      x.buildID != nil || y.buildID != nil ? x.buildID == y.buildID : x.path == y.path
    }
    // A name without an entry means files by their names.
    let byName = Set(a.paths.flatMap(\.chain).compactMap(\.module)).subtracting(a.modules.map(\.name))
    let byNameThere = Set(b.paths.flatMap(\.chain).compactMap(\.module)).subtracting(b.modules.map(\.name))
    var taken = byName.union(byNameThere).union(a.modules.map(\.name)).union(b.modules.map(\.name)).union([Paths.madeCode])
    var names: [String: String] = [:]
    for module in b.modules {
      if let same = a.modules.first(where: { isSame($0, module) }) {
        names[module.name] = same.name
      } else if byName.contains(module.name) || a.modules.contains(where: { $0.name == module.name }) {
        let new = (2...).lazy.map { "\(module.name)-\($0)" }.first { !taken.contains($0) } ?? module.name
        taken.insert(new)
        names[module.name] = new
      }
    }
    return names
  }

  private mutating func compare(_ a: Profile, _ b: Profile) {
    func differ(_ what: String, _ ours: String, _ theirs: String) {
      if ours != theirs { conflicts.append("\(what): '\(a.name)' says \(ours), '\(b.name)' says \(theirs)") }
    }
    func list(_ names: some Sequence<String>) -> String {
      let sorted = names.sorted()
      return sorted.isEmpty ? "none" : sorted.joined(separator: ", ")
    }
    /// Only what one has and the other has not.
    func differ(_ what: String, _ ours: Set<String>, _ theirs: Set<String>) {
      guard ours != theirs else { return }
      if !ours.subtracting(theirs).isEmpty { conflicts.append("\(what): only '\(a.name)' has \(list(ours.subtracting(theirs)))") }
      if !theirs.subtracting(ours).isEmpty { conflicts.append("\(what): only '\(b.name)' has \(list(theirs.subtracting(ours)))") }
    }
    func traps(_ profile: Profile) -> [String: Trap] { Dictionary(uniqueKeysWithValues: profile.traps.map { ($0.syscall, $0) }) }
    let (ours, theirs) = (traps(a), traps(b))
    differ("trap", Set(ours.keys), Set(theirs.keys))
    for (name, trap) in ours.sorted(by: { $0.key < $1.key }) {
      if let other = theirs[name], other != trap { conflicts.append("trap: '\(a.name)' and '\(b.name)' trap \(name) otherwise") }
    }
    differ("never", Set(a.never), Set(b.never))
    differ("permit", Set(a.permissions.map(\.name)), Set(b.permissions.map(\.name)))
    differ("jit", Set(a.jit.map(\.name)), Set(b.jit.map(\.name)))
    for name in Profile.checkNames {
      let (x, y) = (a.checks[name] ?? .enforce, b.checks[name] ?? .enforce)
      differ("checks.\(name)", x.setting.rawValue, y.setting.rawValue)
      if x.onViolation != y.onViolation {
        differ("checks.\(name).onViolation", x.onViolation?.name ?? "none", y.onViolation?.name ?? "none")
      }
    }
    differ("unknown.noUnwindInfo", a.unknown.rawValue, b.unknown.rawValue)
    differ("unknown.onLimit", a.onLimit.rawValue, b.onLimit.rawValue)
    differ("unknown.depth", "\(a.depth)", "\(b.depth)")
    if a.onViolation != b.onViolation { conflicts.append("onViolation: '\(a.name)' and '\(b.name)' name different actions") }
    if a.complainUntil != b.complainUntil { conflicts.append("complainUntil: '\(a.name)' and '\(b.name)' name different times") }
  }
}

extension PathRule {
  fileprivate func isApart(from other: PathRule) -> Bool { Set(syscalls).isDisjoint(with: other.syscalls) }
}

extension PathElement {
  fileprivate func renamed(_ names: [String: String]) -> PathElement {
    switch self {
    case .anyFrames: self
    case .anyFunction(let module): .anyFunction(of: names[module] ?? module)
    case .function(let name, let module): .function(name, of: names[module] ?? module)
    case .start(let start, let module): .start(start, of: names[module] ?? module)
    }
  }
}
