internal import JSON
package import Profile
internal import Wire

extension Profile {
  /// What the profile means, as one text: JSON without spaces, the members of every object sorted by their bytes, every default written
  /// out, sets sorted. Comments, layout and the names of groups leave no trace in it; whatever a profile extends does.
  ///
  /// Every stored field is in it; a test walks them. `floor` is the host's and not the profile's: a digest is taken before a baseline is laid over it.
  package var canonicalForm: [UInt8] {
    object([
      ("apiVersion", .string(Profile.apiVersion)),
      ("kind", .string(Profile.kind)),
      ("name", .string(name)),
      ("version", .string(version)),
      ("description", .string(description)),
      ("traps", .array(traps.map(\.canonical))),
      ("never", .array(never.map(JSONValue.string))),
      ("absent", .array(absent.map(JSONValue.string))),
      ("checks", object(checks.map { ($0.key, $0.value.canonical) })),
      ("unknown", .string(unknown.rawValue)),
      ("depth", .integer(depth)),
      ("onLimit", .string(onLimit.rawValue)),
      ("onViolation", onViolation.canonical),
      ("complainUntil", complainUntil.map(JSONValue.integer) ?? .null),
      ("jit", .array(jit.map(\.name).sorted(by: precedes).map(JSONValue.string))),
      ("permit", .array(permissions.map(\.name).sorted(by: precedes).map(JSONValue.string))),
      ("paths", .array(paths.map(\.canonical))),
      ("modules", .array(modules.map(\.canonical))),
    ]).serialised()
  }

  /// By which a profile can be pinned and told from every other: that of its canonical form.
  package var digest: Digest { Digest(of: canonicalForm) }
}

private func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }

private func object(_ members: [(String, JSONValue)]) -> JSONValue {
  .object(members.sorted { precedes($0.0, $1.0) }.map { JSONMember($0.0, $0.1) })
}

extension Trap {
  fileprivate var canonical: JSONValue {
    object([
      ("syscall", .string(syscall)), ("condition", condition?.canonical ?? .null), ("onViolation", onViolation?.canonical ?? .null),
    ])
  }
}

extension CheckRule {
  fileprivate var canonical: JSONValue {
    object([("setting", .string(setting.rawValue)), ("onViolation", onViolation?.canonical ?? .null)])
  }
}

extension Condition {
  fileprivate var canonical: JSONValue {
    object([("argument", .integer(argument)), ("mask", .integer(mask)), ("relation", .string(relation.rawValue))])
  }
}

extension Action {
  fileprivate var canonical: JSONValue {
    switch self {
    case .audit, .killProcess, .killContainer: object([("action", .string(name))])
    case .errno(let number): object([("action", .string("errno")), ("errno", .integer(number))])
    }
  }
}

extension PathRule {
  fileprivate var canonical: JSONValue {
    object([
      ("syscalls", .array(syscalls.map(JSONValue.string))), ("chain", .array(chain.map { .string($0.description) })),
      ("deny", .bool(isDenied)), ("onViolation", onViolation?.canonical ?? .null), ("reason", reason.map(JSONValue.string) ?? .null),
    ])
  }
}

extension PathModule {
  fileprivate var canonical: JSONValue {
    object([
      ("name", .string(name)), ("path", path.map(JSONValue.string) ?? .null), ("buildId", buildID.map(JSONValue.string) ?? .null),
      ("functions", object(functions.map { ("+0x\(String($0.key, radix: 16))", .string($0.value)) })),
    ])
  }
}
