import Authoring
import Profile
import Testing

private func changes(_ old: String, _ new: String) throws -> [String] {
  differences(from: try resolved(profile(old)).profile, to: try resolved(profile(new)).profile).map { "\($0.consequence): \($0.text)" }
}

@Test func `the same is no difference`() throws {
  #expect(try changes("trap: ['@exec']", "trap: ['@exec', execve]") == [])
}

@Test(arguments: [
  ("trap: [execve, connect]", "trap: [execve]", ["looser: connect is no longer looked at"]),
  (
    "trap: [execve]", "trap: [execve, '@inject']",
    ["stricter: @inject (ptrace, process_vm_readv, process_vm_writev, pidfd_getfd) is looked at now"]
  ),
  (
    "trap: [connect, {syscall: mmap, argument: 2, anySet: 6}]", "trap: [connect, {syscall: mmap, argument: 2, anySet: 4}]",
    ["looser: mmap is looked at in fewer cases: where argument 2 has any of 0x4 (before: where argument 2 has any of 0x6)"]
  ),
  (
    "trap: [execve]", "trap: [execve]\nchecks: {edge: audit}",
    [
      "looser: edge: enforce → audit: calls to other functions than those whose frames lie below are not stopped; they are only written down"
    ]
  ),
  (
    "trap: [execve]\nchecks: {base: off}", "trap: [execve]",
    ["stricter: base: off → enforce: demanded now: the chain ends where the thread started"]
  ),
  ("trap: [execve]", "trap: [execve]\nnever: [reboot]", ["stricter: reboot is always refused"]),
  (
    "trap: [execve]\nnever: [reboot]", "trap: [execve, reboot]",
    ["looser: reboot is no longer always refused: it is judged by its stack instead"]
  ),
  ("trap: [execve]\nunknown: {depth: 512}", "trap: [execve]", ["looser: unknown.depth: 512 → 8192: deeper stacks are judged"]),
  (
    "trap: [execve]", "trap: [execve]\nonViolation: {action: errno}",
    ["looser: a violation in general: kill-process → EPERM: the call fails with EPERM"]
  ),
  (
    "trap: [execve]", "trap: [{syscall: execve, onViolation: {action: kill-container}}]",
    ["stricter: a violation at execve: kill-process → kill-container: every process of the container is killed"]
  ),
  (
    "trap: [execve]", "trap: [execve]\ncomplainUntil: 2027-01-01",
    ["looser: until 2027-01-01 00:00 UTC nothing is refused, only written down"]
  ),
  (
    "trap: [execve]\npaths: [{syscalls: [execve], chain: ['libc:execve', 'nginx:main']}]",
    "trap: [execve]\npaths: [{syscalls: [execve], chain: ['libc:execve', 'nginx:main']}, {syscalls: [execve], chain: ['libc:execve', '...', 'nginx:run']}]",
    ["looser: execve may now be reached along libc:execve ← … ← nginx:run (new way)"]
  ),
  (
    "trap: [execve]\npaths: [{syscalls: [execve], chain: ['libc:*', '...', 'nginx:main']}]",
    "trap: [execve]\npaths: [{syscalls: [execve], chain: ['libc:execve', 'nginx:main']}]",
    ["stricter: execve may no longer be reached along libc:* ← … ← nginx:main"]
  ),
  (
    "trap: [execve]", "trap: [execve]\npaths: [{syscalls: [execve], chain: ['bad:*', '...'], deny: true, reason: never there}]",
    ["stricter: execve is refused along bad:* ← …: never there"]
  ),
  (
    "trap: [execve]\nmodules: {n: {buildId: 3c1e5a07}}\npaths: [{syscalls: [execve], chain: ['n:a']}]",
    "trap: [execve]\nmodules: {n: {buildId: 9f27c6d4}}\npaths: [{syscalls: [execve], chain: ['n:a']}]",
    ["other: drift: n is another build, 3c1e5a07 → 9f27c6d4; its paths hold for that one only"]
  ),
])
func `a difference is told by what follows from it`(old: String, new: String, expected: [String]) throws {
  #expect(try changes(old, new) == expected)
  // There is none that only one direction shows.
  #expect(try changes(new, old).count >= 1)
}

@Test func `no field can be changed without a word`() throws {
  let rich = """
    trap: ['@exec', '@exec-memory', {syscall: connect, onViolation: {action: errno}}]
    never: [reboot]
    checks: {edge: audit, seam: {setting: enforce, onViolation: {action: errno, errno: EIO}}}
    permit: [dlsym]
    jit: [v8]
    unknown: {noUnwindInfo: audit, depth: 64, onLimit: audit}
    modules: {n: {path: /n, functions: {"+0x10": 9f27c6d4a18b3e50}}}
    paths: [{syscalls: [execve], chain: ['n:a'], onViolation: {action: audit}, reason: r}]
    onViolation: {action: kill-container}
    complainUntil: 2027-01-01
    """
  let whole = try resolved(profile(rich)).profile
  let edits: [(String, String)] = [
    ("errno: EIO", "errno: EPERM"), ("[dlsym]", "[]"), ("[v8]", "[]"), ("depth: 64", "depth: 65"), ("onLimit: audit", "onLimit: off"),
    ("noUnwindInfo: audit", "noUnwindInfo: off"), ("path: /n", "path: /o"), ("9f27", "9f28"), ("{action: audit}", "{action: errno}"),
    ("reason: r", "reason: s"), ("kill-container", "kill-process"), ("2027", "2028"), ("[reboot]", "[]"), ("edge: audit", "edge: off"),
    ("connect, onViolation: {action: errno}", "connect, onViolation: {action: errno, errno: EIO}"), ("'@exec', ", "execve, "),
  ]
  for (old, new) in edits {
    let edited = try resolved(profile(rich.replacing(old, with: new))).profile
    #expect(edited != whole, "\(old)")
    let told = differences(from: whole, to: edited)
    #expect(!told.isEmpty && !told.contains { $0.text.contains("order of the paths") }, "\(old): \(told)")
  }
}

@Test func `a profile is told in sentences`() throws {
  let text = profile(
    """
    extends: [base]
    checks: {edge: audit}
    jit: [hotspot]
    paths:
      - {syscalls: [execve], chain: ["libc:execve", "...", "nginx:main"], reason: the upgrade}
      - {syscalls: [connect], chain: ["bad:*", "..."], deny: true}
    complainUntil: 2027-01-01
    """)
  let told = Explanation(of: try resolved(text)).rendered(origins: false)
  for sentence in [
    "web 1.0.0: a web server\nIt extends, or is held within: base.", "    @exec: Replacing the program", "\n    connect\n",
    "  reboot: by the kernel, with EPERM.", "  12 checks are enforced:",
    "    edge: calls to other functions than those whose frames lie below are not stopped.", "  dlsym: functions that a file exports",
    "  hotspot: code that HotSpot", "  In general the process is killed before the call is made.",
    "  Until 2027-01-01 00:00 UTC all of that is only",
    "  execve may only be reached along:\n    libc:execve ← … ← nginx:main (the upgrade)",
    "  connect may be reached along any way but those below.\n    never: bad:* ← …",
  ] { #expect(told.contains(sentence), "\(sentence)\n---\n\(told)") }
  #expect(told.split(separator: "\n").allSatisfy { $0.count <= 100 })
  #expect(Explanation(of: try resolved(text)).rendered(origins: true).contains("[web.yaml:6:18]"))
}

@Test(arguments: [
  "trap: ['@exec', connect]",
  "extends: [base]\nuntrap: [connect]\nforbid: [dlsym]\nchecks: {edge: {setting: audit, onViolation: {action: errno}}}",
  "trap: ['@exec', '@namespace', {group: '@inject', onViolation: {action: errno, errno: EIO}}]",
  "trap: [{syscall: clone, argument: 0, anySet: 0x1}, '@exec', {syscall: mmap, argument: 2, allSet: 6}]\njit: []\ncomplainUntil: 2027-01-01",
  "trap: ['@exec', clone3]\nunknown: {depth: 64, onLimit: audit}\nmodules: {n: {buildId: '12345678', functions: {'+0x10': '1234567812345678'}}}\npaths: [{syscalls: [execve, clone3], chain: ['n:+0x10', '...'], deny: true, reason: 'true', onViolation: {action: audit}}]",
])
func `what takes effect is shown as a profile that means the same`(spec: String) throws {
  let effective = try resolved(profile(spec))
  let shown = try resolved(effective.effectiveText)
  #expect(shown.profile == effective.profile, "\(effective.effectiveText)")
  #expect(try formatted(Array(effective.effectiveText.utf8)) == effective.effectiveText)
}

@Test func `what takes effect is shown with who wrote it`() throws {
  let shown = try resolved(profile("extends: [base]\nchecks: {edge: audit}\n")).effectiveText
  for line in ["# base: base.yaml", "    - \"@exec\"  # base:5", "    edge: audit  # web:6", "    site: enforce  # default of the format"] {
    #expect(shown.contains(line + "\n"), "\(shown)")
  }
}
