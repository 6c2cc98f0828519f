import Authoring
import Profile
import Testing
import Wire
import YAML

/// What a profile's chains become when the files that they go through are other builds.
@Suite struct DriftTests {
  private static let text = """
    # Kept.
    apiVersion: callgate.dev/v1alpha1
    kind: CallProfile
    metadata: {name: web, version: 1.0.0}
    spec:
      trap: ["@exec"]
      modules:
        nginx:
          path: /usr/sbin/nginx  # the front end
          buildId: aaaa0000
          functions: {"+0x100": 1111111111111111, "+0x200": 2222222222222222}
        libc: {path: /lib/libc.so.6, buildId: cccc0000}
      paths:
        # the way of every reload
        - {syscalls: [execve], chain: ["libc:execve", "nginx:+0x100", "...", "nginx:main"]}
        - {syscalls: [execve], chain: ["libc:execve", "nginx:+0x200", "nginx:main"]}
        - {syscalls: [execve], chain: ["libc:execve", "nginx:old_name", "other:run"]}

    """

  private let chains: [[PathElement]] = [
    [.function("execve", of: "libc"), .start(0x100, of: "nginx"), .anyFrames, .function("main", of: "nginx")],
    [.function("execve", of: "libc"), .start(0x200, of: "nginx"), .function("main", of: "nginx")],
    [.function("execve", of: "libc"), .function("old_name", of: "nginx"), .function("run", of: "other")],
  ]
  private let nginx = PathModule(
    name: "nginx", path: "/usr/sbin/nginx", buildID: "aaaa0000", functions: [0x100: "1111111111111111", 0x200: "2222222222222222"])
  private let libc = PathModule(name: "libc", path: "/lib/libc.so.6", buildID: "cccc0000")

  private func drift(_ module: PathModule, _ answer: (SurveyRequest) -> Survey?) -> ModuleDrift {
    let request = ModuleDrift.request(for: module, chains: chains)
    return ModuleDrift(module, chains: chains, request, answer(request))
  }

  /// nginx was built again: one function lies elsewhere, one is gone, and so is one name.
  private var later: Drift {
    Drift(modules: [
      drift(nginx) { request in
        #expect(request.names == ["main", "old_name"] && request.fingerprints == [0x1111_1111_1111_1111, 0x2222_2222_2222_2222])
        return Survey(buildID: "bbbb0000", hasNames: [true, false], fingerprints: [], places: [[0x150], []])
      },
      drift(libc) { _ in Survey(buildID: "cccc0000", hasNames: [true], fingerprints: [], places: []) },
    ])
  }

  @Test func `the same files are no drift`() {
    let same = Drift(modules: [
      drift(nginx) { _ in Survey(buildID: "aaaa0000", hasNames: [true, true], fingerprints: [], places: [[0x100], [0x200]]) },
      drift(libc) { _ in Survey(buildID: "cccc0000", hasNames: [true], fingerprints: [], places: []) },
    ])
    #expect(same.isNone && chains.allSatisfy { same.fate(of: $0) == .same })
  }

  @Test func `functions are found again by name or by their looks, and what is not found is told`() {
    #expect(!later.isNone)
    #expect(
      later.fate(of: chains[0])
        == .carried([.function("execve", of: "libc"), .start(0x150, of: "nginx"), .anyFrames, .function("main", of: "nginx")]))
    #expect(later.fate(of: chains[1]) == .lost(["no function of nginx looks like the one at +0x200"]))
    #expect(later.fate(of: chains[2]) == .lost(["nginx has no function 'old_name' any more"]))
  }

  @Test func `a file that is gone, or is none, or is not pinned`() {
    #expect(Drift(modules: [drift(nginx) { _ in nil }]).fate(of: chains[0]) == .lost(["nginx is not there any more"]))
    #expect(drift(nginx) { _ in Survey(hasNames: [false, false], places: [[], []]) }.state == .unreadable)
    let unpinned = Drift(modules: [drift(PathModule(name: "nginx", path: "/usr/sbin/nginx")) { _ in nil }])
    #expect(unpinned.isNone && unpinned.fate(of: chains[0]) == .same)
    var ambiguous = later
    ambiguous.modules[0].starts[0x100] = .ambiguous
    #expect(ambiguous.fate(of: chains[0]) == .lost(["several functions of nginx look like the one at +0x100"]))
  }

  @Test func `a start whose looks nobody wrote down has to be recorded again`() {
    let bare = PathModule(name: "nginx", path: "/usr/sbin/nginx", buildID: "aaaa0000")
    let drift = Drift(modules: [
      drift(bare) { Survey(buildID: "bbbb0000", hasNames: $0.names.map { _ in true }, fingerprints: [], places: []) }
    ])
    #expect(drift.fate(of: chains[0]) == .lost(["the profile does not say what nginx:+0x100 looks like"]))
  }

  @Test func `a file is carried over with its comments, and without the ways that are lost`() throws {
    let document = try YAMLDocument(parsing: Array(Self.text.utf8))
    let rebase = try Rebase(of: document, by: later)
    let text = rebase.document.text
    #expect(rebase.modules == ["nginx"])
    #expect(rebase.changes.map { $0.new == nil } == [false, true, true] && rebase.carried == 1)
    #expect(text.contains("# Kept.") && text.contains("# the way of every reload") && text.contains("# the front end"))
    #expect(text.contains("bbbb0000") && text.contains("nginx:+0x150") && !text.contains("aaaa0000") && !text.contains("old_name"))
    #expect(text.contains("\"+0x150\": 1111111111111111") || text.contains("\"+0x150\": \"1111111111111111\"") || text.contains("+0x150: "))
    let profile = try Profile(parsing: Array(text.utf8), file: "web.yaml")
    #expect(
      profile.paths.map(\.chain) == [
        [.function("execve", of: "libc"), .start(0x150, of: "nginx"), .anyFrames, .function("main", of: "nginx")]
      ])
    #expect(profile.modules.first { $0.name == "nginx" }?.functions == [0x150: "1111111111111111"])
    // Once more changes nothing.
    #expect(try Rebase(of: rebase.document, by: Drift(modules: [])).document == rebase.document)
  }

  @Test func `where no way is left the lists go, too`() throws {
    let document = try YAMLDocument(parsing: Array(Self.text.utf8))
    let gone = Drift(modules: [drift(nginx) { _ in nil }, drift(libc) { _ in nil }])
    let rebase = try Rebase(of: document, by: gone)
    #expect(rebase.document.node(at: ["spec", "paths"]) == nil && rebase.document.node(at: ["spec", "modules"]) == nil)
    #expect(throws: Never.self) { try Profile(parsing: Array(rebase.document.text.utf8), file: "web.yaml") }
  }
}
