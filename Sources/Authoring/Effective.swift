internal import Diagnostics
package import JSON
package import Profile
internal import Wire
internal import YAML

private typealias Node = YAMLDocument.Node

extension ResolvedProfile {
  /// The profile as it takes effect, with all that it inherits, as a profile that extends none. Behind each value is where it was written;
  /// the files are named at the top. What nobody wrote is the format's default.
  package var effectiveText: String {
    var document = YAMLDocument(root: effective)
    document.head =
      ["# What takes effect of profile '\(profile.name)', and who wrote it."]
      + files.map { "# \($0.profile): \($0.file)" }
    if let floor = profile.floor {
      document.head.append("# The administrator's baseline: no violation has a milder consequence than \(floor.onViolation.short).")
    }
    let orphans = profile.absent.filter { name in !profile.grouped.groups.contains { $0.absent.contains(name) } }
    if !orphans.isEmpty { document.head.append("# These answer ENOSYS, too: \(orphans.joined(separator: ", ")).") }
    return document.text
  }

  private var effective: Node {
    var metadata: [(key: String, value: Node)] = [("name", .plain(profile.name)), ("version", .text(profile.version))]
    if !profile.description.isEmpty { metadata.append(("description", .text(profile.description))) }
    return .mapping([
      ("apiVersion", .text(Profile.apiVersion)), ("kind", .text(Profile.kind)), ("metadata", .mapping(metadata)), ("spec", spec),
    ])
  }

  private var spec: Node {
    var spec: [YAMLDocument.Item] = []
    func add(_ key: String, _ value: Node, from item: ProfileItem? = nil) {
      spec.append(entry(key, value, from: item))
    }
    add("trap", traps)
    if !profile.never.isEmpty {
      add("never", sequence(profile.never.map { (.text($0), origins(of: [.never($0)])) }))
    }
    add("checks", mapping(Profile.checkNames.map { name in entry(name, check(name), from: .check(name)) }))
    let permissions = Permission.allCases.filter { profile.permissions.contains($0) }
    if !permissions.isEmpty { add("permit", sequence(permissions.map { (.text($0.name), origins(of: [.permission($0.name)])) })) }
    let runtimes = JITRuntime.allCases.filter { profile.jit.contains($0) }
    if !runtimes.isEmpty { add("jit", sequence(runtimes.map { (.text($0.name), origins(of: [.jit($0.name)])) })) }
    add(
      "unknown",
      mapping([
        entry("noUnwindInfo", .plain(profile.unknown.rawValue), from: .noUnwindInfo),
        entry("depth", .plain(String(profile.depth)), from: .depth), entry("onLimit", .plain(profile.onLimit.rawValue), from: .onLimit),
      ]))
    if !profile.modules.isEmpty {
      add("modules", mapping(profile.modules.map { entry($0.name, .module($0), from: .module($0.name)) }))
    }
    if !profile.paths.isEmpty {
      add("paths", sequence(profile.paths.enumerated().map { (.path($0.element), origins(of: [.path($0.offset)])) }))
    }
    add("onViolation", .action(profile.onViolation), from: .onViolation)
    if let until = profile.complainUntil { add("complainUntil", .plain(timestamp(until * 1000)), from: .complainUntil) }
    return Node(.mapping(spec))
  }

  private var traps: Node {
    let (groups, others) = profile.grouped
    var elements: [(Node, String?)] = groups.map { group in
      (.text(group.name), origins(of: group.traps.map { .trap($0.syscall) }))
    }
    for trap in others { elements.append((ResolvedProfile.node(trap), origins(of: [.trap(trap.syscall)]))) }
    for trap in profile.traps where trap.onViolation != nil && !others.contains(trap) {
      elements.append((ResolvedProfile.node(trap), origins(of: [.trap(trap.syscall)])))
    }
    return sequence(elements)
  }

  private func check(_ name: String) -> Node {
    guard let rule = profile.checks[name] else { return .plain(Setting.enforce.rawValue) }
    guard let action = rule.onViolation else { return .plain(rule.setting.rawValue) }
    return .mapping(["setting": .plain(rule.setting.rawValue), "onViolation": .action(action)])
  }

  // MARK: values

  private static func node(_ trap: Trap) -> Node {
    guard trap.condition != nil || trap.onViolation != nil else { return .text(trap.syscall) }
    var fields: [(key: String, value: Node)] = [("syscall", .text(trap.syscall))]
    if let condition = trap.condition {
      fields.append(("argument", .plain(String(condition.argument))))
      fields.append((condition.relation.rawValue, .plain("0x\(String(condition.mask, radix: 16))")))
    }
    if let action = trap.onViolation { fields.append(("onViolation", .action(action))) }
    return .mapping(fields)
  }

  // MARK: with origins

  private func entry(_ key: String, _ value: Node, from item: ProfileItem?) -> YAMLDocument.Item {
    var entry = YAMLDocument.Item(key: .init(key, isPlain: false), value: value)
    entry.after = item.flatMap { origins(of: [$0]) ?? "# default of the format" }
    return entry
  }

  private func sequence(_ elements: [(Node, String?)]) -> Node {
    Node(
      .sequence(
        elements.map { node, origin in
          var item = YAMLDocument.Item(value: node)
          item.after = origin
          return item
        }))
  }

  private func mapping(_ entries: [YAMLDocument.Item]) -> Node { Node(.mapping(entries)) }

  /// `# default:14, web:7`
  private func origins(of items: [ProfileItem]) -> String? {
    var places: [String] = []
    for origin in items.flatMap({ origins[$0] ?? [] }) {
      let place = "\(origin.profile):\(origin.line)"
      if !places.contains(place) { places.append(place) }
    }
    return places.isEmpty ? nil : "# " + places.joined(separator: ", ")
  }
}

extension ResolvedProfile {
  /// The same for programs: what takes effect, and where each value was written.
  package var json: JSONValue {
    func places(_ items: ProfileItem...) -> JSONMember {
      JSONMember("origins", .array(items.flatMap { origins[$0] ?? [] }.map { .string($0.place) }))
    }
    func action(_ action: Action?) -> [JSONMember] { action.map { [JSONMember("onViolation", .string($0.short))] } ?? [] }
    let traps = profile.traps.map { trap in
      JSONValue.object(
        [JSONMember("syscall", .string(trap.syscall))]
          + (trap.condition.map {
            [JSONMember("argument", .integer($0.argument)), JSONMember($0.relation.rawValue, .string("0x\(String($0.mask, radix: 16))"))]
          } ?? []) + action(trap.onViolation) + [places(.trap(trap.syscall))])
    }
    func names(_ names: [String], _ item: (String) -> ProfileItem) -> JSONValue {
      .array(names.map { .object([JSONMember("name", .string($0)), places(item($0))]) })
    }
    return .object([
      JSONMember("name", .string(profile.name)), JSONMember("version", .string(profile.version)),
      JSONMember("description", .string(profile.description)),
      JSONMember(
        "files", .array(files.map { .object([JSONMember("profile", .string($0.profile)), JSONMember("file", .string($0.file))]) })),
      JSONMember("trap", .array(traps)), JSONMember("never", names(profile.never) { .never($0) }),
      JSONMember("absent", names(profile.absent) { .absent($0) }),
      JSONMember(
        "checks",
        .array(
          Profile.checkNames.map { name in
            let rule = profile.checks[name] ?? .enforce
            return .object(
              [JSONMember("name", .string(name)), JSONMember("setting", .string(rule.setting.rawValue))] + action(rule.onViolation)
                + [places(.check(name))])
          })),
      JSONMember("permit", names(Permission.allCases.filter { profile.permissions.contains($0) }.map(\.name)) { .permission($0) }),
      JSONMember("jit", names(JITRuntime.allCases.filter { profile.jit.contains($0) }.map(\.name)) { .jit($0) }),
      JSONMember(
        "unknown",
        .object([
          JSONMember("noUnwindInfo", .string(profile.unknown.rawValue)), JSONMember("depth", .integer(profile.depth)),
          JSONMember("onLimit", .string(profile.onLimit.rawValue)), places(.noUnwindInfo, .depth, .onLimit),
        ])),
      JSONMember(
        "modules",
        .array(
          profile.modules.map { module in
            .object(
              [JSONMember("name", .string(module.name))] + (module.path.map { [JSONMember("path", .string($0))] } ?? [])
                + (module.buildID.map { [JSONMember("buildId", .string($0))] } ?? []) + [places(.module(module.name))])
          })),
      JSONMember(
        "paths",
        .array(
          profile.paths.enumerated().map { index, path in
            .object(
              [
                JSONMember("syscalls", .array(path.syscalls.map { .string($0) })),
                JSONMember("chain", .array(path.chain.map { .string($0.description) })), JSONMember("deny", .bool(path.isDenied)),
              ] + action(path.onViolation) + (path.reason.map { [JSONMember("reason", .string($0))] } ?? []) + [places(.path(index))])
          })),
      JSONMember("onViolation", .object([JSONMember("action", .string(profile.onViolation.short)), places(.onViolation)])),
      JSONMember("complainUntil", profile.complainUntil.map { .string(timestamp($0 * 1000)) } ?? .null),
    ])
  }
}
