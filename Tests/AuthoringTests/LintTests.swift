import Authoring
import Diagnostics
import Testing

private let now: Int64 = 1_790_000_000

private func findings(_ text: String, file: String = "web.yaml") -> [LintFinding] {
  let context = LintContext(
    syscalls: ["execve", "execveat", "connect", "bind", "mmap", "reboot", "clone", "clone3", "ptrace"], secondsSince1970: now,
    parent: parent)
  return lint(Array(text.utf8), file: file, context)
}

private func messages(_ text: String) -> [String] { findings(text).map(\.description) }

@Test func `a sound profile has no findings`() { #expect(messages(profile("trap: ['@exec', connect]")) == []) }

@Test func `all errors are told at once, each with its place`() {
  let text = """
    apiVersion: v1
    kind: CallProfile
    metadata: {name: web, versoin: 1}
    spec:
      trap: ["@exce", connect, sendmsg, execvee, {syscall: mmap, argument: 7, anySet: 1}]
      checks:
        gate: enforce
        site: enfroce
      paths:
        - chain: [libc]
      onViolation: {action: explode}
      modules: {a: {paht: /x}}
    """
  #expect(
    messages(text) == [
      "web.yaml:1:13: error: apiVersion must be 'callgate.dev/v1alpha1' (CG2002)",
      "web.yaml:3:11: error: metadata lacks 'version' (CG2002)",
      "web.yaml:3:23: error: unknown field 'versoin' in metadata; did you mean 'version'? (CG2002)",
      "web.yaml:5:10: error: unknown group '@exce'; did you mean '@exec'? (CG2002)",
      "web.yaml:5:28: error: 'sendmsg' cannot be trapped: the low-level runtime needs it before anybody can answer (CG2003)",
      "web.yaml:5:37: error: x86-64 has no system call 'execvee'; did you mean 'execve'? (CG2002)",
      "web.yaml:5:72: error: an argument is a number from 0 to 5 (CG2002)",
      "web.yaml:7:5: error: unknown field 'gate' in spec.checks; did you mean 'site'? (CG2002)",
      "web.yaml:8:11: error: unknown setting 'enfroce'; did you mean 'enforce'? (CG2002)",
      "web.yaml:10:7: error: a path lacks 'syscalls' (CG2002)",
      "web.yaml:10:15: error: 'libc' is no element of a chain: 'module:function', 'module:+0x1a2c0', 'module:*', or '...' (CG2002)",
      "web.yaml:11:25: error: unknown action 'explode'; valid: errno, kill-process, kill-container, audit (CG2002)",
      "web.yaml:12:17: error: unknown field 'paht' in module 'a'; did you mean 'path'? (CG2002)",
    ])
}

@Test func `what only the whole profile shows is an error, too`() {
  #expect(
    messages(profile("trap: [connect, reboot]\nnever: [reboot]\npaths: [{syscalls: [bind], chain: ['libc:bind', '...']}]")) == [
      "web.yaml:5:19: error: 'reboot' is both trapped and never allowed: it can only be one of both (CG2002)",
      "web.yaml:7:23: error: 'bind' is not trapped, so no path to it would ever be looked at (CG2002)",
    ])
  #expect(messages(profile("extends: [absent]")).first?.contains("is not installed") == true)
  #expect(messages("a: [").count == 1)
}

@Test(arguments: [
  ("trap: ['@exec', execve]", "in-group", 5, 19), ("extends: [base]\ntrap: [connect]", "trapped-already", 6, 10),
  ("trap: ['@exec']\nchecks: {edge: audit}", "no-reason", 6, 18),
  ("trap: ['@exec']\n# needed by x\nchecks: {text: audit}", "pillar-loosened", 7, 18),
  ("trap: ['@exec']\n# why\nchecks: {signal: off}\npermit: [signal-handlers]", "useless-permission", 8, 12),
  ("extends: [base]\npermit: [dlsym]", "permitted-already", 6, 12), ("trap: ['@exec']\nunknown: {depth: 64}", "shallow", 6, 20),
  ("trap: [execve]\npaths:\n  - {syscalls: [execve], chain: ['libc:execve', '...', '...', 'libc:main']}", "dots-twice", 7, 58),
  ("trap: [execve]\npaths:\n  - {syscalls: [execve], chain: ['libc:execve', 'web:main']}", "module-by-name", 7, 35),
  ("trap: [execve]\npaths:\n  - {syscalls: [execve], chain: ['libc:execve']}", "no-end", 7, 35),
  (
    "trap: [execve]\npaths:\n  - {syscalls: [execve], chain: ['libc:execve', 'libc:main']}\n  - {syscalls: [execve], chain: ['libc:*', '...']}",
    "shadowed-path", 7, 7
  ),
  (
    "trap: [execve]\npaths:\n  - {syscalls: [execve], chain: ['libc:execve', 'libc:main']}\n  - {syscalls: [execve], chain: ['...', 'libc:main'], deny: true}",
    "denied-path", 7, 7
  ),
  ("extends: [base]", "says-nothing", 5, 3), ("trap: [execve]\ncomplainUntil: 2026-01-01", "complaint-over", 6, 18),
])
func `what is hardly meant is warned of under a stable name`(spec: String, rule: String, line: Int, column: Int) {
  let found = findings(profile(spec))
  #expect(found.map(\.name) == [rule], "\(found.map(\.description))")
  #expect(found.first.map { [$0.line, $0.column] } == [line, column])
  #expect(found.first?.severity == .warning && found.first?.hint != nil)
}

@Test func `names and descriptions are looked at`() {
  let text = profile("trap: [execve]").replacing(", description: a web server", with: "")
  #expect(findings(text).map(\.name) == ["no-description"])
  #expect(findings(profile("trap: [execve]"), file: "profiles/site.yaml").map(\.name) == ["other-name"])
}

@Test func `a comment is reason enough`() {
  #expect(messages(profile("trap: ['@exec']\nchecks:\n  edge: audit  # cgo\n  # of old\n  base: off")) == [])
}

@Test func `whatever is wrong, the search ends`() {
  // Each token of a rich profile replaced by each of some others.
  let words = ["[]", "{}", "x", "'@'", "{a: b}", "[x, x]", "99999999999"]
  let text = profile(
    "extends: [base]\ntrap: ['@credentials', {syscall: bind, argument: 1, anySet: 2}]\nchecks: {edge: {setting: audit}}\nmodules: {m: {path: /m}}\n"
      + "paths: [{syscalls: [execve], chain: ['m:a', '...'], reason: r}]\nonViolation: {action: errno, errno: EIO}")
  let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  var refused = 0
  for (index, line) in lines.enumerated() {
    guard let colon = line.firstIndex(of: ":") else { continue }
    for word in words {
      var changed = lines
      changed[index] = line[...colon] + " " + word
      if findings(changed.joined(separator: "\n")).contains(where: { $0.severity == .error }) { refused += 1 }
    }
  }
  #expect(refused > 50)
}
