import Foundation
import Testing

/// The tests' own podman and containerd (Tests/EndToEnd/engines), with the low-level runtime that callgate is to hand over to.
enum Engine: String, CaseIterable, CustomTestStringConvertible {
  case podmanCrun = "podman with crun"
  case podmanRunc = "podman with runc"
  case containerdCrun = "containerd with crun"
  case containerdRunc = "containerd with runc"

  /// Who stands between the engine and the low-level runtime.
  enum Gate { case none, trusted, untrusted }

  static let image = "localhost/callgate-test:latest"
  static let rootfs = Repository.images + "/rootfs"

  var testDescription: String { rawValue }
  var isPodman: Bool { self == .podmanCrun || self == .podmanRunc }
  var lowLevel: String { self == .podmanCrun || self == .containerdCrun ? "crun" : "runc" }

  /// `make test` makes the engines and names their folder.
  static let folder = ProcessInfo.processInfo.environment["CALLGATE_ENGINES"]
  private var folder: String { Self.folder ?? "/nonexistent" }

  private static func path(of program: String) -> String? {
    ["/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/"].map { $0 + program }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  func required() throws {
    guard Self.folder != nil else { try cancel("no engines were made: CALLGATE_ENGINES is not set (make test sets it)") }
    for program in [isPodman ? "podman" : "containerd", lowLevel] where Self.path(of: program) == nil {
      try cancel("\(program) is not installed")
    }
  }

  /// The executable that the engine calls.
  func runtime(_ gate: Gate) -> String {
    gate == .none ? Self.path(of: lowLevel) ?? lowLevel : folder + "/over-\(lowLevel)/bin/callgate"
  }

  /// Where the callgate in front of the engine's runtime has its configuration.
  var settings: String { folder + "/over-\(lowLevel)/etc/callgate" }

  private var program: [String] { [folder + (isPodman ? "/bin/podman" : "/bin/ctr")] }

  private func engine(_ gate: Gate) -> [String] { isPodman ? program + ["--runtime", runtime(gate)] : program }

  /// A command that runs `command` in a new container `name`, its input and output passed through. `options` are podman's own.
  func run(
    _ command: [String], as name: String, _ gate: Gate, annotations: [String] = [], detached: Bool = false, terminal: Bool = false,
    sharing folder: String? = nil, options: [String] = []
  ) -> [String] {
    let marks = (gate == .untrusted ? ["dev.callgate.untrusted=true"] : []) + annotations
    var words = engine(gate) + ["run"] + marks.flatMap { ["--annotation", $0] }
    if detached { words += ["-d"] } else { words += ["--rm"] }
    if terminal { words += ["-t"] }
    if isPodman {
      words += ["--name", name]
      if !detached { words += ["-i"] }
      if let folder { words += ["-v", "\(folder):/shared"] }
      return words + options + [Self.image] + command
    }
    words += ["--runc-binary", runtime(gate)]
    if let folder { words += ["--mount", "type=bind,src=\(folder),dst=/shared,options=rbind:rw"] }
    return words + [Self.image, name] + command
  }

  /// A command that runs `command` in the running container `name`.
  func exec(_ command: [String], in name: String) -> [String] {
    isPodman
      ? program + ["exec", "-i", name] + command
      : program + ["tasks", "exec", "--exec-id", "e\(UInt32.random(in: .min ... .max))", name] + command
  }

  func signal(_ signal: String, to name: String) throws -> Outcome {
    try EndToEndTests.run(isPodman ? program + ["kill", "--signal", signal, name] : program + ["tasks", "kill", "--signal", signal, name])
  }

  func isRunning(_ name: String) throws -> Bool {
    let list = isPodman ? ["ps", "--format", "{{.Names}}"] : ["tasks", "list"]
    return try EndToEndTests.run(program + list).output.split(separator: "\n").contains { line in
      isPodman ? line == name : line.hasPrefix(name + " ") && line.hasSuffix("RUNNING")
    }
  }

  func remove(_ name: String) {
    let commands =
      isPodman ? [["rm", "--force", "--time", "0", name]] : [["tasks", "delete", "--force", name], ["containers", "delete", name]]
    for command in commands { _ = try? EndToEndTests.run(program + command, within: 30) }
  }

  static func freshName() -> String { "t" + String(UInt32.random(in: .min ... .max), radix: 36) }

  /// A container that only waits, while `body` runs; it is removed afterwards.
  func withContainer<T>(_ gate: Gate, sharing folder: String? = nil, _ body: (String) throws -> T) throws -> T {
    let name = Self.freshName()
    defer { remove(name) }
    let started = try EndToEndTests.run(run(["sleep", "1000"], as: name, gate, detached: true, sharing: folder))
    guard started.status == 0 else { throw Unexpected("\(rawValue): the container did not start: \(started)") }
    return try body(name)
  }

  /// The options of Tests/Attacks/attack for the image's victim; the mark goes to the shared folder.
  static func attackOptions(markIn folder: Folder) -> [String] {
    [
      "--root", rootfs, "--elf", rootfs + "/usr/bin/victim", "--victim", "/usr/bin/victim",
      "--mark", folder.file("mark"), "--mark-inside", "/shared/mark",
    ]
  }
}
