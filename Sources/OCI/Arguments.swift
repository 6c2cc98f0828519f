package import Diagnostics

/// What callgate needs to know of a command line of runc or crun. The line itself is handed on as it came.
///
/// Both grammars have the same shape: global options, a verb, the verb's options, arguments; options end at the first word that is
/// none, or at `--` (Go's flag package; crun's argp with ARGP_IN_ORDER). Where they would read a word differently it is refused for the
/// verbs that start a container: the bundle that callgate judges must be the one that the runtime starts.
package struct Arguments: Equatable, Sendable {
  /// Without the program's name.
  package let words: [String]
  package private(set) var root: String?
  package private(set) var log: String?
  package private(set) var logFormat: String?
  package private(set) var verb: String?
  package private(set) var bundle: String?
  /// crun's --config, -f: a file that takes config.json's place.
  package private(set) var config: String?
  package private(set) var id: String?
  /// --help or --version was asked for, globally or for the verb.
  package private(set) var asksForHelp = false
  /// crun's `delete --regex`: the id is a pattern.
  package private(set) var idIsPattern = false

  /// The verbs whose options are read. All others are handed on unread.
  package static let verbsThatStart: Set<String> = ["create", "run", "restore"]

  /// What is wrong with the line. Kept, not thrown: where the failure is to be written stands on the same line.
  package private(set) var problem: Refusal?

  package init(_ words: [String]) {
    self.words = words
    do throws(Refusal) { try read() } catch { problem = error }
  }

  private mutating func read() throws(Refusal) {
    var rest = words[...]
    try readOptions(&rest, known: Arguments.globalOptions, place: Arguments.globalPlace)
    guard !asksForHelp, let verb = rest.popFirst() else { return }
    self.verb = verb
    if Arguments.verbsThatStart.contains(verb) {
      try readOptions(&rest, known: Arguments.startOptions, place: "of '\(verb)'")
      if asksForHelp { return }
      guard let id = rest.popFirst(), !id.isEmpty else {
        throw Refusal(.badArguments, "'\(verb)' needs a container's id")
      }
      guard rest.isEmpty else {
        throw Refusal(.badArguments, "'\(verb)' takes one container's id; '\(rest.joined(separator: " "))' is left over")
      }
      self.id = id
    } else if verb == "delete" {
      try readOptions(&rest, known: Arguments.deleteOptions, place: "of 'delete'")
      id = rest.first
    }
  }

  /// The options that `place` may have, until the first word that is no option.
  private mutating func readOptions(_ rest: inout ArraySlice<String>, known: [Option], place: String) throws(Refusal) {
    while let word = rest.first, word.hasPrefix("-"), word != "-" {
      rest.removeFirst()
      if word == "--" { return }
      let (name, attached) = try split(word, known: known)
      guard let option = known.first(where: { $0.names.contains(name) }) else {
        // It carries its value or has none: it cannot hide a verb or an id.
        if place == Arguments.globalPlace, attached != nil { continue }
        throw Refusal(.badArguments, "unknown option '\(word)' \(place)")
      }
      switch option.value {
      case .none: note(option.meaning, "")
      case .one:
        guard let value = attached ?? rest.popFirst() else {
          throw Refusal(.badArguments, "option '\(word)' \(place) lacks its value")
        }
        note(option.meaning, value)
      }
    }
  }

  /// `--name`, `--name=value`, `-n`, and `-nvalue` as getopt has it.
  private func split(_ word: String, known: [Option]) throws(Refusal) -> (name: String, attached: String?) {
    if word.hasPrefix("--") {
      let body = word.dropFirst(2)
      guard let sign = body.firstIndex(of: "=") else { return (String(body), nil) }
      return (String(body[..<sign]), String(body[body.index(after: sign)...]))
    }
    let body = word.dropFirst()
    let letter = String(body.prefix(1))
    let attached = body.dropFirst()
    if attached.isEmpty { return (letter, nil) }
    let isLongName = known.contains { $0.names.contains { $0.utf8.count > 1 && (body == $0[...] || body.hasPrefix("\($0)=")) } }
    let takesValue = known.contains { $0.names.contains(letter) && $0.value == .one }
    guard takesValue, !isLongName, attached.first != "=" else {
      throw Refusal(.badArguments, "option '\(word)' means different things to runc and crun", hint: "write it with two dashes")
    }
    return (letter, String(attached))
  }

  private mutating func note(_ meaning: Option.Meaning, _ value: String) {
    switch meaning {
    case .root: root = value
    case .log: log = value
    case .logFormat: logFormat = value
    case .bundle: bundle = value
    case .config: config = value
    case .help: asksForHelp = true
    case .pattern: idIsPattern = true
    case .other: break
    }
  }

  /// The path of the bundle's configuration as the runtime will resolve it: crun opens --config before it changes into the bundle,
  /// unless it is the default name (crun 1.8.1, src/create.c).
  package var configPath: String {
    if let config, config != "config.json" { return config }
    return "\(bundle ?? ".")/config.json"
  }
}

extension Arguments {
  private struct Option {
    enum Value { case none, one }
    enum Meaning { case root, log, logFormat, bundle, config, help, pattern, other }
    let names: [String]
    let value: Value
    let meaning: Meaning

    init(_ names: String..., value: Value, _ meaning: Meaning = .other) {
      self.names = names
      self.value = value
      self.meaning = meaning
    }
  }

  private static let globalPlace = "before the command"

  /// runc 1.1.5 and crun 1.8.1 `--help`; log-level is in later cruns.
  private static let globalOptions: [Option] = [
    Option("root", value: .one, .root), Option("log", value: .one, .log), Option("log-format", value: .one, .logFormat),
    Option("log-level", value: .one), Option("criu", value: .one), Option("rootless", value: .one),
    Option("cgroup-manager", value: .one), Option("debug", value: .none), Option("systemd-cgroup", value: .none),
    Option("help", "h", "?", value: .none, .help), Option("usage", value: .none, .help),
    Option("version", "v", "V", value: .none, .help),
  ]

  /// create, run and restore of both; pidfd-socket is in runc 1.2.
  private static let startOptions: [Option] = [
    Option("bundle", "b", value: .one, .bundle), Option("config", "f", value: .one, .config), Option("pid-file", value: .one),
    Option("console-socket", value: .one), Option("pidfd-socket", value: .one), Option("preserve-fds", value: .one),
    Option("image-path", value: .one), Option("work-path", value: .one), Option("parent-path", value: .one),
    Option("manage-cgroups-mode", value: .one), Option("empty-ns", value: .one), Option("lsm-profile", value: .one),
    Option("lsm-mount-context", value: .one), Option("no-pivot", value: .none), Option("no-new-keyring", value: .none),
    Option("no-subreaper", value: .none), Option("detach", "d", value: .none), Option("keep", value: .none),
    Option("tcp-established", value: .none), Option("ext-unix-sk", value: .none), Option("shell-job", value: .none),
    Option("file-locks", value: .none), Option("auto-dedup", value: .none), Option("lazy-pages", value: .none),
    Option("help", "h", "?", value: .none, .help), Option("usage", value: .none, .help),
  ]

  private static let deleteOptions: [Option] = [
    Option("force", "f", value: .none), Option("regex", "r", value: .none, .pattern),
    Option("help", "h", "?", value: .none, .help), Option("usage", value: .none, .help),
  ]
}
