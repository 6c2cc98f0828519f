import Authoring
import Diagnostics
import Profile
import Recording
import Testing
import Wire
import YAML

@Suite struct LearnTests {
  private func learner(_ sample: Sample, _ spec: String = trap, level: Level? = nil) throws -> Learner {
    Learner(sample.recording, for: try effective(spec).profile, level: level)
  }

  /// The profile's text with all that was answered.
  private func written(_ session: LearnSession, over text: String) throws -> String {
    var document = try YAMLDocument(parsing: Array(text.utf8))
    try session.changes.apply(to: &document)
    return document.sparingText
  }

  private func text(_ spec: String) -> String {
    "apiVersion: callgate.dev/v1alpha1\nkind: CallProfile\nmetadata: {name: web, version: 1.0.0}\nspec:\n\(spec)\n"
  }

  private func parsed(_ text: String) throws -> ResolvedProfile {
    try ResolvedProfile(parsing: Array(text.utf8), file: "web.yaml") { _ in nil }
  }

  private func way(_ question: LearnQuestion?) throws -> WayQuestion {
    guard case .way(let way)? = question else { throw Unexpected() }
    return way
  }
  private struct Unexpected: Error {}

  @Test func `a way that is listed or denied is not asked for, and neither is one to a call that is not trapped`() throws {
    var sample = Sample("libc:execve nginx:spawn nginx:main", "libc:execve nginx:new nginx:main", "libc:execve nginx:evil nginx:main")
    sample.add("libc:unlink nginx:main", to: "unlink")
    let learner = try learner(
      sample,
      trap
        + """
          paths:
          - {syscalls: [execve], chain: ["libc:execve", "nginx:spawn", "nginx:main"]}
          - {syscalls: [execve], chain: ["libc:execve", "nginx:evil", "..."], deny: true}
        """)
    #expect(learner.covered == [0] && learner.denied == [2] && learner.untrapped == [3])
    #expect(learner.questions.count == 1)
    #expect(try way(learner.questions.first).ways == [1])
  }

  @Test func `what is exact stays exact while there is room for it`() throws {
    var sample = Sample()
    for number in 0..<Paths.maxChains { sample.add("libc:execve nginx:spawn nginx:f\(number) nginx:main") }
    let learner = try learner(sample)
    #expect(learner.questions.count == Paths.maxChains)
    for question in learner.questions { #expect(try way(question).proposed == .exact) }
  }

  @Test func `too many ways with the same ends become one, the others stay as they are`() throws {
    var sample = Sample("libc:execve nginx:rare nginx:other nginx:thread")
    for number in 0..<200 { sample.add("libc:execve nginx:spawn nginx:f\(number) nginx:main", calls: 2) }
    let learner = try learner(sample)
    #expect(learner.questions.count == 2 && learner.left.isEmpty)
    let first = try way(learner.questions[0])
    #expect(first.ways.count == 200 && first.proposed == .program)
    #expect(
      learner.chains(of: first.ways, at: first.proposed)?.map(Authoring.text) == ["libc:execve, nginx:spawn, ..., nginx:main"])
    #expect(try way(learner.questions[1]).proposed == .exact)
  }

  @Test func `ways that nothing makes few enough are left out, those that were seen least`() throws {
    var sample = Sample()
    for number in 0..<70 { sample.add("libc:execve nginx:f nginx:main\(number)", calls: UInt64(number + 1)) }
    let learner = try learner(sample)
    #expect(learner.questions.count == Paths.maxChains)
    #expect(learner.left == [0, 1, 2, 3, 4, 5])
  }

  @Test func `no chain is so wide that it covers a way that is denied`() throws {
    let sample = Sample("libc:execve nginx:spawn nginx:good nginx:main", "libc:execve nginx:evil nginx:main")
    let spec =
      trap + "  paths:\n  - {syscalls: [execve], chain: [\"libc:execve\", \"nginx:evil\", \"nginx:main\"], deny: true}"
    let learner = try learner(sample, spec, level: .ends)
    #expect(try way(learner.questions.first).proposed == .caller)
    // And so of one that is denied while it is asked.
    var session = LearnSession(try self.learner(sample))
    let evil = try #require(session.learner.questions.firstIndex { if case .way(let way) = $0 { way.ways == [1] } else { false } })
    while session.position != evil { session.answer(.ignore) }
    session.answer(.deny(.exact))
    session.undo()
    session.answer(.deny(.exact))
    let other = try way(session.learner.questions[1 - evil])
    // Its level 2 says what its level 1 does.
    #expect(session.levels(for: other) == [.exact, .program])
  }

  @Test func `what was allowed answers later questions, and undo asks them again`() throws {
    var session = LearnSession(
      try learner(Sample("libc:execve nginx:a nginx:main", "libc:execve nginx:b nginx:main", "libc:last nginx:main")))
    #expect(session.position == 0 && session.level == .exact && session.proposal == .allow(.exact))
    // With one function between the ends, no level but the last says less.
    session.generalise()
    #expect(session.level == .ends)
    session.answer(.allow(.ends))
    #expect(session.position == 2 && session.changes.rules.count == 1)
    session.undo()
    #expect(session.position == 0 && session.changes.isEmpty)
    session.generalise()
    session.answer(.ignore)
    #expect(session.position == 1)
    session.answerAll()
    #expect(session.changes.rules.count == 2)
  }

  @Test func `an objection that nothing lifts is proposed to be left, one that a permission lifts asks for that first`() throws {
    var sample = Sample()
    sample.add("libc:execve nginx:a nginx:main", objections: [RecordedObjection(check: "edge", because: "follows a call to x")])
    sample.add(
      "libc:execve nginx:b nginx:main",
      objections: [RecordedObjection(check: "signal", because: "a handler", remedy: .permit(.signalHandlers))])
    sample.recording.runs[0].unwalked = ["frame 1 lies in code: it needs 'jit: [v8]' below spec": 7]
    let learner = try learner(sample, "  trap: [\"@exec\", \"@exec-memory\"]")
    #expect(
      learner.questions.prefix(2)
        == [
          .remedy(RemedyQuestion(remedy: .declare(.v8), reasons: ["frame 1 lies in code: it needs 'jit: [v8]' below spec"], calls: 7)),
          .remedy(RemedyQuestion(remedy: .permit(.signalHandlers), reasons: ["a handler"], calls: 1)),
        ])
    var session = LearnSession(learner)
    session.answerAll()
    #expect(session.changes.remedies == [.declare(.v8), .permit(.signalHandlers)])
    #expect(session.changes.rules.map(\.rule.chain.description) == ["[libc:execve, nginx:b, nginx:main]"])
    #expect(session.answers.contains(.ignore))
    let profile = try parsed(try written(session, over: text("  trap: [\"@exec\", \"@exec-memory\"]")))
    #expect(profile.profile.permissions == [.signalHandlers] && profile.profile.jit == [.v8])
  }

  @Test func `comments and layout of the file stay`() throws {
    let before = text(
      """
        # why these
        trap: ["@exec"]   # not connect
        paths:
          # by hand
          - {syscalls: [execve],   chain: ["libc:execve", "nginx:old", "nginx:main"]}
      """)
    let sample = Sample("libc:execve nginx:new nginx:main")
    var session = LearnSession(Learner(sample.recording, for: try parsed(before).profile))
    session.answerAll()
    let after = try written(session, over: before)
    // Only lines were added.
    #expect(textDiff(from: before, to: after).filter { $0.hasPrefix("-") }.isEmpty, "\(after)")
    #expect(after.contains("# 1 call in 1 run\n") && after.contains("# by hand") && after.contains("   # not connect"))
    #expect(try parsed(after).profile.paths.count == 2)
  }

  @Test func `functions without names bring the file's build id and what they look like`() throws {
    var session = LearnSession(try learner(Sample("libc:execve nginx:+0x40 nginx:main")))
    session.answerAll()
    let profile = try parsed(try written(session, over: text(trap)))
    #expect(
      profile.profile.modules.first { $0.name == "nginx" }
        == PathModule(name: "nginx", path: "/usr/sbin/nginx", buildID: "a0a0a0a0a0", functions: [0x40: "00000000000000ab"]))
  }

  @Test(arguments: 0..<60) func `what was learnt reads back and allows every way of it, and learning it again changes nothing`(seed: UInt64)
    throws
  {
    let sample = Sample.random(seed, ways: 12)
    for level in [nil, .exact, .program, .caller, .ends] as [Level?] {
      for pinning in [true, false] {
        let before = text(trap)
        let learner = Learner(sample.recording, for: try parsed(before).profile, level: level, pinning: pinning)
        var session = LearnSession(learner)
        session.answerAll()
        let after = try written(session, over: before)
        let profile = try parsed(after)
        let replay = Replay(sample.recording, under: profile)
        #expect(replay.isAllAllowed, "\(after)")
        let again = Learner(sample.recording, for: profile.profile, level: level, pinning: pinning)
        #expect(again.questions.isEmpty && again.covered.count == sample.recording.paths.count, "\(after)")
      }
    }
  }

  @Test func `a thousand ways are looked through in seconds`() throws {
    var sample = Sample()
    for number in 0..<1000 {
      sample.add("libc:execve nginx:s\(number % 7) libfoo:f\(number % 50) nginx:g\(number) nginx:h\(number % 90) nginx:main\(number % 3)")
    }
    let took = try ContinuousClock().measure {
      var session = LearnSession(try learner(sample))
      session.answerAll()
      #expect(session.changes.rules.count <= Paths.maxChains && session.learner.left.isEmpty)
    }
    #expect(took < .seconds(60), "\(took)")
  }
}
