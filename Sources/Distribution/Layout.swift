internal import Digests
internal import JSON
internal import Signatures

/// A file of an OCI image layout, by its path below the layout's root.
package struct LayoutFile: Equatable, Sendable {
  package let path: String
  package let bytes: [UInt8]

  package init(_ path: String, _ bytes: [UInt8]) {
    self.path = path
    self.bytes = bytes
  }
}

/// Names of the OCI image specification 1.1 (manifest.md, image-layout.md, annotations.md), and ours.
enum Names {
  static let index = "application/vnd.oci.image.index.v1+json"
  static let manifest = "application/vnd.oci.image.manifest.v1+json"
  static let empty = "application/vnd.oci.empty.v1+json"
  static let artifact = "application/vnd.callgate.profile.v1alpha1"
  static let title = "org.opencontainers.image.title"
  static let version = "org.opencontainers.image.version"
  static let tag = "org.opencontainers.image.ref.name"
  static let profileDigest = "dev.callgate.profile.digest"
  static let layoutFile = "oci-layout"
  static let indexFile = "index.json"

  static func blob(_ digest: Digest) -> String { "blobs/sha256/\(digest.hex)" }
}

/// What an artifact has in place of a configuration (manifest.md, "Guidance for an Empty Descriptor").
let emptyConfig = Array("{}".utf8)

/// The tags under which a layout's artifacts are found (image-spec, annotations.md; distribution-spec, "Pulling manifests"): what both
/// a layout and a registry take.
package func isTag(_ text: String) -> Bool {
  guard let first = text.utf8.first, text.utf8.count <= 128 else { return false }
  func isWord(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == UInt8(ascii: "_")
  }
  return isWord(first) && text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
}

/// The files of a layout that holds `artifacts`, sorted by path. The same artifacts give the same bytes: no time, no host is in them.
package func layout(of artifacts: [(tag: String, artifact: Artifact)]) -> [LayoutFile] {
  var blobs: [String: [UInt8]] = [:]
  func store(_ bytes: [UInt8], _ mediaType: String, _ further: [JSONMember] = []) -> JSONValue {
    let digest = Digest(of: bytes)
    blobs[Names.blob(digest)] = bytes
    return .object(
      [
        JSONMember("mediaType", .string(mediaType)), JSONMember("digest", .string(digest.description)),
        JSONMember("size", .integer(bytes.count)),
      ] + further)
  }

  let manifests = artifacts.map { tag, artifact in
    let manifest = JSONValue.object([
      JSONMember("schemaVersion", .integer(2)), JSONMember("mediaType", .string(Names.manifest)),
      JSONMember("artifactType", .string(Names.artifact)),
      JSONMember("config", store(emptyConfig, Names.empty)),
      JSONMember(
        "layers",
        .array(
          artifact.layers.map { layer, bytes in store(bytes, layer.mediaType, [annotations([(Names.title, layer.title)])]) })),
      annotations([
        (Names.profileDigest, artifact.digest.description), (Names.title, artifact.name), (Names.version, artifact.version),
      ]),
    ])
    return store(
      manifest.serialised(), Names.manifest,
      [JSONMember("artifactType", .string(Names.artifact)), annotations([(Names.tag, tag)])])
  }
  let index = JSONValue.object([
    JSONMember("schemaVersion", .integer(2)), JSONMember("mediaType", .string(Names.index)),
    JSONMember("manifests", .array(manifests)),
  ])
  let top = [
    Names.layoutFile: Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8), Names.indexFile: index.serialised(),
  ]
  return blobs.merging(top) { blob, _ in blob }.map { LayoutFile($0.key, $0.value) }.sorted { $0.path < $1.path }
}

extension Artifact {
  /// In the order of the manifest's layers.
  package var fileNames: [String] { layers.map(\.0.title) }

  fileprivate var layers: [(Layer, [UInt8])] {
    profiles.flatMap { profile in
      [(Layer(profile: profile.name), profile.bytes)]
        + profile.signatures.map { (Layer(profile: profile.name, signature: $0.format), $0.bytes) }
    }
  }
}

private func annotations(_ pairs: [(String, String)]) -> JSONMember {
  JSONMember("annotations", .object(pairs.map { JSONMember($0.0, .string($0.1)) }))
}
