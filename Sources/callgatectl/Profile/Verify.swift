import ArgumentParser
import Diagnostics
import JSON
import Kernel
import Settings
import Signatures

extension ProfileCommand {
  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say which keys signed a profile.",
      discussion: """
        All signatures beside the file (.sig of openssl's kind, .minisig) must be of trusted keys, and there must be one; else the exit \
        status is 1. Trusted are the keys in /etc/callgate/keys, or only those that --key names.
        """)

    @Argument(help: "An installed profile's name, or a file: anything with a '/' or '.yaml'.") var profile: String
    @Option(help: "A public key to trust in place of the installed ones: *.pem of openssl's, *.pub of minisign's.") var key: [String] = []
    @Flag(help: "One JSON object.") var json = false

    func run() throws {
      let locations = try Locations.own()
      let found = try find(locations)
      let signatures = try locations.readSignatures(of: found.path)
      guard !signatures.isEmpty else {
        throw Refusal(.notSigned, "\(found.path): there is no signature beside it (\(found.path).sig, .minisig)")
      }
      let signers = try (key.isEmpty ? locations.readKeyring() : givenKeys()).signers(of: found.bytes, signatures)
      let pairs = zip(signatures, signers)
      if json {
        printJSON(
          .object([
            JSONMember("file", .string(found.path)),
            JSONMember(
              "signatures",
              .array(pairs.map { .object([JSONMember("file", .string($0.file)), JSONMember("key", .string($1))]) })),
          ]))
      } else {
        for (signature, signer) in pairs { print("\(found.path): signed by \(signer) (\(signature.file))") }
      }
    }

    private func find(_ locations: Locations) throws(Refusal) -> FoundProfile {
      guard profile.contains("/") || profile.hasSuffix(".yaml") else {
        guard let found = try locations.findProfile(profile) else {
          throw Refusal(.profileNotInstalled, "profile '\(profile)' is not installed", hint: "a file is named by its path")
        }
        return found
      }
      do throws(SyscallError) {
        let bytes = try readFile(profile, limit: FoundProfile.maxBytes)
        return FoundProfile(name: profile, path: profile, bytes: bytes, isShipped: false)
      } catch { throw Refusal(.badProfile, error.plain) }
    }

    private func givenKeys() throws(Refusal) -> Keyring {
      var keyring = Keyring()
      for file in key {
        guard Keyring.isKeyFile(file) else { throw Refusal(.badKey, "\(file): a public key's file ends in .pem or .pub") }
        let bytes: [UInt8]
        do throws(SyscallError) { bytes = try readFile(file, limit: SignatureFile.maxBytes) } catch { throw Refusal(.badKey, error.plain) }
        try keyring.add(file, bytes, file: file)
      }
      return keyring
    }
  }
}
