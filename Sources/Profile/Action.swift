/// What happens when an enforced check is violated, from the more lenient to the stricter.
package enum Action: Hashable, Sendable {
  /// It is written down, and the call goes on.
  case audit
  /// The syscall fails with this errno.
  case errno(Int32)
  /// SIGKILL to the whole process before any answer.
  case killProcess
  /// SIGKILL to every process of the container, and no trapped call of it is ever let on again.
  case killContainer

  package static let names = ["errno", "kill-process", "kill-container", "audit"]

  /// As a profile names it; the errno stands beside.
  package var name: String {
    switch self {
    case .audit: "audit"
    case .errno: "errno"
    case .killProcess: "kill-process"
    case .killContainer: "kill-container"
    }
  }

  private var rank: Int {
    switch self {
    case .audit: 0
    case .errno: 1
    case .killProcess: 2
    case .killContainer: 3
    }
  }

  /// One errno is as strict as another.
  package func isStricter(than other: Action) -> Bool { rank > other.rank }

  /// The stricter of both; the first where they are equally strict.
  package static func stricter(_ a: Action, _ b: Action) -> Action { b.isStricter(than: a) ? b : a }
}

/// What an administrator's baseline says of actions: no violation may have a milder one.
package struct ActionFloor: Equatable, Sendable {
  package var onViolation: Action
  /// By a check's name; where none is said, the trap's counts, then `onViolation`.
  package var checks: [String: Action]
  /// By the system call.
  package var traps: [String: Action]

  package init(onViolation: Action, checks: [String: Action] = [:], traps: [String: Action] = [:]) {
    self.onViolation = onViolation
    self.checks = checks
    self.traps = traps
  }
}

/// The actions that a profile names, and where: what decides of a violation.
package struct ActionRules: Equatable, Sendable {
  package var onViolation: Action
  package var checks: [String: Action]
  package var traps: [String: Action]
  package var floor: ActionFloor?

  package init(onViolation: Action, checks: [String: Action] = [:], traps: [String: Action] = [:], floor: ActionFloor? = nil) {
    self.onViolation = onViolation
    self.checks = checks
    self.traps = traps
    self.floor = floor
  }

  /// Who named an action.
  package enum Giver: Equatable, Sendable { case path, check, trap, profile, baseline }

  /// The path rule's action, else the check's, else the trap's, else the profile's; but never one that is milder than the baseline's, which
  /// is found in the same order. `check` is nil for a stack that could not be judged.
  package func action(path: Action? = nil, check: String?, syscall: String) -> (Action, by: Giver) {
    let own: (Action, by: Giver) =
      if let path { (path, .path) } else if let action = check.flatMap({ checks[$0] }) {
        (action, .check)
      } else if let action = traps[syscall] {
        (action, .trap)
      } else { (onViolation, .profile) }
    guard let floor else { return own }
    let least = check.flatMap { floor.checks[$0] } ?? floor.traps[syscall] ?? floor.onViolation
    return least.isStricter(than: own.0) ? (least, .baseline) : own
  }
}
