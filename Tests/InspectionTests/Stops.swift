import Foundation
import Glibc
import Inspection
import Testing
import Wire

/// Programs compiled for the tests, and the tool that stops them at their syscalls.
struct Workshop {
  static let directory = FileManager.default.temporaryDirectory.appendingPathComponent("callgate-inspection-\(getpid())")
  static let made = Result { try Workshop() }

  /// Flags that change how code is laid out, or how it is linked.
  static let flavours: [String: [String]] = [
    "O2": ["-O2", "-DIFUNC"], "O0": ["-O0", "-DIFUNC"], "Os": ["-Os", "-DIFUNC"],
    "frame-pointer": ["-O2", "-fno-omit-frame-pointer", "-DIFUNC"],
    "lazy": ["-O2", "-Wl,-z,lazy", "-DIFUNC"], "now": ["-O2", "-Wl,-z,now", "-DIFUNC"],
    "retpoline": ["-O2", "-mindirect-branch=thunk", "-fcf-protection=none"], "cet": ["-O2", "-fcf-protection=full", "-DIFUNC"],
    "plain": ["-O2"], "plain-O0": ["-O0"], "plain-static": ["-O2", "-static"],
    "lto": ["-O3", "-flto"], "no-pie": ["-O2", "-no-pie"], "static": ["-O2", "-static", "-DIFUNC"],
    "static-pie": ["-O2", "-static-pie", "-DIFUNC"], "stripped": ["-O2", "-s"],
    // Without CFI of their own.
    "bare": ["-O2"] + bare, "bare-stripped": ["-O2", "-s"] + bare, "bare-static": ["-O2", "-static", "-s"] + bare,
    "bare-O0": ["-O0", "-s"] + bare,
    "musl": ["-O2", "-DMUSL"], "musl-static": ["-O2", "-DMUSL", "-static"], "musl-bare": ["-Os", "-DMUSL", "-s"] + bare,
    "musl-bare-static": ["-O2", "-DMUSL", "-static", "-s"] + bare, "musl-static-pie": ["-O2", "-DMUSL", "-static-pie", "-s"],
  ]

  private static let bare = ["-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-exceptions"]

  private init() throws {
    let directory = Workshop.directory
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    atexit { _ = try? FileManager.default.removeItem(at: Workshop.directory) }
    try compile(["-O1"], "stops.c", to: "stops")
    try compile(["-O2", "-shared", "-fPIC"], "so.c", to: "so.so")
    for (name, flags) in Workshop.flavours {
      var all = flags + ["-pthread"]
      if !flags.contains(where: { $0.hasPrefix("-static") }) { all.append("-DSO=\"\(directory.path)/so.so\"") }
      try compile(all, "cases.c", to: "cases-\(name)")
    }
  }

  private func compile(_ flags: [String], _ source: String, to name: String) throws {
    let fixture = Bundle.module.bundleURL.appendingPathComponent("Fixtures/\(source)")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      [flags.contains("-DMUSL") ? "musl-gcc" : "gcc", "-w"] + flags + [
        fixture.path, "-o", Workshop.directory.appendingPathComponent(name).path, "-ldl",
      ]
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Failed("gcc \(flags) \(source)") }
  }

  struct Failed: Error {
    var what: String
    init(_ what: String) { self.what = what }
  }

  func path(_ name: String) -> String { Workshop.directory.appendingPathComponent(name).path }
}

/// Runs `command` and inspects every thread that makes one of the syscalls `numbers`, before the syscall runs. `alter` may change a
/// snapshot first. At most `limit` stops, then the program is killed.
func stops(
  at numbers: [Int32], of command: [String], limit: Int = .max, explain: Bool = false, images: LiveProcess.Images = .init(),
  permissions: Set<Permission> = Set(Permission.allCases),
  alter: (inout Snapshot, LiveProcess) -> Void = { _, _ in }, jit: (Snapshot, LiveProcess) -> JITMemory = { _, _ in JITMemory() },
  found: (Snapshot, Finding) -> Void, again: (Snapshot, Finding, LiveProcess) -> Void = { _, _, _ in }
) throws {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: try Workshop.made.get().path("stops"))
  process.arguments = [numbers.map(String.init).joined(separator: ",")] + command
  let (output, input) = (Pipe(), Pipe())
  process.standardOutput = output
  process.standardInput = input
  try process.run()
  var pending = Data()
  var count = 0
  reading: while true {
    let more = output.fileHandleForReading.availableData
    if more.isEmpty { break }
    pending += more
    while let end = pending.firstIndex(of: 10) {
      let words = String(decoding: pending[..<end], as: UTF8.self).split(separator: " ")
      pending = pending[(end + 1)...]
      if words.first == "end" { continue }
      let numbers = words.map { UInt64($0)! }
      var snapshot = Snapshot()
      snapshot.thread = UInt32(numbers[0])
      snapshot.process = UInt32(numbers[1])
      snapshot.number = Int32(numbers[2])
      snapshot.borrowsMemory = numbers[3] & 1 != 0
      snapshot.hasExecuted = numbers[3] & 2 == 0
      snapshot.startStack = numbers[4]
      snapshot.threadPointer = numbers[5]
      snapshot.instruction = numbers[6]
      for number in 0..<16 { snapshot.registers[number] = numbers[7 + number] }
      var live = try LiveProcess(Int32(snapshot.thread), images)
      if let stackPointer = snapshot.registers[Registers.rsp] {
        snapshot.stack = (try? live.read(at: stackPointer, upTo: 2048)) ?? []
      }
      alter(&snapshot, live)
      let finding = inspect(snapshot, in: &live, jit: jit(snapshot, live), permissions: permissions, explain: explain)
      found(snapshot, finding)
      again(snapshot, finding, live)
      live.finish()
      count += 1
      if count == limit {
        kill(process.processIdentifier, SIGKILL)  // SIGTERM may be blocked, and that is inherited
        break reading
      }
      try input.fileHandleForWriting.write(contentsOf: [10])
    }
  }
  process.waitUntilExit()
}

/// A finding as a person would read it.
func shown(_ finding: Finding) -> String {
  var lines = ["depth \(finding.depth), violations \(finding.violations), unknown \(String(describing: finding.unknown))"]
  for (index, frame) in finding.frames.enumerated() {
    let module = frame.module.map { finding.modules[Int($0)].path } ?? "?"
    let name = frame.function.map { " \($0)" } ?? ""
    lines.append("#\(index) \(module)+0x\(String(frame.offset, radix: 16))\(name)+\(frame.functionOffset) \(frame.source)")
  }
  return lines.joined(separator: "\n")
}
