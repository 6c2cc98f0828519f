import ArgumentParser
import Authoring
import Diagnostics
import JSON
import Kernel
import Settings
import YAML

extension ProfileCommand {
  struct Format: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "fmt", abstract: "Write profiles in the canonical form.",
      discussion: """
        Fields in the format's order, two spaces a level, short lists on one line of at most 120 columns, quotes where they are needed. \
        Comments stay with what they belong to. It is printed, unless --in-place or --check says otherwise.

        Exit status: 0; 1 with --check if a file is written otherwise; 2 if one cannot be read.

        EXAMPLE
          callgatectl profile fmt --check profiles/*.yaml
        """)

    @Argument(help: "Profiles: files, or names of installed ones.") var profiles: [ProfileSource]
    @Flag(help: "Print nothing but the names of files that are written otherwise.") var check = false
    @Flag(help: "Write the files, where they change.") var inPlace = false
    @Flag(help: "An array with an object for each file; with --check or --in-place.") var json = false

    func validate() throws {
      guard !json || check || inPlace else { throw ValidationError("--json goes with --check or --in-place") }
      if check, inPlace { throw ValidationError("--check and --in-place exclude one another") }
      guard !profiles.isEmpty else { throw ValidationError("name at least one profile") }
    }

    func run() throws {
      let locations = try Locations.own()
      var differ = false
      var files: [JSONValue] = []
      let isWhole = forEachProfile(profiles) { source in
        let (bytes, file) = try source.read(locations)
        let text: String
        do throws(YAMLError) { text = try formatted(bytes) } catch { throw Refusal(.badProfile, "\(file):\(error)") }
        let isSame = bytes.elementsEqual(text.utf8)
        files.append(.object([JSONMember("file", .string(file)), JSONMember("wasCanonical", .bool(isSame))]))
        if check {
          if !isSame, !json { print(file) }
          differ = differ || !isSame
        } else if inPlace {
          if !isSame { try replaceFile(file, with: Array(text.utf8)) }
        } else {
          print(text, terminator: "")
        }
      }
      if json { printJSON(.array(files)) }
      if !isWhole { throw ExitCode(2) }
      if differ { throw ExitCode(1) }
    }
  }
}
