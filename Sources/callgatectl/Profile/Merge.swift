import ArgumentParser
import Authoring
import Diagnostics
import JSON
import Kernel
import Profile
import Recording
import Settings
import YAML

struct MergeProfiles: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge", abstract: "Put the ways of two profiles into one.",
    discussion: """
      Both profiles' paths and modules, and everything else from the first, whose file is copied with its comments. Where the rest differs it says \
      so, and writes nothing without --first. Each profile is an installed one's name, or a file. To merge recordings: callgatectl record merge.

        callgatectl profile merge web web-canary --file /tmp/web.yaml
      """)

  @Argument(help: "The profile that the other's ways are added to: a name, or a file.") var first: ProfileSource
  @Argument(help: "The other one.") var second: ProfileSource
  @Option(help: "Where to write it; it keeps the first one's name.") var file: String
  @Flag(name: .customLong("first"), help: "Where they differ otherwise, the first counts.") var takesFirst = false
  @Flag(help: "One JSON object.") var json = false

  func run() throws {
    let locations = try Locations.own()
    let (bytes, origin) = try first.read(locations)
    let (a, b) = (try first.resolve(locations), try second.resolve(locations))
    let merge = ProfileMerge(a, b)
    for conflict in merge.conflicts { complain("\(takesFirst ? "note" : "differs"): \(conflict)") }
    guard merge.conflicts.isEmpty || takesFirst else {
      throw Refusal(
        .badProfile, "'\(a.profile.name)' and '\(b.profile.name)' differ in more than their ways; nothing was written",
        hint: "--first takes what '\(a.profile.name)' says")
    }
    var document: YAMLDocument
    do throws(YAMLError) { document = try YAMLDocument(parsing: bytes) } catch { throw Refusal(.badProfile, "\(origin):\(error)") }
    do throws(YAMLDocument.EditError) { try merge.changes.apply(to: &document) } catch {
      throw Refusal(.badProfile, "\(origin) cannot be changed: \(error)")
    }
    let text = merge.changes.isEmpty ? String(decoding: bytes, as: UTF8.self) : document.sparingText
    _ = try locations.resolve(Array(text.utf8), file: file)
    do throws(SyscallError) { try replaceFile(file, with: Array(text.utf8)) } catch { throw Refusal(.badProfile, error.plain) }
    guard !json else {
      return printJSON(.object([JSONMember("file", .string(file)), JSONMember("added", .integer(merge.changes.rules.count))]))
    }
    print("written: \(file); \(counted(merge.changes.rules.count, "way")) more than '\(a.profile.name)' had")
  }
}

struct MergeRecordings: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge", abstract: "Put recordings, such as those of several replicas or hosts, into one file.",
    discussion: """
      What 'callgatectl profile learn', 'check' and 'test' take as a recording is also such a file. It has each way once, and knows in which \
      runs it was seen.

        callgatectl record merge web /mnt/other-host/recordings/web --file web.jsonl
      """)

  @Argument(help: "Recordings, or files or folders of some.") var recordings: [String]
  @Option(help: "Where to write it.") var file: String
  @Flag(help: "One JSON object.") var json = false

  func run() throws {
    let merged = try readRecordings(recordings)
    guard !merged.runs.isEmpty else { throw Refusal(.badRecording, "there are no runs in it: nothing was written") }
    let bytes = merged.lines.flatMap { $0.json.serialised() + [UInt8(ascii: "\n")] }
    do throws(SyscallError) { try replaceFile(file, with: bytes) } catch { throw Refusal(.badRecording, error.plain) }
    guard !json else {
      return printJSON(
        .object([
          JSONMember("file", .string(file)), JSONMember("ways", .integer(merged.paths.count)),
          JSONMember("runs", .integer(merged.runs.count)),
        ]))
    }
    print("written: \(file); \(counted(merged.paths.count, "way")) in \(counted(merged.runs.count, "run"))")
  }
}
