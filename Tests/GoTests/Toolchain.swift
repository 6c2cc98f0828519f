import ELF
import Foundation
import Go
import Testing

/// Programs built by Debian's Go and by those that CALLGATE_GO names (paths of `go`, separated by colons).
enum Toolchain {
  static let all: [String] =
    ["/usr/bin/go"] + (ProcessInfo.processInfo.environment["CALLGATE_GO"] ?? "").split(separator: ":").map(String.init)

  static let directory: URL = {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
      "callgate-go-\(ProcessInfo.processInfo.processIdentifier)")
    atexit { _ = try? FileManager.default.removeItem(at: Toolchain.directory) }
    return directory
  }()

  struct Failed: Error {
    var what: String
  }

  /// Fixtures/names.go.txt, built with `flags`.
  static func program(by go: String, _ flags: [String], cgo: Bool = false) throws -> URL {
    guard FileManager.default.isExecutableFile(atPath: go) else { try Test.cancel("\(go) is not there") }
    let source = directory.appendingPathComponent("source")
    try FileManager.default.createDirectory(at: source, withIntermediateDirectories: true)
    let fixture = Bundle.module.bundleURL.appendingPathComponent("Fixtures/names.go.txt")
    try Data(contentsOf: fixture).write(to: source.appendingPathComponent("main.go"))
    try Data("module probe\ngo 1.18\n".utf8).write(to: source.appendingPathComponent("go.mod"))
    let name = ([go] + flags + [cgo ? "cgo" : ""]).joined(separator: " ").map { $0.isLetter || $0.isNumber ? $0 : "-" }
    let output = directory.appendingPathComponent(String(name))
    if FileManager.default.isExecutableFile(atPath: output.path) { return output }
    let (_, status) = try run(
      go, ["build"] + flags + ["-o", output.path, "."], in: source,
      [
        "CGO_ENABLED": cgo ? "1" : "0", "GOCACHE": directory.appendingPathComponent("cache").path,
        "GOPATH": directory.appendingPathComponent("path").path, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local",
      ])
    guard status == 0 else { throw Failed(what: "go build \(flags)") }
    return output
  }

  static func run(
    _ program: String, _ arguments: [String], in folder: URL? = nil, _ variables: [String: String] = [:]
  ) throws -> (output: [Substring], status: Int32) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.currentDirectoryURL = folder
    process.environment = ProcessInfo.processInfo.environment.merging(variables) { $1 }
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (String(decoding: output, as: UTF8.self).split(separator: "\n"), process.terminationStatus)
  }
}

func open(_ url: URL) throws -> ObjectFile { try ObjectFile(Source([UInt8](Data(contentsOf: url)))) }
