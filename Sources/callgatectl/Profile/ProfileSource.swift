import ArgumentParser
import Diagnostics
import Kernel
import Profile
import Settings

/// A profile that a command is to read: an installed one by its name, or a file, which has a `/` or ends in `.yaml`, `.yml` or `.json`.
struct ProfileSource: ExpressibleByArgument, Equatable {
  let word: String

  init(argument: String) { word = argument }

  var isFile: Bool { word.contains("/") || [".yaml", ".yml", ".json"].contains { word.hasSuffix($0) } }

  /// The text, and the file as messages name it.
  func read(_ locations: Locations) throws -> (bytes: [UInt8], file: String) {
    if isFile { return (try readProfileFile(word), word) }
    guard Profile.isName(word), let found = try locations.verifiedProfile(word) else {
      throw Refusal(
        .profileNotInstalled, "profile '\(word)' is not installed",
        hint: "installed: \(try locations.installedProfiles().joined(separator: ", ")); a file is named with a '/' or its .yaml")
    }
    return found
  }

  func resolve(_ locations: Locations) throws -> ResolvedProfile {
    let (bytes, file) = try read(locations)
    return try locations.resolve(bytes, file: file)
  }

  /// With the configured baseline laid under it.
  func effective(_ locations: Locations) throws -> ResolvedProfile {
    try locations.withinBaseline(try resolve(locations), under: try locations.readSettings())
  }
}

private func readProfileFile(_ path: String) throws(Refusal) -> [UInt8] {
  do throws(SyscallError) { return try readFile(path, limit: FoundProfile.maxBytes) } catch {
    throw Refusal(.badProfile, error.plain)
  }
}

/// Runs a command for each of several profiles. One that cannot be read is told, and those after it are read.
func forEachProfile(_ sources: [ProfileSource], _ body: (ProfileSource) throws -> Void) -> Bool {
  var isWhole = true
  for source in sources {
    do { try body(source) } catch {
      complain("callgatectl: \(error)")
      isWhole = false
    }
  }
  return isWhole
}
