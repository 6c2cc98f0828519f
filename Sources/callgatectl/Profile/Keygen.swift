import ArgumentParser
import Diagnostics
import JSON
import Kernel
import Signatures

extension ProfileCommand {
  struct Keygen: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a pair of Ed25519 keys to sign profiles with.",
      discussion: """
        NAME.key.pem signs, and is nobody else's to read; NAME.pem belongs into /etc/callgate/keys of every machine that is to believe \
        it. They are openssl's: 'openssl genpkey -algorithm ed25519' makes the same. A pair that exists is never replaced.
        """)

    @Argument(help: "What the files are called, up to their endings; a path is one, too.") var name: String
    @Flag(help: "One JSON object.") var json = false

    func run() throws {
      let key = try SecretKey.make()
      let (secret, known) = ("\(name).key.pem", "\(name).pem")
      try refuseExisting(known)
      try write(key.pem, to: secret, mode: 0o600)
      try write(key.publicKey.pem, to: known, mode: 0o644)
      guard !json else { return printJSON(.object([JSONMember("secret", .string(secret)), JSONMember("public", .string(known))])) }
      print("\(secret)  signs: keep it to yourself\n\(known)  verifies: put it into /etc/callgate/keys")
    }

    private func write(_ text: String, to file: String, mode: UInt32) throws(Refusal) {
      do throws(SyscallError) { try writeNewFile(file, Array(text.utf8), mode: mode) } catch {
        if error.isExisting { throw Refusal(.wouldReplace, "'\(file)' exists, and no key is ever replaced") }
        throw Refusal(.badKey, error.plain)
      }
    }

    private func refuseExisting(_ file: String) throws(Refusal) {
      if exists(file) { throw Refusal(.wouldReplace, "'\(file)' exists, and no key is ever replaced") }
    }
  }
}
