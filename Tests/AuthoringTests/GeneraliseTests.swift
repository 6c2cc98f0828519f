import Authoring
import Profile
import Recording
import Testing
import Wire

@Suite struct GeneraliseTests {
  @Test func `a chain tells functions by name, without the start of the program behind main`() {
    let way = Sample("libc:execve/__execve nginx:spawn nginx:loop nginx:main \(start)")
    #expect(way.chain() == ["libc:execve", "nginx:spawn", "nginx:loop", "nginx:main"])
    #expect(way.chain(.program) == ["libc:execve", "nginx:spawn", "...", "nginx:main"])
    #expect(way.chain(.caller) == ["libc:execve", "nginx:spawn", "...", "nginx:main"])
    #expect(way.chain(.ends) == ["libc:execve", "...", "nginx:main"])
  }

  @Test func `each level says less, and names all files that the way leads through`() {
    let way = Sample("libc:execve libc:system libfoo:run libbar:x nginx:spawn nginx:loop libbar:qsort nginx:cycle nginx:main \(start)")
    #expect(
      way.chain(.program) == ["libc:execve", "libc:system", "libfoo:run", "libbar:x", "nginx:spawn", "...", "nginx:main"])
    #expect(way.chain(.caller) == ["libc:execve", "libc:system", "libfoo:run", "...", "libbar:*", "...", "nginx:main"])
    #expect(way.chain(.ends) == ["libc:execve", "...", "libfoo:*", "...", "libbar:*", "...", "nginx:main"])
  }

  @Test(arguments: [
    ("libc:execve nginx:f+ nginx:main", ["libc:execve", "nginx:f", "...", "nginx:f", "nginx:main"]),
    ("libc:execve nginx:a nginx:b nginx:a nginx:b nginx:a nginx:main", ["libc:execve", "nginx:a", "...", "nginx:a", "nginx:main"]),
    ("libc:execve nginx:a libfoo:b nginx:a nginx:main", ["libc:execve", "nginx:a", "...", "libfoo:b", "...", "nginx:a", "nginx:main"]),
    ("libc:execve nginx:a+ nginx:b nginx:a+ nginx:main", ["libc:execve", "nginx:a", "...", "nginx:a", "nginx:main"]),
    ("libc:execve jit nginx:a jit nginx:main", ["libc:execve", "jit:*", "nginx:a", "jit:*", "nginx:main"]),
    ("libc:execve nginx:a … nginx:main", ["libc:execve", "nginx:a", "...", "nginx:main"]),
  ])
  func `recursion and what was not recorded are left open`(way: String, chain: [String]) {
    #expect(Sample(way).chain() == chain)
  }

  @Test func `a static program's own call keeps its caller, and a function without a name its start`() {
    let way = Sample("nginx:execve nginx:+0x40 nginx:loop nginx:main nginx:_start")
    #expect(way.chain() == ["nginx:execve", "nginx:+0x40", "nginx:loop", "nginx:main"])
    #expect(way.chain(.program) == ["nginx:execve", "nginx:+0x40", "...", "nginx:main"])
    #expect(way.chain(.ends) == ["nginx:execve", "...", "nginx:main"])
  }

  @Test func `a name that would be read as something else is not used`() {
    #expect(Sample("libc:execve nginx:*/real nginx:main").chain() == ["libc:execve", "nginx:real", "nginx:main"])
    let long = String(repeating: "x", count: 600)
    #expect(Sample("libc:execve nginx:\(long) nginx:main").chain()[1].hasPrefix("nginx:+0x"))
  }

  @Test func `a way that is longer than a chain may be is told by a wider one`() {
    let long = Sample("libc:execve " + (0..<80).map { "nginx:f\($0)" }.joined(separator: " ") + " nginx:main")
    #expect(long.chain().isEmpty)
    #expect(long.chain(.program) == ["libc:execve", "nginx:f0", "...", "nginx:main"])
    let learner = Learner(long.recording, for: try! effective(trap).profile)
    #expect(learner.questions.count == 1 && learner.left.isEmpty)
  }

  // MARK: files

  @Test func `files of one name are told apart, by build id or else by path`() {
    let both = Sample("libc:execve libfoo:a other:b libbar:c nginx:main")
    #expect(both.chain() == ["libc:execve", "libfoo-2:a", "libfoo:b", "libbar:c", "nginx:main"])
    let pinned = ModuleNaming(both.recording, in: nil, pinning: true)
    #expect(
      pinned.added.contains(PathModule(name: "libfoo", path: "/opt/other/libfoo.so.1", buildID: "f1f1f1f1f1")))
    // It has no build id, and nothing else has its name.
    #expect(!pinned.added.contains { $0.name == "libbar" })
    let byName = ModuleNaming(both.recording, in: nil, pinning: false)
    #expect(byName.added.map(\.name).sorted() == ["libfoo", "libfoo-2"] && byName.added.allSatisfy { $0.buildID == nil })
  }

  @Test func `a file with nameless functions is pinned in any case`() {
    let naming = ModuleNaming(Sample("libc:execve nginx:+0x40 nginx:main").recording, in: nil, pinning: false)
    #expect(naming.added == [PathModule(name: "nginx", path: "/usr/sbin/nginx", buildID: "a0a0a0a0a0")])
  }

  @Test func `what a profile calls a file stays`() throws {
    let known = try effective(
      trap + "  modules: {web: {buildId: a0a0a0a0a0}}\n  paths:\n  - {syscalls: [execve], chain: [\"libc:execve\", \"web:main\"]}")
    let naming = ModuleNaming(Sample("libc:execve nginx:f nginx:main").recording, in: known.profile, pinning: true)
    #expect(naming.names == ["libc", "web"] && naming.added.isEmpty && naming.unpinned == ["libc"])
  }

  // MARK: chains of chains

  @Test(arguments: [
    (["libc:execve", "a:main"], ["libc:execve", "...", "a:main"], true),
    (["libc:execve", "...", "a:main"], ["libc:execve", "a:main"], false),
    (["libc:execve", "a:f", "a:main"], ["libc:*", "a:*", "a:main"], true),
    (["libc:execve", "b:f", "a:main"], ["libc:execve", "...", "a:main"], false),
    (["libc:execve", "a:f", "...", "a:f", "a:main"], ["libc:execve", "...", "a:main"], true),
    (["libc:execve", "...", "b:*", "...", "a:main"], ["libc:execve", "...", "a:main"], false),
    (["libc:execve", "a:f", "a:main"], ["libc:execve", "...", "b:*", "...", "a:main"], false),
  ])
  func `one chain covers another`(chain: [String], other: [String], is expected: Bool) throws {
    func parsed(_ texts: [String]) throws -> [PathElement] { try texts.map { try #require(PathElement($0)) } }
    #expect(isCovered(try parsed(chain), by: [try parsed(other)]) == expected)
  }

  @Test(arguments: 0..<60) func `each way is covered by its own chain at every level`(seed: UInt64) throws {
    let sample = Sample.random(seed)
    for pinning in [true, false] {
      let naming = ModuleNaming(sample.recording, in: nil, pinning: pinning)
      let generaliser = Generaliser(sample.recording, naming: naming)
      for path in sample.recording.paths {
        for level in Level.allCases {
          let chain = try #require(generaliser.chain(of: path, at: level))
          let paths = Paths(modules: naming.added, chains: [chain])
          #expect(paths.judge(path, of: sample.recording) == .allowed, "level \(level): \(text(chain))")
          #expect(generaliser.chain(of: path, at: level) == chain)
        }
      }
    }
  }
}
