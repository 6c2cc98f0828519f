import Foundation
import JSON
import Plan
import Testing

/// callgate installed under a prefix of its own, with a runtime that prints how it was called, and a bundle.
///
/// The runtime is a shell script: it writes its arguments, one a line, to `calls`, shows the config.json it would have started, and
/// exits with the status in `status`.
final class Installation {
  let prefix: URL
  let bundle: URL
  let hasBPF: Bool
  /// Unique, so that no test meets another's state directory.
  let id = "callgate-test-\(UUID())"

  /// `runtime`: the name that the fake runtime goes by.
  init(runtime: String = "crun", settings: String = "", profiles: [String: String] = [:]) throws {
    prefix = FileManager.default.temporaryDirectory.appending(path: "callgate-test-\(UUID())")
    bundle = prefix.appending(path: "bundle")
    for directory in ["bin", "libexec/callgate", "etc/callgate/profiles", "bundle", "runtimes"] {
      try FileManager.default.createDirectory(at: prefix.appending(path: directory), withIntermediateDirectories: true)
    }
    try FileManager.default.copyItem(at: Installation.program, to: prefix.appending(path: "bin/callgate"))
    for name in ["callgate-supervisor", "callgate-inspector"] {
      try FileManager.default.createSymbolicLink(
        at: prefix.appending(path: "libexec/callgate/\(name)"),
        withDestinationURL: Installation.program.deletingLastPathComponent().appending(path: name))
    }
    // A real one where this build has it: whether a supervisor can copy threads decides about the filter's flags.
    let object = Installation.program.deletingLastPathComponent().appending(path: "callgate-snapshot.bpf.o")
    hasBPF = FileManager.default.fileExists(atPath: object.path)
    if hasBPF {
      try FileManager.default.createSymbolicLink(
        at: prefix.appending(path: "libexec/callgate/callgate-snapshot.bpf.o"), withDestinationURL: object)
    }
    let runtimePath = prefix.appending(path: "runtimes/\(runtime)").path
    try write("etc/callgate/config.toml", settings.contains("runtimes") ? settings : "runtimes = ['\(runtimePath)']\n" + settings)
    try write(
      "etc/callgate/profiles/default.yaml",
      try String(contentsOf: Installation.repository.appending(path: "profiles/default.yaml"), encoding: .utf8))
    for (name, text) in profiles { try write("etc/callgate/profiles/\(name).yaml", text) }
    try write(
      "runtimes/\(runtime)",
      """
      #!/bin/sh
      printf '%s\\n' "$@" > '\(prefix.path)/calls'
      cp '\(bundle.path)/config.json' '\(prefix.path)/started.json' 2>/dev/null
      [ "$1" = features ] && cat '\(prefix.path)/features' 2>/dev/null
      echo from the runtime
      exit $(cat '\(prefix.path)/status' 2>/dev/null || echo 0)
      """)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: runtimePath)
  }

  deinit {
    try? FileManager.default.removeItem(at: prefix)
    for directory in stateDirectories { try? FileManager.default.removeItem(atPath: directory) }
  }

  static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The program that is tested lies beside the one that tests.
  static var program: URL { URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "callgate") }

  func write(_ name: String, _ text: String) throws { try Data(text.utf8).write(to: prefix.appending(path: name)) }
  func read(_ name: String) throws -> String { try String(contentsOf: prefix.appending(path: name), encoding: .utf8) }
  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: prefix.appending(path: name).path) }

  var base: String {
    geteuid() == 0 ? "/run/callgate" : "\(ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"] ?? "/nowhere")/callgate"
  }

  /// The directory that the container's state belongs in, made as a supervisor that has ended leaves it.
  func makeStateDirectory() throws -> String {
    let directory = "\(base)/\(id.prefix(32))-\(hexDigits(of: fnv1a([0] + Array(id.utf8))))"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try Data("{}".utf8).write(to: URL(filePath: "\(directory)/exit-reason.json"))
    return directory
  }

  /// What is left of this test's containers below the state directory, once the supervisors have had time to take their part away.
  var stateDirectoriesInTheEnd: [String] {
    for _ in 0..<200 where !stateDirectories.isEmpty { usleep(50_000) }
    return stateDirectories
  }

  /// What lies there now of this test's containers.
  var stateDirectories: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
    return names.filter { $0.hasPrefix(String(id.prefix(32))) }.map { "\(base)/\($0)" }
  }

  struct Outcome {
    var status: Int32
    var output: String
    var error: String
  }

  @discardableResult
  func callgate(_ words: [String], environment: [String: String]? = nil) throws -> Outcome {
    let process = Process()
    process.executableURL = prefix.appending(path: "bin/callgate")
    process.arguments = words
    process.currentDirectoryURL = bundle
    if let environment { process.environment = environment }
    let (output, error) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = error
    try process.run()
    // Both stay far below a pipe's 64 KiB.
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus,
      output: String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self),
      error: String(decoding: error.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self))
  }

  /// The arguments that the runtime got, or nil if it was not called.
  var calls: [String]? {
    (try? read("calls")).map { $0.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) }
  }

  func config(annotations: String = "", linux: String = #""resources":{"limit":18446744073709551615}"#) throws {
    try write(
      "bundle/config.json",
      #"{"ociVersion":"1.0.2","annotations":{\#(annotations)},"linux":{\#(linux)},"process":{"args":["x"],"real":1.0}}"#)
  }

  func json(_ name: String) throws -> JSONValue { try JSONValue(parsing: Array(try read(name).utf8)) }
}

let untrusted = #""dev.callgate.untrusted":"true""#

/// A Unix socket that accepts connections until it is released; its file stays, as a dead supervisor's does.
final class Listener {
  private let descriptor: Int32

  init(path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    // SAFETY: the path is shorter than sun_path, whose rest stays NUL, and the pointer is of the struct and its size.
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    let bound = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(descriptor, $0, 110) }
    }
    try #require(bound == 0 && listen(descriptor, 1) == 0)
  }

  deinit { close(descriptor) }
}
