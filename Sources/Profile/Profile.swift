package import Wire

/// How hard a check is enforced.
package enum Setting: String, CaseIterable, Sendable, Comparable {
  case enforce, audit, off

  private var rank: Int {
    switch self {
    case .off: 0
    case .audit: 1
    case .enforce: 2
    }
  }

  /// The stricter is the greater.
  package static func < (a: Setting, b: Setting) -> Bool { a.rank < b.rank }
}

/// What a profile says of one check.
package struct CheckRule: Equatable, Sendable {
  package var setting: Setting
  /// In place of the trap's and the profile's own.
  package var onViolation: Action?

  package init(_ setting: Setting, onViolation: Action? = nil) {
    self.setting = setting
    self.onViolation = onViolation
  }

  package static let enforce = CheckRule(.enforce)
  package static let audit = CheckRule(.audit)
  package static let off = CheckRule(.off)
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
  /// In place of the profile's own.
  package var onViolation: Action?

  package init(_ syscall: String, where condition: Condition? = nil, onViolation: Action? = nil) {
    self.syscall = syscall
    self.condition = condition
    self.onViolation = onViolation
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

  // What a profile may hold; the whole file is bounded by YAMLNode.maxBytes.
  /// Chains of `extends`, the profile itself not counted, and the profiles that one list of it, and all of them together, may name.
  package static let maxExtendsDepth = 8
  package static let maxParents = 8
  package static let maxFiles = 64
  package static let maxTraps = 512
  package static let maxPaths = 1024
  package static let maxVersionBytes = 64
  package static let maxDescriptionBytes = 1024
  /// Of a path.
  package static let maxReasonBytes = 256
  /// Of one module.
  package static let maxFunctions = 4096
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
  package var checks: [String: CheckRule]
  /// What a frame that cannot be judged counts as: `unknown.noUnwindInfo`.
  package var unknown: Setting
  /// The most frames a walk may have before it counts as too deep.
  package var depth: Int
  /// What a stack that is deeper counts as.
  package var onLimit: Setting
  package var onViolation: Action
  /// Seconds since 1970: until then what would be denied is let through and written down.
  package var complainUntil: Int64?
  /// Runtimes whose code, made at run time, may be on a stack.
  package var jit: Set<JITRuntime>
  package var permissions: Set<Permission>
  /// The ways to system calls: one that no rule names may be reached along any.
  package var paths: [PathRule]
  /// The files that those name, where their names alone do not do.
  package var modules: [PathModule]
  /// The administrator's, once this profile was laid over a baseline.
  package var floor: ActionFloor?

  package init(
    name: String, version: String, description: String, traps: [Trap], never: [String],
    absent: [String] = [], checks: [String: CheckRule],
    unknown: Setting, depth: Int, onLimit: Setting = .enforce, onViolation: Action, complainUntil: Int64? = nil,
    jit: Set<JITRuntime> = [], permissions: Set<Permission> = [], paths: [PathRule] = [], modules: [PathModule] = []
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
    self.onLimit = onLimit
    self.onViolation = onViolation
    self.complainUntil = complainUntil
    self.jit = jit
    self.permissions = permissions
    self.paths = paths
    self.modules = modules
  }

  /// All actions that it names but those of its paths.
  package var actions: ActionRules {
    ActionRules(
      onViolation: onViolation, checks: checks.compactMapValues(\.onViolation),
      traps: Dictionary(uniqueKeysWithValues: traps.compactMap { trap in trap.onViolation.map { (trap.syscall, $0) } }), floor: floor)
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

/// A way that leads to each of some system calls: one that is allowed, or one that never is.
package struct PathRule: Equatable, Sendable {
  package var syscalls: [String]
  /// Innermost first, and not empty.
  package var chain: [PathElement]
  /// The chain is refused, whatever others allow.
  package var isDenied: Bool
  /// In place of the check's, the trap's and the profile's own. Of a chain that is denied: where it was the way. Of one that is allowed: where
  /// none of those that are was; of several the strictest.
  package var onViolation: Action?
  /// For people.
  package var reason: String?

  package init(
    syscalls: [String], chain: [PathElement], isDenied: Bool = false, onViolation: Action? = nil, reason: String? = nil
  ) {
    self.syscalls = syscalls
    self.chain = chain
    self.isDenied = isDenied
    self.onViolation = onViolation
    self.reason = reason
  }
}

extension Paths {
  /// What `rules` say of one system call. The denied chains are in the order of the rules.
  package init(to syscall: String, by rules: [PathRule], in modules: [PathModule]) {
    let concerned = rules.filter { $0.syscalls.contains(syscall) }
    let named = Set(concerned.flatMap(\.chain).compactMap(\.module))
    self.init(
      modules: modules.filter { named.contains($0.name) }.map { PathModule(name: $0.name, path: $0.path, buildID: $0.buildID) },
      chains: concerned.filter { !$0.isDenied }.map(\.chain), denied: concerned.filter(\.isDenied).map(\.chain))
  }
}
