import Foundation
import Testing

extension EndToEnd {
  /// A program that executes another along two ways, of which its profile lists one.
  @Suite struct `Listed ways` {
    private static let source = """
      #include <string.h>
      #include <unistd.h>
      extern char **environ;
      __attribute__((noinline)) static int launch(char *word) {
        char *words[] = {"echo", word, 0};
        execve("/bin/echo", words, environ);
        return 1;
      }
      __attribute__((noinline)) static int serve(void) { int failed = launch("served"); return failed + 1; }
      __attribute__((noinline)) static int debug(void) { int failed = launch("debugged"); return failed + 2; }
      int main(int count, char **words) { int failed = count > 1 && !strcmp(words[1], "debug") ? debug() : serve(); return failed + 3; }
      """

    private static let chain = #"["libc:execve", "ways:launch", "ways:serve", "ways:main"]"#

    private func program(_ folder: Folder) throws -> String {
      try folder.write(Self.source, to: "ways.c")
      let made = try run(["gcc", "-O1", "-fno-optimize-sibling-calls", "-o", folder.file("ways"), folder.file("ways.c")])
      guard made.status == 0 else { throw Unexpected("ways.c does not compile: \(made)") }
      return folder.file("ways")
    }

    @Test(arguments: [chain, #"["libc:*", "ways:launch", "ways:serve", "...", "ways:main"]"#])
    func `what is executed along a way that the profile does not list is denied, and the way is named`(_ chain: String) throws {
      try Callgate.required()
      let folder = try Folder()
      let ways = try program(folder)
      let module = "{ways: {path: \(ways)}}"
      let installed = try Installed(profiles: [
        "listed": "{trap: [\"@exec\"], modules: \(module), paths: [{syscalls: [execve], chain: \(chain)}]}"
      ])
      let served = try run(installed.run([ways], profile: "listed"), within: 40)
      #expect(served.status == 0 && served.output == "served\n", "\(served)")
      let debugged = try run(installed.run([ways, "debug"], profile: "listed"), within: 40)
      #expect(debugged.killed && debugged.output.isEmpty && debugged.errors.contains("CG4013"), "\(debugged)")
      #expect(debugged.errors.contains("none of its chains for this call has ways:debug here"), "\(debugged)")
      // What is listed is another file's.
      let copied = try run(["cp", ways, folder.file("copy")])
      #expect(copied.status == 0)
      let copy = try run(installed.run([folder.file("copy")], profile: "listed"), within: 40)
      #expect(copy.killed && copy.errors.contains("has copy:launch here"), "\(copy)")
    }

    @Test func `a file is known by its build id wherever it lies`() throws {
      try Callgate.required()
      let folder = try Folder()
      let ways = try program(folder)
      let notes = try run(["readelf", "-n", ways]).output
      let line = try #require(notes.split(separator: "\n").first { $0.contains("Build ID: ") })
      let identity = line.split(separator: " ").last.map(String.init) ?? ""
      for (buildID, isKilled) in [(identity, false), (String(identity.reversed()), true)] {
        let installed = try Installed(profiles: [
          "listed": "{trap: [\"@exec\"], modules: {ways: {buildId: \"\(buildID)\"}}, paths: [{syscalls: [execve], chain: \(Self.chain)}]}"
        ])
        let copy = folder.file("elsewhere")
        _ = try run(["cp", ways, copy])
        let outcome = try run(installed.run([copy], profile: "listed"), within: 40)
        #expect(outcome.killed == isKilled, "\(outcome)")
      }
    }
  }
}
