import JSON
import Report
import Testing
import Wire

@Suite struct ThreadReportTests {
  private func frame(_ offset: UInt64, _ function: String, _ source: FrameSource = .cfi, module: UInt16? = 0) -> Frame {
    Frame(module: module, offset: offset, function: function.isEmpty ? nil : function, functionOffset: 4, source: source)
  }

  private var clean: Finding {
    var finding = Finding()
    finding.modules = [Module(path: "/usr/lib/libc.so.6", buildID: "00ff")]
    finding.frames = [
      frame(0x10, "pause"), frame(0x200, "handler"), frame(0x3000, "", .signalFrame), frame(0x40, "work"), frame(0x50, "_start", .none),
    ]
    finding.depth = 5
    finding.end = .processEntry
    return finding
  }

  private func report(_ finding: Finding, call: String? = "pause", notes: [String] = []) -> ThreadReport {
    ThreadReport(thread: 42, command: "odd", state: call == nil ? "running" : "blocked", call: call, notes: notes, finding: finding)
  }

  private func outcomes(_ finding: Finding, _ check: Check, interrupted: Bool = false) -> [String] {
    finding.frames.indices.map { finding.outcome(of: check, at: $0, isInterrupted: interrupted).name }
  }

  @Test func `a clean stack reads in columns`() {
    let expected = """
      thread 42 odd: blocked in pause
        #0   libc.so.6+0x10    pause+4    cfi           ok
        #1   libc.so.6+0x200   handler+4  cfi           ok
        #2   libc.so.6+0x3000             signal frame  ok
        #3   libc.so.6+0x40    work+4     cfi           ok
        #4   libc.so.6+0x50    _start+4   -             ok
        end  the process's entry
      """
    #expect(report(clean).rendered() == expected)
  }

  @Test func `a check is only said to hold where it applies`() {
    #expect(outcomes(clean, .site) == ["ok", "n/a", "n/a", "n/a", "n/a"])
    #expect(outcomes(clean, .site, interrupted: true).allSatisfy { $0 == "n/a" })
    #expect(outcomes(clean, .text).allSatisfy { $0 == "ok" })
    #expect(outcomes(clean, .function) == ["ok", "ok", "n/a", "ok", "ok"])
    // The trampoline was not called, nor was what the signal interrupted.
    #expect(outcomes(clean, .call) == ["n/a", "ok", "n/a", "n/a", "ok"])
    #expect(outcomes(clean, .base) == ["n/a", "n/a", "n/a", "n/a", "ok"])
  }

  @Test func `columns show each check of each frame`() {
    let lines = report(clean).rendered(columns: true).split(separator: "\n")
    #expect(
      lines[1].hasSuffix("by            site  text  function  call  edge  seam  stack  base  residue  canary  signal  lineage  path"))
    #expect(lines[2].hasSuffix("cfi           ok    ok    ok        -     -     ok    ok     -     ok       ok      -       -        ok"))
    #expect(lines[6].hasSuffix("-             -     ok    ok        ok    ok    -     ok     ok    -        -       -       ok       -"))
  }

  @Test func `an objection is said in words below its frame, and what it left unjudged is not called right`() {
    var finding = clean
    finding.frames = [frame(0x10, "execve"), frame(0, "", .none, module: nil)]
    finding.depth = 2
    finding.end = nil
    finding.violations = [Violation(check: .text, frame: 1, reason: .notImageText(.heap))]
    finding.below = [frame(0x70, "read", .none)]
    let text = report(finding, notes: ["a note"]).rendered()
    #expect(text.contains("\n  note a note\n"))
    #expect(
      text.contains("memory without a file            -    TEXT\n         text: it lies in the heap, where no code of the image can be"))
    #expect(text.contains("end  not reached") && text.contains("trail") && text.contains("read+4"))
    #expect(outcomes(finding, .function) == ["ok", "unknown"] && outcomes(finding, .call) == ["n/a", "unknown"])
    #expect(outcomes(finding, .base) == ["n/a", "n/a"])
  }

  @Test func `a frame that cannot be judged further says what is sure`() {
    var finding = clean
    finding.end = nil
    finding.unknown = Unknown(frame: 4, reason: .noUnwindInfo)
    #expect(report(finding).rendered().contains("UNKNOWN\n         unknown: it has no unwind information"))
    #expect(
      Check.allCases.map { finding.outcome(of: $0, at: 4, isInterrupted: false).name } == [
        "n/a", "ok", "unknown", "unknown", "unknown", "n/a", "unknown", "n/a", "n/a", "n/a", "n/a", "n/a", "n/a",
      ])
    finding.unknown = Unknown(frame: 4, reason: .unreadableImage)
    #expect(finding.outcome(of: .text, at: 4, isInterrupted: false) == .notJudged)
  }

  @Test func `frames that are not listed are counted, and listed ones keep their numbers`() {
    var finding = clean
    finding.frames = Array(repeating: frame(0x10, "deep"), count: Finding.maxListedFrames - Finding.reservedFrames)
    finding.depth = 1000
    #expect(report(finding).rendered().contains("#111 libc.so.6+0x10  deep+4  cfi  ok\n  …    888 more frames\n  end"))
    #expect(finding.outcome(of: .base, at: 111, isInterrupted: false) == .notApplicable)
    finding.frames.append(frame(0x99, "odd"))
    finding.violations = [Violation(check: .call, frame: 112, reason: .notAfterCall)]
    let text = report(finding).rendered()
    #expect(text.contains("888 more frames; what follows") && text.contains("#…   libc.so.6+0x99  odd+4   cfi  CALL"))
    #expect(finding.outcome(of: .call, at: 112, isInterrupted: false) == .objects(.notAfterCall))
  }

  @Test func `the JSON holds the same`() throws {
    let json = try JSONValue(parsing: report(clean).json.serialised())
    #expect(json["tid"]?.integer() == 42 && json["clean"]?.flag == true && json["end"]?.text == "process entry")
    let frames = try #require(json["frames"]?.elements)
    #expect(frames.count == 5 && frames[2]["source"]?.text == "signal frame" && frames[4]["checks"]?["base"]?.text == "ok")
    #expect(frames[0]["module"]?.text == "/usr/lib/libc.so.6" && frames[0]["offset"]?.integer() == 0x10)
    #expect(report(clean, call: nil).json["syscall"] == .null)
  }
}
