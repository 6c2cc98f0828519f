internal import Diagnostics
package import Plan
package import Profile
package import Wire

/// What a profile makes of a finding.
package enum Verdict: Equatable, Sendable {
  case allow
  /// Allowed, and worth a record: what objected is only audited.
  case audit(Grounds)
  case deny(Grounds, Action)
}

/// The first objection that counts.
package enum Objection: Equatable, Sendable {
  case violation(Violation)
  case unknown(Unknown)
}

/// Why a verdict is no plain allow, in the words of the report.
package struct Grounds: Equatable, Sendable {
  package var objection: Objection
  /// The setting that made it count, e.g. "call = enforce", who gave it where it was not the profile itself, and what else had a say.
  package var rule: String

  package init(objection: Objection, rule: String) {
    self.objection = objection
    self.rule = rule
  }

  /// What objected, as counts name it: the check, or "unknown".
  package var name: String {
    switch objection {
    case .violation(let violation): violation.check.name
    case .unknown: "unknown"
    }
  }
}

/// Pure: the same finding of a call under the same plan at the same time, in seconds since 1970, is the same verdict.
///
/// Of several objections that are enforced the one with the strictest action decides, and of those the first.
package func decide(_ finding: Finding, of syscall: String, at now: Int64, under plan: Plan) -> Verdict {
  var audited: Grounds?
  var denied: (grounds: Grounds, action: Action)?
  for objection in finding.violations.map(Objection.violation) + (finding.unknown.map { [Objection.unknown($0)] } ?? []) {
    let (name, setting) = plan.setting(of: objection)
    let rule = "\(name) = \(setting.rawValue)" + (plan.givers[name].map { " (\($0))" } ?? "")
    switch setting {
    case .off: continue
    case .audit: audited = audited ?? Grounds(objection: objection, rule: rule)
    case .enforce:
      let (action, giver) = plan.actions.action(path: plan.pathAction(objection, syscall), check: objection.check, syscall: syscall)
      let grounds = Grounds(objection: objection, rule: rule + giver.words)
      if action == .audit {
        audited = audited ?? Grounds(objection: objection, rule: "\(rule), action = audit\(giver.words)")
      } else if denied.map({ action.isStricter(than: $0.action) }) ?? true {
        denied = (grounds, action)
      }
    }
  }
  guard let (grounds, action) = denied else { return audited.map(Verdict.audit) ?? .allow }
  guard let leniency = plan.leniency(at: now) else { return .deny(grounds, action) }
  return .audit(Grounds(objection: grounds.objection, rule: "\(grounds.rule), \(leniency)"))
}

extension Plan {
  /// Why nothing is denied at this time, in seconds since 1970; nil where it is.
  func leniency(at now: Int64) -> String? {
    if mode == .audit { return "mode = audit" }
    if let complainUntil, now < complainUntil { return "complainUntil = \(timestamp(complainUntil * 1000))" }
    return nil
  }

  /// Plan's decoder gives every check a setting; one that had none would be enforced.
  fileprivate func setting(of objection: Objection) -> (name: String, Setting) {
    switch objection {
    case .violation(let violation): (violation.check.name, checks[violation.check.name] ?? .enforce)
    case .unknown(let unknown): unknown.reason == .tooDeep ? (Plan.onLimitRule, onLimit) : (Plan.unknownRule, self.unknown)
    }
  }

  /// What the paths to `syscall` say: the chain that was denied, or, where none that is allowed was the way, the strictest of those.
  fileprivate func pathAction(_ objection: Objection, _ syscall: String) -> Action? {
    guard case .violation(let violation) = objection, violation.check == .path else { return nil }
    if case .deniedPath(let place) = violation.reason { return paths.action(of: .denied(Int(place)), to: syscall) }
    return paths.action(of: .unlisted(Int(violation.frame)), to: syscall)
  }
}

extension Objection {
  fileprivate var check: String? {
    switch self {
    case .violation(let violation): violation.check.name
    case .unknown: nil
    }
  }
}

extension ActionRules.Giver {
  /// Where the profile's own action was not what counted.
  fileprivate var words: String {
    switch self {
    case .profile: ""
    case .path: ", onViolation of the path"
    case .check: ", onViolation of the check"
    case .trap: ", onViolation of the trap"
    case .baseline: ", onViolation of the baseline"
    }
  }
}
