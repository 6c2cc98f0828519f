package import Diagnostics
package import JSON

/// A container's config.json: kept whole, read where callgate has an interest, changed in `linux.seccomp` only.
package struct Bundle: Equatable, Sendable {
  package private(set) var config: JSONValue

  /// `file` is only named in messages.
  package init(parsing bytes: [UInt8], file: String) throws(Refusal) {
    do throws(JSONError) { config = try JSONValue(parsing: bytes) } catch {
      throw Refusal(.badBundle, "cannot read '\(file)': \(error)")
    }
    guard config.members != nil else { throw Refusal(.badBundle, "cannot read '\(file)': it is \(config.kind), not an object") }
  }

  /// In the order of the file.
  package func annotations() throws(Refusal) -> [(key: String, value: String)] {
    guard let json = config["annotations"], json != .null else { return [] }
    guard let members = json.members else { throw Refusal(.badBundle, "annotations is \(json.kind), not an object") }
    return try members.map { member throws(Refusal) in
      guard let text = member.value.text else {
        throw Refusal(.badBundle, "the annotation '\(member.key)' is \(member.value.kind), not a string")
      }
      return (member.key, text)
    }
  }

  /// Nil where the container has no section.
  package func seccomp() throws(Refusal) -> Seccomp? {
    guard let json = config["linux"]?["seccomp"], json != .null else { return nil }
    return try Seccomp(json)
  }

  /// The section as it stands, unread.
  package var rawSeccomp: JSONValue? {
    get { config["linux"]?["seccomp"] }
    set {
      var linux = config["linux"] ?? .object([])
      linux["seccomp"] = newValue
      config["linux"] = linux
    }
  }
}
