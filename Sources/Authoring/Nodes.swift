internal import Profile
internal import Wire
internal import YAML

// What a profile's parts look like in its text.

extension YAMLDocument.Node {
  static func action(_ action: Action) -> Self {
    guard case .errno(let number) = action else { return .mapping(["action": .plain(action.name)]) }
    return .mapping(["action": .plain(action.name), "errno": .plain(errnoName(number))])
  }

  static func module(_ module: PathModule) -> Self {
    var fields: [(key: String, value: Self)] = []
    if let path = module.path { fields.append(("path", .text(path))) }
    if let buildID = module.buildID { fields.append(("buildId", .text(buildID))) }
    if !module.functions.isEmpty { fields.append(("functions", functions(module.functions))) }
    return .mapping(fields)
  }

  /// By their starts, and what they look like.
  static func functions(_ functions: [UInt64: String]) -> Self {
    .mapping(functions.sorted { $0.key < $1.key }.map { ("+0x\(String($0.key, radix: 16))", .text($0.value)) })
  }

  static func path(_ path: PathRule) -> Self {
    var fields: [(key: String, value: Self)] = [
      ("syscalls", .list(path.syscalls.map { .text($0) })), ("chain", .list(path.chain.map { .text($0.description) })),
    ]
    if path.isDenied { fields.append(("deny", .plain("true"))) }
    if let action = path.onViolation { fields.append(("onViolation", .action(action))) }
    if let reason = path.reason { fields.append(("reason", .text(reason))) }
    return .mapping(fields)
  }
}
