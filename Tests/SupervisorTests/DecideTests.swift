import Diagnostics
import Plan
import Profile
import Supervisor
import Testing
import Wire

@Suite struct DecideTests {
  private func plan(
    checks: [String: CheckRule] = [:], unknown: Setting = .enforce, mode: Mode = .enforce
  ) throws -> Plan {
    let profile = Profile(
      name: "p", version: "1", description: "", traps: [], never: [],
      checks: Dictionary(uniqueKeysWithValues: Profile.checkNames.map { ($0, checks[$0] ?? .enforce) }), unknown: unknown, depth: 64,
      onViolation: .killProcess)
    let root = StatePaths.Environment(isRoot: true, runtimeDirectory: nil, stateHome: nil, home: nil)
    return Plan(
      id: "x", bundle: "", paths: try StatePaths(id: "x", root: "", in: root), runtimeProcess: nil, runtime: .crun, mode: mode,
      profile: profile, profileDigest: "", traps: [], waitKillable: false)
  }

  private func finding(_ violations: [(Check, Reason)] = [], unknown: Reason? = nil) -> Finding {
    var finding = Finding()
    finding.violations = violations.map { Violation(check: $0.0, frame: 1, reason: $0.1) }
    finding.unknown = unknown.map { Unknown(frame: 2, reason: $0) }
    return finding
  }

  @Test func `a clean finding is allowed`() throws {
    #expect(decide(finding(), of: "execve", at: 0, under: try plan()) == .allow)
  }

  @Test func `the first violation of an enforced check denies`() throws {
    let seen = finding([(.call, .notAfterCall), (.text, .writableText)])
    #expect(
      decide(seen, of: "execve", at: 0, under: try plan())
        == .deny(Grounds(objection: .violation(seen.violations[0]), rule: "call = enforce"), .killProcess))
    #expect(
      decide(seen, of: "execve", at: 0, under: try plan(checks: ["call": .audit]))
        == .deny(Grounds(objection: .violation(seen.violations[1]), rule: "text = enforce"), .killProcess))
  }

  @Test func `what is only audited is allowed and recorded, what is off is neither`() throws {
    let seen = finding([(.call, .notAfterCall)])
    #expect(
      decide(seen, of: "execve", at: 0, under: try plan(checks: ["call": .audit]))
        == .audit(Grounds(objection: .violation(seen.violations[0]), rule: "call = audit")))
    #expect(decide(seen, of: "execve", at: 0, under: try plan(checks: ["call": .off])) == .allow)
  }

  @Test func `a stack that could not be judged counts by its own setting`() throws {
    let seen = finding(unknown: .noUnwindInfo)
    let grounds = Grounds(objection: .unknown(Unknown(frame: 2, reason: .noUnwindInfo)), rule: "unknown = enforce")
    #expect(decide(seen, of: "execve", at: 0, under: try plan()) == .deny(grounds, .killProcess))
    #expect(decide(seen, of: "execve", at: 0, under: try plan(unknown: .off)) == .allow)
    guard case .audit = decide(seen, of: "execve", at: 0, under: try plan(unknown: .audit)) else {
      Issue.record("it was not audited")
      return
    }
  }

  @Test func `an unknown end does not excuse a violation before it`() throws {
    let seen = finding([(.stack, .notRising)], unknown: .noUnwindInfo)
    guard case .deny(let grounds, _) = decide(seen, of: "execve", at: 0, under: try plan(unknown: .off)) else {
      Issue.record("it was not denied")
      return
    }
    #expect(grounds.rule == "stack = enforce")
  }

  @Test func `the mode audit denies nothing and says so`() throws {
    let seen = finding([(.call, .notAfterCall)])
    #expect(
      decide(seen, of: "execve", at: 0, under: try plan(mode: .audit))
        == .audit(Grounds(objection: .violation(seen.violations[0]), rule: "call = enforce, mode = audit")))
  }

  @Test(arguments: Check.allCases) func `every check denies when it is enforced and not when it is off`(_ check: Check) throws {
    let seen = finding([(check, .endsElsewhere)])
    guard case .deny = decide(seen, of: "execve", at: 0, under: try plan()) else {
      Issue.record("\(check.name) does not deny")
      return
    }
    #expect(decide(seen, of: "execve", at: 0, under: try plan(checks: [check.name: .off])) == .allow)
  }

  @Test func `the strictest action decides, whichever objection came first`() throws {
    let seen = finding([(.call, .notAfterCall), (.text, .writableText), (.edge, .otherCallee)], unknown: .noUnwindInfo)
    var plan = try plan()
    plan.actions = ActionRules(
      onViolation: .errno(1), checks: ["text": .killContainer, "call": .killProcess, "edge": .audit], traps: ["bind": .audit])
    let text = Grounds(objection: .violation(seen.violations[1]), rule: "text = enforce, onViolation of the check")
    #expect(decide(seen, of: "execve", at: 0, under: plan) == .deny(text, .killContainer))
    let alone = finding([(.edge, .otherCallee)])
    let edge = Grounds(objection: .violation(alone.violations[0]), rule: "edge = enforce, action = audit, onViolation of the check")
    #expect(decide(alone, of: "execve", at: 0, under: plan) == .audit(edge))
    // The trap's word is the one for what no check says.
    #expect(
      decide(finding(unknown: .noUnwindInfo), of: "bind", at: 0, under: plan)
        != decide(finding(unknown: .noUnwindInfo), of: "execve", at: 0, under: plan))
  }

  @Test func `until its time a profile denies nothing and says so, afterwards it does, whatever the mode`() throws {
    let seen = finding([(.call, .notAfterCall)])
    var plan = try plan()
    plan.complainUntil = 1000
    #expect(
      decide(seen, of: "execve", at: 999, under: plan)
        == .audit(Grounds(objection: .violation(seen.violations[0]), rule: "call = enforce, complainUntil = 1970-01-01T00:16:40Z")))
    let denial = Verdict.deny(Grounds(objection: .violation(seen.violations[0]), rule: "call = enforce"), .killProcess)
    #expect(decide(seen, of: "execve", at: 1000, under: plan) == denial)
    plan.givers = ["call": "default"]
    #expect(
      decide(seen, of: "execve", at: 1000, under: plan)
        == .deny(Grounds(objection: .violation(seen.violations[0]), rule: "call = enforce (default)"), .killProcess))
  }

  @Test func `a stack beyond the limit has a setting of its own`() throws {
    var plan = try plan(unknown: .off)
    guard case .deny(let grounds, _) = decide(finding(unknown: .tooDeep), of: "execve", at: 0, under: plan) else {
      Issue.record("it was not denied")
      return
    }
    #expect(grounds.rule == "onLimit = enforce")
    plan.onLimit = .off
    #expect(decide(finding(unknown: .tooDeep), of: "execve", at: 0, under: plan) == .allow)
    // What would cost too much is unknown, not deep.
    plan.unknown = .enforce
    #expect(decide(finding(unknown: .tooCostly), of: "execve", at: 0, under: plan) != .allow)
  }

  @Test func `a path's action is that of the chain that was denied, or the strictest of those that are allowed`() throws {
    func rule(_ syscall: String, _ action: Action?, denied: Bool) -> PathRule {
      PathRule(syscalls: [syscall], chain: [.function("f", of: "m")], isDenied: denied, onViolation: action)
    }
    var plan = try plan()
    plan.paths = [
      rule("execve", .errno(2), denied: false), rule("bind", .killContainer, denied: true), rule("execve", nil, denied: true),
      rule("execve", .killContainer, denied: true), rule("execve", .audit, denied: false),
    ]
    func action(_ reason: Reason) -> Action? {
      if case .deny(_, let action) = decide(finding([(.path, reason)]), of: "execve", at: 0, under: plan) { action } else { nil }
    }
    #expect(action(.deniedPath(0)) == .killProcess)
    #expect(action(.deniedPath(1)) == .killContainer)
    #expect(action(.deniedPath(7)) == .killProcess)
    #expect(action(.unlistedPath) == .errno(2))
  }
}
