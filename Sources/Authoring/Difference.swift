package import JSON
package import Profile
internal import Wire

/// One thing that another profile does otherwise.
package struct Change: Equatable, Sendable {
  package enum Consequence: String, CaseIterable, Sendable {
    case looser, stricter, other

    package var title: String {
      switch self {
      case .looser: "Looser: what an attacker gains"
      case .stricter: "Stricter: what may be denied now"
      case .other: "Other"
      }
    }
  }
  package var consequence: Consequence
  package var text: String
}

/// What `new` does otherwise than `old`, in a reviewer's words. Empty only where both mean the same.
package func differences(from old: Profile, to new: Profile) -> [Change] {
  var comparison = Comparison(old: old, new: new)
  comparison.compare()
  return comparison.changes
}

private struct Comparison {
  let old: Profile
  let new: Profile
  var changes: [Change] = []

  init(old: Profile, new: Profile) {
    self.old = old
    self.new = new
  }

  mutating func compare() {
    metadata()
    traps()
    refusals()
    checks()
    settings()
    grants()
    paths()
    modules()
    // The order of paths decides nothing, but which reason is told first.
    if changes.isEmpty, old != new { say(.other, "the order of the paths, or what the administrator's baseline adds, is another") }
  }

  private mutating func say(_ consequence: Change.Consequence, _ text: String) {
    changes.append(Change(consequence: consequence, text: text))
  }

  private mutating func metadata() {
    if old.name != new.name { say(.other, "name: \(old.name) → \(new.name)") }
    if old.version != new.version { say(.other, "version: \(old.version) → \(new.version)") }
    if old.description != new.description {
      say(.other, "description: \(new.description.isEmpty ? "none any more" : "'\(new.description)'")")
    }
  }

  // MARK: what is looked at

  private mutating func traps() {
    let before = Dictionary(uniqueKeysWithValues: old.traps.map { ($0.syscall, $0) })
    let after = Dictionary(uniqueKeysWithValues: new.traps.map { ($0.syscall, $0) })
    let gone = old.traps.filter { after[$0.syscall] == nil && !new.never.contains($0.syscall) && !new.absent.contains($0.syscall) }
    for words in inGroups(gone) { say(.looser, "\(words) no longer looked at") }
    let come = new.traps.filter { before[$0.syscall] == nil && !old.never.contains($0.syscall) && !old.absent.contains($0.syscall) }
    for words in inGroups(come) { say(.stricter, "\(words) looked at now") }
    for trap in new.traps {
      guard let former = before[trap.syscall] else { continue }
      let (less, more) = (former.covers(trap), trap.covers(former))
      func cases(_ trap: Trap) -> String { trap.condition?.words ?? "always" }
      switch (less, more) {
      case (true, true): break
      case (true, false): say(.looser, "\(trap.syscall) is looked at in fewer cases: \(cases(trap)) (before: \(cases(former)))")
      case (false, true): say(.stricter, "\(trap.syscall) is looked at in more cases: \(cases(trap)) (before: \(cases(former)))")
      case (false, false): say(.looser, "\(trap.syscall) is looked at in other cases: \(cases(trap)) (before: \(cases(former)))")
      }
      act(
        "at \(trap.syscall)", former.onViolation ?? old.onViolation, trap.onViolation ?? new.onViolation,
        isOwn: former.onViolation != trap.onViolation)
    }
    for trap in come {
      if let action = trap.onViolation { say(.other, "a violation at \(trap.syscall): \(action.words)") }
    }
  }

  /// `@inject (ptrace, …) is`, `connect is`
  private func inGroups(_ traps: [Trap]) -> [String] {
    var rest = traps
    var words: [String] = []
    for group in Group.all {
      let part = group.traps.map(\.syscall)
      guard part.count > 1, part.allSatisfy({ name in rest.contains { $0.syscall == name } }) else { continue }
      words.append("\(group.name) (\(part.joined(separator: ", "))) is")
      rest.removeAll { part.contains($0.syscall) }
    }
    return words + rest.map { "\($0.words) is" }
  }

  private mutating func refusals() {
    for name in Set(old.never).subtracting(new.never).sorted() {
      let what =
        new.traps.contains { $0.syscall == name } ? "it is judged by its stack instead" : "nothing refuses it but the engine's filter"
      say(.looser, "\(name) is no longer always refused: \(what)")
    }
    for name in Set(new.never).subtracting(old.never).sorted() { say(.stricter, "\(name) is always refused") }
    for name in Set(old.absent).subtracting(new.absent + new.never).sorted() {
      let isTrapped = new.traps.contains { $0.syscall == name }
      say(isTrapped ? .other : .looser, "\(name) exists again\(isTrapped ? ", and is looked at" : ", and is not looked at")")
    }
    for name in Set(new.absent).subtracting(old.absent + old.never).sorted() { say(.stricter, "\(name) answers ENOSYS") }
  }

  // MARK: how hard

  private mutating func checks() {
    for check in Check.allCases {
      guard let before = old.checks[check.name], let after = new.checks[check.name] else { continue }
      set(check.name, before.setting, after.setting, loss: check.loss, demand: check.demand)
      act(
        "of \(check.name)", before.onViolation ?? old.onViolation, after.onViolation ?? new.onViolation,
        isOwn: before.onViolation != after.onViolation)
    }
  }

  private mutating func set(_ what: String, _ before: Setting, _ after: Setting, loss: String, demand: String) {
    guard before != after else { return }
    let arrow = "\(what): \(before.rawValue) → \(after.rawValue)"
    if after < before {
      say(.looser, "\(arrow): \(loss)\(after == .audit ? "; they are only written down" : "")")
    } else {
      say(.stricter, "\(arrow): \(after == .audit ? "what differs is written down" : "demanded now"): \(demand)")
    }
  }

  /// A violation's consequence, where it was not changed for all alike.
  private mutating func act(_ what: String, _ before: Action, _ after: Action, isOwn: Bool = true) {
    guard before != after, isOwn else { return }
    let consequence: Change.Consequence = before.isStricter(than: after) ? .looser : after.isStricter(than: before) ? .stricter : .other
    say(consequence, "a violation \(what.isEmpty ? "" : what + ": ")\(before.short) → \(after.short): \(after.words)")
  }

  private mutating func settings() {
    set(
      "unknown.noUnwindInfo", old.unknown, new.unknown, loss: "frames that cannot be judged are not stopped",
      demand: "every frame can be judged")
    set(
      "unknown.onLimit", old.onLimit, new.onLimit, loss: "stacks that are deeper than the limit are not stopped",
      demand: "the stack ends before the limit")
    if new.depth != old.depth {
      say(
        new.depth > old.depth ? .looser : .stricter,
        "unknown.depth: \(old.depth) → \(new.depth): \(new.depth > old.depth ? "deeper stacks are judged" : "deeper stacks count as unknown")"
      )
    }
    act("in general", old.onViolation, new.onViolation)
    switch (old.complainUntil, new.complainUntil) {
    case (nil, let until?): say(.looser, "until \(moment(until)) nothing is refused, only written down")
    case (let before?, nil): say(.stricter, "what was only written down until \(moment(before)) is refused at once")
    case (let before?, let after?) where before != after:
      say(after > before ? .looser : .stricter, "what is only written down is so until \(moment(after)) (before: \(moment(before)))")
    case (_?, _?), (nil, nil): break
    }
  }

  private mutating func grants() {
    for permission in Permission.allCases {
      switch (old.permissions.contains(permission), new.permissions.contains(permission)) {
      case (false, true): say(.looser, "\(permission.name) is permitted: \(permission.meaning)")
      case (true, false): say(.stricter, "\(permission.name) is no longer permitted")
      case (true, true), (false, false): break
      }
    }
    for runtime in JITRuntime.allCases {
      switch (old.jit.contains(runtime), new.jit.contains(runtime)) {
      case (false, true): say(.looser, "\(runtime.name) is declared: \(runtime.meaning)")
      case (true, false): say(.stricter, "\(runtime.name) is no longer declared: the code that it makes is refused")
      case (true, true), (false, false): break
      }
    }
  }

  // MARK: ways

  private mutating func paths() {
    let (before, after) = (split(old), split(new))
    for name in Set((old.paths + new.paths).flatMap(\.syscalls)).sorted() {
      let (was, isNow) = (before.allowed.filter { $0.syscalls == [name] }, after.allowed.filter { $0.syscalls == [name] })
      switch (was.isEmpty, isNow.isEmpty) {
      case (true, true): break
      case (true, false):
        say(.stricter, "\(name) may only be reached along \(isNow.count == 1 ? isNow[0].way : "\(isNow.count) ways") (before: along any)")
      case (false, true): say(.looser, "\(name) may be reached along any way again (before: along \(was.count))")
      case (false, false):
        for path in isNow where !was.contains(where: { $0.covers(path) }) {
          say(.looser, "\(name) may now be reached along \(path.way) (new way)\(reason(path))")
        }
        for path in was where !isNow.contains(where: { $0.covers(path) }) {
          say(.stricter, "\(name) may no longer be reached along \(path.way)")
        }
      }
      let (denied, deniedNow) = (before.denied.filter { $0.syscalls == [name] }, after.denied.filter { $0.syscalls == [name] })
      for path in deniedNow where !denied.contains(where: { $0.covers(path) }) {
        say(.stricter, "\(name) is refused along \(path.way)\(reason(path))")
      }
      for path in denied where !deniedNow.contains(where: { $0.covers(path) }) {
        say(.looser, "\(name) is no longer refused along \(path.way)")
      }
      for path in isNow + deniedNow {
        guard let former = (was + denied).first(where: { $0.chain == path.chain && $0.isDenied == path.isDenied }) else { continue }
        act(
          "of the way \(path.way) to \(name)", former.onViolation ?? old.onViolation, path.onViolation ?? new.onViolation,
          isOwn: former.onViolation != path.onViolation)
        if former.reason != path.reason { say(.other, "why \(path.way) is listed: \(path.reason ?? "no reason is given any more")") }
      }
    }
  }

  private func reason(_ path: PathRule) -> String { path.reason.map { ": \($0)" } ?? "" }

  /// One rule for each system call.
  private func split(_ profile: Profile) -> (allowed: [PathRule], denied: [PathRule]) {
    let single = profile.paths.flatMap { path in
      path.syscalls.map { name in
        var one = path
        one.syscalls = [name]
        return one
      }
    }
    return (single.filter { !$0.isDenied }, single.filter(\.isDenied))
  }

  private mutating func modules() {
    for module in new.modules {
      guard let former = old.modules.first(where: { $0.name == module.name }) else {
        say(.other, "\(module.name) is told more closely: \(told(module))")
        continue
      }
      switch (former.buildID, module.buildID) {
      case (let before?, let after?) where before != after:
        say(.other, "drift: \(module.name) is another build, \(before) → \(after); its paths hold for that one only")
      case (_?, nil):
        say(.looser, "\(module.name) is no longer told by its build id: any file at \(module.path ?? "its place") is taken for it")
      case (nil, let after?): say(.stricter, "\(module.name) is told by its build id, \(after): no other file is taken for it")
      case (_?, _?), (nil, nil): break
      }
      if former.path != module.path { say(.other, "\(module.name)'s place: \(former.path ?? "none") → \(module.path ?? "none")") }
      if former.functions != module.functions { say(.other, "what \(module.name)'s functions look like is told otherwise") }
    }
    for module in old.modules where !new.modules.contains(where: { $0.name == module.name }) {
      say(.other, "\(module.name) is told by its name only (before: \(told(module)))")
    }
  }

  private func told(_ module: PathModule) -> String {
    [module.path, module.buildID.map { "build id \($0)" }].compactMap { $0 }.joined(separator: ", ")
  }
}

// MARK: showing

package func rendered(_ changes: [Change], from old: String, to new: String, markdown: Bool) -> String {
  guard !changes.isEmpty else { return "\(old) and \(new) mean the same" }
  var lines = markdown ? ["## From `\(old)` to `\(new)`"] : ["from \(old) to \(new)"]
  for consequence in Change.Consequence.allCases {
    let part = changes.filter { $0.consequence == consequence }
    guard !part.isEmpty else { continue }
    lines += ["", markdown ? "### \(consequence.title)" : consequence.title]
    if markdown { lines.append("") }
    // Markdown would take names with underlines and stars for emphasis.
    for change in part { lines += markdown ? ["- " + escaped(change.text)] : wrapped(change.text, width: 100, indent: 2) }
  }
  return lines.joined(separator: "\n")
}

private func escaped(_ text: String) -> String {
  var out = ""
  for character in text {
    if "\\`*_<>[]|".contains(character) { out.append("\\") }
    out.append(character)
  }
  return out
}

package func json(_ changes: [Change], from old: String, to new: String) -> JSONValue {
  .object(
    [JSONMember("from", .string(old)), JSONMember("to", .string(new))]
      + Change.Consequence.allCases.map { consequence in
        JSONMember(consequence.rawValue, .array(changes.filter { $0.consequence == consequence }.map { .string($0.text) }))
      })
}
