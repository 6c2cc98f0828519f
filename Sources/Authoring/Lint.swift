package import Diagnostics
package import JSON
internal import Profile
internal import Wire
internal import YAML

/// What is wrong with a profile, or could be better.
package struct LintFinding: Equatable, Sendable {
  package enum Severity: String, Sendable { case error, warning }

  package var severity: Severity
  /// A code for an error, a rule's name for a warning: neither is ever given to something else.
  package var name: String
  package var file: String
  package var line: Int
  package var column: Int
  package var message: String
  /// How to mend it.
  package var hint: String?

  init(_ severity: Severity, _ name: String, file: String, line: Int, column: Int, message: String, hint: String?) {
    (self.severity, self.name, self.file, self.line, self.column) = (severity, name, file, line, column)
    (self.message, self.hint) = (message, hint)
  }

  /// An error.
  package init(_ code: Code, file: String, line: Int, column: Int, message: String, hint: String? = nil) {
    self.init(.error, code.rawValue, file: file, line: line, column: column, message: message, hint: hint)
  }

  /// `file:line:column: error: … (CG2002)`, as compilers say it.
  package var description: String {
    "\(file):\(line):\(column): \(severity.rawValue): \(message)\(hint.map { "; \($0)" } ?? "") (\(name))"
  }

  package var json: JSONValue {
    .object(
      [
        JSONMember("file", .string(file)), JSONMember("line", .integer(line)), JSONMember("column", .integer(column)),
        JSONMember("severity", .string(severity.rawValue)), JSONMember("name", .string(name)), JSONMember("message", .string(message)),
      ] + (hint.map { [JSONMember("hint", .string($0))] } ?? []))
  }
}

/// What the linter needs to know of the world.
package struct LintContext {
  /// All names of x86-64's system calls.
  package var syscalls: [String]
  package var secondsSince1970: Int64
  package var parent: (String) throws(Refusal) -> (bytes: [UInt8], file: String)?

  package init(
    syscalls: [String], secondsSince1970: Int64, parent: @escaping (String) throws(Refusal) -> (bytes: [UInt8], file: String)?
  ) {
    self.syscalls = syscalls
    self.secondsSince1970 = secondsSince1970
    self.parent = parent
  }
}

/// All findings of a profile's text, by line.
package func lint(_ profile: [UInt8], file: String, _ context: LintContext) -> [LintFinding] {
  let root: YAMLNode
  do throws(YAMLError) { root = try YAMLNode(parsing: profile) } catch {
    return [
      LintFinding(
        .badProfile, file: file, line: error.line, column: error.column, message: error.reason)
    ]
  }
  var search = FaultSearch(root: root, file: file)
  search.searchFile()
  search.searchNames(context.syscalls)
  if search.findings.isEmpty { search.searchMeaning(context) }
  var findings = search.findings
  // What only the document form refuses (a key of more than 128 bytes) is no fault of the profile: it gets no warnings.
  if findings.isEmpty, let document = try? YAMLDocument(parsing: profile) {
    var rules = Rules(root: root, document: document, file: file, context: context)
    rules.run()
    findings = rules.findings
  }
  return findings.sorted { ($0.line, $0.column, $0.name) < ($1.line, $1.column, $1.name) }
}

/// The parser stops at the first fault. So what it names is taken out of the tree, and the rest is read again, until nothing is left to
/// say: a fault each, but none that only another's removal has made.
private struct FaultSearch {
  var root: YAMLNode
  let file: String
  var findings: [LintFinding] = []
  /// Mappings that lost an entry here: what they lack was no fault of the author's.
  private var mended: Set<[Int]> = []
  private static let most = 100

  init(root: YAMLNode, file: String) {
    self.root = root
    self.file = file
  }

  mutating func searchFile() {
    for _ in 0..<FaultSearch.most {
      guard let refusal = ResolvedProfile.fault(of: root, file: file) else { return }
      guard note(refusal) else { return }
    }
  }

  mutating func searchMeaning(_ context: LintContext) {
    for _ in 0..<FaultSearch.most {
      do throws(Refusal) {
        _ = try ResolvedProfile(reading: root, file: file, parent: context.parent)
        return
      } catch {
        guard note(error) else { return }
      }
    }
  }

  /// A name that nobody knows would silently not be trapped.
  mutating func searchNames(_ known: [String]) {
    guard !known.isEmpty, let spec = root["spec"] else { return }
    let trapped = (spec["trap"]?.elements ?? []).compactMap { $0.text == nil ? $0["syscall"] : $0 }
    let all = trapped + (spec["untrap"]?.elements ?? []) + (spec["never"]?.elements ?? [])
    for node in all {
      guard let name = node.text, !name.hasPrefix("@"), !name.isEmpty, !known.contains(name) else { continue }
      // The parser has said already what is no name at all.
      guard !findings.contains(where: { $0.line == node.line && $0.column == node.column }) else { continue }
      let near = nearest(name, among: known).map { "did you mean '\($0)'?" }
      findings.append(
        LintFinding(
          .badProfile, file: file, line: node.line, column: node.column,
          message: "x86-64 has no system call '\(name)'", hint: near))
    }
  }

  /// Writes a refusal down and takes its cause away: false where that cannot be done, and nothing more is to be found.
  private mutating func note(_ refusal: Refusal) -> Bool {
    guard let (line, column, message) = place(in: refusal) else {
      findings.append(
        LintFinding(
          refusal.code, file: file, line: 1, column: 1, message: refusal.message, hint: refusal.hint))
      return false
    }
    // A stand-in is at fault: nothing that the author wrote.
    guard line > 0 else { return false }
    let isConsequence = mended.contains([line, column]) && (message.contains(" has neither ") || message.contains(" has either "))
    // What names something that was taken away would have a meaning if that were there.
    let isDoubtful = !findings.isEmpty && (message.contains("is named by no chain") || message.contains("at least one function"))
    if !isConsequence, !isDoubtful {
      findings.append(
        LintFinding(
          refusal.code, file: file, line: line, column: column, message: message, hint: refusal.hint))
    }
    // Of too many, each would be one too much.
    if message.contains("too many") || message.contains("at most") { return false }
    let lacking = message.split(separator: " lacks '").last.map { String($0.prefix { $0 != "'" }) }
    if message.contains(" lacks '"), let lacking, let value = FaultSearch.stand(for: lacking) {
      var tree = root
      defer { root = tree }
      return add(YAMLEntry(key: lacking, line: 0, column: 0, value: value), at: line, column, to: &tree)
    }
    var tree = root
    defer { root = tree }
    return remove(line, column, message, from: &tree) == .removed
  }

  /// Gives the mapping that begins there what it lacks.
  private func add(_ entry: YAMLEntry, at line: Int, _ column: Int, to node: inout YAMLNode) -> Bool {
    switch node.content {
    case .scalar: return false
    case .sequence(var elements):
      for index in elements.indices where add(entry, at: line, column, to: &elements[index]) {
        node.content = .sequence(elements)
        return true
      }
    case .mapping(var entries):
      let isHere = node.line == line && node.column == column && !entries.contains { $0.key == entry.key }
      if isHere {
        entries.append(entry)
        node.content = .mapping(entries)
        return true
      }
      for index in entries.indices where add(entry, at: line, column, to: &entries[index].value) {
        node.content = .mapping(entries)
        return true
      }
    }
    return false
  }

  private func place(in refusal: Refusal) -> (Int, Int, String)? {
    guard refusal.message.hasPrefix(file + ":") else { return nil }
    let parts = refusal.message.dropFirst(file.count + 1).split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, let line = Int(parts[0]), let column = Int(parts[1]) else { return nil }
    return (line, column, String(parts[2].drop { $0 == " " }))
  }

  private enum Removal { case removed, notFound, isWhole }

  /// Takes away the innermost entry or element that begins at the place.
  private mutating func remove(_ line: Int, _ column: Int, _ message: String, from node: inout YAMLNode) -> Removal {
    switch node.content {
    case .scalar: return node.line == line && node.column == column ? .isWhole : .notFound
    case .sequence(var elements):
      for index in elements.indices {
        switch remove(line, column, message, from: &elements[index]) {
        case .notFound: continue
        case .removed: break
        case .isWhole:
          elements.remove(at: index)
          mended.insert([node.line, node.column])
        }
        // A list of nothing would be a fault.
        if elements.isEmpty { return .isWhole }
        node.content = .sequence(elements)
        return .removed
      }
    case .mapping(var entries):
      // A mapping begins where its first entry does: that is meant where the message names it.
      if node.line == line, node.column == column, !(entries.first.map { message.contains("'\($0.key)'") } ?? false) { return .isWhole }
      for index in entries.indices {
        let entry = entries[index]
        var removal = Removal.isWhole
        if (entry.line, entry.column) != (line, column) || entry.value.line == line && entry.value.column == column {
          removal = remove(line, column, message, from: &entries[index].value)
        }
        switch removal {
        case .notFound: continue
        case .removed: break
        case .isWhole:
          // What is left of it would mean something else.
          if ["argument", "anySet", "allSet", "action"].contains(entry.key) { return .isWhole }
          if let value = FaultSearch.stand(for: entry.key) {
            if entry.value == value { return .isWhole }
            entries[index].value = value
          } else {
            entries.remove(at: index)
            mended.insert([node.line, node.column])
            if entries.isEmpty { return .isWhole }
          }
        }
        node.content = .mapping(entries)
        return .removed
      }
    }
    return node.line == line && node.column == column ? .isWhole : .notFound
  }

  /// What the format demands.
  private static func stand(for key: String) -> YAMLNode? {
    func node(_ content: YAMLNode.Content) -> YAMLNode { YAMLNode(content: content, line: 0, column: 0) }
    func scalar(_ text: String) -> YAMLNode { node(.scalar(text, isPlain: true)) }
    func mapping(_ keys: [String]) -> YAMLNode {
      node(.mapping(keys.compactMap { key in stand(for: key).map { YAMLEntry(key: key, line: 0, column: 0, value: $0) } }))
    }
    return switch key {
    case "apiVersion": scalar(Profile.apiVersion)
    case "kind": scalar(Profile.kind)
    case "metadata": mapping(["name", "version"])
    case "spec": mapping(["trap"])
    case "name": scalar("x")
    case "version": scalar("0")
    case "trap", "syscalls": node(.sequence([scalar("execve")]))
    case "chain": node(.sequence([scalar("x:x")]))
    case "setting": scalar(Setting.enforce.rawValue)
    case "action": scalar(Action.audit.name)
    case "group": scalar("@exec")
    case "syscall": scalar("execve")
    default: nil
    }
  }
}

extension YAMLNode {
  /// The value of a mapping's entry.
  subscript(key: String) -> YAMLNode? { entries?.first { $0.key == key }?.value }
}
