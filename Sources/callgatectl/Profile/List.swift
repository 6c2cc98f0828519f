import ArgumentParser
import Diagnostics
import Digests
import JSON
import Kernel
import Profile
import Settings

extension ProfileCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the installed profiles.",
      discussion: """
        With the digest of what each means, by which it can be pinned: dev.callgate.profile=NAME@DIGEST. One that cannot be used is said \
        on standard error, and the exit status is 1.
        """)

    @Flag(help: "One JSON object a profile, in an array.") var json = false

    func run() throws {
      let locations = try Locations.own()
      let settings = try locations.readSettings()
      var usable: [InstalledProfile] = []
      var allUsable = true
      for name in try locations.installedProfiles() {
        do throws(Refusal) {
          usable.append(try locations.installedProfile(name, under: settings))
        } catch {
          complain("callgatectl: \(error)")
          allUsable = false
        }
      }
      if json { printJSON(.array(usable.map(\.json))) } else { for installed in usable { print(installed.line) } }
      if !allUsable { throw ExitCode.failure }
    }
  }
}

extension InstalledProfile {
  /// Of its own file; what it extends has signatures of its own.
  fileprivate var signers: [String] { files.first?.signers ?? [] }

  fileprivate var line: String {
    let signed = signers.isEmpty ? "" : "\n    signed by \(signers.joined(separator: ", "))"
    let description = profile.description.isEmpty ? "" : "\n    \(profile.description)"
    return "\(profile.name)  \(profile.version)  \(profile.digest)\(description)\(signed)"
  }

  fileprivate var json: JSONValue {
    .object([
      JSONMember("name", .string(profile.name)), JSONMember("version", .string(profile.version)),
      JSONMember("digest", .string(profile.digest.description)), JSONMember("description", .string(profile.description)),
      JSONMember("files", .array(files.map { .string($0.path) })), JSONMember("signedBy", .array(signers.map(JSONValue.string))),
    ])
  }
}
