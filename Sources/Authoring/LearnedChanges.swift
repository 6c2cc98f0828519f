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
    for module in modules { try document.set(.module(module), at: ["spec", "modules", .key(module.name)]) }
    for rule in rules { try document.append(.path(rule.rule), at: ["spec", "paths"], above: ["# \(rule.comment)"]) }
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
