import Authoring
import Diagnostics
import JSON
import Profile
import Recording
import Report
import Testing
import Wire

@Suite struct ReplayTests {
  private func replay(_ sample: Sample, _ spec: String) throws -> Replay { Replay(sample.recording, under: try effective(spec)) }

  private let listed = trap + "  paths:\n  - {syscalls: [execve], chain: [\"libc:execve\", \"nginx:spawn\", \"...\", \"nginx:main\"]}\n"

  @Test func `a listed way is allowed by the line that lists it, another one denied where it leaves`() throws {
    let results = try replay(
      Sample("libc:execve nginx:spawn nginx:f nginx:main \(start)", "libc:execve nginx:other nginx:main \(start)"), listed
    ).results
    #expect(results.map(\.verdict) == [.allow, .deny])
    #expect(results[0].rule == "path" && results[0].origin?.place == "web.yaml:7:5")
    #expect(results[1].step == 1 && results[1].action == .killProcess && results[1].rule == "path = enforce")
    #expect(results[1].because.contains("has nginx:other at frame 1"))
  }

  @Test func `audit, off, and actions of the path are as the supervisor has them`() throws {
    let sample = Sample("libc:execve nginx:other nginx:main")
    func verdict(_ more: String) throws -> Replay.Result { try #require(try replay(sample, listed + more).results.first) }
    #expect(try verdict("  checks: {path: audit}").verdict == .audit)
    #expect(try verdict("  checks: {path: off}").verdict == .allow)
    #expect(try verdict("  checks: {path: {setting: enforce, onViolation: {action: audit}}}").verdict == .audit)
    let errno = try verdict(
      "  - {syscalls: [execve], chain: [\"a:b\"], onViolation: {action: errno, errno: EACCES}}\n  checks: {path: enforce}")
    #expect(errno.action == .errno(13))
  }

  @Test func `a denied way is denied whatever else allows it, with its reason`() throws {
    let result = try #require(
      try replay(
        Sample("libc:execve nginx:spawn nginx:cgi nginx:main"),
        listed + "  - {syscalls: [execve], chain: [\"libc:execve\", \"...\", \"nginx:cgi\", \"...\"], deny: true, reason: no CGI here}"
      ).results.first)
    #expect(result.verdict == .deny && result.because.contains("no CGI here") && result.origin?.line == 8)
  }

  @Test func `calls that are not trapped, never allowed or absent say so`() throws {
    var sample = Sample("libc:unlink nginx:main", to: "unlink")
    sample.add("libc:x nginx:main", to: "kexec_load")
    sample.add("libc:x nginx:main", to: "clone3")
    sample.add("libc:x nginx:main", to: "clone")
    let results = try replay(sample, trap + "  never: [kexec_load]").results
    #expect(results.map(\.verdict) == [.untrapped, .never, .never, .allow])
    #expect(results[3].notes.contains { $0.contains("condition") })
    #expect(try replay(Sample("libc:unlink nginx:main", to: "unlink"), trap).isAllAllowed)
  }

  @Test func `an objection is lifted where that is certain, and else only another run can tell`() throws {
    var sample = Sample()
    sample.add(
      "libc:execve nginx:a nginx:main",
      objections: [RecordedObjection(check: "signal", because: "a handler", remedy: .permit(.signalHandlers))])
    sample.add(
      "libc:execve nginx:b nginx:main", objections: [RecordedObjection(check: "edge", because: "a pointer", remedy: .permit(.dlsym))])
    #expect(try replay(sample, trap).results.map(\.verdict) == [.deny, .deny])
    let permitted = try replay(sample, trap + "  permit: [signal-handlers, dlsym]").results
    #expect(permitted.map(\.verdict) == [.allow, .uncertain])
    #expect(permitted[0].notes.contains { $0.contains("permit: [signal-handlers]") && $0.contains("web.yaml:") })
    #expect(permitted[1].because.contains("record again"))
    #expect(try replay(sample, trap + "  checks: {edge: audit, signal: off}").results.map(\.verdict) == [.allow, .audit])
    #expect(
      try replay(sample, trap + "  checks: {signal: {setting: enforce, onViolation: {action: errno, errno: EPERM}}}").results[0].action
        == .errno(1))
  }

  @Test func `calls that could not be followed are denied as what is unknown`() throws {
    var sample = Sample("libc:execve nginx:main")
    // The sentence is the report's own.
    var finding = Finding()
    finding.unknown = Unknown(frame: 0, reason: .undeclaredJIT(.v8))
    let sentence = finding.unknown.map(finding.sentence) ?? ""
    sample.recording.runs[0].unwalked = [sentence: 3]
    let spec = "  trap: [\"@exec\", \"@exec-memory\"]\n"
    #expect(try replay(sample, spec).results.map(\.verdict) == [.allow, .deny])
    #expect(try replay(sample, spec + "  jit: [v8]").results.map(\.verdict) == [.allow, .uncertain])
    #expect(try replay(sample, spec + "  unknown: {noUnwindInfo: audit}").results.map(\.verdict) == [.allow, .audit])
    #expect(
      Learner(sample.recording, for: try effective(spec).profile).questions.first.map {
        if case .remedy(let it) = $0 { it.remedy == .declare(.v8) } else { false }
      } == true)
  }

  @Test func `what is recorded of a reason's remedy is read back`() throws {
    for remedy in Permission.allCases.map(Remedy.permit) + JITRuntime.allCases.map(Remedy.declare) {
      #expect(Remedy(text: remedy.text) == remedy)
    }
    #expect(Reason.addressNotTaken.remedy == .permit(.dlsym) && Reason.pointerNotHeld.remedy == .permit(.foreignCalls))
    #expect(Reason.notRising.remedy == nil && Reason.unlistedPath.remedy == nil)
  }

  // MARK: as the inspector has it

  /// A way that says everything is judged as its frames are; one that leaves something open is allowed exactly where every stack that it may have
  /// been is.
  @Test(arguments: 0..<200) func `a recording is judged as its stacks are`(seed: UInt64) throws {
    var dice = Dice(state: seed &+ 77)
    let sample = Sample.random(seed, ways: 4)
    let recording = sample.recording
    let naming = ModuleNaming(recording, in: nil, pinning: true)
    let generaliser = Generaliser(recording, naming: naming)
    func chains(_ count: Int) -> [[PathElement]] {
      (0..<count).compactMap { _ in
        guard let path = recording.paths.randomElement(using: &dice), let level = Level.allCases.randomElement(using: &dice),
          var chain = generaliser.chain(of: path, at: level)
        else { return nil }
        // Off by one here and there.
        if Bool.random(using: &dice) { chain.remove(at: Int.random(in: 0..<chain.count, using: &dice)) }
        return chain.isEmpty ? nil : chain
      }
    }
    let paths = Paths(modules: naming.added, chains: chains(2), denied: seed % 3 == 0 ? chains(1) : [])
    let functions = paths.frames(of: recording)
    for path in recording.paths where path.gap == nil {
      // What the recording says may have been so many frames, as the inspector would see them.
      var stacks: [[PathFrame]] = [[]]
      for step in path.steps {
        let frame = functions[step.function]
        let counts = step.repeats ? [2, 3, 4, 5] : [1]
        stacks = stacks.flatMap { stack in counts.map { stack + [PathFrame](repeating: frame, count: $0) } }
        if stacks.count > 4096 { stacks = Array(stacks.prefix(4096)) }
      }
      let judged = stacks.map { paths.judge($0) }
      switch paths.judge(path, of: recording) {
      case .allowed: #expect(judged.allSatisfy { $0 == .allowed })
      case .denied: #expect(judged.contains { if case .denied = $0 { true } else { false } })
      case .unlisted: #expect(judged.contains { $0 != .allowed })
      }
    }
  }

  @Test func `a result is one line of JSON`() throws {
    let replay = try replay(Sample("libc:execve nginx:other nginx:main"), listed)
    let json = replay.json(replay.results[0])
    #expect(json["verdict"]?.text == "deny" && json["syscall"]?.text == "execve" && json["frame"]?.integer() == 1)
    #expect(json["chain"]?.elements?.map(\.text) == ["libc:execve", "nginx:other", "nginx:main"])
    #expect(json["origin"] == nil)
  }

  // MARK: events

  @Test func `an event tells of a way, too`() throws {
    func line(_ place: String, _ function: String) -> Event.Line { Event.Line(place: place, function: function, source: "cfi") }
    var event = Event(
      id: "01", time: 5, container: "web", profile: "default", outcome: .killed, code: .path, process: 1, thread: 1, command: "nginx",
      syscall: "execve", arguments: "", because: "", marks: [Event.Mark(frame: 1, check: "path", because: "not listed")],
      frames: [
        line("libc.so.6+0xe0d7b", "execve+27"), line("nginx+0x20", "spawn+9"), line("nginx+0x20", "spawn+9"), line("nginx+0x99", ""),
        line("nginx+0x30", "main+1"), line("libc.so.6+0x1", "__libc_start_call_main+3"), line("nginx+0x1", "_start+3"),
      ], rule: "path = enforce", suppressed: 0)
    let recording = try #require(Recording(event))
    let learner = Learner(recording, for: try effective(trap).profile)
    var session = LearnSession(learner)
    session.answerAll()
    #expect(
      session.changes.rules.map { text($0.rule.chain) } == ["libc:execve, nginx:spawn, ..., nginx:spawn, nginx:*, nginx:main"])
    // A file is taken for the profile's module of its name.
    let known = PathModule(name: "web", path: "/usr/sbin/nginx", buildID: "a0a0a0a0a0")
    #expect(Recording(event, among: [known])?.modules.contains(Module(path: "/usr/sbin/nginx", buildID: "a0a0a0a0a0")) == true)
    #expect(Recording(event, among: [known, known])?.modules.contains(Module(path: "nginx", buildID: "")) == true)
    event.frames[1] = line("memory without a file", "")
    #expect(Recording(event) == nil)
    event.frames[1] = line(Finding.madeCode, "")
    #expect(Recording(event) != nil)
    event.outcome = .noted
    #expect(Recording(event) == nil)
  }
}
