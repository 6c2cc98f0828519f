import JSON
import Recording
import Testing
import Wire

/// The lines that a run writes, read back, merged, and what they say of how much is still to come.
@Suite struct RecordingTests {
  /// A run in which `paths` were new in this order, by the functions' names from the innermost on, one call each.
  private func run(_ id: String, began: Int64, _ paths: [[String]], callsAfter: UInt64 = 0) -> [RecordingFile.Line] {
    var lines: [RecordingFile.Line] = [
      .run(RecordedRun(id: id, profile: "default", profileVersion: "1.0.0", began: began)),
      .module(0, Module(path: "/usr/bin/it", buildID: "aa")),
    ]
    var functions: [String] = []
    for (number, names) in paths.enumerated() {
      for name in names where !functions.contains(name) {
        lines.append(.function(functions.count, RecordedFunction(module: 0, start: 16, names: [name])))
        functions.append(name)
      }
      let steps = names.compactMap { functions.firstIndex(of: $0) }.map { RecordedPath.Step($0) }
      lines.append(.path(number, RecordedPath(syscall: "execve", steps: steps, calls: UInt64(number + 1), first: began + Int64(number))))
    }
    let counts = [UInt64](repeating: 1, count: paths.count)
    lines.append(.counts(RecordingFile.Counts(paths: counts, calls: UInt64(paths.count) + callsAfter, at: began + 100)))
    lines.append(.ended(began + 200))
    return lines
  }

  private func bytes(_ lines: [RecordingFile.Line]) -> [UInt8] { lines.flatMap { $0.json.serialised() + [UInt8(ascii: "\n")] } }

  private func recording(_ lines: [RecordingFile.Line]) throws -> Recording { try Recording(run: bytes(lines)) }

  @Test func `a line is read as it was written`() throws {
    var path = RecordedPath(
      syscall: "execve", steps: [RecordedPath.Step(0), RecordedPath.Step(1, repeats: true)], gap: 1,
      objections: [RecordedObjection(check: "edge", because: "\"quoted\"")], calls: 3, first: 9)
    path.calls = 4
    let lines: [RecordingFile.Line] = [
      .run(RecordedRun(id: "a", profile: "p", profileVersion: "1", began: 5)), .module(3, Module(path: "/x", buildID: "")),
      .function(2, RecordedFunction(module: nil)),
      .function(2, RecordedFunction(module: 1, start: 0xfff0, names: ["a", "b"], fingerprint: 0xdead_beef, isStart: true)), .path(0, path),
      .counts(RecordingFile.Counts(paths: [1, 2], calls: 9, unwalked: ["no CFI": 4], left: 1, at: 8)), .ended(77),
    ]
    for line in lines { #expect(RecordingFile.Line(json: try JSONValue(parsing: line.json.serialised())) == line) }
  }

  @Test func `a file that was cut off anywhere is read up to there`() throws {
    let whole = bytes(run("a", began: 1000, [["execve", "main"], ["execve", "other", "main"]]))
    let first = try #require(whole.firstIndex(of: UInt8(ascii: "\n")))
    var most = 0
    for end in first..<whole.count {
      let read = try Recording(run: Array(whole[..<end]))
      #expect(read.paths.count >= most && read.paths.count <= 2)
      most = read.paths.count
    }
    #expect(most == 2)
  }

  @Test func `what does not follow is refused`() throws {
    let good = run("a", began: 1, [["execve", "main"]])
    #expect(throws: RecordingError.notARecording) { try recording(Array(good.dropFirst())) }
    #expect(throws: RecordingError.notARecording) { try Recording(run: []) }
    var bad = good
    bad.insert(.path(0, RecordedPath(syscall: "execve", steps: [RecordedPath.Step(7)], first: 0)), at: 2)
    #expect(throws: RecordingError.badLine(3)) { try recording(bad) }
    bad = good
    bad.insert(.module(4, Module(path: "/x", buildID: "")), at: 1)
    #expect(throws: RecordingError.badLine(2)) { try recording(bad) }
    #expect(throws: RecordingError.badLine(2)) { try Recording(run: bytes([good[0]]) + Array("no JSON\n".utf8) + bytes([good[1]])) }
  }

  @Test func `runs are merged by what their functions are, not by their numbers`() throws {
    var all = try recording(run("a", began: 1000, [["execve", "main"], ["execve", "shell", "main"]]))
    all.merge(try recording(run("b", began: 2000, [["execve", "shell", "main"], ["execve", "new", "main"]])))
    #expect(all.runs.map(\.id) == ["a", "b"])
    #expect(all.modules.count == 1)
    #expect(all.functions.map(\.names.first) == ["execve", "main", "shell", "new"])
    #expect(all.paths.map(\.calls) == [1, 2, 1])
    #expect(all.paths.map(\.runs) == [[0], [0, 1], [1]])
    #expect(all.paths[1].first == 1001)
  }

  @Test func `the order in which runs are merged makes no difference to what was seen`() throws {
    let runs = try (0..<4).map { number in
      try recording(run("\(number)", began: Int64(number) * 1000, (0...number).map { ["execve", "f\($0)", "main"] }))
    }
    func seen(_ recording: Recording) -> [String: UInt64] {
      var seen: [String: UInt64] = [:]
      for path in recording.paths {
        seen[path.steps.map { recording.functions[$0.function].names.first ?? "" }.joined(separator: " ")] = path.calls
      }
      return seen
    }
    var forward = Recording()
    for run in runs { forward.merge(run) }
    var backward = Recording()
    for run in runs.reversed() { backward.merge(run) }
    #expect(seen(forward) == seen(backward))
    #expect(seen(forward)["execve f0 main"] == 4)
    #expect(Saturation(of: forward) == Saturation(of: backward))
  }

  @Test func `it says for how long nothing was new`() throws {
    var all = try recording(run("a", began: 1000, [["execve", "main"]], callsAfter: 50))
    #expect(Saturation(of: all).callsSinceNew == 50)
    #expect(Saturation(of: all).runsWithoutNew == 0)
    all.merge(try recording(run("b", began: 2000, [["execve", "main"]], callsAfter: 9)))
    #expect(Saturation(of: all).callsSinceNew == 60)
    #expect(Saturation(of: all).runsWithoutNew == 1)
    #expect(Saturation(of: all).lastNew == 1000)
    all.merge(try recording(run("c", began: 3000, [["execve", "other", "main"]], callsAfter: 2)))
    #expect(Saturation(of: all).callsSinceNew == 2)
    #expect(Saturation(of: all).runsWithoutNew == 0)
    #expect(Saturation(of: Recording()).lastNew == nil)
  }
}
