import Authoring
import Profile
import Recording
import Report
import Wire

/// What `profile learn` says.
enum LearnText {
  private static let maxFrames = 24

  static func opening(_ learner: Learner, _ target: LearnTarget, _ title: String) -> String {
    let recording = learner.recording
    var lines = [
      "learning '\(target.before.profile.name)'" + (target.isNew ? ", which is new," : "") + " from \(title): "
        + "\(counted(recording.paths.count, "way")), \(counted(recording.calls, "call")), \(counted(recording.runs.count, "run"))"
    ]
    if target.isNew { lines.append("  it extends '\(target.before.files.dropFirst().first?.profile ?? "")', under which was recorded") }
    if let hidden = target.hidden { lines.append("  it is written to \(target.file), which is found before \(hidden)") }
    let new = learner.questions.reduce(0) { sum, question in
      if case .way(let way) = question { sum + way.ways.count } else { sum }
    }
    lines.append("  \(new) new, \(learner.covered.count) listed already, \(learner.denied.count) denied by the profile")
    for (syscall, places) in Dictionary(grouping: learner.untrapped, by: { recording.paths[$0].syscall }).sorted(by: { $0.key < $1.key }) {
      lines.append("  not trapped by the profile, so no way to it is looked at: \(syscall) (\(counted(places.count, "way")))")
    }
    if !learner.left.isEmpty {
      lines.append("  left out, as a profile cannot hold that many: \(counted(learner.left.count, "way"))")
    }
    for name in learner.naming.unpinned.sorted() {
      lines.append("  '\(escaped(name))' stays any file of that name: chains of the profile name it so")
    }
    if learner.profile.checks[Check.path.name]?.setting != .enforce, !learner.questions.isEmpty {
      lines.append("  note: 'path' is \(learner.profile.checks[Check.path.name]?.setting.rawValue ?? "off") in this profile")
    }
    let running = recording.runs.count { $0.ended == nil }
    if running > 0, !title.hasPrefix("the event") { lines.append("  note: \(counted(running, "run")) of it had no end when it was read") }
    let unwalked = recording.runs.reduce(UInt64(0)) { $0 + $1.unwalked.values.reduce(0, +) }
    if unwalked > 0 { lines.append("  note: \(counted(unwalked, "call")) could not be followed to the end, so their ways are not known") }
    return lines.joined(separator: "\n")
  }

  // MARK: one question

  static func question(_ session: LearnSession) -> String {
    guard let question = session.question, let position = session.position else { return "" }
    let number = "[\(position + 1)/\(session.learner.questions.count)]"
    switch question {
    case .remedy(let remedy): return self.remedy(remedy, number)
    case .way(let way): return self.way(way, number, session)
    }
  }

  private static func remedy(_ question: RemedyQuestion, _ number: String) -> String {
    var lines = ["\(number)  a check objected, which \(question.remedy.text) may lift   \(counted(question.calls, "call"))", ""]
    for reason in question.reasons.sorted().prefix(3) { lines.append("  \(escaped(reason, limit: 400))") }
    if question.reasons.count > 3 { lines.append("  and \(question.reasons.count - 3) more such objections") }
    lines += ["", "  proposed  \(question.remedy.text)", "  WARNING   \(warning(question.remedy))"]
    return lines.joined(separator: "\n")
  }

  static func warning(_ remedy: Remedy) -> String {
    switch remedy {
    case .permit(.dlsym):
      "every function that a file exports may then be called through a pointer, also by an attacker who has overwritten one"
    case .permit(.foreignCalls): "a script may then have libffi call any function that makes system calls"
    case .permit(.signalHandlers): "calls in signal handlers are then let on: an attacker's forged signal frame looks like one"
    case .permit(.writtenFiles): "code may then lie in files that were written after the start: an attacker's dropped library is one"
    case .declare: "code that lies in no file may then be on the stack: what it is, only its runtime knows"
    }
  }

  private static func way(_ way: WayQuestion, _ number: String, _ session: LearnSession) -> String {
    let recording = session.learner.recording
    let words = SyscallWords(way.syscall)
    let paths = way.ways.map { recording.paths[$0] }
    let runs = paths.reduce(into: Set<Int>()) { $0.formUnion($1.runs) }.count
    let calls = paths.reduce(UInt64(0)) { $0 + $1.calls }
    var lines = [
      "\(number)  \(way.syscall): \(words.does)",
      "  \(counted(calls, "call")) in \(runs) of \(counted(recording.runs.count, "run"))"
        + (way.ways.count > 1 ? ", along \(way.ways.count) ways; one of them:" : ""), "",
    ]
    lines += stack(way.ways[0], session.learner, limit: maxFrames)
    let objections = session.objections(to: way)
    if !objections.isEmpty {
      lines.append("")
      for objection in objections.prefix(3) { lines.append("  OBJECTION \(objection.check): \(escaped(objection.because, limit: 400))") }
      if objections.contains(where: { $0.remedy == nil }) {
        lines.append("  Nothing that a profile says lifts that: an honest program has no such stack. Listing the way does not change it.")
      }
    }
    lines.append("")
    lines += chains(way, session)
    return lines.joined(separator: "\n")
  }

  static func chains(_ way: WayQuestion, _ session: LearnSession) -> [String] {
    var lines = ["  level \(session.level.rawValue): \(session.level.sentence)"]
    for chain in session.learner.chains(of: way.ways, at: session.level) ?? [] {
      lines += wrapped(chain.map { shown($0) }, indent: 4)
      if chain.contains(.anyFrames) {
        lines.append("    ... is any functions of: \(Set(chain.compactMap(\.module)).sorted().map { escaped($0) }.joined(separator: ", "))")
      }
    }
    return lines
  }

  private static func stack(_ place: Int, _ learner: Learner, limit: Int) -> [String] {
    let path = learner.recording.paths[place]
    let end = learner.generaliser.end(of: path)
    var rows: [(number: String, module: String, function: String, note: String)] = []
    for (index, step) in path.steps.enumerated() {
      if index == path.gap { rows.append(("", "", "… deeper than can be recorded: some are missing", "")) }
      let function = learner.recording.functions[step.function]
      let module = function.module.map { escaped(learner.naming.names[$0], limit: 40) } ?? "jit"
      let name =
        function.module == nil
        ? "code made at run time"
        : function.names.first.map { shortened(escaped($0)) } ?? function.start.map { "+0x\(String($0, radix: 16))" } ?? "?"
      let note = (step.repeats ? "calls itself" : "") + (index >= end ? "(start of the program or thread: not listed)" : "")
      rows.append(("#\(index)", module, name, note))
    }
    let cut = rows.count > limit ? Array(rows.prefix(limit - 6)) + Array(rows.suffix(5)) : rows
    let module = cut.map(\.module.count).max() ?? 0
    let function = min(cut.map(\.function.count).max() ?? 0, 64)
    var lines = cut.map { row in
      "  \(row.number.padded(to: 4)) \(row.module.padded(to: module))  \(row.function.padded(to: function))  \(row.note)".trimmed
    }
    if rows.count > limit { lines.insert("       … \(rows.count - cut.count) more: V shows them", at: limit - 6) }
    return lines
  }

  /// What V shows.
  static func view(_ session: LearnSession) -> String {
    guard case .way(let way)? = session.question else {
      guard case .remedy(let remedy)? = session.question else { return "" }
      return (["  all that was objected to:"] + remedy.reasons.sorted().map { "  \(escaped($0, limit: 1000))" }).joined(separator: "\n")
    }
    var lines: [String] = []
    for (number, place) in way.ways.prefix(8).enumerated() {
      let path = session.learner.recording.paths[place]
      lines.append("  way \(number + 1) of \(way.ways.count): \(counted(path.calls, "call")) in \(counted(path.runs.count, "run"))")
      lines += stack(place, session.learner, limit: .max)
      lines.append("")
    }
    let named = Set(
      way.ways.flatMap { session.learner.recording.paths[$0].steps }.compactMap { step in
        session.learner.recording.functions[step.function].module
      })
    lines.append("  files")
    for module in named.sorted() {
      let file = session.learner.recording.modules[module]
      lines.append(
        "    \(escaped(session.learner.naming.names[module])) is \(escaped(file.path))"
          + (file.buildID.isEmpty ? ", which has no build id" : ", build id \(escaped(file.buildID))"))
    }
    let objections = session.objections(to: way)
    lines.append("  objections" + (objections.isEmpty ? ": none" : ""))
    for objection in objections { lines.append("    \(objection.check): \(escaped(objection.because, limit: 1000))") }
    lines.append("  what it gives away")
    lines.append("    who can lead the program along this way \(SyscallWords(way.syscall).gain)")
    lines.append("    a chain says nothing of arguments")
    if (session.learner.chains(of: way.ways, at: session.level) ?? []).joined().contains(.anyFrames) {
      lines.append("    any function of the files that the chain names may lie in '...', not only those that were seen")
    }
    return lines.joined(separator: "\n")
  }

  // MARK: after it

  static func answer(_ answer: LearnAnswer, _ question: LearnQuestion) -> String {
    switch (answer, question) {
    case (.allow, .remedy(let remedy)): "  → \(remedy.remedy.text)"
    case (.allow(let level), .way): "  → allowed, level \(level.rawValue)"
    case (.deny(let level), .way): "  → denied, level \(level.rawValue)"
    case (.deny, .remedy), (.ignore, _): "  → left as it is"
    }
  }

  static func answers(_ session: LearnSession) -> String {
    let (allowed, denied, ignored, earlier) = session.tally
    var lines: [String] = []
    for (question, answer) in zip(session.learner.questions, session.answers) {
      switch (answer, question) {
      case (.allow?, .remedy(let remedy)): lines.append("WARNING: \(remedy.remedy.text): \(warning(remedy.remedy))")
      case (.ignore?, .way(let way)):
        if let objection = session.objections(to: way).first(where: { $0.remedy == nil }) {
          lines.append("left out: a way to \(way.syscall), as \(objection.check) objected: \(escaped(objection.because, limit: 400))")
        }
      case (.allow?, .way), (.ignore?, .remedy), (.deny?, _), (nil, _): continue
      }
    }
    let rest = earlier == 0 ? "" : ", \(earlier) not asked or covered by what was allowed"
    return (lines + ["\(allowed) allowed, \(denied) denied, \(ignored) left as they are\(rest)"]).joined(separator: "\n")
  }

  private static func shown(_ element: PathElement) -> String { shortened(escaped(element.description, limit: 600)) }

  /// Innermost first, each called by the next.
  static func wrapped(_ words: [String], indent: Int, width: Int = 100) -> [String] {
    var lines: [String] = []
    for (index, word) in words.enumerated() {
      let word = index == 0 ? word : "← \(word)"
      if let last = lines.last, last.count + 1 + word.count <= width {
        lines[lines.count - 1] += " \(word)"
      } else {
        lines.append(String(repeating: " ", count: lines.isEmpty ? indent : indent + 2) + word)
      }
    }
    return lines
  }
}

extension String {
  fileprivate var trimmed: String {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}
