import JSON
import Report
import Testing
import Wire

@Suite struct CountsTests {
  private func finding(depth: UInt32, cfi: UInt32, flow: UInt32 = 0, unknown: Reason? = nil) -> Finding {
    var finding = Finding()
    finding.depth = depth
    finding.sources[.cfi] = cfi
    finding.sources[.flow] = flow
    finding.unknown = unknown.map { Unknown(frame: 0, reason: $0) }
    return finding
  }

  private var counts: Counts {
    var counts = Counts()
    counts.count(finding(depth: 12, cfi: 11))
    counts.count(.allowed, "openat")
    counts.count(finding(depth: 3, cfi: 1, flow: 1))
    counts.count(.allowed, "openat")
    counts.count(finding(depth: 2, cfi: 1, unknown: .unknownRegister(6)))
    counts.count(.denied(by: "unknown"), "execve")
    counts.count(finding(depth: 2, cfi: 1))
    counts.count(.denied(by: "call"), "execve")
    counts.count(.unjudged, "mmap")
    counts.count(.withdrawn, "execve")
    return counts
  }

  private var summary: Summary { Summary(id: "018f", time: 1_792_695_245_000, container: "web", profile: "default", counts: counts) }

  @Test func `each call is counted once, and each stack with its frames`() {
    #expect(counts.calls == 6 && counts.allowed == 2 && counts.denied == 2 && counts.unjudged == 1 && counts.withdrawn == 1)
    #expect(counts.stacks == 4 && counts.frames == 19)
    #expect(counts.sources == ["cfi": 14, "flow": 1])
    #expect(counts.unknown == ["unknown register": 1])
    #expect(counts.deniedBy == ["unknown": 1, "call": 1])
    #expect(counts.syscalls == ["openat": 2, "execve": 3, "mmap": 1])
  }

  @Test func `a repeated call counts as a call, a stack and its frames`() {
    var counts = Counts()
    counts.count(finding(depth: 12, cfi: 11), "openat", repeated: 3)
    counts.count(finding(depth: 2, cfi: 1), "mmap", repeated: 0)
    #expect(counts.calls == 3 && counts.allowed == 3 && counts.repeated == 3 && counts.stacks == 3 && counts.frames == 36)
    #expect(counts.sources == ["cfi": 33] && counts.syscalls == ["openat": 3])
    var all = self.counts
    all.add(counts)
    #expect(all.calls == 9 && all.repeated == 3 && all.syscalls == ["openat": 5, "execve": 3, "mmap": 1])
    let summary = Summary(id: "018f", time: 1_792_695_245_000, container: "web", profile: "default", counts: all)
    #expect(Summary(json: summary.json) == summary)
    #expect(summary.rendered().contains("  repeated  3, 33.3 % of the calls"))
  }

  @Test func `a summary comes back from its JSON as it was`() throws {
    let bytes = summary.json.serialised()
    #expect(!bytes.contains(UInt8(ascii: "\n")))
    #expect(Summary(json: try JSONValue(parsing: bytes)) == summary)
  }

  @Test func `a summary is no denial, and a denial no summary`() throws {
    #expect(Event(json: summary.json) == nil)
    var json = summary.json
    json["outcome"] = .string("killed")
    #expect(Summary(json: json) == nil)
  }

  @Test(arguments: ["counts", "container", "ms", "outcome"]) func `a summary that lacks a part is none`(part: String) {
    var json = summary.json
    json[part] = nil
    #expect(Summary(json: json) == nil)
  }

  @Test func `a count that is no number makes the line unreadable`() {
    for (key, value) in [
      ("frames", JSONValue.string("1")), ("allowed", .number("-1")), ("sources", .object([JSONMember("cfi", .number("1.5"))])),
    ] {
      var json = summary.json
      var counts = json["counts"]!
      counts[key] = value
      json["counts"] = counts
      #expect(Summary(json: json) == nil)
    }
  }

  @Test func `a summary reads as a person expects it`() {
    let expected = """
      container web   profile default   2026-10-22T18:54:05Z
        calls     6: 2 allowed, 2 denied, 1 could not be judged, 1 taken back by their caller
        stacks    4 inspected, 19 frames: cfi 14, flow 1
        denied    by call 1, unknown 1
        unknown   unknown register 1
        syscalls  execve 3, openat 2, mmap 1
      """
    #expect(summary.rendered() == expected)
  }

  @Test func `nothing counted is said in one line`() {
    let empty = Summary(id: "018f", time: 0, container: "web", profile: "default", counts: Counts())
    #expect(empty.rendered() == "container web   profile default   1970-01-01T00:00:00Z\n  calls     0")
  }
}
