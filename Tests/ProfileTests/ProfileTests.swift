import Diagnostics
import Profile
import Testing
import Wire

private func parse(_ text: String) throws(Refusal) -> Profile { try Profile(parsing: Array(text.utf8), file: "web.yaml") }

/// A profile whose spec is `spec`, indented by two; its first line is line 5.
private func withSpec(_ spec: String) -> String {
  "apiVersion: callgate.dev/v1alpha1\nkind: CallProfile\nmetadata: {name: web, version: 1.0.0}\nspec:\n"
    + spec.split(separator: "\n").map { "  \($0)\n" }.joined()
}

@Test func `a short profile has the strict defaults`() throws {
  let profile = try parse(withSpec("trap: ['@exec', connect]"))
  #expect(profile.name == "web")
  #expect(profile.traps.map(\.syscall) == ["clone", "connect", "execve", "execveat"])
  #expect(profile.checks == Dictionary(uniqueKeysWithValues: Profile.checkNames.map { ($0, .enforce) }))
  #expect((profile.unknown, profile.depth) == (.enforce, 8192))
  #expect(profile.onViolation == .killProcess)
}

@Test func `every field is read`() throws {
  let profile = try parse(
    withSpec(
      """
      trap: [execve, {syscall: mmap, argument: 2, anySet: 0x4}, {syscall: prctl, argument: 0, allSet: 3}]
      never: [kexec_load, init_module]
      checks: {site: audit, base: off}
      unknown: {noUnwindInfo: audit, depth: 64}
      onViolation: {action: errno, errno: EACCES}
      """))
  #expect(profile.traps.map(\.syscall) == ["execve", "mmap", "prctl"])
  #expect(profile.traps[1].condition == Condition(argument: 2, mask: 4, relation: .anySet))
  #expect(profile.traps[2].condition == Condition(argument: 0, mask: 3, relation: .allSet))
  #expect(profile.never == ["init_module", "kexec_load"])
  #expect((profile.checks["site"], profile.checks["base"], profile.checks["call"]) == (.audit, .off, .enforce))
  #expect((profile.unknown, profile.depth) == (.audit, 64))
  #expect(profile.onViolation == .errno(13))
}

@Test func `namespaces and children are judged at clone, so clone3 is absent unless it is trapped by name`() throws {
  for group in ["@namespace", "@exec", "@exec', '@namespace"] {
    #expect(try parse(withSpec("trap: ['\(group)']")).absent == ["clone3"])
    #expect(try parse(withSpec("trap: ['\(group)', clone3]")).absent == [])
  }
  #expect(try parse(withSpec("trap: ['@credentials']")).absent == [])
}

@Test func `an unconditional trap covers a conditional one, and masks of one argument are joined`() throws {
  #expect(try parse(withSpec("trap: [mremap, '@exec-memory', shmat]")).traps.first { $0.syscall == "shmat" }?.condition == nil)
  let joined = try parse(withSpec("trap: ['@exec-memory', {syscall: mmap, argument: 2, anySet: 2}]"))
  #expect(joined.traps.first { $0.syscall == "mmap" }?.condition?.mask == 6)
}

@Test func `an unknown field is named with its place`() {
  let error = #expect(throws: Refusal.self) { try parse(withSpec("trap: ['@exec']\nchekcs: {}")) }
  #expect(error?.message == "web.yaml:6:3: unknown field 'chekcs' in spec; did you mean 'checks'?")
}

@Test(arguments: [
  ("trap: ['@exce']", "5:10: unknown group '@exce'; did you mean '@exec'?"),
  ("trap: []", "5:9: a profile must trap something"),
  ("trap: execve", "5:9: spec.trap must be a list, not a value"),
  ("trap: [EXECVE]", "5:10: 'EXECVE' is no system call's name"),
  ("trap: [sendmsg]", "5:10: 'sendmsg' cannot be trapped"),
  ("trap: [write]", "5:10: 'write' cannot be trapped"),
  ("trap: [mmap]", "5:10: 'mmap' can only be trapped under a condition"),
  ("trap: [futex]", "5:10: 'futex' can only be trapped under a condition"),
  ("trap: [{syscall: mmap, argument: 6, anySet: 1}]", "5:36: an argument is a number from 0 to 5"),
  ("trap: [{syscall: mmap, argument: 2}]", "5:10: a trap on an argument has either anySet or allSet"),
  ("trap: [{syscall: mmap, argument: 2, anySet: 0}]", "5:47: a mask is a number other than 0"),
  ("trap: ['@exec-memory', {syscall: mmap, argument: 3, anySet: 1}]", "5:26: 'mmap' is trapped under two conditions"),
  ("trap: [execve]\nnever: [execveat, execveat]", "6:21: 'execveat' is listed twice"),
  ("trap: [connect]\nnever: [connect]", "5:10: 'connect' is both trapped and never allowed"),
  ("trap: [connect]\nnever: [execve]", "6:11: 'execve' cannot be refused"),
  ("trap: [execve]\nchecks: {gate: enforce}", "6:12: unknown field 'gate' in spec.checks"),
  ("trap: [execve]\nchecks: {site: enfroce}", "6:18: unknown setting 'enfroce'; did you mean 'enforce'?"),
  ("trap: [execve]\nunknown: {jit: declared}", "6:13: unknown field 'jit' in spec.unknown"),
  ("trap: [execve]\nunknown: {depth: 5}", "6:20: a depth is a number from 16 to 65536"),
  ("trap: [execve]\nunknown: {depth: '64'}", "6:20: a depth is a number"),
  ("trap: [execve]\nonViolation: {action: explode}", "6:25: unknown action 'explode'"),
  ("trap: [execve]\nonViolation: {action: errno, errno: EPREM}", "6:39: unknown errno 'EPREM'; did you mean 'EPERM'?"),
  ("trap: [execve]\nonViolation: {action: kill-process, errno: EPERM}", "6:46: errno goes with the action 'errno' only"),
  ("extends: [default]", "5:13: profile 'default' is not installed, so it cannot be extended"),
  ("never: [connect]", "5:3: spec lacks 'trap'"),
])
func `what a profile gets wrong is said with its place`(spec: String, message: String) {
  let error = #expect(throws: Refusal.self) { try parse(withSpec(spec)) }
  #expect(error?.message.hasPrefix("web.yaml:\(message)") == true, "\(error?.message ?? "")")
}

@Test(arguments: [
  ("apiVersion: v1\nkind: CallProfile\nmetadata: {name: a, version: 1}\nspec: {trap: [execve]}", "1:13: apiVersion must be"),
  ("apiVersion: callgate.dev/v1alpha1\nkind: Pod\nmetadata: {name: a, version: 1}\nspec: {trap: [execve]}", "2:7: kind must be"),
  (
    "apiVersion: callgate.dev/v1alpha1\nkind: CallProfile\nmetadata: {name: ../a, version: 1}\nspec: {trap: [execve]}",
    "3:18: '../a' is no profile name"
  ),
  ("- a", "1:1: the profile must be a mapping, not a list"),
  ("a: [", "2:1: "),
])
func `the frame of a profile is checked`(text: String, message: String) {
  let error = #expect(throws: Refusal.self) { try parse(text) }
  #expect(error?.message.hasPrefix("web.yaml:\(message)") == true, "\(error?.message ?? "")")
}

@Test(arguments: [
  ("default", true), ("a-1", true), ("", false), ("-a", false), ("A", false), ("a/b", false), ("..", false), ("a_b", false),
])
func `a profile's name is never a path`(name: String, isName: Bool) {
  #expect(Profile.isName(name) == isName)
}

@Test func `no group holds what cannot be trapped`() {
  for group in Group.all {
    for trap in group.traps {
      #expect(!untrappable.contains(trap.syscall))
      #expect(trap.condition != nil || !trappableWithCondition.contains(trap.syscall), "\(trap.syscall)")
    }
  }
}

@Test(
  arguments: [
    (Condition(argument: 2, mask: 4, relation: .anySet), 5, true), (Condition(argument: 2, mask: 4, relation: .anySet), 3, false),
    (Condition(argument: 0, mask: 5, relation: .allSet), 4, false), (Condition(argument: 0, mask: 5, relation: .allSet), 7, true),
  ] as [(Condition, UInt64, Bool)])
func `a condition is about bits`(condition: Condition, value: UInt64, holds: Bool) {
  #expect(condition.holds(for: value) == holds)
}

@Test func `runtimes that make code are declared by name`() throws {
  #expect(try parse(withSpec("trap: [execve]")).jit == [])
  #expect(try parse(withSpec("trap: ['@exec-memory']\njit: [v8, hotspot]")).jit == [.v8, .hotspot])
  #expect(try parse(withSpec("trap: ['@exec-memory', mremap, {syscall: mmap, argument: 2, anySet: 0x6}]\njit: [v8]")).jit == [.v8])
}

@Test(arguments: [
  ("trap: ['@exec-memory']\njit: [v9]", "unknown runtime 'v9'; did you mean 'v8'?"),
  ("trap: ['@exec-memory']\njit: [hot-spot]", "unknown runtime 'hot-spot'; did you mean 'hotspot'?"),
  ("trap: ['@exec-memory']\njit: [v8, v8]", "'v8' is listed twice"), ("trap: ['@exec-memory']\njit: v8", "must be a list"),
  ("trap: [execve]\njit: [v8]", "'mmap' is not"),
  (
    "trap: [mremap, personality, shmat, {syscall: mmap, argument: 2, anySet: 4}, {syscall: mprotect, argument: 2, anySet: 4}]\njit: [v8]",
    "'pkey_mprotect' is not"
  ),
  (
    "trap: [mremap, personality, shmat, pkey_mprotect, {syscall: mmap, argument: 2, allSet: 5}, {syscall: mprotect, argument: 2, anySet: 4}]\njit: [v8]",
    "'mmap' is not"
  ),
])
func `a declaration that cannot be kept is refused`(spec: String, reason: String) {
  let refusal = #expect(throws: Refusal.self) { try parse(withSpec(spec)) }
  #expect(refusal.map { "\($0)".contains(reason) } ?? false, "\(String(describing: refusal))")
}

private let listed = "paths: [{syscalls: [execve], chain: ['libc:execve', '...', 'nginx:main']}]"

@Test func `ways to system calls are listed, and the files that they name`() throws {
  #expect(try parse(withSpec("trap: [execve]")).paths == [])
  let profile = try parse(
    withSpec(
      """
      trap: [execve, setuid]
      modules: {nginx: {path: /usr/sbin/nginx, buildId: 3c1e5a07}}
      paths:
        - {syscalls: [setuid, execve], chain: ["libc:*", "nginx:+0x1a2c0", "...", "nginx:main"]}
        - {syscalls: [execve], chain: ["libc:execve", "nginx:main"]}
      """))
  #expect(profile.modules == [PathModule(name: "nginx", path: "/usr/sbin/nginx", buildID: "3c1e5a07")])
  #expect(profile.paths.map(\.syscalls) == [["execve", "setuid"], ["execve"]])
  #expect(
    profile.paths[0].chain == [.anyFunction(of: "libc"), .start(0x1a2c0, of: "nginx"), .anyFrames, .function("main", of: "nginx")])
  #expect(Paths(to: "execve", by: profile.paths, in: profile.modules).chains.count == 2)
  #expect(Paths(to: "setuid", by: profile.paths, in: profile.modules).chains == [profile.paths[0].chain])
  #expect(Paths(to: "mmap", by: profile.paths, in: profile.modules).isEmpty)
}

@Test(arguments: [
  ("paths: {}", "6:10: spec.paths must be a list"), ("paths: [{syscalls: [execve]}]", "6:11: a path lacks 'chain'"),
  ("paths: [{syscalls: [execve], chian: []}]", "6:32: unknown field 'chian' in a path; did you mean 'chain'?"),
  ("paths: [{syscalls: [execve], chain: []}]", "6:39: a chain names at least one function"),
  ("paths: [{syscalls: [execve], chain: ['...']}]", "6:39: a chain names at least one function"),
  ("paths: [{syscalls: [execve], chain: ['libc:execve', libc]}]", "6:55: 'libc' is no element of a chain"),
  ("paths: [{syscalls: [execve], chain: ['libc:+1a2c0']}]", "6:40: 'libc:+1a2c0' is no element of a chain"),
  ("paths: [{syscalls: [], chain: ['libc:execve']}]", "6:22: a path leads to some system call"),
  (
    "paths: [{syscalls: [exceve], chain: ['libc:execve']}]",
    "6:23: 'exceve' is not trapped, so no path to it would ever be looked at; did you mean 'execve'?"
  ),
  ("paths: [{syscalls: [execve, execve], chain: ['libc:execve']}]", "6:31: 'execve' is listed twice"),
  ("modules: []\n" + listed, "6:12: spec.modules must be a mapping"),
  ("modules: {nginx: {}}\n" + listed, "6:20: module 'nginx' has neither path nor buildId"),
  ("modules: {nginx: {paht: /x}}\n" + listed, "6:21: unknown field 'paht' in module 'nginx'; did you mean 'path'?"),
  ("modules: {nginx: {path: nginx}}\n" + listed, "6:27: a module's path begins with '/'"),
  ("modules: {nginx: {buildId: 3C1E5A07}}\n" + listed, "6:30: '3C1E5A07' is no build id"),
  ("modules: {'a:b': {path: /x}}\n" + listed, "6:13: 'a:b' is no module's name"),
  ("modules: {jit: {path: /x}}\n" + listed, "6:13: 'jit' stands for code made at run time"),
])
func `a list of ways that cannot be kept is refused with its place`(spec: String, message: String) {
  let error = #expect(throws: Refusal.self) { try parse(withSpec("trap: [execve]\n" + spec)) }
  #expect(error?.message.hasPrefix("web.yaml:\(message)") == true, "\(error?.message ?? "")")
}

@Test func `a module that no chain names is a mistake`() {
  let error = #expect(throws: Refusal.self) { try parse(withSpec("trap: [execve]\nmodules: {ngnix: {path: /x}}\n" + listed)) }
  #expect(error?.message.hasSuffix("module 'ngnix' is named by no chain of spec.paths; did you mean 'nginx'?") == true)
}

@Test func `more ways to one system call than a message holds are refused`() {
  let rules = (0..<65).map { "  - {syscalls: [execve], chain: ['libc:execve', 'nginx:+0x\($0)', '...', 'nginx:main']}\n" }
  let error = #expect(throws: Refusal.self) {
    try parse(withSpec("trap: [execve]\npaths:\n" + rules.joined()))
  }
  #expect(error?.message.contains("the paths to 'execve' are too many") == true)
}
