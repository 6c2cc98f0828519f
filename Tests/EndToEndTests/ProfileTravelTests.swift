import Foundation
import Testing

extension EndToEnd {
  /// Profiles go from one machine to another by the tools that people have: openssl and minisign sign, skopeo and a registry carry.
  @Suite struct `Profiles travel` {
    /// callgate as it is installed on a machine of its own, as far as its settings go.
    private struct Machine {
      let folder: Folder
      var ctl: String { folder.file("bin/callgatectl") }
      var profiles: String { folder.file("etc/callgate/profiles") }
      var web: String { "\(profiles)/web.yaml" }

      init(trusting key: String? = nil, policy: String = "optional") throws {
        try Callgate.required()
        folder = try Folder()
        let installed = try run([
          "make", "-C", Repository.root, "install", "DESTDIR=", "PREFIX=\(folder.path)", "PROGRAMS=\(Callgate.programs)",
        ])
        guard installed.status == 0 else { throw Unexpected("not installed: \(installed)") }
        for name in ["profiles", "keys"] {
          try FileManager.default.createDirectory(atPath: folder.file("etc/callgate/\(name)"), withIntermediateDirectories: true)
        }
        try folder.write("policy.signatures = \"\(policy)\"\n", to: "etc/callgate/config.toml")
        if let key { try trust(key) }
      }

      func trust(_ key: String) throws {
        let name = URL(fileURLWithPath: key).lastPathComponent
        try FileManager.default.copyItem(atPath: key, toPath: folder.file("etc/callgate/keys/\(name)"))
      }

      /// A profile that differs from the default one by its name and its version.
      func addWeb(version: String = "1.2.0") throws {
        let text = try String(contentsOfFile: Repository.root + "/profiles/default.yaml", encoding: .utf8)
        try text.replacingOccurrences(of: "name: default", with: "name: web")
          .replacingOccurrences(of: "version: 1.0.0", with: "version: \(version)").write(toFile: web, atomically: false, encoding: .utf8)
      }

      func profile(_ words: String...) throws -> Outcome { try run([ctl, "profile"] + words, within: 20) }

      func runs(_ profile: String) throws -> Outcome {
        try run([ctl, "run", "--profile", profile, "--", "/bin/echo", "works"], within: 20)
      }

      func digest(of name: String) throws -> String {
        let list = try profile("list").output
        let words = list.split { " \n".contains($0) }
        guard let place = words.firstIndex(of: Substring(name)) else { throw Unexpected("no \(name) in \(list)") }
        return String(words[place + 2])
      }
    }

    private func need(_ programs: String...) throws {
      for program in programs where try run(["sh", "-c", "command -v \(program)"]).status != 0 { try cancel("\(program) is not installed") }
    }

    /// Runs a command that has to succeed.
    @discardableResult private func sound(_ words: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> Outcome {
      let outcome = try run(words, within: 30)
      #expect(outcome.status == 0, "\(words): \(outcome)", sourceLocation: sourceLocation)
      return outcome
    }

    private func expect(
      _ outcome: Outcome, refusedWith code: String, _ words: String = "", sourceLocation: SourceLocation = #_sourceLocation
    ) {
      #expect(
        outcome.status == 1 && outcome.errors.contains(code) && (words.isEmpty || outcome.errors.contains(words)), "\(outcome)",
        sourceLocation: sourceLocation
      )
    }

    private func flipByte(of path: String) throws {
      var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
      bytes[bytes.count / 2] ^= 1
      try bytes.write(to: URL(fileURLWithPath: path))
    }

    @Test func `what callgatectl signs openssl verifies, and the other way round`() throws {
      try need("openssl")
      let machine = try Machine()
      let work = try Folder()
      try machine.addWeb()
      let made = try machine.profile("keygen", work.file("ours"))
      #expect(made.status == 0, "\(made)")
      let mode = try FileManager.default.attributesOfItem(atPath: work.file("ours.key.pem"))[.posixPermissions] as? Int
      #expect(mode == 0o600)
      expect(try machine.profile("keygen", work.file("ours")), refusedWith: "CG2015")

      #expect(try machine.profile("sign", machine.web, "--key", work.file("ours.key.pem")).status == 0)
      try sound(
        "openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", work.file("ours.pem"), "-in", machine.web, "-sigfile",
        machine.web + ".sig")
      expect(try machine.profile("verify", "web"), refusedWith: "CG2011")
      try machine.trust(work.file("ours.pem"))
      let verified = try machine.profile("verify", "web")
      #expect(verified.output == "\(machine.web): signed by ours.pem (\(machine.web).sig)\n", "\(verified)")

      try sound("openssl", "genpkey", "-algorithm", "ed25519", "-out", work.file("theirs.key.pem"))
      try sound("openssl", "pkey", "-in", work.file("theirs.key.pem"), "-pubout", "-out", work.file("theirs.pem"))
      let sign = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", work.file("theirs.key.pem"), "-in", machine.web]
      #expect(try run(sign + ["-out", machine.web + ".sig"]).status == 0)
      expect(try machine.profile("verify", "web"), refusedWith: "CG2011", "trusted are: ours.pem")
      try machine.trust(work.file("theirs.pem"))
      #expect(try machine.profile("verify", "web").output.contains("signed by theirs.pem"))
      #expect(try machine.profile("verify", machine.web, "--key", work.file("theirs.pem")).status == 0)
      expect(try machine.profile("verify", machine.web, "--key", work.file("ours.pem")), refusedWith: "CG2011")
      try sound("sh", "-c", "base64 \(machine.web).sig >\(work.path)/b && mv \(work.path)/b \(machine.web).sig")
      #expect(try machine.profile("verify", "web", "--json").output.contains(#""key": "theirs.pem""#))
      // openssl's own key signs here as it does there.
      #expect(try machine.profile("sign", machine.web, "--key", work.file("theirs.key.pem")).status == 0)
      #expect(try machine.profile("verify", "web").status == 0)
    }

    @Test(arguments: [["-l"], []]) func `what minisign signs is verified`(options: [String]) throws {
      try need("minisign")
      let machine = try Machine(policy: "required")
      let work = try Folder()
      try machine.addWeb()
      expect(try machine.runs("web"), refusedWith: "CG2012")
      expect(try machine.profile("verify", "web"), refusedWith: "CG2012")
      try sound("minisign", "-G", "-W", "-p", work.file("team.pub"), "-s", work.file("team.key"))
      #expect(try run(["minisign", "-S", "-s", work.file("team.key"), "-m", machine.web] + options).status == 0)
      expect(try machine.runs("web"), refusedWith: "CG2011")
      try machine.trust(work.file("team.pub"))
      #expect(try machine.profile("verify", "web").output.contains("signed by team.pub"))
      #expect(try machine.runs("web").output == "works\n")
      try flipByte(of: machine.web)
      expect(try machine.runs("web"), refusedWith: "CG2011")
    }

    @Test func `one machine exports, skopeo carries, another one imports and runs`() throws {
      try need("skopeo")
      let sender = try Machine()
      let work = try Folder()
      try sender.addWeb()
      #expect(try sender.profile("keygen", work.file("release")).status == 0)
      try sender.trust(work.file("release.pem"))
      #expect(try sender.profile("sign", sender.web, "--key", work.file("release.key.pem")).status == 0)
      let exported = try sender.profile("export", "web", "--output", work.file("out"), "--tag", "1.2.0")
      #expect(exported.status == 0, "\(exported)")
      expect(try sender.profile("export", "web", "--output", work.file("out")), refusedWith: "CG2015")
      try sound("skopeo", "copy", "oci:\(work.path)/out:1.2.0", "oci-archive:\(work.path)/web.tar:1.2.0")
      try sound("skopeo", "copy", "oci-archive:\(work.path)/web.tar:1.2.0", "oci:\(work.path)/back:1.2.0")
      try sound("skopeo", "copy", "oci:\(work.path)/back:1.2.0", "dir:\(work.path)/dir")

      let archive = work.file("web.tar")
      let receiver = try Machine(policy: "required")
      expect(try receiver.profile("import", archive), refusedWith: "CG2011")
      try receiver.trust(work.file("release.pem"))
      let tried = try receiver.profile("import", archive, "--dry-run")
      #expect(tried.status == 0 && tried.output.contains("nothing is written"), "\(tried)")
      #expect(!FileManager.default.fileExists(atPath: receiver.web))
      let imported = try receiver.profile("import", archive, "--json")
      #expect(imported.output.contains(#""change": "installed""#) && imported.output.contains(#""release.pem""#), "\(imported)")
      for ending in ["", ".sig"] {
        #expect(
          FileManager.default.contents(atPath: receiver.web + ending) == FileManager.default.contents(atPath: sender.web + ending))
      }
      #expect(try receiver.profile("import", work.file("back")).output.contains("unchanged"))
      let digest = try sender.digest(of: "web")
      #expect(try receiver.digest(of: "web") == digest)
      #expect(try receiver.runs("web@\(digest)").output == "works\n")
      expect(try receiver.runs("web@\(try sender.digest(of: "default"))"), refusedWith: "CG2010", digest)
      expect(try receiver.runs("web@1.2.0"), refusedWith: "CG2010")

      try flipByte(of: receiver.web)
      expect(try receiver.runs("web"), refusedWith: "CG2011")
      expect(try receiver.profile("import", archive), refusedWith: "CG2015", "--force")
      #expect(try receiver.profile("import", archive, "--force").output.contains("replaced"))
      #expect(try receiver.runs("web").output == "works\n")
    }

    @Test func `a registry keeps profiles`() throws {
      try need("skopeo", "docker-registry")
      let machine = try Machine()
      let work = try Folder()
      try machine.addWeb()
      #expect(try machine.profile("export", "web", "--output", work.file("out.tar")).status == 0)
      let port = Int.random(in: 20000..<32000)
      try work.write(
        "version: 0.1\nstorage: {filesystem: {rootdirectory: \(work.path)/registry}}\nhttp: {addr: \"127.0.0.1:\(port)\"}\n",
        to: "config.yml")
      let registry = try Running(["docker-registry", "serve", work.file("config.yml")])
      let repository = "docker://127.0.0.1:\(port)/profiles/web:1.2.0"
      let pushed = try eventually {
        try run(["skopeo", "copy", "--dest-tls-verify=false", "oci-archive:\(work.path)/out.tar:web", repository]).status == 0
      }
      #expect(pushed, "\(registry.errors)")
      try sound("skopeo", "copy", "--src-tls-verify=false", repository, "oci:\(work.path)/back:1.2.0")
      registry.signal(SIGTERM)
      _ = registry.end(within: 10)

      let receiver = try Machine()
      let imported = try receiver.profile("import", work.file("back"), "--tag", "1.2.0")
      #expect(imported.output.contains("web 1.2.0  \(try machine.digest(of: "web"))"), "\(imported)")
      #expect(try receiver.runs("web").output == "works\n")
      expect(try receiver.profile("import", work.file("back"), "--tag", "latest"), refusedWith: "CG2014", "its tags: 1.2.0")
      expect(try receiver.profile("import", work.file("back"), "--name", "db"), refusedWith: "CG2014", "it holds: web")
    }

    @Test func `the same profiles give the same bytes`() throws {
      let work = try Folder()
      let machine = try Machine()
      try machine.addWeb()
      for name in ["a", "b"] {
        #expect(try machine.profile("export", "web", "default", "--output", work.file(name)).status == 0)
        #expect(try machine.profile("export", "web", "default", "--output", work.file("\(name).tar")).status == 0)
      }
      try sound("diff", "-r", work.file("a"), work.file("b"))
      try sound("cmp", work.file("a.tar"), work.file("b.tar"))
      try sound("sh", "-c", "mkdir \(work.path)/c && tar -C \(work.path)/c -xf \(work.path)/a.tar && diff -r \(work.path)/a \(work.path)/c")
      let both = try Machine().profile("import", work.file("a"))
      #expect(both.output.contains("installed") && both.output.contains("unchanged"), "the default is there as it is shipped: \(both)")
    }

    @Test func `a layout that was changed is not imported`() throws {
      let work = try Folder()
      let machine = try Machine()
      try machine.addWeb()
      #expect(try machine.profile("export", "web", "--output", work.file("out")).status == 0)
      let receiver = try Machine()
      let blobs = try FileManager.default.contentsOfDirectory(atPath: work.file("out/blobs/sha256"))
      #expect(blobs.count == 3)
      for blob in blobs {
        let path = work.file("out/blobs/sha256/\(blob)")
        let whole = FileManager.default.contents(atPath: path)
        try flipByte(of: path)
        expect(try receiver.profile("import", work.file("out")), refusedWith: "CG2014", "has the digest")
        // The right bytes, but somewhere else.
        try sound("mv", path, work.file("elsewhere"))
        try whole?.write(to: URL(fileURLWithPath: work.file("elsewhere")))
        try sound("ln", "-s", work.file("elsewhere"), path)
        expect(try receiver.profile("import", work.file("out")), refusedWith: "CG2014")
        try sound("rm", path)
        try sound("mkfifo", path)
        expect(try receiver.profile("import", work.file("out")), refusedWith: "CG2014")
        try sound("rm", path)
        try sound("truncate", "-s", "1G", path)
        expect(try receiver.profile("import", work.file("out")), refusedWith: "CG2014")
        try sound("mv", work.file("elsewhere"), path)
      }
      try sound("truncate", "-s", "1G", work.file("huge.tar"))
      expect(try receiver.profile("import", work.file("huge.tar")), refusedWith: "CG2014")
      expect(try receiver.profile("import", work.file("none")), refusedWith: "CG2014")
      #expect(try FileManager.default.contentsOfDirectory(atPath: receiver.profiles).isEmpty)
      #expect(try receiver.profile("import", work.file("out")).status == 0)
    }

    @Test func `an artifact whose profile is not the one that it states is not imported`() throws {
      let work = try Folder()
      let machine = try Machine()
      try machine.addWeb()
      #expect(try machine.profile("export", "web", "--output", work.file("out")).status == 0)
      // Every blob's digest is right, only the profile's is another one's.
      try repack(work.file("out"), #"m["annotations"]["dev.callgate.profile.digest"] = "sha256:" + 64 * "0""#)
      expect(try Machine().profile("import", work.file("out")), refusedWith: "CG2014", "as the artifact states")
    }

    /// Changes a layout's first manifest as `change` says in Python, `m` being the manifest and `files` the descriptors of all layers of the
    /// layout by name, and makes every digest right again.
    private func repack(_ layout: String, _ change: String) throws {
      let script = """
        import hashlib, json, os
        os.chdir("\(layout)")
        def read(digest): return json.load(open("blobs/sha256/" + digest[7:]))
        index = json.load(open("index.json"))
        files = {l["annotations"]["org.opencontainers.image.title"]: l for e in index["manifests"] for l in read(e["digest"])["layers"]}
        entry = index["manifests"][0]
        m = read(entry["digest"])
        \(change)
        text = json.dumps(m).encode()
        name = hashlib.sha256(text).hexdigest()
        open("blobs/sha256/" + name, "wb").write(text)
        entry["digest"], entry["size"] = "sha256:" + name, len(text)
        json.dump(index, open("index.json", "w"))
        """
      try sound("python3", "-c", script)
    }

    @Test func `an artifact holds what its profile needs and nothing else`() throws {
      let work = try Folder()
      let machine = try Machine()
      try machine.addWeb()
      #expect(try machine.profile("export", "web", "default", "--output", work.file("out")).status == 0)
      let receiver = try Machine()
      try repack(work.file("out"), "pass")
      #expect(try receiver.profile("import", work.file("out"), "--dry-run").status == 0)
      try repack(work.file("out"), #"m["layers"].append(files["default.yaml"])"#)
      expect(try receiver.profile("import", work.file("out")), refusedWith: "CG2014", "does not need")
      try repack(work.file("out"), #"m["layers"].pop(); m["annotations"]["org.opencontainers.image.version"] = "9""#)
      expect(try receiver.profile("import", work.file("out")), refusedWith: "CG2014", "as the artifact states")
      #expect(try FileManager.default.contentsOfDirectory(atPath: receiver.profiles).isEmpty)
    }

    @Test func `an installed profile gets the signatures that it lacked`() throws {
      let work = try Folder()
      let (sender, receiver) = (try Machine(), try Machine())
      for machine in [sender, receiver] { try machine.addWeb() }
      #expect(try sender.profile("keygen", work.file("k")).status == 0)
      #expect(try sender.profile("sign", sender.web, "--key", work.file("k.key.pem")).status == 0)
      for machine in [sender, receiver] { try machine.trust(work.file("k.pem")) }
      #expect(try sender.profile("export", "web", "--output", work.file("out.tar")).status == 0)
      #expect(try receiver.profile("import", work.file("out.tar")).output.contains("    signed  "))
      #expect(try receiver.profile("verify", "web").status == 0)
      // What it is signed with is not taken away either.
      #expect(try run(["rm", sender.web + ".sig"]).status == 0)
      #expect(try sender.profile("export", "web", "--output", work.file("unsigned.tar")).status == 0)
      expect(try receiver.profile("import", work.file("unsigned.tar")), refusedWith: "CG2015", "signed otherwise")
    }

    @Test func `of two profiles of one name none is imported`() throws {
      try need("skopeo")
      let work = try Folder()
      let machine = try Machine()
      for version in ["1", "2"] {
        try machine.addWeb(version: version)
        #expect(try machine.profile("export", "web", "--output", work.file("out\(version)"), "--tag", "v\(version)").status == 0)
      }
      try sound("skopeo", "copy", "oci:\(work.path)/out2:v2", "oci:\(work.path)/out1:v2")
      let receiver = try Machine()
      expect(try receiver.profile("import", work.file("out1")), refusedWith: "CG2014", "two of the artifacts")
      #expect(try receiver.profile("import", work.file("out1"), "--tag", "v2").output.contains("web 2  "))
    }

    @Test func `another profile of the same name stays unless it is forced`() throws {
      let work = try Folder()
      let machine = try Machine()
      try machine.addWeb()
      #expect(try machine.profile("export", "web", "--output", work.file("out.tar")).status == 0)
      let receiver = try Machine()
      try receiver.addWeb(version: "2.0.0")
      #expect(try receiver.profile("keygen", work.file("k")).status == 0)
      #expect(try receiver.profile("sign", receiver.web, "--key", work.file("k.key.pem")).status == 0)
      try receiver.trust(work.file("k.pem"))
      let before = FileManager.default.contents(atPath: receiver.web)
      expect(try receiver.profile("import", work.file("out.tar")), refusedWith: "CG2015")
      expect(try receiver.profile("import", work.file("out.tar"), "--dry-run"), refusedWith: "CG2015")
      #expect(FileManager.default.contents(atPath: receiver.web) == before)
      #expect(try receiver.profile("import", work.file("out.tar"), "--force").status == 0)
      // The signature of what was replaced is gone with it.
      #expect(try FileManager.default.contentsOfDirectory(atPath: receiver.profiles) == ["web.yaml"])
      #expect(try receiver.runs("web").output == "works\n")

      // Nor may one take the place of a profile that came with callgate unnoticed.
      let text = try String(contentsOfFile: Repository.root + "/profiles/default.yaml", encoding: .utf8)
      try text.replacingOccurrences(of: "call: enforce", with: "call: off").write(
        toFile: machine.profiles + "/default.yaml", atomically: false, encoding: .utf8)
      #expect(try machine.profile("export", "default", "--output", work.file("default.tar")).status == 0)
      expect(try receiver.profile("import", work.file("default.tar")), refusedWith: "CG2015", "share/callgate/profiles/default.yaml")
    }

    @Test(arguments: ["keygen", "sign", "verify", "export", "import", "list"]) func `each command says what it is for`(command: String)
      throws
    {
      try Callgate.required()
      let help = try run([Callgate.ctl, "profile", command, "--help"])
      #expect(help.status == 0 && help.output.contains("OVERVIEW") && help.output.contains("USAGE"), "\(help)")
    }

    @Test(arguments: [Engine.podmanCrun, .containerdRunc]) func `a container starts only under the profile that it is pinned to`(
      engine: Engine
    ) throws {
      try engine.required()
      try Callgate.required()
      let list = try run([engine.runtime(.untrusted) + "ctl", "profile", "list"]).output
      let words = list.split { " \n".contains($0) }
      let digest = words[try #require(words.firstIndex(of: "default")) + 2]
      func start(_ pin: String) throws -> Outcome {
        let name = Engine.freshName()
        defer { engine.remove(name) }
        return try run(
          engine.run(["/bin/echo", "works"], as: name, .untrusted, annotations: ["dev.callgate.profile=default@\(pin)"]))
      }
      let right = try start(String(digest))
      #expect(right.status == 0 && right.output == "works\n", "\(right)")
      let wrong = try start("sha256:" + String(repeating: "0", count: 64))
      #expect(wrong.status != 0 && wrong.output.isEmpty && wrong.errors.contains("CG2010") && wrong.errors.contains(digest), "\(wrong)")
      let malformed = try start("latest")
      #expect(malformed.status != 0 && malformed.output.isEmpty && malformed.errors.contains("CG2010"), "\(malformed)")
    }
  }
}
