import Authoring
import Diagnostics
import JSON
import Profile
import Recording
import Testing
import Wire
import YAML

@Suite struct MergeTests {
  private func paths(_ chains: [String], modules: String = "") -> String {
    trap + (modules.isEmpty ? "" : "  modules: \(modules)\n") + "  paths:\n"
      + chains.map { "  - {syscalls: [execve], chain: [\($0.split(separator: " ").map { "\"\($0)\"" }.joined(separator: ", "))]}\n" }
      .joined()
  }

  /// What a merge of these allows.
  private func rules(_ a: ResolvedProfile, _ b: ResolvedProfile) -> Set<String> {
    Set((a.profile.paths + ProfileMerge(a, b).changes.rules.map(\.rule)).map { text($0.chain) })
  }

  @Test func `the ways of both are there, whichever is first, and each once`() throws {
    let a = try effective(paths(["libc:execve x:main", "libc:execve x:f x:main"]), name: "a")
    let b = try effective(paths(["libc:execve x:f x:main", "libc:execve x:g x:main"]), name: "b")
    #expect(rules(a, b) == rules(b, a) && rules(a, b).count == 3)
    #expect(ProfileMerge(a, b).conflicts.isEmpty && ProfileMerge(a, a).changes.isEmpty)
  }

  @Test func `a module that is another file in the other profile gets another name`() throws {
    let a = try effective(paths(["x:main"], modules: "{x: {buildId: a0a0a0a0a0}}"), name: "a")
    let b = try effective(paths(["x:main", "y:main"], modules: "{x: {buildId: b0b0b0b0b0}, y: {buildId: a0a0a0a0a0}}"), name: "b")
    let merge = ProfileMerge(a, b)
    // Its y is what the first calls x, whose way to main is listed already.
    #expect(merge.changes.rules.map { text($0.rule.chain) } == ["x-2:main"])
    #expect(merge.changes.modules == [PathModule(name: "x-2", buildID: "b0b0b0b0b0")])
    #expect(ProfileMerge(b, a).changes.isEmpty)
  }

  @Test func `what a way's violation leads to comes with it into the file`() throws {
    let a = try effective(paths(["libc:execve x:main"]), name: "a")
    let b = try effective(
      trap
        + "  paths:\n  - {syscalls: [execve], chain: [\"libc:execve\", \"x:debug\"], deny: true, onViolation: {action: errno, errno: EPERM}}\n",
      name: "b")
    var document = try YAMLDocument(parsing: Array("spec: {}\n".utf8))
    try ProfileMerge(a, b).changes.apply(to: &document)
    let path = try #require(document.node(at: ["spec", "paths", 0]))
    #expect(path["deny"]?.text == "true")
    #expect(path["onViolation"]?["action"]?.text == "errno" && path["onViolation"]?["errno"]?.text == "EPERM")
  }

  @Test func `what else differs is named`() throws {
    let a = try effective(trap + "  permit: [dlsym]\n  checks: {edge: audit}\n  never: [bpf]", name: "a")
    let b = try effective("  trap: [\"@exec\"]\n  onViolation: {action: audit}", name: "b")
    let conflicts = ProfileMerge(a, b).conflicts
    for what in [
      "trap: only 'a' has connect", "permit: only 'a' has dlsym", "checks.edge: 'a' says audit, 'b' says enforce",
      "never: only 'a' has bpf",
    ] {
      #expect(conflicts.contains(what), "\(conflicts)")
    }
    #expect(conflicts.contains { $0.hasPrefix("onViolation") })
    let denied = try effective(trap + "  paths:\n  - {syscalls: [execve], chain: [\"x:main\"], deny: true}", name: "d")
    #expect(
      ProfileMerge(denied, try effective(paths(["x:main"]), name: "e")).conflicts.contains {
        $0.contains("'d' denies a way that 'e' allows")
      }
    )
  }

  // MARK: recordings

  private func bytes(_ recording: Recording) -> [UInt8] {
    recording.lines.flatMap { $0.json.serialised() + [UInt8(ascii: "\n")] }
  }

  @Test(arguments: 0..<30) func `merged recordings are written and read as they are`(seed: UInt64) throws {
    var one = Sample.random(seed)
    one.recording.runs[0].unwalked = ["no unwind information": 3]
    one.recording.runs[0].left = 2
    one.add(
      "libc:execve nginx:s nginx:main", objections: [RecordedObjection(check: "signal", because: "h", remedy: .permit(.signalHandlers))])
    var two = Sample.random(seed &+ 1000)
    two.recording.runs[0].ended = nil
    var (forward, backward) = (one.recording, two.recording)
    forward.merge(two.recording)
    backward.merge(one.recording)
    #expect(try Recording(run: bytes(forward)) == forward)
    // Whichever comes first: the same ways, as often.
    func seen(_ recording: Recording) -> [String: UInt64] {
      let names = ModuleNaming(recording, in: nil, pinning: true)
      let generaliser = Generaliser(recording, naming: names)
      var seen: [String: UInt64] = [:]
      for path in recording.paths {
        let steps = path.steps.map { generaliser.element(of: $0).description + ($0.repeats ? "+" : "") }
        seen["\(path.syscall) \(steps) \(path.gap ?? -1)", default: 0] += path.calls
      }
      return seen
    }
    #expect(seen(forward) == seen(backward))
  }

  @Test func `a merged file that contradicts itself is refused`() throws {
    let whole = Sample("libc:execve nginx:main").recording
    var wrong = whole
    wrong.paths[0].runs = [3]
    #expect(throws: RecordingError.self) { try Recording(run: bytes(wrong)) }
    wrong.paths[0].runs = []
    #expect(throws: RecordingError.self) { try Recording(run: bytes(wrong)) }
    wrong = whole
    wrong.runs = []
    #expect(throws: RecordingError.notARecording) { try Recording(run: bytes(wrong)) }
    let tail = RecordingFile.Line.ended(5).json.serialised() + [UInt8(ascii: "\n")]
    #expect(throws: RecordingError.self) { try Recording(run: bytes(whole) + tail) }
  }
}
