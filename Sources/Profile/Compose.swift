package import Diagnostics
internal import Wire
package import YAML

extension ResolvedProfile {
  /// Reads a profile and all that it extends. `parent` answers the bytes of an installed profile and its file, as messages name it, or nil
  /// where none is called so; `file` is only named in messages.
  package init(
    parsing bytes: [UInt8], file: String, parent: (String) throws(Refusal) -> (bytes: [UInt8], file: String)?
  ) throws(Refusal) {
    try self.init(layer: try ProfileReader.layer(bytes, file: file), parent: parent)
  }

  /// The same of a tree that was read already: for who looks for all that is wrong with it.
  package init(
    reading root: YAMLNode, file: String, parent: (String) throws(Refusal) -> (bytes: [UInt8], file: String)?
  ) throws(Refusal) {
    try self.init(layer: try ProfileReader.layer(of: root, file: file), parent: parent)
  }

  /// What is wrong with a file by itself, without what it extends; nil where nothing is.
  package static func fault(of root: YAMLNode, file: String) -> Refusal? {
    do throws(Refusal) { _ = try ProfileReader.layer(of: root, file: file) } catch { return error }
    return nil
  }

  private init(layer: Layer, parent: (String) throws(Refusal) -> (bytes: [UInt8], file: String)?) throws(Refusal) {
    var files: [File] = []
    let composition = try Composition(layer, below: [], files: &files, parent)
    self = try composition.effective(of: layer, files: files)
  }
}

private func refuse(_ origin: Origin, _ reason: String, _ code: Code = .badProfile) -> Refusal {
  Refusal(code, "\(origin.place): \(reason)")
}

/// What one profile and those that it extends say together, before the format's defaults are put where nobody spoke.
///
/// Parents are resolved each by itself, and joined from the left to the right; then the child is laid over them. So what a parent takes
/// away from its own parents it does not take from its siblings.
private struct Composition {
  struct Sourced<Value> {
    var value: Value
    var origins: [Origin]
  }

  /// By the system call.
  var traps: [String: Sourced<Trap>] = [:]
  /// By the group, and what of it is absent.
  var absent: [String: Sourced<[String]>] = [:]
  var never: [String: [Origin]] = [:]
  var checks: [String: Given<CheckRule>] = [:]
  var noUnwindInfo: Given<Setting>?
  var depth: Given<Int>?
  var onLimit: Given<Setting>?
  var onViolation: Given<Action>?
  var complainUntil: Given<Int64>?
  var permissions: [Permission: [Origin]] = [:]
  var jit: [JITRuntime: [Origin]] = [:]
  var paths: [Layer.PathEntry] = []
  /// In the order in which they were first named.
  var modules: [Given<PathModule>] = []

  /// `children`: who extends this profile, the first that was read first.
  init(
    _ layer: Layer, below children: [String], files: inout [ResolvedProfile.File],
    _ parent: (String) throws(Refusal) -> (bytes: [UInt8], file: String)?
  ) throws(Refusal) {
    files.append(ResolvedProfile.File(profile: layer.name, file: layer.trapPlace.file))
    let line = children + [layer.name]
    for element in layer.extends {
      let name = element.value
      if let start = line.firstIndex(of: name) {
        throw refuse(element.origin, "'\(name)' would extend itself: \((line[start...] + [name]).joined(separator: " → "))")
      }
      guard line.count <= Profile.maxExtendsDepth else {
        throw refuse(element.origin, "more than \(Profile.maxExtendsDepth) profiles extend one another: \(line.joined(separator: " → "))")
      }
      guard files.count < Profile.maxFiles else {
        throw refuse(element.origin, "more than \(Profile.maxFiles) profiles are extended in all")
      }
      guard Profile.isName(name) else { throw refuse(element.origin, "'\(name)' is no profile name") }
      guard let found = try parent(name) else {
        throw refuse(element.origin, "profile '\(name)' is not installed, so it cannot be extended", .profileNotInstalled)
      }
      let above = try ProfileReader.layer(found.bytes, file: found.file)
      guard above.name == name else {
        throw Refusal(.badProfile, "\(found.file): metadata.name is '\(above.name)': it must be the file's name")
      }
      try join(try Composition(above, below: line, files: &files, parent), at: element.origin)
    }
    try lay(layer)
  }

  /// Lays another parent, which stands right of those before, over them.
  private mutating func join(_ other: Composition, at place: Origin) throws(Refusal) {
    for (_, trap) in other.traps.sorted(by: { $0.key < $1.key }) { try add(trap.value, trap.origins, at: place) }
    absent.merge(other.absent) { Sourced(value: $0.value, origins: $0.origins + $1.origins) }
    never.merge(other.never) { $0 + $1 }
    checks.merge(other.checks) { $1 }
    noUnwindInfo = other.noUnwindInfo ?? noUnwindInfo
    depth = other.depth ?? depth
    onLimit = other.onLimit ?? onLimit
    onViolation = other.onViolation ?? onViolation
    complainUntil = other.complainUntil ?? complainUntil
    permissions.merge(other.permissions) { $0 + $1 }
    jit.merge(other.jit) { $0 + $1 }
    for path in other.paths { add(path) }
    for module in other.modules { replace(module) }
  }

  /// Lays the child over its parents: what it takes away goes first.
  private mutating func lay(_ layer: Layer) throws(Refusal) {
    for untrap in layer.untraps { try takeAway(untrap) }
    for given in layer.forbidden {
      guard permissions.removeValue(forKey: given.value) != nil else {
        throw refuse(given.origin, "'\(given.value.name)' is permitted by nothing that this profile extends: there is nothing to forbid")
      }
      if layer.permissions.contains(where: { $0.value == given.value }) {
        throw refuse(given.origin, "'\(given.value.name)' is permitted here, too: it can only be one of both")
      }
    }
    try add(layer.traps)
    for name in layer.never { never[name.value, default: []].append(name.origin) }
    checks.merge(layer.checks) { $1 }
    noUnwindInfo = layer.noUnwindInfo ?? noUnwindInfo
    depth = layer.depth ?? depth
    onLimit = layer.onLimit ?? onLimit
    onViolation = layer.onViolation ?? onViolation
    complainUntil = layer.complainUntil ?? complainUntil
    for given in layer.permissions { permissions[given.value, default: []].append(given.origin) }
    for given in layer.jit { jit[given.value, default: []].append(given.origin) }
    for path in layer.paths { add(path) }
    for module in layer.modules { replace(module) }
  }

  // MARK: traps

  /// The entries of one list. Where several name an action for one call, the strictest counts, and it goes before a parent's.
  private mutating func add(_ entries: [Given<Layer.TrapEntry>]) throws(Refusal) {
    var actions: [String: Action] = [:]
    for trap in entries.flatMap(\.value.traps) {
      guard let action = trap.onViolation else { continue }
      actions[trap.syscall] = actions[trap.syscall].map { Action.stricter($0, action) } ?? action
    }
    for entry in entries {
      for trap in entry.value.traps {
        try add(Trap(trap.syscall, where: trap.condition, onViolation: actions[trap.syscall]), [entry.origin], at: entry.origin)
      }
      if let group = entry.value.group {
        absent[group, default: Sourced(value: entry.value.absent, origins: [])].origins.append(entry.origin)
      }
    }
  }

  /// An unconditional trap covers every condition; masks of the same argument are joined.
  private mutating func add(_ trap: Trap, _ origins: [Origin], at place: Origin) throws(Refusal) {
    guard var known = traps[trap.syscall] else {
      traps[trap.syscall] = Sourced(value: trap, origins: origins)
      return
    }
    guard let condition = joined(known.value.condition, trap.condition) else {
      throw refuse(place, "'\(trap.syscall)' is trapped under two conditions that cannot be joined")
    }
    known.value.condition = condition
    known.value.onViolation = trap.onViolation ?? known.value.onViolation
    known.origins += origins.filter { !known.origins.contains($0) }
    traps[trap.syscall] = known
  }

  private mutating func takeAway(_ untrap: Given<Layer.Untrap>) throws(Refusal) {
    switch untrap.value {
    case .syscall(let name):
      guard traps.removeValue(forKey: name) != nil else {
        let near = nearest(name, among: traps.keys.sorted()).map { "; did you mean '\($0)'?" } ?? ""
        throw refuse(untrap.origin, "'\(name)' is trapped by nothing that this profile extends: there is nothing to take away\(near)")
      }
    case .group(let group):
      var isFound = absent.removeValue(forKey: group.name) != nil
      for trap in group.traps { if try takeAway(trap, at: untrap.origin) { isFound = true } }
      guard isFound else {
        throw refuse(untrap.origin, "nothing of '\(group.name)' is trapped by what this profile extends: there is nothing to take away")
      }
    }
  }

  /// Whether anything of it was trapped. Of a condition only the group's bits go: others may trap the call for a reason of their own.
  private mutating func takeAway(_ trap: Trap, at place: Origin) throws(Refusal) -> Bool {
    guard let known = traps[trap.syscall] else { return false }
    guard let gone = trap.condition else {
      traps[trap.syscall] = nil
      return true
    }
    guard let condition = known.value.condition else {
      throw refuse(place, "'\(trap.syscall)' is trapped always, not only as the group does: take it away by its own name, too")
    }
    guard condition.argument == gone.argument, condition.relation == .anySet, condition.mask & gone.mask != 0 else { return false }
    let rest = condition.mask & ~gone.mask
    if rest == 0 { traps[trap.syscall] = nil } else { traps[trap.syscall]?.value.condition?.mask = rest }
    return true
  }

  // MARK: paths

  /// One that comes by two parents is one.
  private mutating func add(_ path: Layer.PathEntry) {
    if !paths.contains(where: { $0.rule == path.rule }) { paths.append(path) }
  }

  private mutating func replace(_ module: Given<PathModule>) {
    if let index = modules.firstIndex(where: { $0.value.name == module.value.name }) {
      modules[index] = module
    } else {
      modules.append(module)
    }
  }
}

// MARK: what takes effect

extension Composition {
  /// Puts the defaults where nobody spoke, and refuses what contradicts itself.
  func effective(of layer: Layer, files: [ResolvedProfile.File]) throws(Refusal) -> ResolvedProfile {
    /// An error may lie in a parent's line although only the child makes it one.
    func blame(_ origin: Origin) -> String { origin.profile == layer.name ? "" : " (in '\(layer.name)', which extends this profile)" }

    guard !traps.isEmpty else { throw refuse(layer.trapPlace, "a profile must trap something") }
    guard traps.count <= Profile.maxTraps else { throw refuse(layer.trapPlace, "more than \(Profile.maxTraps) system calls are trapped") }
    for (name, origins) in never.sorted(by: { $0.key < $1.key }) where traps[name] != nil {
      let place = (origins + (traps[name]?.origins ?? [])).last { $0.profile == layer.name } ?? origins[0]
      throw refuse(place, "'\(name)' is both trapped and never allowed: it can only be one of both\(blame(place))")
    }
    try refuseUnseenCode(blame)
    try refuseUnusablePaths(blame)

    var absent: [String: [Origin]] = [:]
    for group in self.absent.values {
      for name in group.value where never[name] == nil && traps[name] == nil { absent[name, default: []] += group.origins }
    }
    let profile = Profile(
      name: layer.name, version: layer.version, description: layer.description,
      traps: traps.values.map(\.value).sorted { $0.syscall < $1.syscall }, never: never.keys.sorted(), absent: absent.keys.sorted(),
      checks: Dictionary(uniqueKeysWithValues: Profile.checkNames.map { ($0, checks[$0]?.value ?? .enforce) }),
      unknown: noUnwindInfo?.value ?? .enforce, depth: depth?.value ?? Profile.usualDepth, onLimit: onLimit?.value ?? .enforce,
      onViolation: onViolation?.value ?? .killProcess, complainUntil: complainUntil?.value, jit: Set(jit.keys),
      permissions: Set(permissions.keys), paths: paths.map(\.rule), modules: modules.map(\.value))
    return ResolvedProfile(profile: profile, origins: origins(absent: absent), files: files)
  }

  private func origins(absent: [String: [Origin]]) -> [ProfileItem: [Origin]] {
    var origins: [ProfileItem: [Origin]] = [:]
    for (name, trap) in traps { origins[.trap(name)] = trap.origins }
    for (name, places) in never { origins[.never(name)] = places }
    for (name, places) in absent { origins[.absent(name)] = places }
    for (name, check) in checks { origins[.check(name)] = [check.origin] }
    for (permission, places) in permissions { origins[.permission(permission.name)] = places }
    for (runtime, places) in jit { origins[.jit(runtime.name)] = places }
    for (index, path) in paths.enumerated() { origins[.path(index)] = [path.origin] }
    for module in modules { origins[.module(module.value.name)] = [module.origin] }
    let single: [(ProfileItem, Origin?)] = [
      (.noUnwindInfo, noUnwindInfo?.origin), (.depth, depth?.origin), (.onLimit, onLimit?.origin), (.onViolation, onViolation?.origin),
      (.complainUntil, complainUntil?.origin),
    ]
    for case (let item, let origin?) in single { origins[item] = [origin] }
    return origins
  }

  /// Code is a runtime's because a call was seen to make its memory executable: all ways to do that have to be seen.
  private func refuseUnseenCode(_ blame: (Origin) -> String) throws(Refusal) {
    guard let place = jit.min(by: { $0.key.rawValue < $1.key.rawValue })?.value.last else { return }
    for needed in Group.named("@exec-memory")?.traps ?? [] {
      guard traps[needed.syscall]?.value.covers(needed) ?? false else {
        throw refuse(
          place,
          "a runtime can only be declared where the whole of @exec-memory is trapped; '\(needed.syscall)' is not\(blame(place))")
      }
    }
  }

  private func refuseUnusablePaths(_ blame: (Origin) -> String) throws(Refusal) {
    let rules = paths.map(\.rule)
    guard rules.count <= Profile.maxPaths else {
      throw refuse(paths[Profile.maxPaths].origin, "a profile lists at most \(Profile.maxPaths) paths")
    }
    if modules.count > Paths.maxModules {
      let place = modules[Paths.maxModules].origin
      throw refuse(place, "a profile names at most \(Paths.maxModules) modules\(blame(place))")
    }
    for call in paths.flatMap(\.calls) where traps[call.value] == nil {
      let near = nearest(call.value, among: traps.keys.sorted()).map { "; did you mean '\($0)'?" } ?? ""
      throw refuse(
        call.origin, "'\(call.value)' is not trapped, so no path to it would ever be looked at\(near)\(blame(call.origin))")
    }
    for name in Set(rules.flatMap(\.syscalls)).sorted() {
      let all = Paths(to: name, by: rules, in: modules.map(\.value))
      if max(all.chains.count, all.denied.count) <= Paths.maxChains, all.bytes <= Paths.maxBytes { continue }
      let place = paths.last { $0.rule.syscalls.contains(name) }!.origin
      throw refuse(
        place, "the paths to '\(name)' are too many: \(Paths.maxChains) of \(Paths.maxBytes) bytes in all can be kept\(blame(place))")
    }
    let named = Set(rules.flatMap(\.chain).compactMap(\.module))
    // What is misspelled here or there would match nothing.
    for module in modules where !named.contains(module.value.name) {
      let near = nearest(module.value.name, among: named.sorted()).map { "; did you mean '\($0)'?" } ?? ""
      throw refuse(
        module.origin, "module '\(module.value.name)' is named by no chain of spec.paths\(near)\(blame(module.origin))")
    }
  }
}

extension Trap {
  /// Whatever `other` traps, this does.
  package func covers(_ other: Trap) -> Bool {
    guard syscall == other.syscall else { return false }
    guard let condition else { return true }
    guard let needed = other.condition else { return false }
    return condition == needed
      || condition.argument == needed.argument && condition.relation == .anySet && condition.mask & needed.mask != 0
        && (needed.relation == .allSet || condition.mask & needed.mask == needed.mask)
  }
}

/// The condition that holds where either does: nil inside for "always", nil outside where no condition says that.
func joined(_ a: Condition?, _ b: Condition?) -> Condition?? {
  guard let a, let b else { return .some(nil) }
  if a == b { return .some(a) }
  guard a.argument == b.argument, let one = a.asAnySet, let other = b.asAnySet else { return nil }
  return .some(Condition(argument: a.argument, mask: one | other, relation: .anySet))
}

extension Condition {
  /// All of one bit is any of it.
  fileprivate var asAnySet: UInt64? { relation == .anySet || mask.nonzeroBitCount == 1 ? mask : nil }
}
