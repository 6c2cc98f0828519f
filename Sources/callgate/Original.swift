import Diagnostics
import JSON
import Kernel
import OCI
import Plan

/// A bundle as it was before callgate had to do with it.
///
/// Engines make a new bundle for every container, but a person may `run` one twice. Its config.json is then our own rewrite: the
/// section that it had lies beside it, and the digest in the rewrite says that it belongs there. Only the section is taken from there,
/// so other changes that were made meanwhile count.
struct Original {
  let bundle: Bundle
  /// What is to lie beside the rewrite.
  let bytes: [UInt8]
  /// What lies there now.
  let previous: [UInt8]?
  let file: String

  init(_ container: UntrustedContainer) throws(Refusal) {
    file = container.configFile + ".before-callgate"
    previous = try Original.read(file)
    guard let section = try container.bundle.seccomp(), section.listenerPath != nil else {
      bundle = container.bundle
      bytes = container.configBytes
      return
    }
    guard let mark = section.listenerMetadata.flatMap(RewriteMark.init(decoding:)) else {
      throw Refusal(
        .conflictingListener, "the container's seccomp section has a listener of its own, '\(section.listenerPath ?? "")'",
        hint: "one filter has one listener: leave out 'listenerPath' for an untrusted container")
    }
    guard let previous, mark.original == hexDigits(of: fnv1a(previous)) else {
      throw Refusal(
        .badBundle, "'\(container.configFile)' was rewritten by callgate, but '\(file)' is not what it was rewritten from",
        hint: "make the bundle anew")
    }
    let before = try Bundle(parsing: previous, file: file)
    var restored = container.bundle
    restored.rawSeccomp = before.rawSeccomp
    bundle = restored
    bytes = restored == before ? previous : restored.config.serialised(indented: true)
  }

  private static func read(_ file: String) throws(Refusal) -> [UInt8]? {
    do throws(SyscallError) { return try readFile(file, limit: JSONValue.maxBytes) } catch {
      if error.isNotFound { return nil }
      throw Refusal(.badBundle, error.plain)
    }
  }
}

/// What callgate writes into `listenerMetadata`, by which it knows its own rewrite: `{"callgate":1,"original":"16 hex digits"}`.
struct RewriteMark {
  /// FNV-1a of the original's bytes. Whoever can forge it can write the bundle, and needs no forgery.
  let original: String

  init(of bytes: [UInt8]) { original = hexDigits(of: fnv1a(bytes)) }

  init?(decoding text: String) {
    let json: JSONValue
    do throws(JSONError) { json = try JSONValue(parsing: Array(text.utf8)) } catch { return nil }
    guard json["callgate"] == .integer(1), let original = json["original"]?.text else { return nil }
    self.original = original
  }

  var encoded: String {
    let json = JSONValue.object([JSONMember("callgate", .integer(1)), JSONMember("original", .string(original))])
    return String(decoding: json.serialised(), as: UTF8.self)
  }
}
