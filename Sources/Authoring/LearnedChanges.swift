package import Profile
package import Wire
package import YAML

/// What was learnt, as it is written into a profile.
package struct LearnedChanges: Equatable, Sendable {
  package struct Rule: Equatable, Sendable {
    package var rule: PathRule
    /// Above it, without `#`.
    package var comment: String

    package init(rule: PathRule, comment: String) {
      self.rule = rule
      self.comment = comment
    }
  }
  package var rules: [Rule]
  package var modules: [PathModule] = []
  package var remedies: [Remedy] = []

  package init(rules: [Rule]) { self.rules = rules }

  package var isEmpty: Bool { rules.isEmpty && remedies.isEmpty }

  package func apply(to document: inout YAMLDocument) throws(YAMLDocument.EditError) {
    for remedy in remedies {
      switch remedy {
      case .permit(let permission): try document.append(.text(permission.name), at: ["spec", "permit"])
      case .declare(let runtime): try document.append(.text(runtime.name), at: ["spec", "jit"])
      }
    }
    for module in modules { try document.set(node(module), at: ["spec", "modules", .key(module.name)]) }
    for rule in rules { try document.append(node(rule.rule), at: ["spec", "paths"], above: ["# \(rule.comment)"]) }
  }
}

/// A profile that does not exist yet. `parent`: what it extends.
package func newProfile(_ name: String, extending parent: String) -> String {
  """
  # The ways along which this program makes its system calls, as callgatectl profile learn has written them down. What they are
  # is said by: callgatectl explain CG4013
  apiVersion: callgate.dev/v1alpha1
  kind: CallProfile
  metadata:
    name: \(name)
    version: 1.0.0
    description: the ways to its system calls, learnt from recordings
  spec:
    extends: [\(parent)]

  """
}

private func node(_ module: PathModule) -> YAMLDocument.Node {
  var entries: [(key: String, value: YAMLDocument.Node)] = []
  if let path = module.path { entries.append(("path", .text(path))) }
  if let buildID = module.buildID { entries.append(("buildId", .text(buildID))) }
  if !module.functions.isEmpty {
    let functions = module.functions.sorted { $0.key < $1.key }
    entries.append(("functions", .mapping(functions.map { ("+0x\(String($0.key, radix: 16))", .text($0.value)) })))
  }
  return .mapping(entries)
}

func node(_ rule: PathRule) -> YAMLDocument.Node {
  var entries: [(key: String, value: YAMLDocument.Node)] = [
    ("syscalls", .list(rule.syscalls.map { .text($0) })), ("chain", .list(rule.chain.map { .text($0.description) })),
  ]
  if rule.isDenied { entries.append(("deny", .plain("true"))) }
  if let reason = rule.reason { entries.append(("reason", .text(reason))) }
  return .mapping(entries)
}
