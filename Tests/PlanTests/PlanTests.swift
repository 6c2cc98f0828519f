import Diagnostics
import Plan
import Profile
import Testing
import Wire

private let root = StatePaths.Environment(isRoot: true, runtimeDirectory: nil, stateHome: nil, home: nil)
private let user = StatePaths.Environment(isRoot: false, runtimeDirectory: "/run/user/1000", stateHome: nil, home: "/home/u")

private func plan(_ change: (inout Plan) -> Void = { _ in }) throws -> Plan {
  let profile = Profile(
    name: "web", version: "1.0.0", description: "", traps: [], never: [],
    checks: Dictionary(uniqueKeysWithValues: Profile.checkNames.map { ($0, .enforce) }), unknown: .audit, depth: 64,
    onViolation: .errno(13))
  var plan = Plan(
    id: "a \"quoted\" id", bundle: "/b", paths: try StatePaths(id: "x", root: "", in: root), runtimeProcess: 42, runtime: .runc,
    mode: .audit, profile: profile, profileDigest: "sha256:00",
    traps: [
      ResolvedTrap(syscall: "execve", number: 59, condition: nil),
      ResolvedTrap(syscall: "mmap", number: 9, condition: Condition(argument: 2, mask: UInt64.max, relation: .allSet)),
    ], waitKillable: false)
  change(&plan)
  return plan
}

@Test func `a plan comes back as it was`() throws {
  let variants = [
    try plan(), try plan { $0.runtimeProcess = nil }, try plan { $0.actions.onViolation = .killProcess },
    try plan { $0.waitKillable = true },
    try plan { $0.checks["base"] = .off }, try plan { $0.traps = [] },
    try plan { $0.recording = RecordingPlan(name: "web", file: "/r/web/1.jsonl", stopFile: "/r/web/stopped") },
    try plan { $0.jit = [.v8, .hotspot] }, try plan { $0.cgroup = "libpod-1.scope" }, try plan { $0.onLimit = .off },
    try plan { $0.complainUntil = 1_798_070_400 }, try plan { $0.givers = ["edge": "default"] },
    try plan { $0.actions = ActionRules(onViolation: .audit, checks: ["edge": .killContainer], traps: ["execve": .errno(13)]) },
    try plan { $0.actions.floor = ActionFloor(onViolation: .errno(1), checks: ["edge": .killProcess], traps: ["mmap": .audit]) },
    try plan {
      $0.paths = [
        PathRule(
          syscalls: ["execve"], chain: [.anyFrames, .function("system", of: "libc")], isDenied: true, onViolation: .killContainer,
          reason: "no")
      ]
    },
    try plan {
      $0.paths = [PathRule(syscalls: ["execve"], chain: [.function("execve", of: "libc"), .anyFrames, .start(0x1a2c0, of: "nginx")])]
      $0.modules = [PathModule(name: "nginx", path: "/usr/sbin/nginx"), PathModule(name: "app", buildID: "00ff")]
    },
  ]
  for variant in variants { #expect(try Plan(decoding: variant.encoded()) == variant) }
}

@Test(arguments: [
  (#""waitKillable":false"#, #""waitKillable":0"#), (#""mode":"audit""#, #""mode":"record""#), (#""version":4,"#, #""version":3,"#),
  (#""depth":64"#, #""depth":1"#), (#""depth":64"#, #""depth":64,"more":1"#), (#""id":"#, #""ID":"#),
  (#""base":"enforce""#, #""bass":"enforce""#),
  (#""number":59"#, #""number":59000000000"#), (#""argument":2"#, #""argument":9"#),
  (#""relation":"allSet""#, #""relation":"some""#),
  (#""jit":[]"#, #""jit":["v7"]"#), (#""jit":[]"#, #""jit":["v8","v8"]"#), (#""jit":[]"#, #""jit":null"#),
  (#""paths":[]"#, #""paths":[{"syscalls":["execve"],"chain":[]}]"#), (#""paths":[]"#, #""paths":[{"syscalls":["execve"]}]"#),
  (#""paths":[]"#, #""paths":[{"syscalls":["execve"],"chain":["libc"]}]"#), (#""modules":[]"#, #""modules":[{"name":"nginx"}]"#),
  (#""onViolation":13"#, #""onViolation":"explode""#), (#""onViolation":13"#, #""onViolation":0"#), (#""floor":null"#, #""floor":{}"#),
  (#""givers":{}"#, #""givers":{"edge":1}"#), (#""complainUntil":null"#, #""complainUntil":"never""#), (#""cgroup":null"#, #""cgroup":1"#),
  (#""paths":[]"#, #""paths":[{"syscalls":["execve"],"chain":["libc:f"],"deny":1,"onViolation":null,"reason":null}]"#),
  ("{", ""),
])
func `a plan that is not quite one is refused`(old: String, new: String) throws {
  var text = String(decoding: try plan().encoded(), as: UTF8.self)
  text.replaceSubrange(try #require(text.firstRange(of: old)), with: new)
  #expect(throws: Refusal.self) { try Plan(decoding: Array(text.utf8)) }
}

@Test func `root's state lies in run, a user's in the runtime directory`() throws {
  let paths = try StatePaths(id: "web", root: "/run/crun", in: root)
  #expect(paths.directory.hasPrefix("/run/callgate/web-"))
  #expect(paths.directory.utf8.count == "/run/callgate/web-".utf8.count + 16)
  #expect(paths.socket == "\(paths.directory)/listener.sock")
  #expect(paths.events == "/var/log/callgate/events.jsonl")
  let mine = try StatePaths(id: "web", root: "", in: user)
  #expect(mine.directory.hasPrefix("/run/user/1000/callgate/web-"))
  #expect(mine.events == "/home/u/.local/state/callgate/events.jsonl")
}

@Test func `the same id under another root is another container`() throws {
  let directories = try [("web", ""), ("web", "/r"), ("web2", ""), ("2web", "")].map {
    try StatePaths(id: $0.0, root: $0.1, in: root).directory
  }
  #expect(Set(directories).count == 4)
}

@Test func `the socket's path fits, however long the id`() throws {
  let id = String(repeating: "0123456789abcdef", count: 4)
  #expect(try StatePaths(id: id, root: "", in: user).socket.utf8.count <= StatePaths.maxSocketBytes)
  let far = StatePaths.Environment(
    isRoot: false, runtimeDirectory: "/" + String(repeating: "d", count: 60), stateHome: nil, home: nil)
  #expect(throws: Refusal.self) { try StatePaths(id: id, root: "", in: far) }
}

@Test(arguments: ["../../etc", "a/b", ".", "..", "é\u{0}"]) func `an id never leaves the state directory`(id: String) throws {
  let name = try StatePaths(id: id, root: "", in: root).directory.dropFirst("/run/callgate/".count)
  #expect(!name.contains("/") && !name.hasPrefix("."))
}

@Test func `without a runtime directory a user has no state`() {
  let bare = StatePaths.Environment(isRoot: false, runtimeDirectory: "relative", stateHome: nil, home: nil)
  #expect(throws: Refusal.self) { try StatePaths(id: "x", root: "", in: bare) }
}

@Test func `FNV-1a is FNV-1a`() {
  #expect(hexDigits(of: fnv1a([])) == "cbf29ce484222325")
  #expect(hexDigits(of: fnv1a(Array("foobar".utf8))) == "85944171f73967e8")
}

@Test(arguments: [
  ("/usr/bin/crun", RuntimeKind.crun), ("/usr/sbin/runc", .runc), ("/opt/crun-1.14", .crun), ("/x/youki", .other),
])
func `runtimes are told apart by name`(path: String, kind: RuntimeKind) {
  #expect(RuntimeKind(path: path) == kind)
}
