import ArgumentParser
import Diagnostics
import Digests
import Distribution
import JSON
import Kernel
import Profile
import Settings
import Signatures

extension ProfileCommand {
  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Install profiles from OCI artifacts.",
      discussion: """
        Reads an OCI image layout or an archive of one, as 'profile export' writes them and \
        'skopeo copy docker://REGISTRY/REPOSITORY:TAG oci:DIRECTORY:TAG' fetches them. All sizes and digests are compared, signatures \
        are verified as the configuration's policy.signatures says, and the profile's own digest has to be the one that the artifact \
        states. Only then is anything written, to the settings' profiles directory.
        """)

    @Argument(help: "The layout's directory, or the archive.") var input: String
    @Option(help: "Only what has this tag.") var tag: String?
    @Option(help: "Only the profile of this name.") var name: String?
    @Flag(help: "Say what would be done, and write nothing.") var dryRun = false
    @Flag(help: "Replace profiles of the same name that are different, also those that came with callgate.") var force = false
    @Flag(help: "One JSON object a profile, in an array.") var json = false

    func run() throws {
      let locations = try Locations.own()
      let settings = try locations.readSettings()
      var found = try LayoutReader(input, reading: try reading(input)).artifacts(tagged: tag)
      if let name {
        let names = found.map(\.artifact.name)
        found = found.filter { $0.artifact.name == name }
        guard !found.isEmpty else {
          throw Refusal(.badArtifact, "\(input): it holds no profile '\(name)'", hint: "it holds: \(names.joined(separator: ", "))")
        }
      }
      var installer = Installer(locations: locations, policy: settings.signatures, force: force, keyring: try locations.readKeyring())
      var done: [(TaggedArtifact, [Installation])] = []
      for tagged in found { done.append((tagged, try installer.prepare(tagged.artifact, from: input))) }
      if !dryRun { try installer.write() }
      if json {
        printJSON(.array(done.map { tagged, files in imported(tagged, files, dryRun: dryRun) }))
      } else {
        for (tagged, files) in done {
          let artifact = tagged.artifact
          print("\(artifact.name) \(artifact.version)  \(artifact.digest)\(dryRun ? "  (nothing is written)" : "")")
          for file in files { print("    \(file.sentence)") }
        }
      }
    }
  }
}

private func reading(_ input: String) throws(Refusal) -> LayoutReading {
  let content: [UInt8]?
  do throws(SyscallError) {
    content = try identity(of: input).isDirectory ? nil : try readFile(input, limit: Archive.maxBytes)
  } catch { throw Refusal(.badArtifact, error.plain) }
  guard let content else {
    return { path, limit throws(Refusal) in
      do throws(SyscallError) { return try readPlainFile("\(input)/\(path)", limit: limit) } catch {
        if error.isNotFound { return nil }
        throw Refusal(.badArtifact, error.plain)
      }
    }
  }
  let archive = try Archive(parsing: content, file: input)
  return { path, limit throws(Refusal) in
    guard let bytes = archive.file(path) else { return nil }
    guard bytes.count <= limit else { throw Refusal(.badArtifact, "\(input): '\(path)' is larger than \(limit) bytes") }
    return Array(bytes)
  }
}

/// What becomes of one file of an artifact.
struct Installation {
  enum Change: String {
    /// There was none of this name.
    case installed
    /// There was another one, and --force.
    case replaced
    /// The same file was there, and gets signatures that it had not.
    case signed
    /// Nothing is written.
    case unchanged
  }

  let change: Change
  let file: ProfileFile
  /// Where it is, or will be.
  let path: String

  var sentence: String {
    let signers = file.signers.isEmpty ? "not signed" : "signed by \(file.signers.joined(separator: ", "))"
    return "\(change.rawValue)  \(path)  \(signers)"
  }
}

/// Compares artifacts with what is installed, and then writes.
private struct Installer {
  let locations: Locations
  let policy: SignaturePolicy
  let force: Bool
  let keyring: Keyring
  private var planned: [String: Installation] = [:]
  /// In the order in which they are written: a profile comes after what it extends.
  private var order: [String] = []

  init(locations: Locations, policy: SignaturePolicy, force: Bool, keyring: Keyring) {
    self.locations = locations
    self.policy = policy
    self.force = force
    self.keyring = keyring
  }

  /// Verifies an artifact and says what is to become of each of its files. Writes nothing.
  mutating func prepare(_ artifact: Artifact, from place: String) throws(Refusal) -> [Installation] {
    func refuse(_ reason: String) -> Refusal { Refusal(.badArtifact, "\(place): \(reason)") }
    let assembled = try InstalledProfile(artifact.name) { name throws(Refusal) in
      guard let packed = artifact.profiles.first(where: { $0.name == name }) else {
        throw refuse("the profile '\(artifact.name)' needs '\(name)', which the artifact does not hold")
      }
      return try verified(packed, from: place)
    }
    let (profile, files) = (assembled.profile, assembled.files)
    guard profile.digest == artifact.digest, profile.version == artifact.version else {
      throw Refusal(
        .badArtifact,
        "\(place): the profile '\(artifact.name)' has the version \(profile.version) and the digest \(profile.digest), not \(artifact.version) and "
          + "\(artifact.digest) as the artifact states",
        hint: "a version of callgate that knows other fields, or other calls in a group, gives another digest")
    }
    if let other = artifact.profiles.first(where: { packed in !files.contains { $0.name == packed.name } }) {
      throw refuse("the artifact holds '\(other.name)', which the profile '\(artifact.name)' does not need")
    }
    var installations: [Installation] = []
    for file in files {
      let installation = try installation(of: file)
      if let known = planned[file.name],
        known.file.bytes != file.bytes || known.file.signatures.map(\.bytes) != file.signatures.map(\.bytes)
      {
        throw refuse("two of the artifacts hold different profiles called '\(file.name)'")
      }
      planned[file.name] = installation
      installations.append(installation)
    }
    for file in files.reversed() where !order.contains(file.name) { order.append(file.name) }
    return installations
  }

  /// One that came with the programs, too, needs no signature here either.
  private func verified(_ packed: PackedProfile, from place: String) throws(Refusal) -> ProfileFile {
    let path = "\(place): \(packed.name).yaml"
    let installed = try locations.findProfile(packed.name)
    let isShipped = installed.map { $0.isShipped && $0.bytes == packed.bytes } ?? false
    return try ProfileFile(
      FoundProfile(name: packed.name, path: path, bytes: packed.bytes, isShipped: isShipped),
      packed.signatures.map { SignatureFile($0.format, $0.bytes, file: path + $0.format.rawValue) }, under: policy,
      keyring: { () throws(Refusal) in keyring })
  }

  private func installation(of file: ProfileFile) throws(Refusal) -> Installation {
    let own = "\(locations.ownProfiles)/\(file.name).yaml"
    guard let installed = try locations.findProfile(file.name) else { return Installation(change: .installed, file: file, path: own) }
    if installed.bytes == file.bytes {
      if installed.isShipped { return Installation(change: .unchanged, file: file, path: installed.path) }
      let there = try locations.readSignatures(of: own)
      let different = there.filter { old in !file.signatures.contains { $0.format == old.format && $0.bytes == old.bytes } }
      if different.isEmpty {
        return Installation(change: there.count == file.signatures.count ? .unchanged : .signed, file: file, path: own)
      }
    }
    guard force else {
      throw Refusal(
        .wouldReplace,
        "another profile '\(file.name)' is installed: \(installed.path)\(installed.bytes == file.bytes ? ", signed otherwise" : "")",
        hint: "compare the two; --force replaces it, for everything that uses or extends it")
    }
    return Installation(change: .replaced, file: file, path: own)
  }

  /// Each file whole or not at all. Signatures come first: whoever reads a profile meanwhile finds one that is not its own, and refuses.
  func write() throws(Refusal) {
    do throws(SyscallError) {
      for directory in [locations.settings, locations.ownProfiles] { try makeDirectory(directory, mode: 0o755) }
      for installation in order.compactMap({ planned[$0] }) where installation.change != .unchanged {
        for format in SignatureFormat.allCases {
          let path = installation.path + format.rawValue
          if let signature = installation.file.signatures.first(where: { $0.format == format }) {
            try replaceFile(path, with: signature.bytes)
          } else if exists(path) {
            try remove(path)
          }
        }
        if installation.change != .signed { try replaceFile(installation.path, with: installation.file.bytes) }
      }
    } catch { throw Refusal(.badConfiguration, error.plain) }
  }
}

private func imported(_ tagged: TaggedArtifact, _ files: [Installation], dryRun: Bool) -> JSONValue {
  let artifact = tagged.artifact
  return .object([
    JSONMember("name", .string(artifact.name)), JSONMember("version", .string(artifact.version)),
    JSONMember("digest", .string(artifact.digest.description)), JSONMember("manifest", .string(tagged.manifest.description)),
    JSONMember("tag", tagged.tag.map(JSONValue.string) ?? .null), JSONMember("written", .bool(!dryRun)),
    JSONMember(
      "files",
      .array(
        files.map { installation in
          .object([
            JSONMember("file", .string(installation.path)), JSONMember("change", .string(installation.change.rawValue)),
            JSONMember("signedBy", .array(installation.file.signers.map(JSONValue.string))),
          ])
        })),
  ])
}
