import Inspection
import Samples
import Testing
import Wire

/// The chains of a profile against frames by name: "module:function", and a '/' between the aliases of one.
@Suite struct PathTests {
  private func chain(_ texts: [String]) throws -> [PathElement] { try texts.map { try #require(PathElement($0)) } }

  private func frames(_ texts: [String]) -> [PathFrame] {
    texts.map { text in
      let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
      let names = parts[1].split(separator: "/").map(String.init)
      if let name = names.first, name.hasPrefix("+0x") {
        return PathFrame(modules: [parts[0]], start: UInt64(name.dropFirst(3), radix: 16))
      }
      return PathFrame(modules: [parts[0]], names: names, isStart: parts[0] == "libc" || names == ["_start"])
    }
  }

  private func mismatch(_ seen: [String], _ listed: [String]...) throws -> Int? {
    firstMismatch(of: frames(seen), in: try listed.map(chain))
  }

  private static let execve = ["libc:execve", "nginx:spawn", "nginx:loop", "nginx:cycle", "nginx:main"]
  private static let start = ["libc:call_main", "libc:start_main", "nginx:_start"]

  @Test func `a chain that is listed word for word matches, with the start frames behind it`() throws {
    #expect(try mismatch(Self.execve + Self.start, Self.execve) == nil)
    #expect(try mismatch(Self.execve, Self.execve) == nil)
    #expect(try mismatch(Self.execve + ["nginx:other"] + Self.start, Self.execve) == 5)
    #expect(try mismatch(["libc:execve"] + Self.start, Self.execve) == 1)
    #expect(try mismatch(Array(Self.execve.prefix(3)), Self.execve) == 2)
    #expect(try mismatch([], Self.execve) == 0)
  }

  @Test func `dots stand for any frames of the modules that the chain names, and for none`() throws {
    let listed = ["libc:execve", "nginx:spawn", "...", "nginx:main"]
    #expect(try mismatch(Self.execve + Self.start, listed) == nil)
    #expect(try mismatch(["libc:execve", "nginx:spawn", "nginx:main"] + Self.start, listed) == nil)
    #expect(try mismatch(["libc:execve", "nginx:spawn", "libc:qsort", "nginx:main"] + Self.start, listed) == nil)
    #expect(try mismatch(["libc:execve", "nginx:spawn", "libfoo:parse", "nginx:main"] + Self.start, listed) == 2)
    #expect(try mismatch(["libc:execve", "nginx:spawn", "nginx:loop"] + Self.start, listed) == 5)
  }

  @Test func `frames that recur are told apart by where they lead`() throws {
    let listed = ["libc:execve", "...", "a:f", "a:g", "...", "a:main"]
    let recursion = ["a:f", "a:f", "a:g", "a:f", "a:g"]
    #expect(try mismatch(["libc:execve"] + recursion + ["a:main"], listed) == nil)
    #expect(try mismatch(["libc:execve", "a:g", "a:f", "a:f", "a:main"], listed) == 4)
    #expect(try mismatch(["libc:execve", "a:main", "a:f", "a:g", "a:main", "a:main"], listed) == nil)
  }

  @Test func `any alias of a function matches, and a function without a name by its start`() throws {
    let seen = ["libc:execve/__execve", "nginx:+0x1a2c0", "nginx:main"]
    for name in ["execve", "__execve"] { #expect(try mismatch(seen, ["libc:\(name)", "nginx:+0x1a2c0", "nginx:main"]) == nil) }
    #expect(try mismatch(seen, ["libc:execve", "nginx:+0x1a2c4", "nginx:main"]) == 1)
    #expect(try mismatch(seen, ["libc:execve", "nginx:*", "nginx:main"]) == nil)
    #expect(try mismatch(seen, ["libc:*", "libc:*", "nginx:main"]) == 1)
    #expect(
      try mismatch(["libc:execve", "jit:", "node:main"].map { $0 == "jit:" ? "jit:/" : $0 }, ["libc:execve", "jit:*", "node:main"]) == nil)
  }

  @Test func `of several chains the one that leads furthest says what does not fit`() throws {
    let one = ["libc:execve", "a:f", "a:main"]
    let other = ["libc:execve", "a:f", "a:g", "a:h", "a:main"]
    #expect(try mismatch(["libc:execve", "a:f", "a:g", "a:h", "a:main"], one, other) == nil)
    #expect(try mismatch(["libc:execve", "a:f", "a:g", "a:x", "a:main"], one, other) == 3)
    #expect(try mismatch(["libc:execve", "a:x"], one, other) == 1)
  }

  @Test func `however many dots, no chain takes long`() throws {
    let listed = ["a:f"] + (0..<20).flatMap { _ in ["...", "a:f"] } + ["a:main"]
    let seen = [String](repeating: "a:f", count: 8192)
    let took = ContinuousClock().measure { #expect((try? mismatch(seen, listed)) == 8191) }
    #expect(took < .seconds(10))
  }

  @Test(arguments: [
    ("...", true), ("libc:execve", true), ("libc:*", true), ("libfoo:+0x1a2c0", true), ("go:main.(*T).f", true), ("a:b:c", true),
    ("", false), ("libc", false), ("libc:", false), (":f", false), ("a:+1a2c0", false), ("a:+0x", false), ("a:+0xg", false),
    ("a:+0x11112222333344445", false),
  ])
  func `an element of a chain is one of four kinds`(text: String, isOne: Bool) {
    let element = PathElement(text)
    #expect((element != nil) == isOne)
    if let element { #expect(element.description == text) }
  }

  @Test(arguments: [
    ("/usr/lib/libc.so.6", "libc"), ("/usr/sbin/nginx", "nginx"), ("/lib64/ld-linux-x86-64.so.2", "ld-linux-x86-64"),
    ("libpython3.11.so.1.0", "libpython3.11"), ("/x/a.sold", "a.sold"), ("/x/.so", ".so"), ("/x/a.so", "a"), ("[vdso]", "[vdso]"),
  ])
  func `a file is called by its name up to so`(path: String, name: String) {
    #expect(String(decoding: moduleName(path), as: UTF8.self) == name)
  }

  @Test func `a module is known by its build id, else by its path, else by its name`() {
    let paths = Paths(
      modules: [PathModule(name: "nginx", path: "/usr/sbin/nginx"), PathModule(name: "app", path: "/old", buildID: "00ff")])
    #expect(paths.isModule("nginx", path: "/usr/sbin/nginx", buildID: "11"))
    #expect(!paths.isModule("nginx", path: "/tmp/nginx", buildID: "11"))
    #expect(paths.isModule("app", path: "/new", buildID: "00ff") && !paths.isModule("app", path: "/old", buildID: "00fe"))
    #expect(paths.isModule("libc", path: "/lib/libc.so.6", buildID: "") && !paths.isModule("libc", path: "/lib/libm.so.6", buildID: ""))
  }

  // MARK: In a walk

  /// The chain of `SampleImage.chain`, whose file has no names: /sample, functions at 0x500040, 0x500020 and its entry.
  private func finding(_ listed: [String]..., denied: [[String]] = []) throws -> Finding {
    let code = SampleImage.codeAddress
    let stackPointer = ArraySpace.startStack - 16 - 40
    let before = [UInt64](repeating: 0, count: Int((stackPointer - ArraySpace.stackStart) / 8))
    var space = ArraySpace(.chain, words: before + [code + 0x29, 1, 2, 3, code + 0x10])
    var snapshot = Snapshot()
    snapshot.number = 59
    snapshot.instruction = code + 0x47
    snapshot.registers[Registers.rsp] = stackPointer
    snapshot.startStack = ArraySpace.startStack
    snapshot.threadPointer = 0x1000
    snapshot.borrowsMemory = false
    return inspect(snapshot, in: &space, paths: Paths(chains: try listed.map(chain), denied: try denied.map(chain)))
  }

  @Test func `a walk is held against what the request lists`() throws {
    #expect(try finding().isClean)
    #expect(try finding(["sample:+0x500040", "sample:+0x500020"]).isClean)
    #expect(try finding(["sample:+0x500040", "..."]).isClean)
    let other = try finding(["sample:+0x500040", "sample:+0x500060"])
    #expect(other.violations == [Violation(check: .path, frame: 1, reason: .unlistedPath, detail: "sample:+0x500020")])
    let module = try finding(["libc:*", "sample:*"])
    #expect(module.violations == [Violation(check: .path, frame: 0, reason: .unlistedPath, detail: "sample:+0x500040")])
    let longer = try finding(["sample:+0x500040", "...", "sample:+0x500060"])
    #expect(longer.violations == [Violation(check: .path, frame: 2, reason: .unlistedPath, detail: "sample:+0x500000")])
  }

  @Test func `a way that is denied is denied whatever others allow, and the chain is told`() throws {
    let denied = [["libc:*", "..."], ["sample:+0x500040", "...", "sample:+0x500020", "..."]]
    for listed in [[], [["sample:+0x500040", "..."]]] {
      let finding = listed.isEmpty ? try finding(denied: denied) : try finding(listed[0], denied: denied)
      let detail = "sample:+0x500040, ..., sample:+0x500020, ..."
      #expect(finding.violations == [Violation(check: .path, frame: 0, reason: .deniedPath(1), detail: detail)])
    }
    // Another way is open where none is listed, and has to be listed where one is.
    let other = [["...", "sample:+0x500060", "..."]]
    #expect(try finding(denied: other).isClean)
    #expect(try finding(["libc:*"], denied: other).violations.map(\.reason) == [.unlistedPath])
  }

  @Test func `in a chain that is denied the dots stand for frames of any module`() throws {
    let frames = [
      PathFrame(modules: ["libc"], names: ["execve"]), PathFrame(modules: ["other"], names: ["f"]),
      PathFrame(modules: ["app"], names: ["main"]),
    ]
    let chain = try chain(["libc:execve", "...", "app:main"])
    #expect(firstDenied(of: frames, in: [chain]) == 0)
    #expect(firstMismatch(of: frames, in: [chain]) == 1)
    #expect(firstDenied(of: Array(frames.dropLast()), in: [chain]) == nil)
  }
}
