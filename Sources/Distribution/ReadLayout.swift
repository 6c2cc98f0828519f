package import Diagnostics
package import Digests
internal import JSON
internal import Profile
internal import Signatures

/// Reads a file of a layout by its path below the layout's root, nil where there is none. More than `limit` bytes, and what is no plain
/// file, are refused.
package typealias LayoutReading = (_ path: String, _ limit: Int) throws(Refusal) -> [UInt8]?

/// An artifact of a layout, by the tag that its index gives it.
package struct TaggedArtifact: Equatable, Sendable {
  package let tag: String?
  /// Of the manifest: what registries know it by.
  package let manifest: Digest
  package let artifact: Artifact
}

/// A layout that somebody else may have made. Of every blob that is read, size and digest are compared with what refers to it; what the
/// digests do not hold is who made it.
package struct LayoutReader {
  /// Larger ones than anybody makes: a manifest is 1 KiB, a profile and a signature add half a KiB each.
  static let maxManifests = 64
  static let maxLayers = 64
  static let maxJSONBytes = 256 << 10

  /// Names the layout in messages.
  let place: String
  let read: LayoutReading

  package init(_ place: String, reading read: @escaping LayoutReading) {
    self.place = place
    self.read = read
  }

  /// The artifacts that the index lists, or only those of one tag.
  package func artifacts(tagged tag: String? = nil) throws(Refusal) -> [TaggedArtifact] {
    let version = try json(try file(Names.layoutFile, limit: LayoutReader.maxJSONBytes), Names.layoutFile)["imageLayoutVersion"]
    guard version?.text == "1.0.0" else { throw refuse("it is no OCI image layout of version 1.0.0") }
    let index = try json(try file(Names.indexFile, limit: LayoutReader.maxJSONBytes), Names.indexFile)
    guard index["schemaVersion"] == .integer(2), let entries = index["manifests"]?.elements else {
      throw refuse("\(Names.indexFile) is no OCI image index")
    }
    guard entries.count <= LayoutReader.maxManifests else { throw refuse("it lists more than \(LayoutReader.maxManifests) manifests") }

    var found: [TaggedArtifact] = []
    var tags: [String?] = []
    for entry in entries {
      let descriptor = try Descriptor(entry, "a manifest", self)
      let name = try descriptor.annotation(Names.tag, self)
      tags.append(name)
      if let tag, name != tag { continue }
      found.append(TaggedArtifact(tag: name, manifest: descriptor.digest, artifact: try artifact(descriptor)))
    }
    guard !found.isEmpty else {
      let known = tags.compactMap(\.self)
      throw refuse(
        tag.map { "it holds nothing tagged '\($0)'" } ?? "it holds nothing",
        hint: known.isEmpty ? nil : "its tags: \(known.joined(separator: ", "))")
    }
    return found
  }

  private func artifact(_ descriptor: Descriptor) throws(Refusal) -> Artifact {
    guard descriptor.mediaType == Names.manifest else {
      throw refuse("\(descriptor.digest) is of the type '\(descriptor.mediaType)', not a manifest", hint: "choose a profile with --tag")
    }
    let manifest = try json(try blob(descriptor, limit: LayoutReader.maxJSONBytes), "the manifest \(descriptor.digest)")
    guard manifest["schemaVersion"] == .integer(2), manifest["mediaType"]?.text == Names.manifest,
      manifest["artifactType"]?.text == Names.artifact
    else {
      throw refuse(
        "\(descriptor.digest) is no manifest of a profile: its artifactType is not \(Names.artifact)", hint: "choose a profile with --tag")
    }
    let config = try Descriptor(manifest["config"], "the config", self)
    guard config.mediaType == Names.empty, try blob(config, limit: 2) == emptyConfig else {
      throw refuse("the config of \(descriptor.digest) is not the empty one")
    }
    guard let name = try annotation(manifest, Names.title), Profile.isName(name), let version = try annotation(manifest, Names.version),
      let digest = try annotation(manifest, Names.profileDigest).flatMap(Digest.init)
    else {
      throw refuse(
        "\(descriptor.digest) does not say its profile's name, version and digest (\(Names.title), \(Names.version), \(Names.profileDigest))"
      )
    }
    let profiles = try profiles(manifest["layers"], of: descriptor.digest)
    guard profiles.first?.name == name else { throw refuse("the first file of \(descriptor.digest) is not \(name).yaml") }
    return Artifact(name: name, version: version, digest: digest, profiles: profiles)
  }

  /// A signature follows the profile that it signs.
  private func profiles(_ layers: JSONValue?, of manifest: Digest) throws(Refusal) -> [PackedProfile] {
    guard let layers = layers?.elements, layers.count <= LayoutReader.maxLayers else {
      throw refuse("\(manifest) has no list of layers, or more than \(LayoutReader.maxLayers)")
    }
    var profiles: [PackedProfile] = []
    for entry in layers {
      let descriptor = try Descriptor(entry, "a layer", self)
      let title = try descriptor.annotation(Names.title, self)
      guard let title, let layer = Layer(title: title), descriptor.mediaType == layer.mediaType else {
        throw refuse(
          "'\(title ?? "")' of the type '\(descriptor.mediaType)' is no file of a profile: NAME.yaml, NAME.yaml.sig, NAME.yaml.minisig")
      }
      let bytes = try blob(descriptor, limit: layer.limit)
      guard let format = layer.signature else {
        guard !profiles.contains(where: { $0.name == layer.profile }) else { throw refuse("'\(title)' is there twice") }
        profiles.append(PackedProfile(name: layer.profile, bytes: bytes))
        continue
      }
      guard var signed = profiles.popLast(), signed.name == layer.profile, !signed.signatures.contains(where: { $0.format == format })
      else {
        throw refuse("'\(title)' does not follow the profile that it signs, or is there twice")
      }
      signed.signatures.append(PackedProfile.Signature(format, bytes))
      profiles.append(signed)
    }
    return profiles
  }

  // MARK: files

  func refuse(_ reason: String, hint: String? = nil) -> Refusal { Refusal(.badArtifact, "\(place): \(reason)", hint: hint) }

  private func file(_ path: String, limit: Int) throws(Refusal) -> [UInt8] {
    guard let bytes = try read(path, limit) else { throw refuse("there is no '\(path)'") }
    return bytes
  }

  /// The bytes that a descriptor refers to, and no others.
  private func blob(_ descriptor: Descriptor, limit: Int) throws(Refusal) -> [UInt8] {
    guard descriptor.size <= limit else { throw refuse("\(descriptor.digest) is larger than \(limit) bytes") }
    let bytes = try file(Names.blob(descriptor.digest), limit: limit)
    guard bytes.count == descriptor.size else {
      throw refuse("\(descriptor.digest) has \(bytes.count) bytes, not \(descriptor.size) as it should")
    }
    let digest = Digest(of: bytes)
    guard digest == descriptor.digest else { throw refuse("'\(Names.blob(descriptor.digest))' has the digest \(digest)") }
    return bytes
  }

  private func json(_ bytes: [UInt8], _ what: String) throws(Refusal) -> JSONValue {
    do throws(JSONError) { return try JSONValue(parsing: bytes) } catch { throw refuse("\(what): \(error)") }
  }

  /// Nil where there is none; anything but a text is refused.
  fileprivate func annotation(_ json: JSONValue, _ name: String) throws(Refusal) -> String? {
    guard let value = json["annotations"]?[name] else { return nil }
    guard let text = value.text else { throw refuse("the annotation '\(name)' is \(value.kind), not a string") }
    return text
  }
}

/// image-spec, descriptor.md: what refers to a blob.
private struct Descriptor {
  let mediaType: String
  let digest: Digest
  let size: Int
  private let json: JSONValue

  init(_ json: JSONValue?, _ what: String, _ reader: LayoutReader) throws(Refusal) {
    guard let json, let mediaType = json["mediaType"]?.text, let digest = json["digest"]?.text.flatMap(Digest.init),
      let size = json["size"]?.integer(Int.self), size >= 0
    else { throw reader.refuse("\(what) is not referred to by type, SHA-256 digest and size") }
    self.mediaType = mediaType
    self.digest = digest
    self.size = size
    self.json = json
  }

  func annotation(_ name: String, _ reader: LayoutReader) throws(Refusal) -> String? { try reader.annotation(json, name) }
}
