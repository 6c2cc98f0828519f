import ArgumentParser
import Diagnostics
import JSON
import Kernel
import Settings
import Signatures

extension ProfileCommand {
  struct Sign: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Sign a profile's file.",
      discussion: """
        Writes FILE.sig, a signature of the file's bytes as they are, and replaces one that is there. The same as \
        'openssl pkeyutl -sign -rawin -inkey KEY -in FILE -out FILE.sig'.
        """)

    @Argument(help: "The profile's file.") var file: String
    @Option(help: "The private key, as 'profile keygen' or openssl makes it.") var key: String
    @Flag(help: "One JSON object.") var json = false

    func run() throws {
      let (keyBytes, bytes): ([UInt8], [UInt8])
      do throws(SyscallError) { keyBytes = try readFile(key, limit: SignatureFile.maxBytes) } catch {
        throw Refusal(.badKey, error.plain)
      }
      do throws(SyscallError) { bytes = try readFile(file, limit: FoundProfile.maxBytes) } catch {
        throw Refusal(.badProfile, error.plain)
      }
      let signature = try SecretKey(pem: keyBytes, file: key).signature(of: bytes)
      let target = file + SignatureFormat.raw.rawValue
      do throws(SyscallError) { try replaceFile(target, with: signature) } catch { throw Refusal(.badSignature, error.plain) }
      guard !json else { return printJSON(.object([JSONMember("signature", .string(target))])) }
      print("signed: \(target)")
    }
  }
}
