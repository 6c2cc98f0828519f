import Diagnostics
import Profile
import Testing
import Wire

/// Profiles of everything that the format has, by a seed: the same ones at each run.
private struct Source: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ state >> 29
  }

  mutating func some(_ all: [String]) -> [String] { all.filter { _ in Bool.random(using: &self) } }

  mutating func action() -> String {
    ["{action: audit}", "{action: errno, errno: EACCES}", "{action: errno}", "{action: kill-process}", "{action: kill-container}"]
      .randomElement(using: &self)!
  }

  mutating func setting() -> String { ["enforce", "audit", "off"].randomElement(using: &self)! }

  mutating func spec() -> String {
    var traps = some([
      "connect", "setuid", "'@exec'", "'@inject'", "'@exec-memory'", "bind", "clone3", "{syscall: mmap, argument: 2, anySet: 6}",
      "{syscall: listen, argument: 0, anySet: 1}", "{syscall: listen, argument: 0, anySet: 2}", "{syscall: socket, argument: 1, allSet: 3}",
    ])
    traps += some(["{syscall: connect, onViolation: \(action())}", "{group: '@exec', onViolation: \(action())}"])
    if traps.isEmpty { traps = ["execveat"] }
    var fields = [
      "trap: [\(traps.joined(separator: ", "))]", "never: [\(some(["init_module", "kexec_load", "accept"]).joined(separator: ", "))]",
    ]
    let checks = some(Profile.checkNames).map { name in
      Bool.random(using: &self) ? "\(name): \(setting())" : "\(name): {setting: \(setting()), onViolation: \(action())}"
    }
    fields.append("checks: {\(checks.joined(separator: ", "))}")
    fields.append("permit: [\(some(Permission.allCases.map(\.name)).joined(separator: ", "))]")
    if traps.contains("'@exec-memory'") { fields.append("jit: [\(some(["v8", "hotspot"]).joined(separator: ", "))]") }
    fields.append("unknown: {noUnwindInfo: \(setting()), onLimit: \(setting()), depth: \(UInt.random(in: 16...65536, using: &self))}")
    if Bool.random(using: &self) { fields.append("onViolation: \(action())") }
    if Bool.random(using: &self) { fields.append("complainUntil: 20\(UInt.random(in: 10...99, using: &self))-01-01") }
    return "{\(fields.joined(separator: ", "))}"
  }
}

/// Where `a` is looser than `b`.
private func looser(_ a: Profile, than b: Profile) -> [String] {
  var found: [String] = []
  func expect(_ holds: Bool, _ what: String) { if !holds { found.append(what) } }
  for trap in b.traps {
    let isGone = (a.never + a.absent).contains(trap.syscall)
    expect(isGone || a.traps.contains { $0.covers(trap) }, "trap \(trap.syscall)")
  }
  expect(Set(a.never).isSuperset(of: b.never), "never")
  expect(Set(a.never + a.absent).isSuperset(of: b.absent), "absent")
  for name in Profile.checkNames { expect(a.checks[name]!.setting >= b.checks[name]!.setting, "check \(name)") }
  expect(a.unknown >= b.unknown && a.onLimit >= b.onLimit && a.depth <= b.depth, "unknown")
  expect(a.permissions.isSubset(of: b.permissions) && a.jit.isSubset(of: b.jit), "permissions")
  expect(!b.onViolation.isStricter(than: a.onViolation), "onViolation")
  for check in Profile.checkNames.map(Optional.some) + [nil] {
    for syscall in Set((a.traps + b.traps).map(\.syscall)) {
      let (own, least) = (a.actions.action(check: check, syscall: syscall).0, b.actions.action(check: check, syscall: syscall).0)
      expect(!least.isStricter(than: own), "action of \(check ?? "unknown") at \(syscall)")
    }
  }
  switch (a.complainUntil, b.complainUntil) {
  case (let mine?, let theirs?): expect(mine <= theirs, "complainUntil")
  case (_?, nil): expect(false, "complainUntil")
  case (nil, _): break
  }
  return found
}

@Suite struct `The administrator's baseline` {
  @Test func `what is within a baseline is looser in nothing, neither than it nor than the profile`() throws {
    var source = Source(state: 20_261_129)
    var (differing, loosened) = (0, 0)
    for _ in 0..<400 {
      let (own, base) = (try resolve(["p": source.spec()]), try resolve(["b": source.spec()]))
      let joint = try own.within(base)
      #expect(looser(joint.profile, than: base.profile) == [] && looser(joint.profile, than: own.profile) == [])
      #expect(joint.profile.traps.map(\.syscall) == joint.profile.traps.map(\.syscall).sorted())
      for trap in joint.profile.traps { #expect(joint.origin(of: .trap(trap.syscall)) != nil) }
      if joint.profile != own.profile { differing += 1 }
      if !looser(own.profile, than: base.profile).isEmpty { loosened += 1 }
    }
    // The comparison sees what it looks for.
    #expect(differing > 300 && loosened > 300)
  }

  @Test func `a profile within itself is what it was`() throws {
    let profile = try resolve([
      "p": #"{trap: ["@exec", connect], permit: [dlsym], complainUntil: 2026-12-24, onViolation: {action: errno}}"#
    ])
    var joint = try profile.within(profile)
    joint.profile.floor = nil
    #expect(joint == profile)
  }

  @Test func `a path's own action is no way below the baseline's`() throws {
    let own = try resolve(["p": "{trap: [connect], checks: {edge: {setting: enforce, onViolation: {action: errno}}}}"])
    let base = try resolve([
      "b":
        "{trap: [{syscall: connect, onViolation: {action: kill-container}}], checks: {edge: {setting: audit, onViolation: {action: audit}}}}"
    ])
    let actions = try own.within(base).profile.actions
    #expect(actions.action(path: .audit, check: "path", syscall: "connect") == (.killContainer, by: .baseline))
    #expect(actions.action(check: "edge", syscall: "connect") == (.errno(1), by: .check))
    #expect(actions.action(check: "text", syscall: "connect") == (.killContainer, by: .baseline))
    #expect(actions.action(check: "text", syscall: "bind") == (.killProcess, by: .profile))
  }

  @Test func `conditions are joined, and where that cannot be the call is trapped always or the profile refused`() throws {
    let base = try resolve(["b": "{trap: [{syscall: listen, argument: 1, anySet: 1}, {syscall: mmap, argument: 2, anySet: 4}]}"])
    let listen = try resolve(["p": "{trap: [{syscall: listen, argument: 0, anySet: 1}]}"]).within(base)
    #expect(listen.profile.traps.first { $0.syscall == "listen" }?.condition == nil)
    let refusal = #expect(throws: Refusal.self) { try resolve(["p": "{trap: [{syscall: mmap, argument: 3, anySet: 1}]}"]).within(base) }
    #expect(refusal?.message == "profile 'p' and the baseline 'b' trap 'mmap' under conditions that cannot be joined")
  }

  @Test func `a baseline has no paths`() throws {
    let base = try resolve(["b": "{trap: [execve], paths: [{syscalls: [execve], chain: ['libc:execve'], deny: true}]}"])
    let refusal = #expect(throws: Refusal.self) { try resolve(["p": "{trap: [execve]}"]).within(base) }
    #expect(refusal?.message.hasPrefix("b.yaml:4:32: profile 'b' lists paths, which are those of one program") == true)
  }
}
