import Foundation
import Glibc
import Testing

/// A program of Tests/Attacks/evasions: a process that is already hijacked, and knows callgate.
struct Evasion {
  static let sources = Repository.root + "/Tests/Attacks/evasions"

  /// Built once by each run of the tests.
  private static let built: Result<String, any Error> = Result {
    let folder = Repository.root + "/.build/evasions"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for source in try FileManager.default.contentsOfDirectory(atPath: sources) where source.hasSuffix(".c") {
      let isLibrary = source == "payload.c"
      let options = ["-O2", "-Wall", "-Wextra"] + (isLibrary ? ["-shared", "-fPIC"] : [])
      let compiled = try EndToEndTests.run(["gcc"] + options + ["-o", folder + "/" + source.dropLast(2), sources + "/" + source])
      guard compiled.status == 0 else { throw Unexpected("\(source) does not compile: \(compiled)") }
    }
    return folder
  }

  static func folder() throws -> String { try built.get() }

  /// The words of a call of it.
  static func command(_ name: String, _ arguments: [String] = [], in folder: String? = nil) throws -> [String] {
    [try (folder ?? self.folder()) + "/" + name] + arguments
  }
}

extension Outcome {
  var lines: [Substring] { output.split(separator: "\n") }

  /// The system call that it was after was made.
  var evaded: Bool { lines.contains { $0.hasPrefix("evaded") } }

  var killed: Bool { status == 128 + SIGKILL }

  /// Cancels where the program lacks something that has nothing to do with callgate.
  func possible() throws -> Outcome {
    if let line = lines.first(where: { $0.hasPrefix("impossible: ") }) { try cancel(String(line)) }
    return self
  }
}

/// Expects that a program evades when it is alone, and is killed under `launcher` for what `code` (of Diagnostics) stands for.
func expectKilled(
  _ command: [String], by launcher: [String], for codes: [String], in folder: Folder? = nil,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let alone = try run(command, in: folder, within: 20).possible()
  #expect(alone.evaded, "alone: \(alone)", sourceLocation: sourceLocation)
  try Callgate.required()
  let outcome = try run(launcher + command, in: folder, within: 40)
  #expect(!outcome.evaded && outcome.killed, "\(outcome)", sourceLocation: sourceLocation)
  #expect(codes.contains { outcome.errors.contains($0) }, "expected one of \(codes): \(outcome)", sourceLocation: sourceLocation)
}

/// The programs, installed in a folder of their own: other profiles can be put there, and parts taken away.
final class Installed {
  let folder: Folder
  var ctl: String { folder.file("bin/callgatectl") }
  var runtime: String { folder.file("bin/callgate") }

  /// `profiles` are their specs by name. Without BPF the supervisor reads /proc and stops threads.
  init(withBPF: Bool = true, profiles: [String: String] = [:], over lowLevel: String? = nil) throws {
    folder = try Folder()
    let made = try EndToEndTests.run([
      "make", "-C", Repository.root, "install", "DESTDIR=", "PREFIX=\(folder.path)", "PROGRAMS=\(Callgate.programs)",
    ])
    guard made.status == 0 else { throw Unexpected("not installed: \(made)") }
    if !withBPF { try? FileManager.default.removeItem(atPath: folder.file("libexec/callgate/callgate-snapshot.bpf.o")) }
    try FileManager.default.createDirectory(atPath: folder.file("etc/callgate/profiles"), withIntermediateDirectories: true)
    for (name, spec) in profiles {
      let head = "apiVersion: callgate.dev/v1alpha1\nkind: CallProfile\nmetadata: {name: \(name), version: 1.0.0}\n"
      try folder.write(head + "spec: \(spec)\n", to: "etc/callgate/profiles/\(name).yaml")
    }
    if let lowLevel { try folder.write("runtimes = [\"\(lowLevel)\"]\n", to: "etc/callgate/config.toml") }
  }

  func run(_ command: [String] = [], profile: String? = nil) -> [String] {
    [ctl, "run"] + (profile.map { ["--profile", $0] } ?? []) + ["--"] + command
  }
}

/// A user without privileges, with a home, a runtime directory and no account: root's tests become it, others are such a user already.
final class OrdinaryUser {
  static let number = geteuid() == 0 ? UInt32(54321) : geteuid()
  let home: Folder

  init() throws {
    home = try Folder()
    try FileManager.default.createDirectory(atPath: home.file("runtime"), withIntermediateDirectories: false)
    try home.give(to: Self.number)
    try home.give("runtime", to: Self.number)
  }

  /// `command` as this user, with no more of an environment than a login gives.
  func command(_ command: [String]) -> [String] {
    let variables = ["HOME=\(home.path)", "XDG_RUNTIME_DIR=\(home.file("runtime"))", "PATH=/usr/bin:/bin", "LANG=C.UTF-8"]
    let become = ["setpriv", "--reuid", "\(Self.number)", "--regid", "\(Self.number)", "--clear-groups", "--"]
    return ["env", "-i"] + variables + (geteuid() == 0 ? become : []) + command
  }

  /// Cancels where such a user cannot run anything supervised, and says why: namespaces or ptrace forbidden, a folder out of reach.
  func required(_ installed: Installed) throws {
    try Callgate.required()
    let outcome = try run(command(installed.run(["/bin/true"])), within: 30)
    if outcome.errors.contains("Operation not permitted") || outcome.errors.contains("No space left") {
      try cancel("an ordinary user cannot start a supervisor here: \(outcome.errors)")
    }
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
  }
}

extension Folder {
  /// Makes it, or what is called `name` in it, the user's own.
  func give(_ name: String = "", to user: UInt32) throws {
    guard unsafe chown(file(name), user, user) == 0 else { throw Unexpected("chown \(file(name)): errno \(errno)") }
  }
}

/// Who runs what, and how threads are copied: what must hold in one place must hold in each.
enum Place: String, CaseIterable, CustomTestStringConvertible {
  case rootWithBPF = "root with BPF"
  case rootWithoutBPF = "root without BPF"
  case ordinaryUser = "an ordinary user"

  var testDescription: String { rawValue }

  /// `body` gets what to put in front of a command to have it supervised, and alone, and a folder with the evasions in it.
  func enter(_ body: (_ supervised: [String], _ alone: [String], _ evasions: Folder) throws -> Void) throws {
    if self != .ordinaryUser && geteuid() != 0 { try cancel("not root") }
    let installed = try Installed(withBPF: self == .rootWithBPF)
    // Where an ordinary user can read them, and write beside them.
    let evasions = try Folder()
    let copied = try run(["cp", "-r", try Evasion.folder() + "/.", evasions.path])
    guard copied.status == 0 else { throw Unexpected("\(copied)") }
    guard self == .ordinaryUser else { return try body(installed.run(), [], evasions) }
    let user = try OrdinaryUser()
    try user.required(installed)
    try body(user.command(installed.run()), user.command([]), evasions)
  }
}

/// An OCI bundle of the tests' root file system for a bare crun or runc, and a place for the runtime's state.
final class RuntimeBundle {
  let folder: Folder
  let name = Engine.freshName()
  let runtime: String
  var path: String { folder.file("bundles/" + name) }

  /// `sharing` is a folder that the container sees as /tmp/shared.
  init(_ command: [String], under runtime: String, profile: String? = nil, sharing shared: String? = nil) throws {
    folder = try Folder()
    self.runtime = runtime
    let made = try EndToEndTests.run(
      [
        Repository.root + "/Tests/EndToEnd/engines", "bundle", folder.path, name, Repository.images, "dev.callgate.untrusted=true",
      ] + command)
    guard made.status == 0 else { throw Unexpected("no bundle: \(made)") }
    let file = folder.file("bundles/\(name)/config.json")
    guard let data = FileManager.default.contents(atPath: file),
      var config = try JSONSerialization.jsonObject(with: data) as? [String: Any],
      var annotations = config["annotations"] as? [String: String], var mounts = config["mounts"] as? [[String: Any]]
    else { throw Unexpected("no configuration in \(file)") }
    if let profile { annotations["dev.callgate.profile"] = profile }
    if let shared { mounts.append(["destination": "/tmp/shared", "type": "bind", "source": shared, "options": ["bind", "ro"]]) }
    config["annotations"] = annotations
    config["mounts"] = mounts
    try JSONSerialization.data(withJSONObject: config).write(to: URL(fileURLWithPath: file))
  }

  deinit { _ = try? call("delete", "--force", name) }

  func call(_ words: String..., within seconds: Double = 30) throws -> Outcome {
    try EndToEndTests.run([runtime, "--root", folder.file("root")] + words, within: seconds)
  }

  /// Creates and starts it; the supervisor that it got, by root's record of it.
  func start() throws -> Int32 {
    let created = try call("create", "--bundle", path, name)
    guard created.status == 0 else { throw Unexpected("not created: \(created)") }
    let started = try call("start", name)
    guard started.status == 0 else { throw Unexpected("not started: \(started)") }
    let places = try FileManager.default.contentsOfDirectory(atPath: "/run/callgate").filter { $0.hasPrefix(name + "-") }
    guard places.count == 1, let data = FileManager.default.contents(atPath: "/run/callgate/\(places[0])/supervisor.json"),
      let record = try JSONSerialization.jsonObject(with: data) as? [String: Any], let supervisor = record["supervisor"] as? Int
    else { throw Unexpected("no record of a supervisor of \(name): \(places)") }
    return Int32(supervisor)
  }
}

extension Callgate {
  /// The processes that run one of our programs from below `folder`.
  static func processes(of name: String, under folder: String) -> Set<Int32> {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return Set(
      all.compactMap(Int32.init).filter { id in
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(id)/exe") else { return false }
        return path.hasPrefix(folder + "/") && path.hasSuffix("/" + name)
      })
  }

  /// The fields of /proc/PID/stat behind the name: state, parent, group, session, terminal, ….
  static func stat(of process: Int32) throws -> [String] {
    let text = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
    guard let end = text.lastIndex(of: ")") else { throw Unexpected("stat of \(process): \(text)") }
    return text[end...].split(separator: " ").dropFirst().map(String.init)
  }
}
