package import Profile
package import Recording
package import Wire

/// What a recording has that a profile does not list yet, and what could be written into it.
package struct Learner: Sendable {
  package let recording: Recording
  package let profile: Profile
  package let naming: ModuleNaming
  package let generaliser: Generaliser
  /// Remedies first: whether a way is worth listing depends on them.
  package private(set) var questions: [LearnQuestion] = []
  /// Ways that the profile's chains allow already, and that it denies.
  package private(set) var covered: [Int] = []
  package private(set) var denied: [Int] = []
  /// To calls that the profile does not trap: nothing asks for their ways.
  package private(set) var untrapped: [Int] = []
  /// Ways that no chain can tell, or that are too many for the profile.
  package private(set) var left: [Int] = []

  /// `level`: of every chain, where that is possible; else each has the lowest that the limits of a profile leave.
  package init(_ recording: Recording, for profile: Profile, level: Level? = nil, pinning: Bool = true) {
    self.recording = recording
    self.profile = profile
    naming = ModuleNaming(recording, in: profile, pinning: pinning)
    generaliser = Generaliser(recording, naming: naming)
    var fresh: [String: [Int]] = [:]
    let trapped = Set(profile.traps.map(\.syscall))
    for (syscall, places) in Dictionary(grouping: recording.paths.indices, by: { recording.paths[$0].syscall }) {
      guard trapped.contains(syscall) else {
        untrapped += places
        continue
      }
      let paths = self.paths(to: syscall, with: [])
      let functions = paths.frames(of: recording)
      for place in places {
        switch paths.judge(recording.paths[place], functions: functions) {
        case .denied: denied.append(place)
        case .allowed where !paths.chains.isEmpty: covered.append(place)
        case .allowed, .unlisted: fresh[syscall, default: []].append(place)
        }
      }
    }
    (covered, denied, untrapped) = (covered.sorted(), denied.sorted(), untrapped.sorted())
    questions = remedies()
    for syscall in fresh.keys.sorted() { propose(syscall, fresh[syscall] ?? [], level) }
    left.sort()
  }

  /// What the profile would say of ways to `syscall` with these rules beside its own.
  package func paths(to syscall: String, with rules: [PathRule]) -> Paths {
    Paths(to: syscall, by: profile.paths + rules, in: profile.modules + naming.added)
  }

  /// The chains of some ways at a level, without those that another one covers; nil where one of them cannot be told so.
  package func chains(of ways: [Int], at level: Level) -> [[PathElement]]? {
    var chains: Set<[PathElement]> = []
    for way in ways {
      guard let chain = generaliser.chain(of: recording.paths[way], at: level) else { return nil }
      chains.insert(chain)
    }
    return withoutCovered(sorted(chains))
  }

  /// Whether a chain covers one of these ways.
  package func isAny(of ways: [Int], coveredBy chains: [[PathElement]]) -> Bool {
    guard !chains.isEmpty, !ways.isEmpty else { return false }
    // As denied chains: one that a stack of a way may be is one too many.
    let paths = Paths(modules: profile.modules + naming.added, denied: chains)
    let functions = paths.frames(of: recording)
    return ways.contains { way in
      var path = recording.paths[way]
      path.objections = []
      if case .denied = paths.judge(path, functions: functions) { return true }
      return false
    }
  }

  /// Ways to `syscall` that the profile denies.
  package func denied(to syscall: String) -> [Int] { denied.filter { recording.paths[$0].syscall == syscall } }

  // MARK: what is asked

  /// For what a permission or a declaration would lift.
  private func remedies() -> [LearnQuestion] {
    var found: [Remedy: RemedyQuestion] = [:]
    func add(_ remedy: Remedy, _ because: String, _ calls: UInt64) {
      guard !profile.grants(remedy) else { return }
      var question = found[remedy] ?? RemedyQuestion(remedy: remedy)
      question.calls += calls
      question.reasons.insert(because)
      found[remedy] = question
    }
    for path in recording.paths {
      for objection in path.objections { if let remedy = objection.remedy { add(remedy, objection.because, path.calls) } }
    }
    // Of a stack that could not be walked only the sentence is known.
    for run in recording.runs {
      for (sentence, calls) in run.unwalked {
        for runtime in JITRuntime.proposed(by: sentence) { add(.declare(runtime), sentence, calls) }
      }
    }
    return found.values.sorted { $0.remedy.text < $1.remedy.text }.map(LearnQuestion.remedy)
  }

  /// One question for each chain that is proposed.
  private mutating func propose(_ syscall: String, _ ways: [Int], _ wanted: Level?) {
    let choice = Choice(self, syscall, ways, wanted)
    left += choice.left
    questions += choice.questions.map(LearnQuestion.way)
  }

  func sorted(_ chains: some Sequence<[PathElement]>) -> [[PathElement]] {
    chains.map { ($0, text($0)) }.sorted { $0.1 < $1.1 }.map(\.0)
  }

  /// Of two that cover one another the first stays.
  func withoutCovered(_ chains: [[PathElement]]) -> [[PathElement]] {
    guard chains.count > 1, chains.count <= Choice.maxCompared else { return chains }
    var kept = chains
    for chain in chains.reversed() {
      let others = kept.filter { $0 != chain }
      if isCovered(chain, by: others) { kept = others }
    }
    return kept
  }
}

package func text(_ chain: [PathElement]) -> String { chain.map(\.description).joined(separator: ", ") }

package enum LearnQuestion: Equatable, Sendable {
  case remedy(RemedyQuestion)
  case way(WayQuestion)
}

package struct RemedyQuestion: Equatable, Sendable {
  package var remedy: Remedy
  package var reasons: Set<String> = []
  package var calls: UInt64 = 0

  package init(remedy: Remedy, reasons: Set<String> = [], calls: UInt64 = 0) {
    self.remedy = remedy
    self.reasons = reasons
    self.calls = calls
  }
}

package struct WayQuestion: Equatable, Sendable {
  package var syscall: String
  /// Places in the recording's paths, the one that most calls took first. All become one chain, or few.
  package var ways: [Int]
  package var proposed: Level
}

/// Which level each way to one system call is proposed at.
private struct Choice {
  /// Comparing chains with one another costs their number squared.
  static let maxCompared = 128

  let learner: Learner
  let syscall: String
  private(set) var questions: [WayQuestion] = []
  private(set) var left: [Int] = []
  /// By the way.
  private var levels: [Int: Level] = [:]
  private var chains: [Int: [Level: [PathElement]]] = [:]
  private var barred: [Int: Set<Level>] = [:]

  init(_ learner: Learner, _ syscall: String, _ ways: [Int], _ wanted: Level?) {
    self.learner = learner
    self.syscall = syscall
    let denied = learner.denied(to: syscall)
    for way in ways {
      for level in Level.allCases {
        guard let chain = learner.generaliser.chain(of: learner.recording.paths[way], at: level),
          !learner.isAny(of: denied, coveredBy: [chain])
        else { continue }
        chains[way, default: [:]][level] = chain
      }
      let possible = (chains[way] ?? [:]).keys.sorted()
      guard let lowest = possible.first else {
        left.append(way)
        continue
      }
      levels[way] = wanted.map { wanted in possible.last { $0 <= wanted } ?? lowest } ?? lowest
    }
    if wanted == nil { widen() }
    ask()
  }

  private func chain(of way: Int) -> [PathElement] { levels[way].flatMap { chains[way]?[$0] } ?? [] }

  private func proposed(without gone: Set<Int> = []) -> [[PathElement]] {
    learner.withoutCovered(learner.sorted(Set(levels.keys.filter { !gone.contains($0) }.map(chain))))
  }

  private func fits(_ chains: [[PathElement]]) -> Bool {
    // What the profile lists already takes its share.
    let all = learner.paths(to: syscall, with: chains.map { PathRule(syscalls: [syscall], chain: $0) })
    let names = Set((all.chains + all.denied).joined().compactMap(\.module))
    let modules = Set(learner.profile.modules.map(\.name) + learner.naming.added.map(\.name).filter(names.contains))
    return all.chains.count <= Paths.maxChains && all.bytes <= Paths.maxBytes && modules.count <= Paths.maxModules
  }

  /// Where there are too many: those that have both ends in common, the most of them first, level by level, for as long as that makes them fewer.
  private mutating func widen() {
    for target in Level.allCases.dropFirst() {
      if fits(proposed()) { return }
      let groups = Dictionary(grouping: levels.keys.sorted()) { way in chains[way]?[.ends].map(text) ?? "way \(way)" }
      for group in groups.sorted(by: { ($1.value.count, $0.key) < ($0.value.count, $1.key) }) {
        let before = Set(group.value.map(chain)).count
        guard before > 1 else { continue }
        let old = levels
        for way in group.value where levels[way].map({ $0 < target }) ?? false && chains[way]?[target] != nil { levels[way] = target }
        guard Set(group.value.map(chain)).count < before else {
          levels = old
          continue
        }
        if fits(proposed()) { return }
      }
    }
  }

  private mutating func ask() {
    let kept = proposed()
    var ways: [Int: [Int]] = [:]
    for way in levels.keys.sorted() {
      let own = chain(of: way)
      guard let place = kept.firstIndex(of: own) ?? kept.firstIndex(where: { isCovered(own, by: [$0]) }) else {
        // Several together cover it.
        continue
      }
      ways[place, default: []].append(way)
    }
    func calls(_ ways: [Int]) -> UInt64 { ways.reduce(0) { $0 &+ learner.recording.paths[$1].calls } }
    let order = ways.sorted { (calls($1.value), text(kept[$0.key])) < (calls($0.value), text(kept[$1.key])) }
    var taken: [[PathElement]] = []
    for (place, ways) in order {
      guard fits(taken + [kept[place]]) else {
        left += ways
        continue
      }
      taken.append(kept[place])
      let sorted = ways.sorted {
        let (a, b) = (learner.recording.paths[$0], learner.recording.paths[$1])
        let isOwn = (chain(of: $0) == kept[place], chain(of: $1) == kept[place])
        return isOwn.0 != isOwn.1 ? isOwn.0 : (b.calls, $0) < (a.calls, $1)
      }
      questions.append(WayQuestion(syscall: syscall, ways: sorted, proposed: levels[sorted[0]] ?? .exact))
    }
  }
}
