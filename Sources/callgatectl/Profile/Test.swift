import ArgumentParser
import Authoring
import Diagnostics
import JSON
import Kernel
import Profile
import Settings

struct TestProfile: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test", abstract: "Try a profile: on a recording, or on the attacks of the suite.",
    discussion: """
      --replay says of each recorded way what the profile would make of it, and by which line; it runs nothing and needs no privileges. It ends \
      with 0 where all are allowed, with 1 otherwise. What a recording cannot tell, such as arguments, it says.

      --attacks makes real attacks on programs of its own under this profile, and says which are stopped. It needs python3 and gcc. Where \
      checks of the profile are off, what they alone stop is missed: it ends with 0 where every attack ends as the catalogue says.

        callgatectl profile test web --replay web
        callgatectl profile test web --attacks --only 'victim/*'
      """)

  @Argument(help: "An installed profile's name, or a file.") var profile: ProfileSource
  @Option(parsing: .upToNextOption, help: "Recordings, or files or folders of some.") var replay: [String] = []
  @Flag(help: "Make the attacks of the suite.") var attacks = false
  @Option(parsing: .upToNextOption, help: "With --attacks: only those whose names fit one of these patterns.") var only: [String] = []
  @Flag(help: "One JSON object a line.") var json = false

  func validate() throws {
    guard attacks != !replay.isEmpty else { throw ValidationError("either --replay with a recording, or --attacks") }
    guard attacks || only.isEmpty else { throw ValidationError("--only goes with --attacks") }
  }

  func run() throws {
    if attacks { try attack() }
    let replayed = Replay(try readRecordings(replay), under: try profile.effective(try Locations.own()))
    if json {
      for result in replayed.results { printJSONLine(replayed.json(result)) }
    } else {
      for result in replayed.results { print(ReplayText.result(result, of: replayed)) }
      print(ReplayText.summary(replayed))
    }
    guard replayed.isAllAllowed else { throw ExitCode(1) }
  }

  /// Becomes the suite.
  private func attack() throws -> Never {
    let profile = try profile.resolve(try Locations.own())
    let (suite, programs) = try AttackSuite.find()
    let missing = ["python3", "gcc"].filter { AttackSuite.program($0) == nil }
    guard missing.isEmpty, let python = AttackSuite.program("python3") else {
      throw Refusal(
        .unsupportedHost, "the attacks need \(missing.joined(separator: " and ")), which is not here",
        hint: "on Debian: apt-get install python3 gcc libc6-dev")
    }
    var words = [python, suite, "--programs", programs]
    for file in profile.files { words += ["--profile", "\(file.profile)=\(file.file)"] }
    // What it does not set out to stop is no surprise to the suite.
    let enforced = Profile.checkNames.filter { profile.profile.checks[$0]?.setting == .enforce && profile.profile.isStrict($0) }
    words += ["--enforces", (enforced + (profile.profile.unknown == .enforce ? ["unknown"] : [])).joined(separator: ",")]
    words += ["--traps", (profile.profile.traps.map(\.syscall) + profile.profile.never + profile.profile.absent).joined(separator: ",")]
    if json { words.append("--json") }
    words += only
    do throws(SyscallError) { try execute(python, words) } catch { throw Refusal(.execFailed, error.plain) }
  }
}

extension Profile {
  /// What this check objects to is denied, and not only written down.
  fileprivate func isStrict(_ check: String) -> Bool { (checks[check]?.onViolation ?? onViolation) != .audit }
}

/// Where the attacks lie.
private enum AttackSuite {
  /// Beside what is installed, or in the repository that these programs were built in; and the directory of callgatectl.
  static func find() throws(Refusal) -> (suite: String, programs: String) {
    let directory: String
    do throws(SyscallError) { directory = try ownDirectory() } catch { throw Refusal(.badConfiguration, error.plain) }
    let parts = directory.split(separator: "/").map(String.init)
    var places: [String] = []
    if parts.last == "bin" { places.append("/" + (parts.dropLast() + ["libexec", "callgate", "attacks", "suite"]).joined(separator: "/")) }
    if let build = parts.lastIndex(where: { $0.hasPrefix(".build") }) {
      places.append("/" + (parts[..<build] + ["Tests", "Attacks", "suite"]).joined(separator: "/"))
    }
    guard let suite = places.first(where: exists) else {
      throw Refusal(
        .unsupportedHost, "the attacks are not installed: looked for \(places.joined(separator: ", "))",
        hint: "make install puts them into PREFIX/libexec/callgate/attacks")
    }
    return (suite, directory)
  }

  static func program(_ name: String) -> String? {
    (environment("PATH") ?? "/usr/bin:/bin").split(separator: ":").map { "\($0)/\(name)" }.first(where: isExecutable)
  }
}
