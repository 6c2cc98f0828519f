import Foundation
import Plan
import Recording
import Supervisor
import Testing
import Wire

@Suite struct RecorderTests {
  /// A folder of its own for each test.
  private final class Folder {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("recorder-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var plan: RecordingPlan { RecordingPlan(name: "it", file: "\(path)/run.jsonl", stopFile: "\(path)/stopped") }

    func read() throws -> Recording { try Recording(run: Array(try Data(contentsOf: URL(fileURLWithPath: plan.file)))) }
  }

  private static let path = "/usr/bin/it"

  private func finding(_ names: [String], buildID: String = "aa") -> Finding {
    var finding = Finding()
    finding.end = .processEntry
    // A module that this way does not go through moves the others' places.
    finding.modules = [Module(path: "/usr/lib/other.so", buildID: "bb"), Module(path: Self.path, buildID: buildID)]
    finding.route = Route(steps: names.map { RouteStep(module: 1, start: UInt64($0.utf8.count), names: [$0]) })
    return finding
  }

  private func recorder(_ folder: Folder) -> Recorder { Recorder(folder.plan, of: "id", profile: "default", version: "1.0.0") }

  @Test func `a new way is in the file before the next call`() throws {
    let folder = try Folder()
    var recorder = recorder(folder)
    #expect(try folder.read().runs.map(\.id) == ["id"])
    recorder.note(finding(["execve", "main"]), of: "execve")
    let read = try folder.read()
    #expect(read.modules == [Module(path: Self.path, buildID: "aa")])
    #expect(read.functions.map(\.names) == [["execve"], ["main"]])
    #expect(read.paths.map(\.syscall) == ["execve"] && read.paths[0].calls == 1 && read.runs[0].ended == nil)
  }

  @Test func `ways are counted apart by call, by functions and by builds of a file`() throws {
    let folder = try Folder()
    var recorder = recorder(folder)
    for _ in 0..<3 { recorder.note(finding(["execve", "main"]), of: "execve") }
    recorder.note(finding(["execve", "main"]), of: "execveat")
    recorder.note(finding(["execve", "shell", "main"]), of: "execve")
    recorder.note(finding(["execve", "main"], buildID: "cc"), of: "execve")
    recorder.finish()
    let read = try folder.read()
    #expect(read.paths.map(\.calls) == [3, 1, 1, 1])
    #expect(read.runs[0].calls == 6 && read.runs[0].callsSinceNew == 0 && read.runs[0].ended != nil)
    #expect(read.modules.map(\.buildID) == ["aa", "cc"])
  }

  @Test func `what a check objected to and what was not walked is told`() throws {
    let folder = try Folder()
    var recorder = recorder(folder)
    var objected = finding(["execve", "main"])
    objected.violations = [Violation(check: .edge, frame: 1, reason: .addressNotTaken)]
    recorder.note(objected, of: "execve")
    var unwalked = Finding()
    unwalked.unknown = Unknown(frame: 0, reason: .noUnwindInfo)
    recorder.note(unwalked, of: "execve")
    recorder.noteUnjudged("the thread is gone")
    recorder.finish()
    let read = try folder.read()
    #expect(read.paths[0].objections.map(\.check) == ["edge"])
    #expect(read.runs[0].unwalked.count == 2 && read.runs[0].unwalked["the thread is gone"] == 1 && read.runs[0].calls == 3)
  }

  @Test func `a container that brings ever new ways and reasons fills no disk`() throws {
    let folder = try Folder()
    var recorder = recorder(folder)
    for number in 0..<100 {
      recorder.noteUnjudged("reason \(number)")
    }
    recorder.finish()
    let read = try folder.read()
    #expect(read.runs[0].unwalked.count <= 33 && read.runs[0].unwalked.values.reduce(0, +) == 100)
  }

  @Test func `a folder that is gone ends the recording and nothing else`() throws {
    let folder = try Folder()
    var recorder = recorder(folder)
    try FileManager.default.removeItem(atPath: folder.path)
    try Data().write(to: URL(fileURLWithPath: folder.path))
    recorder.note(finding(["execve", "main"]), of: "execve")
    guard case .failed = recorder.end else {
      Issue.record("it goes on: \(String(describing: recorder.end))")
      return
    }
    recorder.note(finding(["execve", "main"]), of: "execve")
    recorder.finish()
  }

  @Test func `once it is stopped nothing more is written`() async throws {
    let folder = try Folder()
    var recorder = recorder(folder)
    recorder.note(finding(["execve", "main"]), of: "execve")
    try Data().write(to: URL(fileURLWithPath: folder.plan.stopFile))
    try await Task.sleep(for: .milliseconds(1100))
    recorder.note(finding(["execve", "main"]), of: "execve")
    #expect(recorder.end == .stopped)
    recorder.note(finding(["execve", "late", "main"]), of: "execve")
    recorder.finish()
    let read = try folder.read()
    #expect(read.paths.map(\.calls) == [2] && read.runs[0].ended != nil)
  }
}
