import Diagnostics
import Profile
import Testing
import Wire

/// A profile of one spec in flow style, on line 4.
func text(_ name: String, _ spec: String) -> String {
  "apiVersion: callgate.dev/v1alpha1\nkind: CallProfile\nmetadata: {name: \(name), version: 1.0.0}\nspec: \(spec)\n"
}

/// The first of `specs` as it takes effect; the others are installed.
func resolve(_ specs: KeyValuePairs<String, String>) throws(Refusal) -> ResolvedProfile {
  let first = specs[0]
  return try ResolvedProfile(parsing: Array(text(first.key, first.value).utf8), file: "\(first.key).yaml") { name in
    specs.first { $0.key == name }.map { (Array(text($0.key, $0.value).utf8), "\(name).yaml") }
  }
}

@Suite struct `What a profile extends` {
  @Test func `parents are laid over one another from the left, and the child over them`() throws {
    let resolved = try resolve([
      "web": "{extends: [a, b], trap: [connect], permit: [signal-handlers], checks: {seam: off}, unknown: {depth: 64}}",
      "a":
        "{trap: [execve], never: [init_module], permit: [dlsym], checks: {edge: audit, seam: audit}, onViolation: {action: errno}, unknown: {depth: 32, noUnwindInfo: audit}}",
      "b": "{trap: [setuid], checks: {edge: {setting: enforce, onViolation: {action: audit}}}, complainUntil: 2026-12-24}",
    ])
    let profile = resolved.profile
    #expect(profile.traps.map(\.syscall) == ["connect", "execve", "setuid"] && profile.never == ["init_module"])
    #expect(profile.permissions == [.dlsym, .signalHandlers])
    #expect(profile.checks["edge"] == CheckRule(.enforce, onViolation: .audit) && profile.checks["seam"] == .off)
    #expect((profile.unknown, profile.depth, profile.onLimit) == (.audit, 64, .enforce))
    #expect(profile.onViolation == .errno(1) && profile.complainUntil == 1_798_070_400)
    let givers: [(ProfileItem, String?)] = [
      (.trap("connect"), "web"), (.trap("execve"), "a"), (.never("init_module"), "a"), (.check("edge"), "b"), (.check("seam"), "web"),
      (.permission("dlsym"), "a"), (.depth, "web"), (.noUnwindInfo, "a"), (.onViolation, "a"), (.complainUntil, "b"), (.check("text"), nil),
      (.onLimit, nil),
    ]
    for (item, giver) in givers { #expect(resolved.origin(of: item)?.profile == giver, "\(item)") }
    #expect(resolved.origin(of: .trap("connect")) == Origin(profile: "web", file: "web.yaml", line: 4, column: 32))
    #expect(resolved.files.map(\.profile) == ["web", "a", "b"])
  }

  @Test func `conditions are joined, groups too, and what a child takes away is gone`() throws {
    let specs: KeyValuePairs = [
      "c": #"{extends: [p], untrap: [connect, "@inject", "@namespace"]}"#, "p": #"{trap: [connect, "@exec", "@inject", "@namespace"]}"#,
    ]
    let child = try resolve(specs).profile
    #expect(child.traps.map(\.syscall) == ["clone", "execve", "execveat"])
    // Only vfork's bit is left of clone, and @exec still wants clone3 absent.
    #expect(child.traps[0].condition?.mask == 0x4000 && child.absent == ["clone3"])
    let none = try resolve(["c": #"{extends: [p], untrap: ["@exec"], trap: [setuid]}"#, "p": #"{trap: ["@exec"]}"#]).profile
    #expect(none.traps.map(\.syscall) == ["setuid"] && none.absent == [])
    let narrower = try resolve([
      "c": "{extends: [p], untrap: [connect], trap: [{syscall: connect, argument: 2, anySet: 1}], forbid: [dlsym]}",
      "p": "{trap: [connect], permit: [dlsym, written-files]}",
    ]).profile
    #expect(narrower.traps[0].condition?.mask == 1 && narrower.permissions == [.writtenFiles])
  }

  @Test func `a parent that comes by two ways is one`() throws {
    let path = "paths: [{syscalls: [execve], chain: ['libc:execve', 'a:main']}]"
    let resolved = try resolve([
      "d": "{extends: [l, r]}", "l": "{extends: [top], modules: {a: {path: /l}}}", "r": "{extends: [top], checks: {edge: off}}",
      "top": "{trap: [execve], \(path), modules: {a: {path: /top}}}",
    ])
    #expect(resolved.profile.paths.count == 1 && resolved.profile.modules.map(\.path) == ["/top"])
    #expect(resolved.profile.checks["edge"] == .off)
    let child = try resolve([
      "c": "{extends: [top], modules: {a: {path: /c}}}", "top": "{trap: [execve], \(path), modules: {a: {path: /top}}}",
    ])
    #expect(child.profile.modules.map(\.path) == ["/c"] && child.origin(of: .module("a"))?.profile == "c")
  }

  @Test(
    arguments: [
      (["a": "{extends: [a]}"], "a.yaml:4:18: 'a' would extend itself: a → a"),
      (["a": "{extends: [b]}", "b": "{extends: [c]}", "c": "{extends: [a]}"], "c.yaml:4:18: 'a' would extend itself: a → b → c → a"),
      (["a": "{extends: [nobody]}"], "a.yaml:4:18: profile 'nobody' is not installed"),
      (["a": "{extends: [../b]}"], "a.yaml:4:18: '../b' is no profile name"),
      (["a": "{extends: []}"], "a.yaml:4:17: spec.extends names at least"),
      (["a": "{extends: [b, b]}", "b": "{trap: [execve]}"], "a.yaml:4:21: 'b' is listed twice"),
      (
        ["a": "{extends: [b], untrap: [setuid]}", "b": "{trap: [execve]}"],
        "a.yaml:4:31: 'setuid' is trapped by nothing that this profile extends"
      ),
      (["a": "{extends: [b], untrap: ['@inject']}", "b": "{trap: [execve]}"], "a.yaml:4:31: nothing of '@inject' is trapped"),
      (["a": "{trap: [execve], untrap: [execve]}"], "a.yaml:4:33: 'execve' is trapped by nothing"),
      (["a": "{extends: [b], forbid: [dlsym]}", "b": "{trap: [execve]}"], "a.yaml:4:31: 'dlsym' is permitted by nothing"),
      (
        ["a": "{extends: [b], forbid: [dlsym], permit: [dlsym]}", "b": "{trap: [execve], permit: [dlsym]}"],
        "a.yaml:4:31: 'dlsym' is permitted here"
      ),
      (["a": "{extends: [b], untrap: [execve]}", "b": "{trap: [execve]}"], "a.yaml:4:7: a profile must trap something"),
      (["a": "{extends: [b], trap: [init_module]}", "b": "{trap: [execve], never: [init_module]}"], "a.yaml:4:29: 'init_module' is both"),
      (
        ["a": "{extends: [b], untrap: ['@exec-memory'], trap: [execve]}", "b": "{trap: ['@exec-memory'], jit: [v8]}"],
        "b.yaml:4:38: a runtime can only be declared where the whole of @exec-memory is trapped; 'mmap' is not (in 'a', which extends"
      ),
      (
        ["a": "{extends: [b], trap: [{syscall: mmap, argument: 3, anySet: 1}]}", "b": "{trap: ['@exec-memory']}"],
        "a.yaml:4:29: 'mmap' is trapped under two"
      ),
      (["a": "{extends: [b], chekcs: {}}", "b": "{trap: [execve]}"], "a.yaml:4:22: unknown field 'chekcs' in spec"),
    ] as [(KeyValuePairs<String, String>, String)])
  func `what cannot be extended is said with its place`(specs: KeyValuePairs<String, String>, message: String) {
    let refusal = #expect(throws: Refusal.self) { try resolve(specs) }
    #expect(refusal?.message.hasPrefix(message) == true, "\(refusal?.message ?? "")")
  }

  @Test func `no more than eight profiles extend one another`() throws {
    func chain(_ count: Int) throws(Refusal) -> ResolvedProfile {
      try ResolvedProfile(parsing: Array(text("p0", count == 0 ? "{trap: [execve]}" : "{extends: [p1]}").utf8), file: "p0.yaml") { name in
        let number = Int(name.dropFirst()) ?? 0
        return (Array(text(name, number == count ? "{trap: [execve]}" : "{extends: [p\(number + 1)]}").utf8), "\(name).yaml")
      }
    }
    #expect(try chain(8).profile.traps.count == 1)
    let refusal = #expect(throws: Refusal.self) { try chain(9) }
    #expect(refusal?.message.hasPrefix("p8.yaml:4:18: more than 8 profiles extend one another: p0 → p1") == true)
  }

  @Test func `no more files are read than sixty-four`() {
    // Each of eight extends each of the next eight.
    let refusal = #expect(throws: Refusal.self) {
      try ResolvedProfile(parsing: Array(text("top", "{extends: [a0, a1, a2, a3, a4, a5, a6, a7]}").utf8), file: "top.yaml") { name in
        let next = name.hasPrefix("a") ? "b" : "c"
        let parents = (0..<8).map { "\(next)\($0)" }.joined(separator: ", ")
        return (Array(text(name, next == "c" && name.hasPrefix("c") ? "{trap: [execve]}" : "{extends: [\(parents)]}").utf8), "\(name).yaml")
      }
    }
    #expect(refusal?.message.contains("more than 64 profiles are extended in all") == true)
  }
}

@Suite struct `Actions` {
  @Test func `the path goes before the check, the check before the trap, the trap before the profile`() throws {
    let profile = try resolve([
      "p":
        "{trap: [{syscall: connect, onViolation: {action: errno, errno: EACCES}}, execve], checks: {edge: {setting: enforce, onViolation: {action: kill-container}}}, onViolation: {action: audit}}"
    ]).profile
    #expect(profile.actions.action(check: "text", syscall: "execve") == (.audit, by: .profile))
    #expect(profile.actions.action(check: "text", syscall: "connect") == (.errno(13), by: .trap))
    #expect(profile.actions.action(check: nil, syscall: "connect") == (.errno(13), by: .trap))
    #expect(profile.actions.action(check: "edge", syscall: "connect") == (.killContainer, by: .check))
    #expect(profile.actions.action(path: .killProcess, check: "edge", syscall: "connect") == (.killProcess, by: .path))
  }

  @Test func `of two actions for one call the strictest counts, and a child's before its parents'`() throws {
    let group = #"{trap: [{group: "@exec", onViolation: {action: kill-container}}, {group: "@namespace", onViolation: {action: errno}}]}"#
    #expect(try resolve(["p": group]).profile.actions.traps["clone"] == .killContainer)
    #expect(
      try resolve(["c": #"{extends: [p], trap: [{group: "@exec", onViolation: {action: errno, errno: ENOSYS}}]}"#, "p": group]).profile
        .actions
        .traps["clone"] == .errno(38))
    #expect(try resolve(["c": "{extends: [p], trap: [execve]}", "p": group]).profile.actions.traps["execve"] == .killContainer)
  }

  @Test(arguments: [
    ("{trap: [{syscall: connect, anySet: 1}]}", "p.yaml:4:42: a mask is of an argument"),
    ("{trap: [{group: connect}]}", "p.yaml:4:23: unknown group 'connect'"),
    ("{trap: [{group: '@exec', argument: 1}]}", "p.yaml:4:32: unknown field 'argument' in a trapped group"),
    ("{trap: [execve], checks: {edge: {onViolation: {action: audit}}}}", "p.yaml:4:39: a check lacks 'setting'"),
    ("{trap: [execve], onViolation: {action: audit, errno: EPERM}}", "p.yaml:4:60: errno goes with"),
    ("{trap: [execve], onViolation: {action: errno, errno: NOPE}}", "p.yaml:4:60: unknown errno 'NOPE'; see errno(3)"),
    ("{trap: [execve], complainUntil: 2026-02-29}", "p.yaml:4:39: '2026-02-29' is no date"),
    ("{trap: [execve], unknown: {onLimit: perhaps}}", "p.yaml:4:43: unknown setting 'perhaps'"),
    ("{trap: [execve], paths: [{syscalls: [execve], chain: ['a:b'], deny: yes}]}", "p.yaml:4:75: 'deny' is true or false"),
    ("{trap: [execve], modules: {a: {path: /a, functions: {'0x1': 0123456789abcdef}}}}", "p.yaml:4:60: '0x1' is no start"),
    ("{trap: [execve], modules: {a: {path: /a, functions: {'+0x1': 0123}}}}", "p.yaml:4:68: '0123' is no fingerprint"),
    ("{trap: [execve], modules: {a: {functions: {'+0x1': 0123456789abcdef}}}}", "p.yaml:4:37: module 'a' has neither path nor buildId"),
  ])
  func `what is no action, time or module is said with its place`(spec: String, message: String) {
    let refusal = #expect(throws: Refusal.self) { try resolve(["p": spec]) }
    #expect(refusal?.message.hasPrefix(message) == true, "\(refusal?.message ?? "")")
  }

  @Test func `functions of a module are kept, and no path's message holds them`() throws {
    let profile = try resolve([
      "p":
        "{trap: [execve], modules: {a: {path: /a, functions: {'+0x1a2c0': 9f27c6d4a18b3e50}}}, paths: [{syscalls: [execve], chain: ['a:*'], reason: why}]}"
    ]).profile
    #expect(profile.modules[0].functions == [0x1a2c0: "9f27c6d4a18b3e50"] && profile.paths[0].reason == "why")
    #expect(Paths(to: "execve", by: profile.paths, in: profile.modules).modules == [PathModule(name: "a", path: "/a")])
  }

  @Test(
    arguments: [
      ("2026-12-24", 1_798_070_400), ("1970-01-01", 0), ("2026-12-24T08:00:00Z", 1_798_099_200),
      ("2026-12-24T08:00:00.25+01:00", 1_798_095_600),
      ("2024-02-29t00:00:00z", 1_709_164_800), ("2026-02-29", nil), ("2026-13-01", nil), ("2026-12-24T24:00:00Z", nil),
      ("2026-12-24T08:00:00", nil),
      ("2026-12-24 08:00:00Z", nil), ("26-12-24", nil), ("2026-12-24Z", nil), ("", nil), ("2026-12-24T08:00:00+1:00", nil),
    ] as [(String, Int64?)])
  func `a time is RFC 3339's or a date`(text: String, seconds: Int64?) {
    #expect(secondsSince1970(text) == seconds)
    if let seconds { #expect(secondsSince1970(timestamp(seconds * 1000)) == seconds) }
  }
}
