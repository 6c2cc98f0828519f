import Foundation
import Testing

/// Go programs built for the tests, with Debian's toolchain and those that CALLGATE_GO names (paths of `go`, separated by colons).
struct GoWorkshop {
  struct Flavour: Sendable, CustomTestStringConvertible {
    var name: String
    /// cgo.go: needs gcc.
    var usesC: Bool
    var flags: [String] = []
    /// What finds sections finds none.
    var hasSections = true
    var testDescription: String { name }
  }

  static let flavours: [Flavour] = [
    Flavour(name: "static", usesC: false),
    Flavour(name: "stripped", usesC: false, flags: ["-ldflags=-s -w"]),
    Flavour(name: "pie", usesC: false, flags: ["-buildmode=pie"]),
    Flavour(name: "pie-stripped", usesC: false, flags: ["-buildmode=pie", "-ldflags=-s -w"]),
    Flavour(name: "pie-no-sections", usesC: false, flags: ["-buildmode=pie", "-ldflags=-s -w"], hasSections: false),
    Flavour(name: "no-optimisation", usesC: false, flags: ["-gcflags=all=-N -l"]),
    Flavour(name: "cgo", usesC: true),
    Flavour(name: "cgo-stripped", usesC: true, flags: ["-ldflags=-s -w"]),
    Flavour(name: "cgo-pie", usesC: true, flags: ["-buildmode=pie"]),
    Flavour(name: "cgo-pie-stripped", usesC: true, flags: ["-buildmode=pie", "-ldflags=-s -w"]),
    Flavour(name: "cgo-static", usesC: true, flags: ["-ldflags=-linkmode=external -extldflags=-static"]),
  ]

  static let toolchains: [String] =
    ["/usr/bin/go"] + (ProcessInfo.processInfo.environment["CALLGATE_GO"] ?? "").split(separator: ":").map(String.init)

  /// The program of `flavour`, built once.
  static func program(_ flavour: Flavour, by toolchain: String) throws -> String {
    guard FileManager.default.isExecutableFile(atPath: toolchain) else { try Test.cancel("\(toolchain) is not there") }
    let directory = try Workshop.made.map { _ in Workshop.directory }.get()
    let number = toolchains.firstIndex(of: toolchain) ?? 0
    let path = directory.appendingPathComponent("go-\(number)-\(flavour.name)").path
    if FileManager.default.isExecutableFile(atPath: path) { return path }
    try build(flavour.usesC ? "cgo" : "plain", flavour.flags, usesC: flavour.usesC, by: toolchain, to: path)
    if !flavour.hasSections { try removeSections(path) }
    return path
  }

  /// A program in C that links lib.go, made as `mode` says: c-shared or c-archive.
  static func libraryUser(_ mode: String, by toolchain: String) throws -> String {
    guard FileManager.default.isExecutableFile(atPath: toolchain) else { try Test.cancel("\(toolchain) is not there") }
    let directory = try Workshop.made.map { _ in Workshop.directory }.get()
    let number = toolchains.firstIndex(of: toolchain) ?? 0
    let folder = directory.appendingPathComponent("go-\(number)-\(mode)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let library = folder.appendingPathComponent(mode == "c-shared" ? "libwork.so" : "libwork.a").path
    try build("lib", ["-buildmode=\(mode)"], usesC: true, by: toolchain, to: library)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/gcc")
    let source = Bundle.module.bundleURL.appendingPathComponent("Fixtures/go/uses.c").path
    let program = folder.appendingPathComponent("uses").path
    process.arguments = [source, library, "-o", program, "-pthread", "-Wl,-rpath,\(folder.path)"]
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Workshop.Failed("gcc uses.c") }
    return program
  }

  private static func build(_ name: String, _ flags: [String], usesC: Bool, by toolchain: String, to path: String) throws {
    let directory = Workshop.directory
    let source = directory.appendingPathComponent("go-\(name)")
    try FileManager.default.createDirectory(at: source, withIntermediateDirectories: true)
    let fixture = Bundle.module.bundleURL.appendingPathComponent("Fixtures/go/\(name).go.txt")
    try Data(contentsOf: fixture).write(to: source.appendingPathComponent("main.go"))
    try Data("module probe\ngo 1.18\n".utf8).write(to: source.appendingPathComponent("go.mod"))
    let process = Process()
    process.executableURL = URL(fileURLWithPath: toolchain)
    process.arguments = ["build"] + flags + ["-o", path, "."]
    process.currentDirectoryURL = source
    var environment = ProcessInfo.processInfo.environment
    environment["CGO_ENABLED"] = usesC ? "1" : "0"
    environment["GOCACHE"] = directory.appendingPathComponent("go-cache").path
    environment["GOPATH"] = directory.appendingPathComponent("go-path").path
    environment["GOFLAGS"] = "-mod=mod"
    environment["GOTOOLCHAIN"] = "local"
    process.environment = environment
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Workshop.Failed("go build \(flags) \(name)") }
  }

  /// As `sstrip` does: the file says that it has no section headers.
  private static func removeSections(_ path: String) throws {
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    for index in Array(40..<48) + Array(58..<64) { bytes[index] = 0 }
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    try file.write(contentsOf: bytes)
    try file.close()
  }
}
