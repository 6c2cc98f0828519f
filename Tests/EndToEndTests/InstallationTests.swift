import Foundation
import Testing

extension EndToEnd {
  @Suite struct `Installation` {
    @Test func `puts the programs where they find one another`() throws {
      let folder = try Folder()
      let installed = try run(["make", "-C", Repository.root, "install", "DESTDIR=\(folder.path)", "PROGRAMS=\(Callgate.programs)"])
      #expect(installed.status == 0, "\(installed)")
      let programs = ["bin/callgate", "bin/callgatectl", "libexec/callgate/callgate-supervisor", "libexec/callgate/callgate-inspector"]
      for program in programs {
        #expect(FileManager.default.isExecutableFile(atPath: folder.file("usr/" + program)), "\(program)")
      }
      try Callgate.required()
      // A page for each command that --help lists; programs that were built by themselves have none.
      if FileManager.default.fileExists(atPath: Callgate.programs + "/man") {
        for page in ["callgatectl", "callgatectl.record.start", "callgatectl.profile.learn", "callgatectl.profile.rebase"] {
          let shown = try run(["man", "-l", folder.file("usr/share/man/man1/\(page).1")])
          #expect(shown.status == 0 && shown.output.contains("NAME"), "\(shown)")
        }
      }
      // Run from there: nothing of the build folder may be needed.
      let ctl = folder.file("usr/bin/callgatectl")
      let benign = try run([ctl, "run", "--", "bash", "-c", "/bin/echo works; exit 3"], in: folder)
      #expect(benign.output == "works\n" && benign.status == 3, "\(benign)")
      let schema = try run([ctl, "profile", "schema"], in: folder)
      #expect(schema.status == 0 && schema.output.hasPrefix("{"), "\(schema)")
      let attack = try Attack("execve", launcher: [ctl, "run", "--"])
      #expect(attack.outcome == "stopped" && attack.killed, "\(attack)")
      let removed = try run(["make", "-C", Repository.root, "uninstall", "DESTDIR=\(folder.path)"])
      #expect(removed.status == 0, "\(removed)")
      let left = try run(["find", folder.path + "/usr", "-type", "f"])
      #expect(left.output.isEmpty, "\(left)")
    }
  }
}
