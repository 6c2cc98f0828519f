import Foundation
import Testing

extension EndToEnd {
  /// callgate called as an engine calls it, without one.
  @Suite struct `The runtime itself` {
    /// A bundle of the tests' root file system, and a place for the runtime's state.
    private struct Bundle {
      let folder: Folder
      let name = Engine.freshName()
      var path: String { folder.file("bundles/" + name) }
      var root: String { folder.file("root") }

      init(_ command: [String], untrusted: Bool) throws {
        folder = try Folder()
        let annotation = untrusted ? "dev.callgate.untrusted=true" : ""
        let made = try run(
          [Repository.root + "/Tests/EndToEnd/engines", "bundle", folder.path, name, Repository.images, annotation] + command)
        guard made.status == 0 else { throw Unexpected("no bundle: \(made)") }
      }
    }

    static let gates: [Engine.Gate] = [.none, .trusted, .untrusted]
    static let engines: [Engine] = [.podmanCrun, .podmanRunc]

    @Test(arguments: engines, gates) func `runs a bundle`(_ engine: Engine, _ gate: Engine.Gate) throws {
      try engine.required()
      if gate != .none { try Callgate.required() }
      let bundle = try Bundle(["sh", "-c", "/bin/echo one; exit 9"], untrusted: gate == .untrusted)
      let outcome = try run([engine.runtime(gate), "--root", bundle.root, "run", "--bundle", bundle.path, bundle.name])
      #expect(outcome.output == "one\n" && outcome.status == 9, "\(outcome)")
    }

    @Test(arguments: engines, gates) func `creates, starts, signals and deletes`(_ engine: Engine, _ gate: Engine.Gate) throws {
      try engine.required()
      if gate != .none { try Callgate.required() }
      let bundle = try Bundle(["sh", "-c", "while :; do /bin/sleep 0.1; done"], untrusted: gate == .untrusted)
      func call(_ words: String...) throws -> Outcome { try run([engine.runtime(gate), "--root", bundle.root] + words, within: 30) }
      let before = Callgate.processes(of: "callgate-supervisor")
      let created = try call("create", "--bundle", bundle.path, "--pid-file", bundle.folder.file("pid"), bundle.name)
      #expect(created.status == 0, "\(created)")
      #expect(try call("state", bundle.name).output.contains("\"created\""))
      #expect(try call("start", bundle.name).status == 0)
      #expect(try call("state", bundle.name).output.contains("\"running\""))
      let inside = try call("exec", bundle.name, "sh", "-c", "/bin/echo inside")
      #expect(inside.output == "inside\n", "\(inside)")
      #expect(try call("kill", bundle.name, "KILL").status == 0)
      #expect(try eventually { try call("state", bundle.name).output.contains("\"stopped\"") })
      #expect(try call("delete", bundle.name).status == 0)
      #expect(eventually { Callgate.processes(of: "callgate-supervisor") == before })
    }

    /// Nothing is added, dropped or reordered on the way to crun or runc, and nothing is said beside it.
    @Test func `hands over every word`() throws {
      try Callgate.required()
      let folder = try Folder()
      let installed = try run([
        "make", "-C", Repository.root, "install", "DESTDIR=", "PREFIX=\(folder.path)", "PROGRAMS=\(Callgate.programs)",
      ])
      #expect(installed.status == 0, "\(installed)")
      try FileManager.default.createDirectory(atPath: folder.file("etc/callgate"), withIntermediateDirectories: true)
      try folder.write("runtimes = [\"\(folder.file("crun"))\"]\n", to: "etc/callgate/config.toml")
      try folder.write("#!/bin/sh\nprintf '<%s>' \"$@\"; env | grep PASSED; exit 21\n", to: "crun")
      _ = try run(["chmod", "+x", folder.file("crun")])
      let lines = [
        ["--root", "/r", "start", "id"], ["state", "id"], ["--log", "/dev/null", "--log-format", "json", "kill", "id", "9"],
        ["list", "-q"],
        ["exec", "--process", "p.json", "--pid-file", "f", "id"], ["--systemd-cgroup", "ps", "id", "--", "-x", "", "a b"], ["--version"],
        ["pause", "id"], ["no-such-command", "*"],
      ]
      for line in lines {
        let outcome = try run(["env", "PASSED=on", folder.file("bin/callgate")] + line)
        #expect(outcome.output == line.map { "<\($0)>" }.joined() + "PASSED=on\n" && outcome.status == 21, "\(line): \(outcome)")
        #expect(outcome.errors.isEmpty)
      }
    }
  }
}
