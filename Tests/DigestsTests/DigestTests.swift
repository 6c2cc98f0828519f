import Diagnostics
import Digests
import Profile
import Testing
import Wire

/// A profile in which no field is what it is by default.
private func sample() -> Profile {
  Profile(
    name: "web", version: "1.2.0", description: "says \"so\"",
    traps: [Trap("execve"), Trap("mmap", where: Condition(argument: 2, mask: 4, relation: .anySet))], never: ["ptrace"], absent: ["clone3"],
    checks: ["call": .audit, "site": .enforce], unknown: .audit, depth: 100, onLimit: .audit, onViolation: .errno(1),
    complainUntil: 7, jit: [.v8, .hotspot],
    permissions: [.dlsym], paths: [PathRule(syscalls: ["execve"], chain: [.function("system", of: "libc"), .anyFrames])],
    modules: [PathModule(name: "libc", path: "/lib/libc.so.6", buildID: "0af1", functions: [16: "00ff"])])
}

/// Ways to change each field, and what is in it.
private let changes: [String: [@Sendable (inout Profile) -> Void]] = [
  "name": [{ $0.name = "db" }], "version": [{ $0.version = "1.2.1" }], "description": [{ $0.description = "" }],
  "traps": [
    { $0.traps.removeLast() }, { $0.traps[0].syscall = "execveat" }, { $0.traps[1].condition = nil },
    { $0.traps[1].condition!.argument = 3 }, { $0.traps[1].condition!.mask = 5 }, { $0.traps[1].condition!.relation = .allSet },
    { $0.traps[0].onViolation = .audit },
  ],
  "never": [{ $0.never = [] }], "absent": [{ $0.absent = ["ptrace"] }],
  "checks": [{ $0.checks["call"] = .off }, { $0.checks["call"]!.onViolation = .killContainer }],
  "unknown": [{ $0.unknown = .enforce }], "depth": [{ $0.depth = 101 }],
  "onLimit": [{ $0.onLimit = .off }], "complainUntil": [{ $0.complainUntil = nil }],
  "onViolation": [
    { $0.onViolation = .errno(2) }, { $0.onViolation = .killProcess }, { $0.onViolation = .killContainer }, { $0.onViolation = .audit },
  ], "jit": [{ $0.jit = [.v8] }],
  "permissions": [{ $0.permissions = [.dlsym, .foreignCalls] }],
  "paths": [
    { $0.paths[0].syscalls = ["execveat"] }, { $0.paths[0].chain = [.anyFunction(of: "libc")] }, { $0.paths[0].isDenied = true },
    { $0.paths[0].onViolation = .killProcess }, { $0.paths[0].reason = "none" },
  ],
  "modules": [
    { $0.modules[0].name = "libd" }, { $0.modules[0].path = nil }, { $0.modules[0].buildID = nil }, { $0.modules[0].functions = [:] },
  ],
]

@Test func `every field of a profile is in its digest`() {
  let profile = sample()
  #expect(
    Set(Mirror(reflecting: profile).children.compactMap(\.label)) == Set(changes.keys).union(["floor"]),
    "a field that has no change here, or none left")
  for (field, ways) in changes {
    for way in ways {
      var other = profile
      way(&other)
      #expect(other != profile && other.digest != profile.digest, "\(field)")
    }
  }
}

@Test func `every field of what a profile is made of has a way to change`() {
  let profile = sample()
  func fields(_ value: Any) -> Set<String> { Set(Mirror(reflecting: value).children.compactMap(\.label)) }
  #expect(fields(profile.traps[1]) == ["syscall", "condition", "onViolation"])
  #expect(fields(profile.traps[1].condition!) == ["argument", "mask", "relation"])
  #expect(fields(profile.paths[0]) == ["syscalls", "chain", "isDenied", "onViolation", "reason"])
  #expect(fields(profile.modules[0]) == ["name", "path", "buildID", "functions"])
}

@Test func `the canonical form is sorted, whole and without spaces`() {
  let expected =
    #"{"absent":["clone3"],"apiVersion":"callgate.dev/v1alpha1","checks":{"call":{"onViolation":null,"setting":"audit"},"#
    + #""site":{"onViolation":null,"setting":"enforce"}},"complainUntil":7,"depth":100,"description":"says \"so\"","#
    + #""jit":["hotspot","v8"],"kind":"CallProfile","modules":[{"buildId":"0af1","functions":{"+0x10":"00ff"},"name":"libc","#
    + #""path":"/lib/libc.so.6"}],"name":"web","never":["ptrace"],"onLimit":"audit","onViolation":{"action":"errno","errno":1},"#
    + #""paths":[{"chain":["libc:system","..."],"deny":false,"onViolation":null,"reason":null,"syscalls":["execve"]}],"permit":["dlsym"],"#
    + #""traps":[{"condition":null,"onViolation":null,"syscall":"execve"},{"condition":{"argument":2,"mask":4,"relation":"anySet"},"#
    + #""onViolation":null,"syscall":"mmap"}],"unknown":"audit","version":"1.2.0"}"#
  #expect(String(decoding: sample().canonicalForm, as: UTF8.self) == expected)
}

private func profile(_ spec: String) throws -> Profile {
  try Profile(
    parsing: Array("apiVersion: callgate.dev/v1alpha1\nkind: CallProfile\nmetadata: {name: web, version: 1.0.0}\n\(spec)".utf8),
    file: "web.yaml")
}

@Test func `comments, layout and what is said by default change nothing`() throws {
  let plain = try profile("spec: {trap: [execve, ptrace], permit: [dlsym, written-files]}\n")
  let other = try profile(
    "# a comment\nspec:\n  checks: {call: enforce}\n  permit:\n    - written-files\n    - dlsym\n  trap: [\"ptrace\", execve]\n  never: []\n"
  )
  #expect(plain.digest == other.digest)
  #expect(plain.digest != (try profile("spec: {trap: [execve]}\n").digest))
}

@Test func `a digest is that of SHA-256, and has one spelling`() {
  // FIPS 180-2, B.1.
  let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
  #expect(Digest(of: Array("abc".utf8)).description == abc)
  #expect(Digest(abc)?.description == abc)
  let bad = [
    "", "sha256:", String(abc.dropLast()), abc + "0", abc.uppercased(), "sha512:" + abc.dropFirst(7), String(abc.dropFirst(7)),
    "sha256:../../../../../../../../../../../../../../../../../../../../etc/pass", "sha256:é" + abc.dropFirst(9),
  ]
  for text in bad { #expect(Digest(text) == nil, "\(text)") }
}

@Test func `a reference has a name and perhaps a digest`() throws {
  let profile = sample()
  let plain = try ProfileReference("web")
  #expect(plain.name == "web" && plain.digest == nil)
  try plain.admit(profile)
  let pinned = try ProfileReference("web@\(profile.digest)")
  #expect(pinned.name == "web" && pinned.digest == profile.digest && pinned.description == "web@\(profile.digest)")
  try pinned.admit(profile)

  let other = Digest(of: [])
  let refusal = #expect(throws: Refusal.self) { try ProfileReference("web@\(other)").admit(profile) }
  #expect(refusal?.code == .otherDigest)
  #expect(refusal?.message.contains(other.description) == true && refusal?.message.contains(profile.digest.description) == true)
}

@Test(arguments: ["web@", "web@sha256:", "web@latest", "@", "web@web@sha256:00"])
func `a pin without a digest is refused`(text: String) {
  let refusal = #expect(throws: Refusal.self) { try ProfileReference(text) }
  #expect(refusal?.code == .otherDigest && refusal?.hint?.contains("64 lower-case hex digits") == true)
}
