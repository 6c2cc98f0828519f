package import Diagnostics
internal import Kernel
internal import Profile

/// Where settings and profiles lie, as the place of the running program decides; no environment variable has a say, because the
/// runtime runs as root on behalf of others.
///
/// ```
/// program in              settings               profiles, in this order
/// /usr/bin, /usr/local/bin /etc/callgate         /etc/callgate/profiles, <prefix>/share/callgate/profiles
/// <prefix>/bin            <prefix>/etc/callgate  <prefix>/etc/callgate/profiles, <prefix>/share/callgate/profiles
/// a build folder          <folder>/etc/callgate  <folder>/etc/callgate/profiles, <repository>/profiles
/// ```
/// Whoever can write beside the program can replace the program: the second and third row give nothing away.
package struct Locations: Equatable, Sendable {
  package var settings: String
  package var profiles: [String]

  package init(programDirectory directory: String) {
    let parts = directory.split(separator: "/").map(String.init)
    func path(_ parts: some Sequence<String>) -> String { "/" + parts.joined(separator: "/") }
    if parts.last == "bin" || parts.last == "sbin" {
      let prefix = Array(parts.dropLast())
      let isSystem = prefix == [] || prefix == ["usr"] || prefix == ["usr", "local"]
      settings = isSystem ? "/etc/callgate" : path(prefix + ["etc", "callgate"])
      profiles = ["\(settings)/profiles", path((prefix.isEmpty ? ["usr"] : prefix) + ["share", "callgate", "profiles"])]
    } else {
      settings = path(parts + ["etc", "callgate"])
      profiles = ["\(settings)/profiles"]
      // swift build's folder is .build, or what --scratch-path names; ours begin with .build too.
      if let build = parts.lastIndex(where: { $0.hasPrefix(".build") }) { profiles.append(path(parts[..<build] + ["profiles"])) }
    }
  }

  /// The locations that belong to the running program.
  package static func own() throws(Refusal) -> Locations {
    do throws(SyscallError) { return Locations(programDirectory: try ownDirectory()) } catch {
      throw Refusal(.badConfiguration, "cannot find callgate's own directory: \(error.plain)")
    }
  }

  /// A page of settings, a hundred times over.
  private static let maxSettingsBytes = 256 << 10

  /// config.toml, then config.d/*.toml by name. None of them has to exist.
  package func readSettings() throws(Refusal) -> Settings {
    var result = Settings()
    var files = ["\(settings)/config.toml"]
    if let names = try optional({ () throws(SyscallError) in try list("\(settings)/config.d") }) {
      files += names.filter { $0.hasSuffix(".toml") }.map { "\(settings)/config.d/\($0)" }
    }
    for file in files {
      let bytes = try optional { () throws(SyscallError) in
        try refuseWorldWritable(file)
        return try readFile(file, limit: Locations.maxSettingsBytes)
      }
      guard let bytes else { continue }
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw Refusal(.badConfiguration, "\(file): not UTF-8 text")
      }
      try result.apply(text, file: file)
    }
    return result
  }

  /// The names that `readProfile` finds, sorted.
  package func installedProfiles() throws(Refusal) -> [String] {
    var names: Set<String> = []
    for directory in profiles {
      for name in try optional({ () throws(SyscallError) in try list(directory) }) ?? [] where name.hasSuffix(".yaml") {
        let name = String(name.dropLast(5))
        if Profile.isName(name) { names.insert(name) }
      }
    }
    return names.sorted()
  }
}

/// Nil where the file does not exist, a refusal where it does and cannot be read.
func optional<Value>(_ body: () throws(SyscallError) -> Value) throws(Refusal) -> Value? {
  do throws(SyscallError) { return try body() } catch {
    if error.isNotFound { return nil }
    throw Refusal(.badConfiguration, error.plain)
  }
}

/// EACCES for a file that anybody may write: it would decide which program runs as root, or who is believed.
func refuseWorldWritable(_ file: String) throws(SyscallError) {
  if try identity(of: file).mode & 0o002 != 0 {
    throw SyscallError("trust a file that anybody may write", errno: 13, subject: file)
  }
}
