package import Wire

/// One thread's stack for a person: what `callgatectl stack` prints of it.
package struct ThreadReport: Equatable, Sendable {
  package var thread: UInt32
  /// The thread's name as it gives it itself.
  package var command: String
  /// A word for programs: running, calling, blocked, waiting, stopped.
  package var state: String
  /// The system call that it is in, by name; nil where it is in none.
  package var call: String?
  /// What has to be known to judge the rest, a sentence each.
  package var notes: [String]
  package var finding: Finding
  /// What a profile would make of it, where one was asked.
  package var verdict: String?

  package init(
    thread: UInt32, command: String, state: String, call: String?, notes: [String] = [], finding: Finding, verdict: String? = nil
  ) {
    self.thread = thread
    self.command = command
    self.state = state
    self.call = call
    self.notes = notes
    self.finding = finding
    self.verdict = verdict
  }

  var isInterrupted: Bool { call == nil }

  func outcome(of check: Check, at frame: Int) -> Outcome { finding.outcome(of: check, at: frame, isInterrupted: isInterrupted) }

  /// How the rest of the checks can be read off the table below.
  package static let legend = """
    by: what the frame's caller was found by. ok: every check holds that applies to the frame: text, function and stack to each, site to
    the system call, call to what was returned to, base to the last. More: callgatectl stack --help
    """
  package static let columnsLegend = """
    by: what the frame's caller was found by. ok: the check holds. NO: it objects. ?: it could not be made. -: it does not apply.
    """
}

extension ThreadReport {
  /// The stack as a person reads it, innermost frame first; `columns`: one for each check.
  ///
  ///     thread 4711 sleep: blocked in clock_nanosleep
  ///       #0   libc.so.6+0xcf303  clock_nanosleep+163  cfi  ok
  ///       …
  ///       end  the process's entry
  package func rendered(columns: Bool = false) -> String {
    var lines = ["thread \(thread) \(command): \(activity)"]
    lines += notes.map { "  note \($0)" }
    let frames = finding.frames.map { finding.line(of: $0) }
    let places = (frames.map(\.place.count) + finding.below.map { finding.line(of: $0).place.count }).max() ?? 0
    let names = frames.map { shortened($0.function) }
    let functions = names.map(\.count).max() ?? 0
    let sources = frames.map(\.source.count).max() ?? 0
    if columns, !frames.isEmpty {
      lines.append(
        "       " + "".padded(to: places + functions + 4) + "by".padded(to: sources + 2)
          + Check.allCases.map(\.name).joined(separator: "  "))
    }
    for (index, frame) in frames.enumerated() {
      if index == finding.consecutiveFrames { lines.append("  …    \(omitted); what follows are those that something is said about") }
      let number = index < finding.consecutiveFrames ? "#\(index)" : "#…"
      let source = frame.source.isEmpty ? "-" : frame.source
      let found = "\(frame.place.padded(to: places))  \(names[index].padded(to: functions))  \(source.padded(to: sources))"
      lines.append("  \(number.padded(to: 4)) \(found)  \(columns ? row(index) : mark(index))")
      lines += words(index).map { "         \($0)" }
    }
    if finding.consecutiveFrames == frames.count, Int(finding.depth) > frames.count { lines.append("  …    \(omitted)") }
    lines.append("  end  \(ending)")
    if !finding.isClean, !finding.below.isEmpty { lines += trail(places) }
    if let verdict { lines.append("  \(verdict)") }
    return lines.joined(separator: "\n")
  }

  private var activity: String {
    switch (state, call) {
    case ("blocked", let call?): "blocked in \(call)"
    case ("calling", let call?): "in \(call)"
    case (_, let call?): "\(state) in \(call)"
    case (_, nil): state
    }
  }

  private var omitted: String { "\(Int(finding.depth) - finding.consecutiveFrames) more frames" }

  private func mark(_ frame: Int) -> String {
    var marks: [String] = Check.allCases.compactMap { check in
      if case .objects = outcome(of: check, at: frame) { check.name.uppercased() } else { nil }
    }
    if let unknown = finding.unknown, Int(unknown.frame) == frame { marks.append("UNKNOWN") }
    return marks.isEmpty ? "ok" : marks.joined(separator: " ")
  }

  private func row(_ frame: Int) -> String {
    let cells = Check.allCases.map { check in
      let cell =
        switch outcome(of: check, at: frame) {
        case .holds: "ok"
        case .objects: "NO"
        case .notJudged: "?"
        case .notApplicable: "-"
        }
      return check == Check.allCases.last ? cell : cell.padded(to: check.name.count)
    }
    return cells.joined(separator: "  ")
  }

  /// The objections to one frame, each in words.
  private func words(_ frame: Int) -> [String] {
    var words: [String] = finding.violations.filter { Int($0.frame) == frame }.map {
      "\($0.check.name): it \(finding.predicate($0.reason, frame: frame))"
    }
    if let unknown = finding.unknown, Int(unknown.frame) == frame {
      words.append("unknown: it \(finding.predicate(unknown.reason, frame: frame))")
    }
    return words
  }

  private var ending: String {
    switch finding.end {
    case .processEntry: "the process's entry"
    case .threadStart: "the thread's start"
    case .coroutine: "the coroutine's start"
    case .goroutine: "the goroutine's start"
    case .systemStack: "the bottom of Go's system stack"
    case .programStart: "the Go program's start"
    case .goThreadStart: "the Go thread's start"
    case .threadEnd: "the Go thread's end"
    case nil: "not reached"
    }
  }

  private func trail(_ places: Int) -> [String] {
    ["  trail, just below the stack pointer, the latest first: what the thread returned through"]
      + finding.below.map { frame in
        let line = finding.line(of: frame)
        return "       \(line.place.padded(to: places))  \(shortened(line.function))"
      }
  }
}
