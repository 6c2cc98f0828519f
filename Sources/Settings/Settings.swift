package import Diagnostics
package import Profile
internal import TOMLKit

/// The administrator's configuration: only keys that do something in this version.
package struct Settings: Equatable, Sendable {
  /// Low-level runtimes, names or absolute paths; the first that exists is used.
  package var runtimes = ["crun", "runc"]
  /// `policy.default = "untrusted"`: every container is supervised, annotated or not.
  package var everyContainerIsUntrusted = false
  /// `policy.profile`: the profile of an untrusted container that names none.
  package var profile = "default"
  /// `policy.mode`: annotations may only be stricter.
  package var mode = Mode.enforce
  /// `policy.baseline`: the profile that no untrusted container's is looser than; nil for none.
  package var baseline: String?
  /// `policy.signatures`: what a profile without one is worth.
  package var signatures = SignaturePolicy.optional

  package init() {}
}

/// A signature that is there and wrong is refused under either.
package enum SignaturePolicy: String, CaseIterable, Sendable {
  /// A profile needs none.
  case optional
  /// A profile that did not come with the programs needs one.
  case required
}

extension Settings {
  private static let topKeys = ["runtimes", "policy"]
  private static let policyKeys = ["default", "profile", "mode", "baseline", "signatures"]

  /// Lays what one file says over what was said before; a key it does not name stays as it was.
  package mutating func apply(_ text: String, file: String) throws(Refusal) {
    let source = Source(text: text, file: file)
    let root = try source.table()
    for key in root.keys.sorted() {
      switch key {
      case "runtimes": runtimes = try source.runtimes(root[key])
      case "policy":
        guard let policy = root[key]?.table else { throw source.refuse("policy", "policy must be a table") }
        for key in policy.keys.sorted() { try apply(policy, key, source) }
      default: throw source.refuse(key, "unknown key '\(key)'\(suggestion(for: key, among: Settings.topKeys))")
      }
    }
  }

  private mutating func apply(_ policy: TOMLTable, _ key: String, _ source: Source) throws(Refusal) {
    let name = "policy.\(key)"
    switch key {
    case "default":
      let word = try source.text(policy[key], key, name)
      switch word {
      case "trusted": everyContainerIsUntrusted = false
      case "untrusted": everyContainerIsUntrusted = true
      default: throw source.refuse(key, "\(name) must be 'trusted' or 'untrusted', not '\(word)'")
      }
    case "profile": profile = try source.profileName(policy[key], key, name)
    case "baseline": baseline = try source.profileName(policy[key], key, name)
    case "mode":
      let word = try source.text(policy[key], key, name)
      guard let known = Mode(rawValue: word) else {
        throw source.refuse(key, "\(name) must be 'enforce' or 'audit', not '\(word)'")
      }
      mode = known
    case "signatures":
      let word = try source.text(policy[key], key, name)
      guard let known = SignaturePolicy(rawValue: word) else {
        throw source.refuse(key, "\(name) must be 'optional' or 'required', not '\(word)'")
      }
      signatures = known
    default: throw source.refuse(key, "unknown key '\(name)'\(suggestion(for: key, among: Settings.policyKeys))")
    }
  }
}

/// One file's text, for messages that say where.
private struct Source {
  let text: String
  let file: String

  func table() throws(Refusal) -> TOMLTable {
    do { return try TOMLTable(string: text) } catch let error as TOMLParseError {
      throw Refusal(.badConfiguration, "\(file):\(error.source.begin.line): \(error.description)")
    } catch {
      throw Refusal(.badConfiguration, "\(file): \(error)")
    }
  }

  /// TOMLKit does not say where a key stands, so the first line that begins with it, or with a table's header that ends in it, is named.
  func refuse(_ key: String, _ reason: String) -> Refusal {
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.split { " \t=[].\"'{},".contains($0) }
      let isHeader = line.drop { $0 == " " || $0 == "\t" }.first == "["
      guard isHeader ? words.last == key[...] : words.prefix(2).contains(key[...]) else { continue }
      return Refusal(.badConfiguration, "\(file):\(index + 1): \(reason)")
    }
    return Refusal(.badConfiguration, "\(file): \(reason)")
  }

  func text(_ value: (any TOMLValueConvertible)?, _ key: String, _ name: String) throws(Refusal) -> String {
    guard let text = value?.string else { throw refuse(key, "\(name) must be a text") }
    return text
  }

  func profileName(_ value: (any TOMLValueConvertible)?, _ key: String, _ name: String) throws(Refusal) -> String {
    let word = try text(value, key, name)
    guard Profile.isName(word) else {
      throw refuse(key, "'\(word)' is no profile name: lower-case letters, digits and '-' only")
    }
    return word
  }

  func runtimes(_ value: (any TOMLValueConvertible)?) throws(Refusal) -> [String] {
    guard let array = value?.array else { throw refuse("runtimes", "runtimes must be a list of names or absolute paths") }
    var names: [String] = []
    for element in array {
      guard let name = element.string, !name.isEmpty, name.hasPrefix("/") || !name.contains("/") else {
        throw refuse("runtimes", "runtimes must be a list of names or absolute paths")
      }
      names.append(name)
    }
    guard !names.isEmpty else { throw refuse("runtimes", "runtimes must name at least one runtime") }
    return names
  }
}
