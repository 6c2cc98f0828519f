package import Digests
internal import Profile
package import Signatures

/// A profile as it travels: its file, those of what it extends, and what signs each.
package struct Artifact: Equatable, Sendable {
  package var name: String
  package var version: String
  /// Of the profile's canonical form: what the files mean together.
  package var digest: Digest
  /// The profile's own first.
  package var profiles: [PackedProfile]

  package init(name: String, version: String, digest: Digest, profiles: [PackedProfile]) {
    self.name = name
    self.version = version
    self.digest = digest
    self.profiles = profiles
  }
}

package struct PackedProfile: Equatable, Sendable {
  package struct Signature: Equatable, Sendable {
    package var format: SignatureFormat
    package var bytes: [UInt8]

    package init(_ format: SignatureFormat, _ bytes: [UInt8]) {
      self.format = format
      self.bytes = bytes
    }
  }

  package var name: String
  package var bytes: [UInt8]
  /// At most one of a format, in the order of the formats.
  package var signatures: [Signature]

  package init(name: String, bytes: [UInt8], signatures: [Signature] = []) {
    self.name = name
    self.bytes = bytes
    self.signatures = signatures
  }
}

/// One file of an artifact, which is one layer of its manifest.
struct Layer {
  /// Nil for the profile itself.
  let signature: SignatureFormat?
  let profile: String

  init(profile: String, signature: SignatureFormat? = nil) {
    self.profile = profile
    self.signature = signature
  }

  /// Nil for anything but `NAME.yaml`, and that with the ending of a signature: a title is somebody else's word, and becomes a file's
  /// name.
  init?(title: String) {
    let signature = SignatureFormat.allCases.first { title.utf8.suffix($0.rawValue.utf8.count).elementsEqual($0.rawValue.utf8) }
    let file = title.utf8.dropLast(signature?.rawValue.utf8.count ?? 0)
    let ending = ".yaml"
    guard file.suffix(ending.utf8.count).elementsEqual(ending.utf8) else { return nil }
    let name = String(decoding: file.dropLast(ending.utf8.count), as: UTF8.self)
    guard Profile.isName(name) else { return nil }
    self.init(profile: name, signature: signature)
  }

  /// The file's name.
  var title: String { "\(profile).yaml\(signature?.rawValue ?? "")" }

  var mediaType: String {
    switch signature {
    case nil: "application/vnd.callgate.profile.v1alpha1+yaml"
    case .raw: "application/vnd.callgate.signature.v1alpha1"
    case .minisign: "application/vnd.callgate.signature.v1alpha1.minisign"
    }
  }

  /// In bytes. A profile is read up to this wherever it lies; a signature is shorter than a page.
  var limit: Int { signature == nil ? 256 << 10 : SignatureFile.maxBytes }
}
