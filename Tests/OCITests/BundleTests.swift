import Diagnostics
import JSON
import OCI
import Testing

private func bundle(_ text: String) throws -> Bundle { try Bundle(parsing: Array(text.utf8), file: "config.json") }
private func text(_ value: JSONValue) -> String { String(decoding: value.serialised(), as: UTF8.self) }

@Test func `a section comes back as it was`() throws {
  let document =
    #"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],"flags":["SECCOMP_FILTER_FLAG_LOG"],"#
    + #""listenerPath":"/l","listenerMetadata":"m","syscalls":[{"names":["a","b"],"action":"SCMP_ACT_ALLOW"},"#
    + #"{"names":["c"],"action":"SCMP_ACT_ERRNO","errnoRet":22,"args":[{"index":1,"value":18446744073709551615,"valueTwo":7,"op":"SCMP_CMP_MASKED_EQ"}]},"#
    + #"{"names":["d"],"action":"SCMP_ACT_KILL_PROCESS","args":[{"index":5,"value":1,"op":"SCMP_CMP_NE"}]}]}"#
  let section = try Seccomp(JSONValue(parsing: Array(document.utf8)))
  #expect(text(section.json) == document)
}

@Test(arguments: [
  (#"{"defaultAction":"SCMP_ACT_ALLOW","colour":1}"#, "linux.seccomp.colour is not known"),
  (#"{"syscalls":[]}"#, "lacks defaultAction"),
  (#"{"defaultAction":"SCMP_ACT_MAYBE"}"#, "no action of the specification"),
  (
    #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW","comment":"x"}]}"#,
    "syscalls[0].comment"
  ),
  (
    #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW","args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]}]}"#,
    "args[0].index"
  ),
  (
    #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":-1,"op":"SCMP_CMP_EQ"}]}]}"#,
    "no whole number"
  ),
  (
    #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"EQ"}]}]}"#,
    "no operator"
  ),
  (#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":70000}"#, "no errno"),
])
func `a section that cannot be rewritten without loss is refused`(document: String, reason: String) throws {
  let json = try JSONValue(parsing: Array(document.utf8))
  let error = #expect(throws: Refusal.self) { try Seccomp(json) }
  #expect(error?.code == .badBundle)
  #expect(error?.message.contains(reason) == true)
}

@Test func `Go's nulls are absences`() throws {
  let config = try bundle(#"{"annotations":null,"linux":{"seccomp":null}}"#)
  #expect(try config.seccomp() == nil)
  #expect(try config.annotations().isEmpty)
  #expect(
    try Seccomp(JSONValue(parsing: Array(#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":null,"flags":null}"#.utf8))).rules.isEmpty
  )
}

@Test func `replacing the section leaves everything else as it was`() throws {
  var config = try bundle(
    #"{"a":1.0,"linux":{"x":[18446744073709551615],"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"},"y":2},"z":null}"#)
  config.rawSeccomp = .string("new")
  #expect(text(config.config) == #"{"a":1.0,"linux":{"x":[18446744073709551615],"seccomp":"new","y":2},"z":null}"#)
  var bare = try bundle(#"{"a":1}"#)
  bare.rawSeccomp = .string("new")
  #expect(text(bare.config) == #"{"a":1,"linux":{"seccomp":"new"}}"#)
}

@Test(arguments: [
  #"{"Linux":{}}"#, #"{"linux":{"SECCOMP":null}}"#, "{\"annotation\u{17F}\":{}}", #"{"linux":{},"linuX":{}}"#,
])
func `a member that runc would take for another is refused`(text: String) {
  let error = #expect(throws: Refusal.self) { try Bundle(parsing: Array(text.utf8), file: "config.json") }
  #expect(error?.code == .badBundle)
}

// MARK: annotations

private func request(_ annotations: (String, String)...) throws(Refusal) -> Request {
  try Request(annotations.map { (key: $0.0, value: $0.1) })
}

@Test func `an annotation names a recording`() throws {
  let asked = try request(("dev.callgate.untrusted", "true"), ("dev.callgate.record", "web"))
  #expect(asked.record == "web" && asked.isUntrusted)
  #expect(throws: Refusal.self) { try request(("dev.callgate.recording", "web")) }
}

@Test func `an annotation makes a container untrusted`() throws {
  #expect(try request(("dev.callgate.untrusted", "true")).isUntrusted)
  #expect(try !request(("other", "true")).isUntrusted)
  let full = try request(("dev.callgate.untrusted", "true"), ("dev.callgate.profile", "web"), ("dev.callgate.mode", "audit"))
  #expect((full.profile, full.mode) == ("web", "audit"))
}

@Test(arguments: ["io.kubernetes.cri.container-name", "io.kubernetes.cri-o.ContainerName", "io.kubernetes.container.name"])
func `in a pod one container can be named`(key: String) throws {
  #expect(try request(("dev.callgate.untrusted.web", "true"), (key, "web")).isUntrusted)
  let other = try request(("dev.callgate.untrusted.web", "true"), (key, "db"))
  #expect((other.isUntrusted, other.mentionsTrust) == (false, true))
}

@Test func `a pod's sandbox is none of its containers`() throws {
  #expect(try !request(("dev.callgate.untrusted.web", "true"), ("io.kubernetes.cri.container-type", "sandbox")).isUntrusted)
}

@Test(arguments: [
  ("dev.callgate.untrusted", "false", "can only be 'true'"),
  ("dev.callgate.untrusted", "", "can only be 'true'"),
  ("dev.callgate.untrusted", "True", "can only be 'true'"),
  ("dev.callgate.untrusted.web", "true", "the engine does not say which one this is"),
  ("dev.callgate.untrsted", "true", "did you mean 'dev.callgate.untrusted'?"),
  ("dev.callgate.profiles", "web", "did you mean 'dev.callgate.profile'?"),
  (
    "dev.callgate.colour", "red",
    "valid: dev.callgate.untrusted, dev.callgate.untrusted.CONTAINER, dev.callgate.profile, dev.callgate.mode"
  ),
])
func `an annotation that would do nothing is refused`(key: String, value: String, reason: String) {
  let error = #expect(throws: Refusal.self) { try request((key, value)) }
  #expect(error?.code == .badAnnotation)
  #expect(error?.description.contains(reason) == true)
}

@Test(arguments: [
  "run.oci.seccomp_bpf_data", "run.oci.seccomp.receiver", "run.oci.seccomp.plugins", "run.oci.handler", "run.oci.something-new",
  "run.oci.hooks.stdout", "module.wasm.image/variant",
])
func `annotations that reach the filter or the handler are refused`(key: String) {
  let error = #expect(throws: Refusal.self) { try refuseLoosening([(key: key, value: "1")]) }
  #expect(error?.code == .loosenedByAnnotation)
}

@Test(arguments: ["run.oci.keep_original_groups", "io.podman.annotations.init", "org.systemd.property.X", "run.oci"])
func `annotations that do not are accepted`(key: String) throws {
  try refuseLoosening([(key: key, value: "1")])
}

@Test(
  arguments: [
    ("/machine.slice/libpod-1.scope", "libpod-1.scope"), ("/default/web", "web"), ("machine.slice:libpod:1f", "libpod-1f.scope"),
    ("kubepods-pod1.slice:cri-containerd:1f", "cri-containerd-1f.scope"), ("system.slice::web", "web.scope"),
    ("a.slice:x:web.slice", "web.slice"),
    ("/", nil), ("", nil), (nil, nil),
  ] as [(String?, String?)])
func `the container's own cgroup is the last part of what its bundle says`(path: String?, name: String?) throws {
  let member = path.map { #""cgroupsPath":"\#($0)""# } ?? ""
  #expect(try bundle(#"{"linux":{\#(member)}}"#).cgroupName == name)
}
