import ELF
import Foundation
import Inspection
import Testing
import Wire

/// Two builds of one library without names: what is found of the one in the other.
@Suite struct SurveyTests {
  private final class Build {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("survey-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func run(_ program: String, _ words: [String]) throws {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/" + program)
      process.arguments = words
      try process.run()
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
    }

    /// Functions that are not exported, in this order, and one that is.
    func library(_ functions: [String], flags: [String] = []) throws -> (whole: [UInt8], stripped: [UInt8]) {
      let source = functions.joined(separator: "\n") + "\nint api(int x) { return x + \(functions.count); }\n"
      try source.write(toFile: folder + "/it.c", atomically: true, encoding: .utf8)
      try run("gcc", ["-O2", "-w", "-shared", "-fPIC"] + flags + ["-o", folder + "/it.so", folder + "/it.c"])
      try run("strip", ["-o", folder + "/stripped.so", folder + "/it.so"])
      func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name))) }
      return (try bytes("it.so"), try bytes("stripped.so"))
    }
  }

  private static func function(_ name: String, _ body: String) -> String {
    "__attribute__((noinline, used)) static int \(name)(int *p, int n) { \(body) }"
  }

  private static let sum = function("sum", "int s = 0; for (int i = 0; i < n; i++) { s += p[i]; if (s > 1000) s /= n; } return s;")
  private static let lookUp = function(
    "lookUp", "for (int i = 0; i < n; i++) { if (p[i] == n) return i; p[i] ^= 3; } return -1 - sum(p, n);")
  private static let other = function(
    "other", "while (n-- > 0) { p[n] = p[n] * n - 7; if (p[n] & 1) p[n] >>= 2; else p[n]++; } return p[0];")
  private static let short = function("shortOne", "return n;")

  /// From `symbols` of the file that still has them.
  private func start(_ name: String, in whole: [UInt8]) throws -> UInt64 {
    let file = try ObjectFile(Source(whole))
    for function in try file.functions().sorted where try file.name(of: function) == name { return function.start.value }
    throw Failed(name)
  }

  private struct Failed: Error {
    var name: String
    init(_ name: String) { self.name = name }
  }

  @Test func `a function is found where another build has it`() throws {
    let build = try Build()
    let old = try build.library([Self.sum, Self.lookUp])
    let new = try build.library([Self.short, Self.other, Self.sum, Self.lookUp], flags: ["-Wl,-Ttext-segment=0x10000"])
    let starts = [try start("sum", in: old.whole), try start("lookUp", in: old.whole)]
    let known = survey(SurveyRequest(starts: starts), of: Source(old.stripped))
    let fingerprints = known.fingerprints.compactMap(\.self)
    try #require(fingerprints.count == 2 && fingerprints[0] != fingerprints[1])
    let found = survey(SurveyRequest(fingerprints: fingerprints), of: Source(new.stripped))
    #expect(found.places == [[try start("sum", in: new.whole)], [try start("lookUp", in: new.whole)]])
    #expect(found.places.map { $0[0] } != starts)
    #expect(found.buildID != known.buildID && found.buildID?.isEmpty == false)
  }

  @Test func `one that was changed is not found, and one that is there twice is told twice`() throws {
    let build = try Build()
    let old = try build.library([Self.sum, Self.lookUp])
    let fingerprints = survey(SurveyRequest(starts: [try start("sum", in: old.whole)]), of: Source(old.stripped)).fingerprints.compactMap(
      \.self)
    let changed = Self.sum.replacingOccurrences(of: "s /= n;", with: "s = p[0];")
    let new = try build.library([changed])
    #expect(survey(SurveyRequest(fingerprints: fingerprints), of: Source(new.stripped)).places == [[]])
    let twice = try build.library([Self.sum, Self.sum.replacingOccurrences(of: " sum(", with: " again(")], flags: ["-fno-ipa-icf"])
    #expect(survey(SurveyRequest(fingerprints: fingerprints), of: Source(twice.stripped)).places[0].count == 2)
  }

  @Test func `names are found, and what is too short to be told by its looks is not told`() throws {
    let build = try Build()
    let old = try build.library([Self.sum, Self.short])
    let asked = SurveyRequest(names: ["api", "apix", ""], starts: [try start("shortOne", in: old.whole), 3])
    let found = survey(asked, of: Source(old.stripped))
    #expect(found.hasNames == [true, false, false])
    #expect(found.fingerprints == [nil, nil])
  }

  @Test func `what is no ELF file has nothing`() {
    let asked = SurveyRequest(names: ["a"], starts: [1], fingerprints: [2])
    for bytes in [[], Array("#!/bin/sh\n".utf8), [UInt8](repeating: 0x7f, count: 5000)] {
      let found = survey(asked, of: Source(bytes))
      #expect(found == Survey(buildID: nil, hasNames: [false], fingerprints: [nil], places: [[]]))
    }
  }

  @Test func `a survey comes back as it was`() throws {
    let messages: [Message] = [
      .survey(SurveyRequest(names: ["a", ""], starts: [1, .max], fingerprints: [7])), .survey(SurveyRequest()),
      .surveyed(Survey(buildID: "00ff", hasNames: [true, false], fingerprints: [nil, 3], places: [[], [1], [1, 2]])), .surveyed(Survey()),
    ]
    for message in messages { #expect(try Message(decoding: message.encode()) == message) }
  }
}
