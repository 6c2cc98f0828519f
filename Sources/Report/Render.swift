internal import Diagnostics

extension Event {
  /// The denial as a person reads it:
  ///
  ///     DENIED execve("/bin/sh") → killed   container web, pid 4711 nginx   2026-11-22T18:54:05Z   CG4005 call
  ///       because  frame 2, which returns to …, does not follow a call: …
  ///       stack    #0 libc.so.6+0xe0d7b  execve  ok
  package func rendered() -> String {
    if outcome == .noted {
      return "NOTE   container \(container)   \(timestamp(time))   \(code.rawValue)\n  because  \(because)"
    }
    let verb = outcome == .audited ? "AUDITED" : "DENIED"
    var lines = [
      "\(verb) \(syscall)(\(arguments)) → \(consequence)   container \(container), pid \(process) \(command)   \(timestamp(time))   \(code.rawValue) \(label)",
      "  because  \(because)",
    ]
    let places = (frames + below).map(\.place.count).max() ?? 0
    let names = frames.map { shortened($0.function) }
    let functions = names.map(\.count).max() ?? 0
    for (index, frame) in frames.enumerated() {
      let found = marks.filter { $0.frame == index }.map { $0.check.uppercased() }
      // Beyond the last frame that was judged there is nothing to call right.
      let mark = found.isEmpty ? "ok" : found.joined(separator: " ")
      let number = "#\(index)"
      lines.append(
        "  \(index == 0 ? "stack  " : "       ")  \(number.padded(to: 4)) \(frame.place.padded(to: places))  \(names[index].padded(to: functions))  \(mark)"
      )
    }
    if !below.isEmpty {
      lines.append("  trail    code addresses just below the stack pointer, the latest first: what the thread returned through")
      for line in below { lines.append("                \(line.place.padded(to: places))  \(shortened(line.function))") }
    }
    for mark in marks where mark.because != because {
      lines.append("  also     \(mark.check): \(mark.because)")
    }
    lines.append("  profile  \(identified(profile, profileVersion, profileDigest)): \(rule)")
    if suppressed > 0 { lines.append("  note     \(suppressed) more events of this container were counted, not written") }
    return lines.joined(separator: "\n")
  }

  private var consequence: String {
    switch outcome {
    case .killed: "process killed"
    case .containerKilled: "container killed"
    case .failed(let errno): errno
    case .audited: "allowed, and recorded"
    case .noted: ""
    }
  }

  private var label: String { marks.first?.check ?? "callgate" }
}

/// `default 1.0.0 (sha256:eb719c91afda…)`, as far as it is known; `--json` has the whole digest.
func identified(_ profile: String, _ version: String, _ digest: String) -> String {
  var text = version.isEmpty ? profile : "\(profile) \(escaped(version))"
  if !digest.isEmpty { text += " (\(digest.prefix(19))…)" }
  return text
}

/// Mangled names run to hundreds of characters; a table is read by its columns. `--json` has them whole.
package func shortened(_ name: String) -> String {
  name.count <= 64 ? name : "\(name.prefix(40))…\(name.suffix(23))"
}

extension String {
  package func padded(to width: Int) -> String {
    self + String(repeating: " ", count: Swift.max(0, width - count))
  }
}
