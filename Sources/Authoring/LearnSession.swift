internal import Profile
package import Recording
internal import Wire

package enum LearnAnswer: Equatable, Sendable {
  /// Of a way at the level at which it is written; a remedy has none.
  case allow(Level)
  case deny(Level)
  case ignore
}

/// The questions of a learner and what was answered: what `profile learn` asks on a terminal, without the terminal.
package struct LearnSession: Sendable {
  package let learner: Learner
  private struct State: Sendable {
    /// By the question; nil for one that was not asked, or that what was allowed before has answered.
    var answers: [LearnAnswer?]
    /// The question that is asked now; nil at the end.
    var position: Int?
    /// Of the chain that is shown.
    var level: Level
  }
  private var state: State
  private var earlier: [State] = []

  package init(_ learner: Learner) {
    self.learner = learner
    state = State(answers: .init(repeating: nil, count: learner.questions.count), position: nil, level: .exact)
    goOn(from: 0)
  }

  package var position: Int? { state.position }
  package var question: LearnQuestion? { state.position.map { learner.questions[$0] } }
  package var level: Level { state.level }
  package var answers: [LearnAnswer?] { state.answers }
  /// How many of each; `unasked` are those that were not asked, or that what was allowed before has answered.
  package var tally: (allowed: Int, denied: Int, ignored: Int, unasked: Int) {
    var tally = (allowed: 0, denied: 0, ignored: 0, unasked: 0)
    for answer in answers {
      switch answer {
      case .allow?: tally.allowed += 1
      case .deny?: tally.denied += 1
      case .ignore?: tally.ignored += 1
      case nil: tally.unasked += 1
      }
    }
    return tally
  }
  package var canUndo: Bool { !earlier.isEmpty }

  /// What Return does: a way to which a check objects that nothing lifts may be an attack's.
  package var proposal: LearnAnswer { question.map { proposal(for: $0, at: state.level) } ?? .ignore }

  private func proposal(for question: LearnQuestion, at level: Level) -> LearnAnswer {
    switch question {
    case .remedy: .allow(.exact)
    case .way(let way): objections(to: way).contains { $0.remedy == nil } ? .ignore : .allow(level)
    }
  }

  /// Of all its ways, in the order of the checks' names.
  package func objections(to way: WayQuestion) -> [RecordedObjection] {
    let all = way.ways.reduce(into: Set<RecordedObjection>()) { $0.formUnion(learner.recording.paths[$1].objections) }
    return all.filter { $0.check != Check.path.name }.sorted { ($0.check, $0.because) < ($1.check, $1.because) }
  }

  /// The levels that can be had for this one, without those that say no less than a lower one: no chain may cover a way that was denied.
  package func levels(for way: WayQuestion) -> [Level] {
    let denied = learner.denied(to: way.syscall) + deniedWays(to: way.syscall)
    var seen: Set<[[PathElement]]> = []
    return Level.allCases.filter { level in
      guard let chains = learner.chains(of: way.ways, at: level), !learner.isAny(of: denied, coveredBy: chains) else { return false }
      return seen.insert(chains).inserted
    }
  }

  package mutating func generalise() {
    guard case .way(let way)? = question else { return }
    let levels = levels(for: way)
    state.level = levels.first { $0 > state.level } ?? levels.first ?? state.level
  }

  package mutating func answer(_ answer: LearnAnswer) {
    guard let position = state.position else { return }
    earlier.append(state)
    state.answers[position] = answer
    goOn(from: position + 1)
  }

  /// Takes the last answer back, and asks again.
  package mutating func undo() {
    guard let last = earlier.popLast() else { return }
    state = last
  }

  /// Every question that is left, as it is proposed.
  package mutating func answerAll() {
    while question != nil { answer(proposal) }
  }

  private mutating func goOn(from start: Int) {
    state.position = learner.questions.indices.dropFirst(start).first { !isAnswered(learner.questions[$0]) }
    guard case .way(let way)? = question else { return }
    let levels = levels(for: way)
    state.level = levels.last { $0 <= way.proposed } ?? levels.first ?? way.proposed
  }

  /// What was allowed or denied before covers all its ways.
  private func isAnswered(_ question: LearnQuestion) -> Bool {
    guard case .way(let way) = question else { return false }
    let paths = learner.paths(to: way.syscall, with: rules.map(\.rule).filter { $0.syscalls == [way.syscall] })
    let functions = paths.frames(of: learner.recording)
    return way.ways.allSatisfy { place in
      switch paths.judge(learner.recording.paths[place], functions: functions) {
      case .denied: true
      case .allowed: !paths.chains.isEmpty
      case .unlisted: false
      }
    }
  }

  private func deniedWays(to syscall: String) -> [Int] {
    zip(learner.questions, state.answers).flatMap { question, answer -> [Int] in
      guard case .way(let way) = question, way.syscall == syscall, case .deny? = answer else { return [] }
      return way.ways
    }
  }

  // MARK: what becomes of it

  private var rules: [LearnedChanges.Rule] {
    var rules: [LearnedChanges.Rule] = []
    for (question, answer) in zip(learner.questions, state.answers) {
      guard case .way(let way) = question, let answer else { continue }
      let (level, isDenied): (Level, Bool)
      switch answer {
      case .allow(let chosen): (level, isDenied) = (chosen, false)
      case .deny(let chosen): (level, isDenied) = (chosen, true)
      case .ignore: continue
      }
      let paths = way.ways.map { learner.recording.paths[$0] }
      let runs = paths.reduce(into: Set<Int>()) { $0.formUnion($1.runs) }.count
      let calls = paths.reduce(UInt64(0)) { $0 &+ $1.calls }
      for chain in learner.chains(of: way.ways, at: level) ?? [] {
        let rule = PathRule(
          syscalls: [way.syscall], chain: chain, isDenied: isDenied, reason: isDenied ? "denied when it was learnt" : nil)
        rules.append(
          LearnedChanges.Rule(
            rule: rule,
            comment: "\(counted(calls, "call")) in \(counted(runs, "run"))"
              + (way.ways.count > 1 ? ", \(way.ways.count) ways" : "") + (level == .exact ? "" : "; \(level.sentence)")))
      }
    }
    return rules
  }

  /// The ways that were allowed, by their own answer.
  package var allowed: [Int] {
    zip(learner.questions, state.answers).flatMap { question, answer -> [Int] in
      guard case .way(let way) = question, case .allow? = answer else { return [] }
      return way.ways
    }
  }

  package var changes: LearnedChanges {
    var changes = LearnedChanges(rules: rules)
    // Of chains that were allowed one after the other a later one may be the wider.
    for syscall in Set(changes.rules.flatMap(\.rule.syscalls)) {
      let chains = changes.rules.map(\.rule).filter { $0.syscalls == [syscall] && !$0.isDenied }.map(\.chain)
      let kept = Set(learner.withoutCovered(chains))
      var seen: Set<[PathElement]> = []
      changes.rules.removeAll {
        $0.rule.syscalls == [syscall] && !$0.rule.isDenied && (!kept.contains($0.rule.chain) || !seen.insert($0.rule.chain).inserted)
      }
    }
    for (question, answer) in zip(learner.questions, state.answers) {
      if case .remedy(let question) = question, case .allow? = answer { changes.remedies.append(question.remedy) }
    }
    let elements = changes.rules.flatMap(\.rule.chain)
    let named = Set(elements.compactMap(\.module))
    changes.modules = learner.naming.added.filter { named.contains($0.name) }.sorted { $0.name < $1.name }
    for index in changes.modules.indices {
      for case .start(let start, of: changes.modules[index].name) in elements {
        if let print = fingerprint(of: start, in: changes.modules[index].name) { changes.modules[index].functions[start] = print }
      }
    }
    return changes
  }

  private func fingerprint(of start: UInt64, in module: String) -> String? {
    let function = learner.recording.functions.first {
      $0.start == start && $0.fingerprint != nil && $0.module.map { learner.naming.names[$0] } == module
    }
    return function?.fingerprint.map { print in
      let digits = String(print, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
  }
}

package func counted(_ number: some BinaryInteger, _ what: String) -> String { "\(number) \(what)\(number == 1 ? "" : "s")" }
