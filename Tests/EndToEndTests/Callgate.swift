import Foundation
import Testing

/// All tests here share two cores, one kernel and one set of engines: one at a time.
@Suite(.serialized) enum EndToEnd {}

/// Cancels the test for want of something that this machine lacks. The reason is printed: for one row of a table nobody else says it.
func cancel(_ reason: String) throws -> Never {
  print("cancelled: \(reason)")
  try Test.cancel("\(reason)")
}

enum Repository {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
  static let attack = root + "/Tests/Attacks/attack"
  static let images = root + "/.build/end-to-end"
}

/// The four programs: in the folder that CALLGATE_PROGRAMS names (`make test` sets it), else beside the tests' own bundle.
enum Callgate {
  static let programs = URL(
    fileURLWithPath: ProcessInfo.processInfo.environment["CALLGATE_PROGRAMS"]
      ?? URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path
  ).resolvingSymlinksInPath().path

  static let runtime = programs + "/callgate"
  static let ctl = programs + "/callgatectl"

  static func run(_ command: [String]) -> [String] { [ctl, "run", "--"] + command }

  /// Whether the programs are there and do anything.
  private static let working: Bool = {
    guard let help = try? EndToEndTests.run([ctl, "--help"], within: 10) else { return false }
    return help.status == 0 && help.output.contains("run")
  }()

  static func required() throws {
    if !working { try cancel("callgatectl in \(programs) is missing or has no 'run'") }
  }

  /// What `why` says about the last denial. Compared before and after, it tells whether one was recorded.
  static func lastDenial() throws -> String {
    let outcome = try EndToEndTests.run([ctl, "why", "--last", "1"], within: 20)
    #expect(!outcome.late)
    return outcome.output
  }

  /// Runs `body` and expects that no denial is recorded meanwhile.
  static func undisturbed<T>(_ body: () throws -> T) throws -> T {
    let before = try lastDenial()
    let result = try body()
    let after = try lastDenial()
    #expect(before == after, "a denial was recorded:\n\(after)")
    return result
  }

  /// Where this build's programs are run from: the build folder, and what `engines` installed of it.
  private static let places = [programs, Engine.folder].compactMap(\.self)

  /// The running processes of one of our programs (`callgate-supervisor`, `callgate-inspector`).
  static func processes(of name: String) -> Set<Int32> {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return Set(
      all.compactMap(Int32.init).filter { id in
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(id)/exe") else { return false }
        return path.hasSuffix("/" + name) && places.contains { path.hasPrefix($0 + "/") }
      })
  }

  /// A shell command that kills every such process, and fails where there is none.
  static func killing(_ name: String) -> String {
    let patterns = places.map { "'\($0)/'*'/\(name)' | '\($0)/\(name)'" }.joined(separator: " | ")
    return """
      none=1
      for p in /proc/[0-9]*; do
        case "$(readlink $p/exe)" in \(patterns)) kill -KILL ${p#/proc/} && none=0 ;; esac
      done
      exit $none
      """
  }
}

/// One run of Tests/Attacks/attack.
struct Attack: Decodable {
  var attack: String
  var outcome: String
  var mark: String?
  /// The victim's (or its launcher's) exit status, or minus the signal.
  var status: Int32?
  var ended: String
  var problem: String?
  var errors: String

  /// SIGKILL, said by the kernel or passed on as an exit status.
  var killed: Bool { status == -9 || status == 137 }

  init(_ name: String, options: [String] = [], launcher: [String] = []) throws {
    let outcome = try run([Repository.attack, name, "--json"] + options + (launcher.isEmpty ? [] : ["--"] + launcher), within: 120)
    guard let result = try? JSONDecoder().decode(Attack.self, from: Data(outcome.output.utf8)) else {
      throw Unexpected("the attack '\(name)' was not made: \(outcome)")
    }
    self = result
  }

  static let names = [
    "execve", "mprotect", "borrowed-syscall", "past-prologue", "pivot", "forged-end", "sigreturn", "genuine-tail", "function-pointer",
  ]

  /// The syscall that the attack is after.
  static func target(of name: String) -> String {
    switch name {
    case "mprotect": "mprotect"
    // system() starts its child by clone, where its caller can still be seen.
    case "function-pointer": "clone"
    default: "execve"
    }
  }
}

/// Makes an attack, and expects that it is stopped by SIGKILL, and that `why` then tells of a new denial: of what, by which check, at
/// which frame.
func expectStopped(
  _ name: String, options: [String] = [], launcher: [String], in container: String? = nil, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let before = try Callgate.lastDenial()
  let attack = try Attack(name, options: options, launcher: launcher)
  #expect(attack.outcome == "stopped" && attack.mark == nil && attack.killed, "\(attack)", sourceLocation: sourceLocation)
  let text = try Callgate.lastDenial()
  #expect(text != before, "no denial was recorded", sourceLocation: sourceLocation)
  let checks = ["site", "text", "function", "call", "edge", "seam", "stack", "base", "residue", "signal"]
  #expect(text.contains("DENIED \(Attack.target(of: name))"), "\(text)", sourceLocation: sourceLocation)
  #expect(text.contains("because") && text.contains("#0"), "\(text)", sourceLocation: sourceLocation)
  #expect(checks.contains { text.contains($0) }, "\(text)", sourceLocation: sourceLocation)
  if let container { #expect(text.contains(container), "\(text)", sourceLocation: sourceLocation) }
}
