package import Diagnostics
package import Profile

/// A profile as it is asked for: by name, or by name and digest: `web@sha256:…`.
package struct ProfileReference: Equatable, Sendable, CustomStringConvertible {
  package let name: String
  /// Only the profile of this digest will do.
  package let digest: Digest?

  /// Throws where there is an `@` and no digest behind it. What a name may be is for whoever looks it up to say.
  package init(_ text: String) throws(Refusal) {
    guard let at = text.firstIndex(of: "@") else {
      name = text
      digest = nil
      return
    }
    name = String(text[..<at])
    let pin = String(text[text.index(after: at)...])
    guard let digest = Digest(pin) else {
      throw Refusal(
        .otherDigest, "cannot pin the profile '\(name)': '\(pin)' is no digest",
        hint: "a pin is NAME@sha256: and 64 lower-case hex digits, as `callgatectl profile list` prints them")
    }
    self.digest = digest
  }

  package var description: String { digest.map { "\(name)@\($0)" } ?? name }

  /// Throws where another profile is installed than the one that was asked for.
  package func admit(_ profile: Profile) throws(Refusal) {
    guard let digest, digest != profile.digest else { return }
    throw Refusal(
      .otherDigest,
      "the installed profile '\(profile.name)', version \(profile.version), has the digest \(profile.digest), not \(digest)",
      hint: "install the profile that was asked for, or ask for this one")
  }
}
