package import JSON
package import Profile
internal import Wire

/// A profile in sentences.
package struct Explanation: Equatable, Sendable {
  package struct Sentence: Equatable, Sendable {
    package var text: String
    package var origins: [Origin]
    /// It belongs to the sentence before it that is none.
    package var isDetail = false
  }
  package struct Section: Equatable, Sendable {
    package var title: String
    package var sentences: [Sentence] = []

    mutating func detail(_ text: String, _ origins: [Origin]? = nil) {
      sentences.append(Sentence(text: text, origins: origins ?? [], isDetail: true))
    }

    mutating func say(_ text: String, _ origins: [Origin]? = nil) { sentences.append(Sentence(text: text, origins: origins ?? [])) }
  }

  package var title: String
  package var sections: [Section]

  package init(of resolved: ResolvedProfile) {
    let profile = resolved.profile
    title = "\(profile.name) \(profile.version)" + (profile.description.isEmpty ? "" : ": \(profile.description)")
    sections = [
      Explanation.looked(resolved), Explanation.refused(resolved), Explanation.checks(resolved), Explanation.granted(resolved),
      Explanation.violation(resolved), Explanation.ways(resolved),
    ].filter { !$0.sentences.isEmpty }
    let parents = resolved.files.dropFirst().map(\.profile)
    if !parents.isEmpty { title += "\nIt extends, or is held within: \(listed(parents))." }
  }

  private static func looked(_ resolved: ResolvedProfile) -> Section {
    var section = Section(title: "What is looked at")
    let (groups, others) = resolved.profile.grouped
    section.say("Before one of these system calls is made, the stack behind it is examined.")
    for group in groups {
      section.detail("\(group.name): \(group.sentence)", unique(group.traps.flatMap { resolved.origins[.trap($0.syscall)] ?? [] }))
    }
    for trap in others { section.detail(trap.words, resolved.origins[.trap(trap.syscall)]) }
    return section
  }

  private static func refused(_ resolved: ResolvedProfile) -> Section {
    var section = Section(title: "What is always refused")
    let never = resolved.profile.never
    if !never.isEmpty {
      section.say("\(listed(never)): by the kernel, with EPERM.", unique(never.flatMap { resolved.origins[.never($0)] ?? [] }))
    }
    for name in resolved.profile.absent {
      section.say(
        "\(name) answers ENOSYS, as if the kernel had never heard of it: programs then use what can be judged.",
        resolved.origins[.absent(name)])
    }
    return section
  }

  private static func checks(_ resolved: ResolvedProfile) -> Section {
    var section = Section(title: "How hard it is looked at")
    let profile = resolved.profile
    for setting in Setting.allCases {
      let checks = Check.allCases.filter { profile.checks[$0.name]?.setting == setting }
      guard !checks.isEmpty else { continue }
      let origins = unique(checks.flatMap { resolved.origins[.check($0.name)] ?? [] })
      switch setting {
      case .enforce:
        let all =
          checks.count == Check.allCases.count
          ? "All \(checks.count) checks are" : checks.count == 1 ? "One check is" : "\(checks.count) checks are"
        section.say("\(all) enforced:", origins)
        for check in checks { section.detail("\(check.name): \(check.demand).") }
      case .audit, .off:
        section.say(
          setting == .audit ? "At audit, what violates is written down, and the call goes on:" : "Off, and not looked at:", origins)
        for check in checks { section.detail("\(check.name): \(check.loss).", resolved.origins[.check(check.name)]) }
      }
    }
    let unknown: (Setting) -> String = { setting in
      switch setting {
      case .enforce: "counts as a violation"
      case .audit: "is written down, and the call goes on"
      case .off: "passes"
      }
    }
    section.say("A frame that cannot be judged \(unknown(profile.unknown)).", resolved.origins[.noUnwindInfo])
    section.say(
      "A stack of more than \(profile.depth) frames \(unknown(profile.onLimit)).",
      (resolved.origins[.depth] ?? []) + (resolved.origins[.onLimit] ?? []))
    return section
  }

  private static func granted(_ resolved: ResolvedProfile) -> Section {
    var section = Section(title: "What is permitted")
    for permission in Permission.allCases where resolved.profile.permissions.contains(permission) {
      section.say("\(permission.name): \(permission.meaning).", resolved.origins[.permission(permission.name)])
    }
    for runtime in JITRuntime.allCases where resolved.profile.jit.contains(runtime) {
      section.say("\(runtime.name): \(runtime.meaning).", resolved.origins[.jit(runtime.name)])
    }
    if section.sentences.isEmpty { section.say("Nothing beyond what every program does.") }
    return section
  }

  private static func violation(_ resolved: ResolvedProfile) -> Section {
    var section = Section(title: "What happens at a violation")
    let profile = resolved.profile
    section.say("In general \(profile.onViolation.words).", resolved.origins[.onViolation])
    for check in Check.allCases {
      if let action = profile.checks[check.name]?.onViolation {
        section.say("Of \(check.name): \(action.words).", resolved.origins[.check(check.name)])
      }
    }
    for trap in profile.traps {
      if let action = trap.onViolation { section.say("At \(trap.syscall): \(action.words).", resolved.origins[.trap(trap.syscall)]) }
    }
    if let floor = profile.floor { section.say("The administrator's baseline: never milder than \(floor.onViolation.short).") }
    if let until = profile.complainUntil {
      section.say("Until \(moment(until)) all of that is only written down, and every call goes on.", resolved.origins[.complainUntil])
    }
    return section
  }

  private static func ways(_ resolved: ResolvedProfile) -> Section {
    var section = Section(title: "By which ways")
    let paths = Array(resolved.profile.paths.enumerated())
    for name in Set(resolved.profile.paths.flatMap(\.syscalls)).sorted() {
      let allowed = paths.filter { $0.element.syscalls.contains(name) && !$0.element.isDenied }
      let denied = paths.filter { $0.element.syscalls.contains(name) && $0.element.isDenied }
      section.say(allowed.isEmpty ? "\(name) may be reached along any way but those below." : "\(name) may only be reached along:")
      for (index, path) in allowed { section.detail("\(path.way)\(suffix(path))", resolved.origins[.path(index)]) }
      for (index, path) in denied { section.detail("never: \(path.way)\(suffix(path))", resolved.origins[.path(index)]) }
    }
    for module in resolved.profile.modules {
      let what = [module.path.map { "the file \($0)" }, module.buildID.map { "build id \($0)" }].compactMap { $0 }
      section.say("\(module.name) is \(what.joined(separator: ", ")).", resolved.origins[.module(module.name)])
    }
    return section
  }

  private static func suffix(_ path: PathRule) -> String {
    (path.onViolation.map { "; else: \($0.words)" } ?? "") + (path.reason.map { " (\($0))" } ?? "")
  }

  private static func unique(_ origins: [Origin]) -> [Origin] {
    origins.enumerated().filter { index, origin in origins.firstIndex(of: origin) == index }.map(\.element)
  }
}

extension Explanation {
  /// Whole words on lines of at most a hundred columns.
  package func rendered(origins: Bool) -> String {
    var lines = title.split(separator: "\n").map(String.init)
    for section in sections {
      lines += ["", section.title]
      for sentence in section.sentences {
        let places = origins && !sentence.origins.isEmpty ? "  [\(sentence.origins.map(\.place).joined(separator: ", "))]" : ""
        lines += wrapped(sentence.text + places, width: 100, indent: sentence.isDetail ? 4 : 2)
      }
    }
    return lines.joined(separator: "\n")
  }

  package var json: JSONValue {
    .object([
      JSONMember("title", .string(title)),
      JSONMember(
        "sections",
        .array(
          sections.map { section in
            .object([
              JSONMember("title", .string(section.title)),
              JSONMember(
                "sentences",
                .array(
                  section.sentences.map { sentence in
                    .object([
                      JSONMember("text", .string(sentence.text)),
                      JSONMember("origins", .array(sentence.origins.map { .string($0.place) })),
                    ])
                  })),
            ])
          })),
    ])
  }
}

/// Whole words, at most `width` columns a line. The lines below the first are `hanging` columns deeper.
package func wrapped(_ text: String, width: Int, indent: Int, hanging: Int = 2) -> [String] {
  var lines = [""]
  for word in text.split(separator: " ") {
    let margin = lines.count == 1 ? indent : indent + hanging
    if !lines[lines.count - 1].isEmpty, margin + lines[lines.count - 1].count + 1 + word.count > width { lines.append("") }
    lines[lines.count - 1] += (lines[lines.count - 1].isEmpty ? "" : " ") + word
  }
  return lines.enumerated().map { String(repeating: " ", count: $0.offset == 0 ? indent : indent + hanging) + $0.element }
}
