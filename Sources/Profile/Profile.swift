package import Wire

/// How hard a check is enforced.
package enum Setting: String, CaseIterable, Sendable { case enforce, audit, off }

/// What happens when an enforced check is violated.
package enum Action: Equatable, Sendable {
  /// SIGKILL to the whole process before any answer.
  case killProcess
  /// The syscall fails with this errno.
  case errno(Int32)
}

/// A condition on one argument: `(argument & mask) == value`, or its negation. All a trap of this design needs, and all that
/// libseccomp can compile to disjoint rules.
package struct Condition: Equatable, Sendable {
  package enum Relation: String, Sendable { case allSet, anySet }
  package var argument: Int
  package var mask: UInt64
  /// `allSet`: every bit of the mask is set. `anySet`: at least one is.
  package var relation: Relation

  package init(argument: Int, mask: UInt64, relation: Relation) {
    self.argument = argument
    self.mask = mask
    self.relation = relation
  }

  package func holds(for value: UInt64) -> Bool {
    switch relation {
    case .allSet: value & mask == mask
    case .anySet: value & mask != 0
    }
  }
}

/// One trapped syscall: always, or only where the condition holds.
package struct Trap: Equatable, Sendable {
  /// The name as libseccomp and the kernel know it.
  package var syscall: String
  package var condition: Condition?

  package init(_ syscall: String, where condition: Condition? = nil) {
    self.syscall = syscall
    self.condition = condition
  }
}

extension Profile {
  /// The names of the checks, in the order of the documentation.
  package static let checkNames = Check.allCases.map(\.name)
  /// A walk of fewer frames would call ordinary programs unknown.
  package static let leastDepth = 16
  /// A stack of 8 MiB holds half a million frames of 16 bytes; nothing honest is deeper than this when it execs or maps code.
  package static let greatestDepth = 65536
  /// Honest recursion (parsers, interpreters, sorted trees) reaches some thousand frames.
  package static let usualDepth = 8192
}

/// What a profile means once groups are expanded. Pure data.
package struct Profile: Equatable, Sendable {
  package var name: String
  package var version: String
  package var description: String
  /// At most one entry a syscall, sorted by name.
  package var traps: [Trap]
  /// Refused in the kernel, no notification.
  package var never: [String]
  /// Answered in the kernel as if it had never heard of them (ENOSYS), so that callers fall back to what can be judged. Sorted.
  package var absent: [String]
  /// Every check has an entry, by its name.
  package var checks: [String: Setting]
  /// What a frame that cannot be judged counts as.
  package var unknown: Setting
  /// The most frames a walk may have before it counts as unknown.
  package var depth: Int
  package var onViolation: Action
  /// Runtimes whose code, made at run time, may be on a stack.
  package var jit: Set<JITRuntime>
  package var permissions: Set<Permission>
  /// The ways to system calls: one that no rule names may be reached along any.
  package var paths: [PathRule]
  /// The files that those name, where their names alone do not do.
  package var modules: [PathModule]

  package init(
    name: String, version: String, description: String, traps: [Trap], never: [String],
    absent: [String] = [], checks: [String: Setting],
    unknown: Setting, depth: Int, onViolation: Action, jit: Set<JITRuntime> = [], permissions: Set<Permission> = [],
    paths: [PathRule] = [], modules: [PathModule] = []
  ) {
    self.name = name
    self.version = version
    self.description = description
    self.traps = traps
    self.never = never
    self.absent = absent
    self.checks = checks
    self.unknown = unknown
    self.depth = depth
    self.onViolation = onViolation
    self.jit = jit
    self.permissions = permissions
    self.paths = paths
    self.modules = modules
  }
}

/// A trap by the number that x86-64 gives it. `Filter` resolves names; the supervisor compares numbers.
package struct ResolvedTrap: Equatable, Sendable {
  package var syscall: String
  package var number: Int32
  package var condition: Condition?

  package init(syscall: String, number: Int32, condition: Condition?) {
    self.syscall = syscall
    self.number = number
    self.condition = condition
  }
}

/// A way that leads to each of some system calls.
package struct PathRule: Equatable, Sendable {
  package var syscalls: [String]
  /// Innermost first, and not empty.
  package var chain: [PathElement]

  package init(syscalls: [String], chain: [PathElement]) {
    self.syscalls = syscalls
    self.chain = chain
  }
}

extension Paths {
  /// What `rules` say of one system call.
  package init(to syscall: String, by rules: [PathRule], in modules: [PathModule]) {
    let chains = rules.filter { $0.syscalls.contains(syscall) }.map(\.chain)
    let named = Set(chains.joined().compactMap(\.module))
    self.init(modules: modules.filter { named.contains($0.name) }, chains: chains)
  }
}
