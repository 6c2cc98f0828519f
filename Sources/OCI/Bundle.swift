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
    try refuseLookalikes(in: config, of: ["annotations", "linux"])
    try refuseLookalikes(in: config["linux"], of: ["seccomp"])
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

  /// The last component of the container's cgroup, by `linux.cgroupsPath`: a path, or systemd's `slice:prefix:name`, which becomes the scope
  /// `prefix-name.scope` (crun's and runc's cgroup managers). Nil where the bundle names none.
  package var cgroupName: String? {
    guard let path = config["linux"]?["cgroupsPath"]?.text, !path.isEmpty else { return nil }
    let parts = path.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count == 3, !path.contains("/") {
      if parts[2].hasSuffix(".slice") { return String(parts[2]) }
      return parts[1].isEmpty ? "\(parts[2]).scope" : "\(parts[1])-\(parts[2]).scope"
    }
    return path.split(separator: "/").last.map(String.init)
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

/// runc's JSON reader takes "Linux" and "linuX" for "linux", the last of them winning (encoding/json, foldRune); crun's does not. A
/// bundle that the two would read differently is refused.
private func refuseLookalikes(in json: JSONValue?, of names: [String]) throws(Refusal) {
  for member in json?.members ?? [] {
    for name in names where !isSame(member.key, name) && folded(member.key) == folded(name) {
      throw Refusal(.badBundle, "the member '\(member.key)' of config.json could be taken for '\(name)'")
    }
  }
}

/// Lower case as far as ASCII names can meet: U+017F and U+212A fold to s and k.
private func folded(_ text: String) -> [UInt32] {
  text.unicodeScalars.map { scalar in
    switch scalar.value {
    case 0x41...0x5A: scalar.value + 0x20
    case 0x17F: 0x73
    case 0x212A: 0x6B
    default: scalar.value
    }
  }
}
