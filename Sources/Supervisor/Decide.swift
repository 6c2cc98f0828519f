package import Plan
internal import Profile
package import Wire

/// What a profile makes of a finding.
package enum Verdict: Equatable, Sendable {
  case allow
  /// Allowed, and worth a record: what objected is only audited.
  case audit(Grounds)
  case deny(Grounds)
}

/// The first objection that counts.
package enum Objection: Equatable, Sendable {
  case violation(Violation)
  case unknown(Unknown)
}

/// Why a verdict is no plain allow, in the words of the report.
package struct Grounds: Equatable, Sendable {
  package var objection: Objection
  /// The setting that made it count, e.g. "call = enforce".
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

/// Pure: the same finding under the same plan is the same verdict.
package func decide(_ finding: Finding, under plan: Plan) -> Verdict {
  var audited: Grounds?
  for violation in finding.violations {
    // Plan's decoder gives every check a setting; one that had none would be enforced.
    switch plan.checks[violation.check.name] ?? .enforce {
    case .off: continue
    case .audit:
      audited = audited ?? Grounds(objection: .violation(violation), rule: "\(violation.check.name) = audit")
    case .enforce:
      return limited(Grounds(objection: .violation(violation), rule: "\(violation.check.name) = enforce"), by: plan.mode)
    }
  }
  if let unknown = finding.unknown {
    switch plan.unknown {
    case .off: break
    case .audit: audited = audited ?? Grounds(objection: .unknown(unknown), rule: "unknown = audit")
    case .enforce: return limited(Grounds(objection: .unknown(unknown), rule: "unknown = enforce"), by: plan.mode)
    }
  }
  return audited.map(Verdict.audit) ?? .allow
}

private func limited(_ grounds: Grounds, by mode: Mode) -> Verdict {
  switch mode {
  case .enforce: return .deny(grounds)
  case .audit:
    var grounds = grounds
    grounds.rule += ", mode = audit"
    return .audit(grounds)
  }
}
