import ArgumentParser
import Authoring
import Diagnostics
import Filter
import JSON
import Kernel
import Settings

extension ProfileCommand {
  struct Lint: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say what is wrong with profiles, and what could be better.",
      discussion: """
        All errors at once, each as FILE:LINE:COLUMN: error: … (CODE), and warnings, each with the name of its rule and how to mend it. A \
        profile with errors gets no warnings.

        Exit status: 0, with warnings, too; 1 if there is an error, or with --strict a warning; 2 if a profile cannot be read.

        EXAMPLE
          callgatectl profile lint --strict profiles/web.yaml
        """)

    @Argument(help: "Profiles: files, or names of installed ones. Without any, all that are installed.") var profiles: [ProfileSource] = []
    @Flag(help: "Fail for warnings, too.") var strict = false
    @Flag(help: "One JSON array of all that was found.") var json = false

    func run() throws {
      let locations = try Locations.own()
      let context = LintContext(syscalls: callNames.values.sorted(), secondsSince1970: wallMilliseconds() / 1000) { name throws(Refusal) in
        try locations.verifiedProfile(name)
      }
      let named = profiles.isEmpty ? try locations.installedProfiles().map { ProfileSource(argument: $0) } : profiles
      var findings: [LintFinding] = []
      let isWhole = forEachProfile(named) { source in
        let (bytes, file) = try source.read(locations)
        findings += lint(bytes, file: file, context)
      }
      if json {
        printJSON(.array(findings.map(\.json)))
      } else {
        for finding in findings { print(finding.description) }
      }
      if !isWhole { throw ExitCode(2) }
      if findings.contains(where: { strict || $0.severity == .error }) { throw ExitCode(1) }
    }
  }
}
