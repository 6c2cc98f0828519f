import ArgumentParser
import Diagnostics
import Digests
import Distribution
import Glibc
import JSON
import Kernel
import Profile
import Settings
import Signatures

extension ProfileCommand {
  struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Pack installed profiles as OCI artifacts.",
      discussion: """
        Writes an OCI image layout, or the same as an archive where OUTPUT ends in .tar: for each profile a manifest of the type \
        application/vnd.callgate.profile.v1alpha1 with the profile's file, its signatures, and the files of what it extends. The same \
        profiles give the same bytes. What carries OCI images carries it, too: \
        'skopeo copy oci:OUTPUT:TAG docker://REGISTRY/REPOSITORY:TAG'.
        """)

    @Argument(help: "The profiles' names; NAME@DIGEST demands that digest.") var names: [String]
    @Option(help: "A directory, which must not be there yet or be empty, or a file that ends in .tar and must not be there yet.")
    var output: String
    @Option(help: "The tag of the only profile; its name by default.") var tag: String?
    @Flag(help: "One JSON object a profile, in an array.") var json = false

    func validate() throws {
      guard !names.isEmpty else { throw ValidationError("which profile? callgatectl profile list") }
      guard let tag else { return }
      guard names.count == 1 else { throw ValidationError("--tag goes with one profile: of several, each is tagged with its name") }
      guard isTag(tag) else { throw ValidationError("'\(tag)' is no tag: at most 128 letters, digits, '_', '.' and '-'") }
    }

    func run() throws {
      let locations = try Locations.own()
      let settings = try locations.readSettings()
      var artifacts: [(tag: String, artifact: Artifact)] = []
      for name in names {
        let artifact = Artifact(try locations.installedProfile(name, under: settings))
        guard !artifacts.contains(where: { $0.artifact.name == artifact.name }) else {
          throw ValidationError("'\(artifact.name)' is named twice")
        }
        artifacts.append((tag ?? artifact.name, artifact))
      }
      let files = layout(of: artifacts)
      if output.hasSuffix(".tar") { try writeArchive(files) } else { try writeDirectory(files) }
      if json {
        printJSON(.array(artifacts.map { exported(in: output, $0.tag, $0.artifact) }))
      } else {
        for (tag, artifact) in artifacts {
          print("\(output):\(tag)  \(artifact.name) \(artifact.version)  \(artifact.digest)")
          for file in artifact.fileNames { print("    \(file)") }
        }
      }
    }

    private func writeArchive(_ files: [LayoutFile]) throws(Refusal) {
      do throws(SyscallError) { try writeNewFile(output, archive(of: files), mode: 0o644) } catch {
        if error.isExisting { throw Refusal(.wouldReplace, "'\(output)' exists already") }
        throw Refusal(.badArtifact, error.plain)
      }
    }

    /// The index comes last: without it there is no layout.
    private func writeDirectory(_ files: [LayoutFile]) throws(Refusal) {
      do throws(SyscallError) {
        if !(try makeDirectory(output, mode: 0o755)), !(try list(output).isEmpty) {
          throw SyscallError("fill the directory", errno: EEXIST, subject: output)
        }
        for directory in ["blobs", "blobs/sha256"] { try makeDirectory("\(output)/\(directory)", mode: 0o755) }
        for file in files where file.path != "index.json" { try writeNewFile("\(output)/\(file.path)", file.bytes, mode: 0o644) }
        for file in files where file.path == "index.json" { try writeNewFile("\(output)/\(file.path)", file.bytes, mode: 0o644) }
      } catch {
        if error.isExisting { throw Refusal(.wouldReplace, "'\(output)' exists already and is not empty") }
        throw Refusal(.badArtifact, error.plain)
      }
    }
  }
}

extension Artifact {
  init(_ installed: InstalledProfile) {
    self.init(
      name: installed.profile.name, version: installed.profile.version, digest: installed.profile.digest,
      profiles: installed.files.map { file in
        PackedProfile(
          name: file.name, bytes: file.bytes, signatures: file.signatures.map { PackedProfile.Signature($0.format, $0.bytes) })
      })
  }
}

private func exported(in output: String, _ tag: String, _ artifact: Artifact) -> JSONValue {
  .object([
    JSONMember("output", .string(output)), JSONMember("tag", .string(tag)), JSONMember("name", .string(artifact.name)),
    JSONMember("version", .string(artifact.version)), JSONMember("digest", .string(artifact.digest.description)),
    JSONMember(
      "files",
      .array(artifact.fileNames.map(JSONValue.string))),
  ])
}
