import ArgumentParser
import Authoring
import Diagnostics
import JSON
import Kernel
import Profile
import Settings
import Wire
import YAML

struct ProfileRebase: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rebase", abstract: "Carry a profile over to a new version of its image.",
    discussion: """
      Writes the build ids of the image's files into the profile's own file, and the places of functions that have no names and were found \
      again by their looks. Ways that could not be carried over are taken out, each with its reason on standard error: record them again. \
      Comments and all else stay. What the profile extends is not changed: files that a parent pins are rebased there.

      Example: callgatectl profile rebase web --image registry.example/web:2 --output web.yaml

      The exit status is 0 where every way was carried over, 1 where some were taken out, and 2 where nothing was written.
      """)

  @Argument(help: "The profile.") var name: String
  @OptionGroup var image: ImageOptions
  @Flag(help: "Change the installed file, in place of writing to standard output.") var inPlace = false
  @Option(help: "The file to write.") var output: String?
  @Flag(help: "Say what was changed as one JSON object; with --in-place or --output.") var json = false

  func validate() throws {
    guard !json || inPlace || output != nil else { throw ValidationError("--json goes with --in-place or --output") }
    guard !inPlace || output == nil else { throw ValidationError("--in-place and --output exclude one another") }
  }

  func run() throws {
    let (rebase, file) = try orFail { try rebased() }
    for change in rebase.changes where change.new == nil {
      complain("taken out: \(shown(change.old))")
      for reason in change.reasons { complain("  \(reason)") }
    }
    let text = rebase.document.text
    try orFail {
      // What the format refuses is nobody's profile.
      _ = try Locations.own().resolve(Array(text.utf8), file: file)
      guard let target = inPlace ? file : output else { return print(text, terminator: "") }
      do throws(SyscallError) { try replaceFile(target, with: Array(text.utf8)) } catch { throw Refusal(.badProfile, error.plain) }
      if json { return printJSON(object(rebase, target)) }
      let lost = rebase.changes.count { $0.new == nil }
      print("wrote \(target): changed \(rebase.modules.joined(separator: ", ")); ways: \(rebase.carried) carried over, \(lost) taken out")
    }
    if rebase.changes.contains(where: { $0.new == nil }) { throw ExitCode(1) }
  }

  private func object(_ rebase: Rebase, _ file: String) -> JSONValue {
    let lost = rebase.changes.filter { $0.new == nil }
    return .object([
      JSONMember("file", .string(file)), JSONMember("modules", .array(rebase.modules.map(JSONValue.string))),
      JSONMember("carried", .integer(rebase.carried)),
      JSONMember(
        "lost",
        .array(
          lost.map {
            .object([
              JSONMember("chain", .array($0.old.map { .string($0.description) })),
              JSONMember("reasons", .array($0.reasons.map(JSONValue.string))),
            ])
          })),
    ])
  }

  private func rebased() throws -> (Rebase, file: String) {
    let locations = try Locations.own()
    let profile = try locations.readProfile(name).profile
    guard let (bytes, file) = try locations.verifiedProfile(name) else {
      throw Refusal(.profileNotInstalled, "profile '\(name)' is not installed")
    }
    let drift = try withImageRoot(image) { root in try callgatectl.drift(of: profile, in: root) }
    do { return (try Rebase(of: try YAMLDocument(parsing: bytes), by: drift), file) } catch {
      throw Refusal(.badProfile, "\(file): \(error)")
    }
  }
}
