import Authoring
import Profile
import Recording
import Report

/// What `profile check` and `profile test --replay` print.
enum ReplayText {
  static func result(_ result: Replay.Result, of replay: Replay) -> String {
    let place = result.origin.map { " (\($0.place))" } ?? (result.rule.isEmpty || result.verdict == .allow ? "" : " (the default)")
    let head = [
      verdict(result), result.syscall ?? "calls whose stack could not be followed", counted(result.calls, "call"),
      result.rule.isEmpty ? "" : result.rule + place,
    ]
    var lines = [head.filter { !$0.isEmpty }.joined(separator: "   ")]
    if let number = result.path {
      let path = replay.recording.paths[number]
      var words = path.steps.enumerated().map { index, step in
        shortened(escaped(replay.shown(step), limit: 600)) + (step.repeats ? " (calls itself)" : "")
          + (index == result.step ? " (HERE)" : "")
      }
      if let gap = path.gap { words.insert("… not recorded …", at: gap) }
      lines += LearnText.wrapped(words, indent: 4)
    }
    lines.append("    because  \(escaped(result.because, limit: 1000))")
    for note in result.notes { lines.append("    note     \(escaped(note, limit: 1000))") }
    return lines.joined(separator: "\n")
  }

  private static func verdict(_ result: Replay.Result) -> String {
    switch result.verdict {
    case .allow: "would allow"
    case .audit: "would audit"
    case .deny:
      "would deny\(result.action.map { " (\($0.short))" } ?? "")"
    case .uncertain: "cannot tell"
    case .untrapped: "not trapped"
    case .never: "refused in the kernel"
    }
  }

  static func summary(_ replay: Replay) -> String {
    let profile = replay.profile.profile
    let all: [(Replay.Verdict, String)] = [
      (.allow, "would allow"), (.audit, "would audit"), (.deny, "would deny"), (.uncertain, "cannot be told"),
      (.untrapped, "not trapped"), (.never, "refused in the kernel"),
    ]
    let counts = all.map { ($1, replay.count($0)) }.filter { $1 > 0 }.map { "\($1) \($0)" }
    var lines = [
      "\(counted(replay.recording.paths.count, "way")) in \(counted(replay.recording.runs.count, "run")) under '\(profile.name)': "
        + (counts.isEmpty ? "nothing was recorded" : counts.joined(separator: ", "))
    ]
    if profile.complainUntil != nil { lines.append("note: until complainUntil nothing is denied; this is what holds after it") }
    let left = replay.recording.runs.reduce(UInt64(0)) { $0 + $1.left }
    if left > 0 { lines.append("note: \(counted(left, "call")) of it went along ways that were too many to be recorded") }
    return lines.joined(separator: "\n")
  }
}
