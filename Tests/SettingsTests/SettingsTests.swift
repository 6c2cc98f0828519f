import Diagnostics
import Foundation
import Profile
import Settings
import Signatures
import Testing

private func settings(_ text: String) throws(Refusal) -> Settings {
  var settings = Settings()
  try settings.apply(text, file: "config.toml")
  return settings
}

@Test func `nothing said leaves the defaults`() throws {
  #expect(try settings("") == Settings())
  #expect(Settings().runtimes == ["crun", "runc"])
}

@Test func `every key is read, in both notations`() throws {
  for text in [
    "runtimes = ['runc', '/opt/crun']\npolicy.default = 'untrusted'\npolicy.profile = 'web'\npolicy.mode = 'audit'",
    "runtimes = ['runc', '/opt/crun']\n[policy]\ndefault = 'untrusted'\nprofile = 'web'\nmode = 'audit'",
  ] {
    let read = try settings(text)
    #expect(read.runtimes == ["runc", "/opt/crun"])
    #expect(read.everyContainerIsUntrusted)
    #expect((read.profile, read.mode) == ("web", .audit))
  }
}

@Test(arguments: [
  ("# comment\nruntime = 'crun'", "config.toml:2: unknown key 'runtime'; did you mean 'runtimes'?"),
  ("\n[policy]\nmod = 'audit'", "config.toml:3: unknown key 'policy.mod'; did you mean 'mode'?"),
  ("policy.default = 'maybe'", "config.toml:1: policy.default must be 'trusted' or 'untrusted', not 'maybe'"),
  ("[policy]\nmode = 'record'", "config.toml:2: policy.mode must be 'enforce' or 'audit', not 'record'"),
  ("[policy]\nmode = 1", "config.toml:2: policy.mode must be a text"),
  ("[policy]\nprofile = '../x'", "config.toml:2: '../x' is no profile name"),
  ("[supervisor]\ndeadline = 5", "config.toml:1: unknown key 'supervisor'"),
  ("runtimes = []", "config.toml:1: runtimes must name at least one"),
  ("runtimes = ['./crun']", "config.toml:1: runtimes must be a list of names or absolute paths"),
  ("runtimes = 'crun'", "config.toml:1: runtimes must be a list"),
  ("policy = 1", "config.toml:1: policy must be a table"),
  ("a = 1\na = 2", "config.toml:2: "),
  ("[policy\n", "config.toml:1: "),
])
func `what a file gets wrong is said with its line`(text: String, message: String) {
  let error = #expect(throws: Refusal.self) { try settings(text) }
  #expect(error?.code == .badConfiguration)
  #expect(error?.message.hasPrefix(message) == true, "\(error?.message ?? "")")
}

@Test(
  arguments: [
    ("/usr/bin", "/etc/callgate", ["/etc/callgate/profiles", "/usr/share/callgate/profiles"]),
    ("/usr/local/bin", "/etc/callgate", ["/etc/callgate/profiles", "/usr/local/share/callgate/profiles"]),
    ("/bin", "/etc/callgate", ["/etc/callgate/profiles", "/usr/share/callgate/profiles"]),
    ("/x/y/bin", "/x/y/etc/callgate", ["/x/y/etc/callgate/profiles", "/x/y/share/callgate/profiles"]),
    (
      "/r/.build/x86_64/debug", "/r/.build/x86_64/debug/etc/callgate",
      ["/r/.build/x86_64/debug/etc/callgate/profiles", "/r/profiles"]
    ),
    ("/somewhere", "/somewhere/etc/callgate", ["/somewhere/etc/callgate/profiles"]),
  ] as [(String, String, [String])])
func `the program's own place decides where its settings lie`(directory: String, settings: String, profiles: [String]) {
  let locations = Locations(programDirectory: directory)
  #expect(locations.settings == settings)
  #expect(locations.profiles == profiles)
}

/// A prefix in a directory of its own, removed at the end.
private func withPrefix(_ files: [String: String], _ body: (Locations, URL) throws -> Void) throws {
  let prefix = FileManager.default.temporaryDirectory.appending(path: "callgate-settings-\(UUID())")
  defer { try? FileManager.default.removeItem(at: prefix) }
  for (name, text) in files {
    let file = prefix.appending(path: name)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: file)
  }
  try body(Locations(programDirectory: prefix.appending(path: "bin").path), prefix)
}

private func profile(_ name: String) -> String {
  "apiVersion: callgate.dev/v1alpha1\nkind: CallProfile\nmetadata: {name: \(name), version: 1.0.0}\nspec: {trap: [execve]}\n"
}

@Test func `later files say more than earlier ones`() throws {
  try withPrefix([
    "etc/callgate/config.toml": "policy.mode = 'audit'\npolicy.profile = 'a'",
    "etc/callgate/config.d/20.toml": "policy.profile = 'c'",
    "etc/callgate/config.d/10.toml": "policy.profile = 'b'", "etc/callgate/config.d/30.txt": "nonsense",
  ]) { (locations, _) throws in
    let settings = try locations.readSettings()
    #expect((settings.mode, settings.profile) == (.audit, "c"))
  }
}

@Test func `no file at all is the defaults`() throws {
  try withPrefix([:]) { (locations, _) throws in #expect(try locations.readSettings() == Settings()) }
}

@Test func `a settings file that anybody may write is refused`() throws {
  try withPrefix(["etc/callgate/config.toml": ""]) { (locations, prefix) throws in
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o666], ofItemAtPath: prefix.appending(path: "etc/callgate/config.toml").path)
    #expect(throws: Refusal.self) { try locations.readSettings() }
  }
}

@Test func `a profile is laid over the configured baseline, and without it none is read`() throws {
  let strict = profile("strict").replacing("[execve]", with: "[execve, setuid]")
  let mild = profile("web").replacing("{trap: [execve]}", with: "{trap: [execve], permit: [dlsym], onViolation: {action: audit}}")
  try withPrefix([
    "etc/callgate/config.toml": "[policy]\nbaseline = 'strict'", "share/callgate/profiles/strict.yaml": strict,
    "etc/callgate/profiles/web.yaml": mild,
    "share/callgate/profiles/child.yaml": profile("child").replacing("trap: [execve]", with: "extends: [web]"),
  ]) { (locations, prefix) throws in
    var settings = try locations.readSettings()
    #expect(settings.baseline == "strict")
    for name in ["web", "child"] {
      let effective = try locations.effectiveProfile(name, under: settings)
      #expect(effective.resolved.profile.name == name && effective.resolved.profile.traps.map(\.syscall) == ["execve", "setuid"])
      #expect(effective.resolved.profile.permissions == [] && effective.resolved.profile.onViolation == .killProcess)
      #expect(effective.resolved.origin(of: .trap("setuid"))?.profile == "strict")
      #expect(effective.resolved.files.map(\.profile) == (name == "web" ? ["web", "strict"] : ["child", "web", "strict"]))
    }
    settings.baseline = "gone"
    let refusal = #expect(throws: Refusal.self) { try locations.effectiveProfile("web", under: settings) }
    #expect(refusal?.message == "cannot read the baseline 'gone' (policy.baseline): profile 'gone' is not installed")
  }
}

@Test func `a profile is found in the first directory that has it`() throws {
  try withPrefix([
    "etc/callgate/profiles/web.yaml": profile("web"), "share/callgate/profiles/web.yaml": "broken: [",
    "share/callgate/profiles/default.yaml": profile("default"), "share/callgate/profiles/other.yaml": profile("different"),
  ]) { (locations, _) throws in
    #expect(try locations.readProfile("web").profile.name == "web")
    #expect(try locations.readProfile("default").profile.name == "default")
    #expect(try locations.installedProfiles() == ["default", "other", "web"])
    let missing = #expect(throws: Refusal.self) { try locations.readProfile("db") }
    #expect(
      missing?.description
        == "profile 'db' is not installed (CG2001); installed: default, other, web. See: callgatectl profile list")
    #expect(throws: Refusal.self) { try locations.readProfile("../web") }
    let renamed = #expect(throws: Refusal.self) { try locations.readProfile("other") }
    #expect(renamed?.message.contains("metadata.name is 'different'") == true)
  }
}

// MARK: signatures

@Test func `signatures are optional unless they are required`() throws {
  var settings = Settings()
  #expect(settings.signatures == .optional)
  try settings.apply("policy.signatures = 'required'", file: "c.toml")
  #expect(settings.signatures == .required)
  let refusal = #expect(throws: Refusal.self) { try settings.apply("[policy]\nsignatures = 'maybe'", file: "c.toml") }
  #expect(refusal?.message == "c.toml:2: policy.signatures must be 'optional' or 'required', not 'maybe'")
}

private let key = Result { try SecretKey.make() }

/// An installation that trusts one key, with `web` in its own directory and `default` as it is shipped.
private func withSignedPrefix(_ policy: String, signed: Bool = true, _ body: (Locations, URL) throws -> Void) throws {
  let key = try key.get()
  try withPrefix([
    "etc/callgate/config.toml": "policy.signatures = '\(policy)'", "etc/callgate/keys/release.pem": key.publicKey.pem,
    "etc/callgate/keys/README": "no key", "etc/callgate/profiles/web.yaml": profile("web"),
    "share/callgate/profiles/default.yaml": profile("default"),
  ]) { locations, prefix throws in
    let signature = prefix.appending(path: "etc/callgate/profiles/web.yaml.sig")
    if signed { try Data(try key.signature(of: Array(profile("web").utf8))).write(to: signature) }
    try body(locations, prefix)
  }
}

private func append(_ text: String, to file: URL) throws {
  let bytes = try Data(contentsOf: file)
  try (bytes + Data(text.utf8)).write(to: file)
}

@Test(arguments: ["optional", "required"]) func `a signed profile names its key, and a changed one is refused`(policy: String) throws {
  try withSignedPrefix(policy) { locations, prefix throws in
    let installed = try locations.installedProfile("web", under: try locations.readSettings())
    #expect(installed.files.map(\.signers) == [["release.pem"]])
    try append("# a word\n", to: prefix.appending(path: "etc/callgate/profiles/web.yaml"))
    let refusal = #expect(throws: Refusal.self) { try locations.readProfile("web") }
    #expect(refusal?.code == .badSignature && refusal?.hint == "trusted are: release.pem")
  }
}

@Test func `without a signature only a shipped profile will do where one is required`() throws {
  try withSignedPrefix("optional", signed: false) { locations, _ throws in #expect(try locations.readProfile("web").profile.name == "web") }
  try withSignedPrefix("required", signed: false) { locations, prefix throws in
    let refusal = #expect(throws: Refusal.self) { try locations.readProfile("web") }
    #expect(refusal?.code == .notSigned)
    #expect(try locations.readProfile("default").profile.name == "default")
    // Not where anybody may have written it.
    let shipped = prefix.appending(path: "share/callgate/profiles/default.yaml").path
    try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: shipped)
    #expect(throws: Refusal.self) { try locations.readProfile("default") }
  }
}

@Test func `a shipped profile's signature is verified where it has one`() throws {
  try withSignedPrefix("optional") { locations, prefix throws in
    try Data(repeating: 1, count: 64).write(to: prefix.appending(path: "share/callgate/profiles/default.yaml.sig"))
    let refusal = #expect(throws: Refusal.self) { try locations.readProfile("default") }
    #expect(refusal?.code == .badSignature)
  }
}

@Test func `a profile that takes a shipped one's place needs a signature`() throws {
  try withSignedPrefix("required") { locations, prefix throws in
    try Data(profile("default").utf8).write(to: prefix.appending(path: "etc/callgate/profiles/default.yaml"))
    let refusal = #expect(throws: Refusal.self) { try locations.readProfile("default") }
    #expect(refusal?.code == .notSigned)
  }
}

@Test func `every signature that is there has to be right`() throws {
  try withSignedPrefix("optional") { locations, prefix throws in
    try Data("untrusted comment: x\n".utf8).write(to: prefix.appending(path: "etc/callgate/profiles/web.yaml.minisig"))
    let refusal = #expect(throws: Refusal.self) { try locations.readProfile("web") }
    #expect(refusal?.code == .badSignature && refusal?.message.contains("web.yaml.minisig") == true)
  }
}

@Test(arguments: ["etc/callgate/keys/release.pem", "etc/callgate/keys"]) func `keys that anybody may write are refused`(place: String)
  throws
{
  try withSignedPrefix("optional") { locations, prefix throws in
    try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: prefix.appending(path: place).path)
    #expect(throws: Refusal.self) { try locations.readProfile("web") }
    // Nobody asks for keys where nothing is signed.
    #expect(try locations.readProfile("default").profile.name == "default")
  }
}

@Test func `a key that is none is not passed over`() throws {
  try withSignedPrefix("optional") { locations, prefix throws in
    try Data(try key.get().pem.utf8).write(to: prefix.appending(path: "etc/callgate/keys/secret.pem"))
    let refusal = #expect(throws: Refusal.self) { try locations.readProfile("web") }
    #expect(refusal?.code == .badKey && refusal?.message.contains("not a public key") == true)
  }
}

@Test func `a profile can be asked for by its digest`() throws {
  try withSignedPrefix("required") { locations, _ throws in
    let settings = try locations.readSettings()
    let zeros = String(repeating: "0", count: 64)
    let refusal = #expect(throws: Refusal.self) { try locations.installedProfile("web@sha256:\(zeros)", under: settings) }
    #expect(refusal?.code == .otherDigest)
    let told = try #require(refusal?.message.split(separator: " ").first { $0.hasPrefix("sha256:") }?.dropLast())
    #expect(try locations.installedProfile("web@\(told)", under: settings).profile.name == "web")
  }
}
