import Diagnostics
import Digests
import Distribution
import JSON
import Signatures
import Testing

/// A profile that extends another one; one of the two is signed twice.
private let sample = Artifact(
  name: "web", version: "1.2.0", digest: Digest(of: [1]),
  profiles: [
    PackedProfile(
      name: "web", bytes: Array("a profile".utf8),
      signatures: [.init(.raw, [UInt8](repeating: 7, count: 64)), .init(.minisign, Array("untrusted comment: x\n".utf8))]),
    PackedProfile(name: "parent", bytes: Array("its parent".utf8)),
  ])

/// A layout in memory, which a test can damage.
private struct Layout {
  var files: [String: [UInt8]]

  init(_ artifacts: (tag: String, artifact: Artifact)...) {
    files = Dictionary(uniqueKeysWithValues: layout(of: artifacts).map { ($0.path, $0.bytes) })
  }

  func artifacts(tagged tag: String? = nil) throws(Refusal) -> [TaggedArtifact] {
    try LayoutReader("layout") { path, _ throws(Refusal) in files[path] }.artifacts(tagged: tag)
  }

  func json(_ path: String) throws -> JSONValue { try JSONValue(parsing: try #require(files[path])) }

  /// Changes the only manifest, and what refers to it: only what is said in it is wrong then.
  mutating func changeManifest(_ change: (inout JSONValue) -> Void) throws {
    var index = try json("index.json")
    var entry = try #require(index["manifests"]?.elements?.first)
    let old = try #require(Digest(entry["digest"]?.text ?? ""))
    var manifest = try json("blobs/sha256/\(old.hex)")
    change(&manifest)
    let bytes = manifest.serialised()
    let digest = Digest(of: bytes)
    files["blobs/sha256/\(digest.hex)"] = bytes
    entry["digest"] = .string(digest.description)
    entry["size"] = .integer(bytes.count)
    index["manifests"] = .array([entry])
    files["index.json"] = index.serialised()
  }
}

@Test func `an artifact comes back as it was packed`() throws {
  let found = try Layout(("v1", sample)).artifacts()
  #expect(found.map(\.artifact) == [sample] && found.map(\.tag) == ["v1"])
}

@Test func `the same artifacts give the same bytes`() {
  #expect(layout(of: [("v1", sample)]) == layout(of: [("v1", sample)]))
  #expect(archive(of: layout(of: [("v1", sample)])) == archive(of: layout(of: [("v1", sample)])))
  var other = sample
  other.profiles[1].bytes.append(0)
  #expect(layout(of: [("v1", sample)]) != layout(of: [("v1", other)]))
}

@Test func `the manifest is what image-spec 1.1 calls an artifact`() throws {
  let layout = Layout(("v1", sample))
  #expect(layout.files["oci-layout"] == Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
  let entry = try #require(try layout.json("index.json")["manifests"]?.elements?.first)
  #expect(entry["annotations"]?["org.opencontainers.image.ref.name"] == .string("v1"))
  let manifest = try layout.json("blobs/sha256/\(try #require(Digest(entry["digest"]?.text ?? "")).hex)")
  #expect(manifest["artifactType"] == .string("application/vnd.callgate.profile.v1alpha1"))
  #expect(manifest["config"]?["mediaType"] == .string("application/vnd.oci.empty.v1+json"))
  // image-spec, manifest.md: the empty descriptor's digest.
  #expect(
    manifest["config"]?["digest"] == .string("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"))
  #expect(manifest["annotations"]?["dev.callgate.profile.digest"] == .string(sample.digest.description))
  #expect(
    manifest["layers"]?.elements?.map { $0["annotations"]?["org.opencontainers.image.title"] }
      == ["web.yaml", "web.yaml.sig", "web.yaml.minisig", "parent.yaml"].map(JSONValue.string))
}

@Test func `artifacts are chosen by their tags`() throws {
  var other = sample
  other.name = "db"
  other.profiles[0].name = "db"
  let layout = Layout(("v1", sample), ("v2", other))
  #expect(try layout.artifacts().map(\.artifact.name) == ["web", "db"])
  #expect(try layout.artifacts(tagged: "v2").map(\.artifact.name) == ["db"])
  let refusal = #expect(throws: Refusal.self) { try layout.artifacts(tagged: "v3") }
  #expect(refusal?.code == .badArtifact && refusal?.hint == "its tags: v1, v2")
}

@Test(arguments: [
  ("v1", true), ("1.2.0", true), ("_", true), ("", false), ("a b", false), ("../x", false), (".x", false), ("-x", false), ("a:b", false),
  (String(repeating: "x", count: 128), true), (String(repeating: "x", count: 129), false), ("é", false),
])
func `tags are what registries take`(text: String, isOne: Bool) { #expect(isTag(text) == isOne) }

// MARK: hostile layouts

private func expectRefused(_ layout: Layout, _ reason: String, sourceLocation: SourceLocation = #_sourceLocation) {
  let refusal = #expect(throws: Refusal.self, sourceLocation: sourceLocation) { try layout.artifacts() }
  #expect(refusal?.code == .badArtifact, sourceLocation: sourceLocation)
  #expect(refusal?.message.contains(reason) == true, "\(refusal as Any)", sourceLocation: sourceLocation)
}

@Test func `each file that is missing or changed is missed`() throws {
  let whole = Layout(("v1", sample))
  for path in whole.files.keys {
    var layout = whole
    layout.files[path] = nil
    expectRefused(layout, "there is no '\(path)'")
    guard path.hasPrefix("blobs/") else { continue }
    for change in [{ (bytes: inout [UInt8]) in bytes[0] ^= 1 }, { $0.append(0) }, { $0.removeLast() }] {
      layout = whole
      change(&layout.files[path]!)
      #expect(throws: Refusal.self) { try layout.artifacts() }
    }
    layout = whole
    layout.files[path]![0] ^= 1
    expectRefused(layout, "'\(path)' has the digest")
  }
}

@Test(arguments: [
  "../../../etc/passwd", "/etc/cron.d/x.yaml", "../web.yaml", "sub/web.yaml", "web.yaml/../../x.yaml", ".yaml", "WEB.yaml", "web.yml",
  "web.yaml.sig.sig", "config.toml", "wéb.yaml", "", "web.yaml.minisig.yaml",
])
func `a file has no name but a profile's`(title: String) throws {
  for place in 0..<4 {
    var layout = Layout(("v1", sample))
    try layout.changeManifest { manifest in
      var layers = manifest["layers"]!.elements!
      layers[place]["annotations"] = .object([JSONMember("org.opencontainers.image.title", .string(title))])
      manifest["layers"] = .array(layers)
    }
    expectRefused(layout, "is no file of a profile")
  }
}

@Test(arguments: [
  "sha256:../../../../../../../../../../../../../../../../../../../../etc/pass", "sha512:00", "", "sha256:00",
  "sha256:" + String(repeating: "A", count: 64),
])
func `a digest is one of SHA-256 and no path`(text: String) throws {
  var layout = Layout(("v1", sample))
  try layout.changeManifest { manifest in
    var layers = manifest["layers"]!.elements!
    layers[0]["digest"] = .string(text)
    manifest["layers"] = .array(layers)
  }
  expectRefused(layout, "not referred to by type, SHA-256 digest and size")
}

@Test(arguments: ["262145", "9223372036854775807"]) func `what says that it is huge is not read`(size: String) throws {
  var layout = Layout(("v1", sample))
  try layout.changeManifest { manifest in
    var layers = manifest["layers"]!.elements!
    layers[0]["size"] = .number(size)
    manifest["layers"] = .array(layers)
  }
  expectRefused(layout, "is larger than 262144 bytes")
}

@Test(arguments: ["-1", "9223372036854775808", "1.5"]) func `a size is a number of bytes`(size: String) throws {
  var layout = Layout(("v1", sample))
  try layout.changeManifest { $0["config"]!["size"] = .number(size) }
  expectRefused(layout, "SHA-256 digest and size")
}

@Test func `a reader is never asked for more than a limit`() throws {
  let layout = Layout(("v1", sample))
  let reader = LayoutReader("layout") { path, limit throws(Refusal) in
    #expect(limit <= 256 << 10)
    return layout.files[path]
  }
  _ = try reader.artifacts()
}

@Test func `what is no profile's artifact is refused`() throws {
  typealias Change = (inout JSONValue) -> Void
  let wrong: [(String, Change)] = [
    ("artifactType", { $0["artifactType"] = .string("application/vnd.oci.image.config.v1+json") }),
    ("artifactType", { $0["artifactType"] = nil }),
    ("config", { $0["config"]!["mediaType"] = .string("application/vnd.oci.image.config.v1+json") }),
    ("the config", { $0["config"] = nil }), ("name, version and digest", { $0["annotations"] = nil }),
    ("name, version and digest", { $0["annotations"]!["dev.callgate.profile.digest"] = .string("sha256:0") }),
    ("name, version and digest", { $0["annotations"]!["org.opencontainers.image.title"] = .string("../web") }),
    ("is a number, not a string", { $0["annotations"]!["org.opencontainers.image.version"] = .integer(1) }),
    ("the first file", { $0["annotations"]!["org.opencontainers.image.title"] = .string("db") }),
    ("list of layers", { $0["layers"] = nil }), ("the first file", { $0["layers"] = .array([]) }),
    ("list of layers", { manifest in manifest["layers"] = .array(Array(repeating: manifest["layers"]!.elements![0], count: 65)) }),
    ("there twice", { manifest in manifest["layers"] = .array(Array(repeating: manifest["layers"]!.elements![0], count: 2)) }),
    (
      "there twice",
      { manifest in
        let layers = manifest["layers"]!.elements!
        manifest["layers"] = .array([layers[0], layers[1], layers[1]])
      }
    ),
    (
      "does not follow",
      { manifest in
        let layers = manifest["layers"]!.elements!
        manifest["layers"] = .array([layers[0], layers[3], layers[1]])
      }
    ),
    (
      "is no file of a profile",
      { manifest in
        var layers = manifest["layers"]!.elements!
        layers[0]["mediaType"] = .string("application/vnd.oci.image.layer.v1.tar")
        manifest["layers"] = .array(layers)
      }
    ),
  ]
  for (reason, change) in wrong {
    var layout = Layout(("v1", sample))
    try layout.changeManifest(change)
    expectRefused(layout, reason)
  }
}

@Test func `an index of something else, or of too much, is refused`() throws {
  for (text, reason) in [
    ("", "index.json"), ("[]", "no OCI image index"), (#"{"schemaVersion":1,"manifests":[]}"#, "no OCI image index"),
    (#"{"schemaVersion":2,"manifests":[]}"#, "it holds nothing"),
    (#"{"schemaVersion":2,"manifests":[{}]}"#, "a manifest is not referred to"),
  ] {
    var layout = Layout(("v1", sample))
    layout.files["index.json"] = Array(text.utf8)
    expectRefused(layout, reason)
  }
  var layout = Layout(("v1", sample))
  var index = try layout.json("index.json")
  index["manifests"] = .array(Array(repeating: index["manifests"]!.elements![0], count: 65))
  layout.files["index.json"] = index.serialised()
  expectRefused(layout, "more than 64 manifests")
  layout = Layout(("v1", sample))
  layout.files["oci-layout"] = Array(#"{"imageLayoutVersion":"2.0.0"}"#.utf8)
  expectRefused(layout, "no OCI image layout")
}
