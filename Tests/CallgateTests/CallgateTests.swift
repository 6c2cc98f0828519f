import Foundation
import JSON
import Testing

@Test(arguments: [
  ["--version"], ["list"], ["kill", "create", "9"], ["--root", "/r", "state", "web"], ["exec", "--process", "p.json", "web"],
  ["delete", "--force", "web"], ["--log", "/dev/null", "create", "--help"], ["start", "a b", "", "ü"],
])
func `what starts nothing is handed on word for word`(words: [String]) throws {
  let installation = try Installation()
  let outcome = try installation.callgate(words)
  #expect(outcome.status == 0)
  #expect(outcome.output == "from the runtime\n")
  #expect(installation.calls == words)
}

@Test(arguments: [
  ["create", "--bundle", ".", "create"], ["run", "-b", ".", "--", "delete"],
  ["--root", "/r", "create", "--pid-file", "/p", "web"],
])
func `a trusted container gets the exact arguments and an untouched bundle`(words: [String]) throws {
  let installation = try Installation()
  try installation.config(annotations: #""other":"true""#)
  let before = try installation.read("bundle/config.json")
  #expect(try installation.callgate(words).status == 0)
  #expect(installation.calls == words)
  #expect(try installation.read("bundle/config.json") == before)
  #expect(!installation.exists("bundle/config.json.before-callgate"))
}

@Test func `the runtime's exit status is the exit status`() throws {
  let installation = try Installation()
  try installation.write("status", "42")
  #expect(try installation.callgate(["state", "web"]).status == 42)
}

@Test func `an untrusted container's section is replaced and nothing else`() throws {
  let installation = try Installation()
  try installation.config(annotations: untrusted)
  let before = try installation.read("bundle/config.json")
  let words = ["create", "--bundle", installation.bundle.path, installation.id]
  let outcome = try installation.callgate(words)
  #expect(outcome.status == 0, "\(outcome.error)")
  #expect(installation.calls == words)
  #expect(try installation.read("bundle/config.json.before-callgate") == before)

  var started = try installation.json("started.json")
  let section = try #require(started["linux"]?["seccomp"])
  #expect(section["architectures"] == .array([.string("SCMP_ARCH_X86_64")]))
  let flags: JSONValue? = installation.hasBPF ? .array([.string("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")]) : nil
  #expect(section["flags"] == flags)
  // The directory itself may be gone by now: the runtime of this test ends without handing a listener over.
  let listener = section["listenerPath"]?.text ?? ""
  #expect(listener.hasPrefix("\(installation.base)/\(installation.id.prefix(32))") && listener.hasSuffix("/listener.sock"), "\(listener)")
  var linux = try #require(started["linux"])
  linux["seccomp"] = nil
  started["linux"] = linux
  #expect(try started == JSONValue(parsing: Array(before.utf8)))
}

@Test func `runc is given no flag`() throws {
  let installation = try Installation(runtime: "runc")
  try installation.config(annotations: untrusted)
  #expect(try installation.callgate(["create", installation.id]).status == 0)
  #expect(try installation.json("started.json")["linux"]?["seccomp"]?["flags"] == nil)
}

@Test func `a bundle is run twice, and its own rewrite is not laid over itself`() throws {
  let installation = try Installation()
  try installation.config(annotations: untrusted)
  try installation.callgate(["run", installation.id])
  let first = try installation.read("bundle/config.json")
  let original = try installation.read("bundle/config.json.before-callgate")
  let second = try installation.callgate(["run", installation.id])
  #expect(second.status == 0, "\(second.error)")
  #expect(try installation.read("bundle/config.json") == first)
  #expect(try installation.read("bundle/config.json.before-callgate") == original)

  // A change between the runs counts.
  try installation.write("bundle/config.json", first.replacing(#""x""#, with: #""changed""#))
  #expect(try installation.callgate(["run", installation.id]).status == 0)
  #expect(try installation.read("bundle/config.json").contains(#""changed""#))
  #expect(try installation.read("bundle/config.json.before-callgate").contains(#""changed""#))

  // An original that is not ours does not.
  try installation.write("bundle/config.json.before-callgate", original + " ")
  #expect(try installation.callgate(["run", installation.id]).error.contains("CG1004"))
}

@Test func `with policy.default every container is untrusted`() throws {
  let prefix = try Installation(settings: "policy.default = 'untrusted'\n")
  try prefix.config()
  #expect(try prefix.callgate(["create", prefix.id]).status == 0)
  #expect(try prefix.json("started.json")["linux"]?["seccomp"] != nil)
}

// MARK: refusals

private let clash = #""seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/other.sock"}"#
private let unknownField = #""seccomp":{"defaultAction":"SCMP_ACT_ALLOW","colour":"red"}"#
private let trace = #""seccomp":{"defaultAction":"SCMP_ACT_TRACE"}"#

@Test(arguments: [
  (untrusted, clash, "CG1006"), (untrusted, unknownField, "CG1004"), (untrusted, trace, "CG1004"),
  (#""dev.callgate.untrusted":"false""#, "", "CG1005"), (#""dev.callgate.untrusteed":"true""#, "", "CG1005"),
  (#""dev.callgate.profile":"default""#, "", "CG1005"), (untrusted + #","dev.callgate.mode":"record""#, "", "CG1005"),
  (untrusted + #","dev.callgate.mode":"audit""#, "", "CG1007"),
  (untrusted + #","run.oci.seccomp_bpf_data":"AAAA""#, "", "CG1007"),
  (untrusted + #","dev.callgate.profile":"web""#, "", "CG2001"),
  (untrusted + #","dev.callgate.profile":"../default""#, "", "CG2002"),
  (untrusted + #","dev.callgate.profile":"broken""#, "", "CG2002"),
  (untrusted + #","dev.callgate.profile":"hangs""#, "", "CG2003"),
])
func `a refusal leaves nothing behind and tells the engine once`(annotations: String, linux: String, code: String) throws {
  let frame = "apiVersion: callgate.dev/v1alpha1\nkind: CallProfile\nmetadata: {name: NAME, version: 1.0.0}\n"
  let installation = try Installation(profiles: [
    "broken": "nonsense", "hangs": frame.replacing("NAME", with: "hangs") + "spec: {trap: [sendmsg]}\n",
  ])
  try installation.config(annotations: annotations, linux: linux)
  let before = try installation.read("bundle/config.json")
  let log = installation.prefix.appending(path: "log").path
  let outcome = try installation.callgate(["--log", log, "--log-format", "json", "create", installation.id])

  #expect(outcome.status == 1)
  #expect(installation.calls == nil)
  let line = try installation.json("log")
  #expect(line.members?.map(\.key) == ["level", "msg", "time"])
  #expect(line["level"] == .string("error"))
  #expect(line["msg"]?.text?.contains("(\(code))") == true, "\(outcome.error)")
  #expect(line["time"]?.text?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/) != nil)
  #expect(outcome.error == (try installation.read("log")))
  #expect(try FileManager.default.contentsOfDirectory(atPath: installation.bundle.path) == ["config.json"])
  #expect(try installation.read("bundle/config.json") == before)
  #expect(installation.stateDirectories.isEmpty)
}

@Test func `a runtime that cannot be executed leaves nothing behind`() throws {
  let installation = try Installation()
  // Executable, and no program: execve fails with ENOEXEC.
  try installation.write("runtimes/crun", "\u{0}\u{1}")
  try installation.config(annotations: untrusted)
  let before = try installation.read("bundle/config.json")
  let outcome = try installation.callgate(["create", installation.id])
  #expect(outcome.status == 1)
  #expect(outcome.error.contains("CG1009"))
  #expect(try installation.read("bundle/config.json") == before)
  #expect(try FileManager.default.contentsOfDirectory(atPath: installation.bundle.path) == ["config.json"])
  #expect(installation.stateDirectories.isEmpty)
}

@Test func `a missing bundle is refused without the words that podman relabels`() throws {
  let installation = try Installation()
  let outcome = try installation.callgate(["create", "--bundle", "/permission denied/No such file or directory", installation.id])
  #expect(outcome.status == 1)
  #expect(outcome.error.contains("CG1004"))
  for words in ["no such file or directory", "permission denied", "operation not permitted", "executable file not found in"] {
    #expect(!outcome.error.lowercased().contains(words))
  }
}

@Test func `an untrusted container cannot be restored, a trusted one can`() throws {
  let installation = try Installation()
  try installation.config(annotations: untrusted)
  #expect(try installation.callgate(["restore", "--image-path", "/i", installation.id]).error.contains("CG1003"))
  try installation.config()
  #expect(try installation.callgate(["restore", "--image-path", "/i", installation.id]).status == 0)
}

@Test func `without --log-format json the log has runc's text form`() throws {
  let installation = try Installation()
  try installation.callgate(["--log", installation.prefix.appending(path: "log").path, "create"])
  #expect(
    try installation.read("log").wholeMatch(of: /time="[^"]+" level=error msg="'create' needs a container's id \(CG1003\)"\n/)
      != nil)
}

@Test func `audit is accepted where audit is configured, and enforce too`() throws {
  for mode in ["audit", "enforce"] {
    let installation = try Installation(settings: "policy.mode = 'audit'\n")
    try installation.config(annotations: untrusted + #","dev.callgate.mode":"\#(mode)""#)
    let outcome = try installation.callgate(["create", installation.id])
    #expect(outcome.status == 0, "\(outcome.error)")
  }
}

// MARK: which runtime

@Test func `no runtime, or only callgate itself, is a clear refusal`() throws {
  for names in ["'/nonexistent'", "'callgate'"] {
    let installation = try Installation(settings: "runtimes = [\(names)]\n")
    let path = installation.prefix.appending(path: "bin").path
    let outcome = try installation.callgate(["list"], environment: ["PATH": path])
    #expect(outcome.status == 1)
    #expect(outcome.error.contains("CG1001"))
  }
}

@Test func `a runtime on PATH is found, and settings come from beside the program only`() throws {
  let installation = try Installation(runtime: "fake-runtime", settings: "runtimes = ['nonexistent', 'fake-runtime']\n")
  let path = installation.prefix.appending(path: "runtimes").path
  #expect(try installation.callgate(["list"], environment: ["PATH": path]).output == "from the runtime\n")
}

@Test func `an id whose supervisor lives is not taken, and one whose supervisor died is`() throws {
  let installation = try Installation()
  try installation.config(annotations: untrusted)
  let directory = try installation.makeStateDirectory()
  do {
    let listener = try Listener(path: "\(directory)/listener.sock")
    let outcome = try installation.callgate(["create", installation.id])
    #expect(outcome.error.contains("is already supervised (CG1008)"))
    #expect(installation.stateDirectories == [directory])
    withExtendedLifetime(listener) {}
  }
  #expect(try FileManager.default.contentsOfDirectory(atPath: directory).sorted() == ["exit-reason.json", "listener.sock"])
  #expect(try installation.callgate(["create", installation.id]).status == 0)
  // This runtime never sends a listener, so the new supervisor ends and takes everything away.
  #expect(installation.stateDirectoriesInTheEnd.isEmpty)
}

@Test func `an error in the configuration starts nothing, but does not keep anybody from stopping what runs`() throws {
  let installation = try Installation(settings: "runtimes = 7\n")
  try installation.config(annotations: untrusted)
  #expect(try installation.callgate(["create", installation.id]).error.contains("CG1002"))
  let outcome = try installation.callgate(["--version"])
  #expect(outcome.status == 0)
  #expect(outcome.error.contains("CG1002"))
}

// MARK: delete and features

@Test func `a container's state goes with the container, and stays while it stays`() throws {
  let installation = try Installation()
  try installation.config(annotations: untrusted)
  _ = try installation.makeStateDirectory()
  try installation.write("status", "3")
  #expect(try installation.callgate(["delete", installation.id], environment: [:]).status == 3)
  #expect(installation.stateDirectories.count == 1)
  try installation.write("status", "0")
  #expect(try installation.callgate(["delete", "--force", installation.id], environment: [:]).status == 0)
  #expect(installation.calls == ["delete", "--force", installation.id])
  #expect(installation.stateDirectories.isEmpty)
}

@Test func `features are what the runtime says, and that our annotations matter`() throws {
  let installation = try Installation()
  try installation.write("status", "1")
  let synthesised = try JSONValue(parsing: Array(try installation.callgate(["features"]).output.utf8))
  #expect(synthesised["ociVersionMin"] == .string("1.0.0"))
  #expect(synthesised["potentiallyUnsafeConfigAnnotations"] == .array([.string("dev.callgate.")]))

  try installation.write(
    "runtimes/crun", "#!/bin/sh\necho '{\"ociVersionMin\":\"1.0.1\",\"potentiallyUnsafeConfigAnnotations\":[\"a.\"]}'\n")
  let outcome = try installation.callgate(["features"])
  let passed = try JSONValue(parsing: Array(outcome.output.utf8))
  #expect(passed["ociVersionMin"] == .string("1.0.1"))
  #expect(passed["potentiallyUnsafeConfigAnnotations"] == .array([.string("a."), .string("dev.callgate.")]))
  #expect(outcome.error.isEmpty)
}

// MARK: pinned and signed profiles

/// What the refusal of a wrong pin says of the installed profile.
private func installedDigest(_ installation: Installation) throws -> String {
  let zeros = String(repeating: "0", count: 64)
  try installation.config(annotations: #"\#(untrusted),"dev.callgate.profile":"default@sha256:\#(zeros)""#)
  let before = installation.calls
  let outcome = try installation.callgate(["create", "--bundle", ".", "other-\(installation.id)"])
  #expect(outcome.status == 1 && installation.calls == before)
  #expect(outcome.error.contains("CG2010") && outcome.error.contains("not sha256:\(zeros)"), "\(outcome.error)")
  let digest = outcome.error.split { " ,".contains($0) }.first { $0.hasPrefix("sha256:") && !$0.hasSuffix(zeros) }
  return String(try #require(digest))
}

@Test func `a container starts under the profile that it is pinned to, and under no other`() throws {
  let installation = try Installation()
  let digest = try installedDigest(installation)
  try installation.config(annotations: #"\#(untrusted),"dev.callgate.profile":"default@\#(digest)""#)
  let outcome = try installation.callgate(["create", "--bundle", ".", installation.id])
  #expect(outcome.status == 0, "\(outcome.error)")
  #expect(installation.calls != nil)

  // A comment changes nothing, a setting does.
  let text = try installation.read("etc/callgate/profiles/default.yaml")
  try installation.write("etc/callgate/profiles/default.yaml", "# a comment\n" + text)
  #expect(try installedDigest(installation) == digest)
  try installation.write("etc/callgate/profiles/default.yaml", text.replacing("call: enforce", with: "call: audit"))
  #expect(try installedDigest(installation) != digest)
}

@Test(arguments: ["default@", "default@latest", "default@sha256:00", "@sha256:", "default@sha256:\(String(repeating: "A", count: 64))"])
func `a malformed pin starts nothing`(profile: String) throws {
  let installation = try Installation()
  try installation.config(annotations: #"\#(untrusted),"dev.callgate.profile":"\#(profile)""#)
  let outcome = try installation.callgate(["run", "--bundle", ".", installation.id])
  #expect(outcome.status == 1 && installation.calls == nil && outcome.error.contains("CG2010"), "\(outcome.error)")
}

@Test func `an unsigned profile starts nothing where signatures are required`() throws {
  let installation = try Installation(settings: "")
  let config = try installation.read("etc/callgate/config.toml")
  try installation.write("etc/callgate/config.toml", config + "policy.signatures = 'required'\n")
  try installation.config(annotations: untrusted)
  let outcome = try installation.callgate(["create", "--bundle", ".", installation.id])
  #expect(outcome.status == 1 && installation.calls == nil && outcome.error.contains("CG2012"), "\(outcome.error)")
  // A trusted container has no profile.
  try installation.config()
  #expect(try installation.callgate(["create", "--bundle", ".", installation.id]).status == 0)
}

@Test(arguments: ["optional", "required"]) func `a profile with a wrong signature starts nothing`(policy: String) throws {
  let installation = try Installation()
  let config = try installation.read("etc/callgate/config.toml")
  try installation.write("etc/callgate/config.toml", config + "policy.signatures = '\(policy)'\n")
  try installation.write("etc/callgate/profiles/default.yaml.sig", String(repeating: "x", count: 64))
  try installation.config(annotations: untrusted)
  let outcome = try installation.callgate(["create", "--bundle", ".", installation.id])
  #expect(outcome.status == 1 && installation.calls == nil && outcome.error.contains("CG2011"), "\(outcome.error)")
}
