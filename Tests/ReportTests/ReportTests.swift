import Diagnostics
import JSON
import Report
import Testing
import Wire

@Suite struct ReportTests {
  private var event: Event {
    Event(
      id: "018f", time: 1_792_695_245_000, container: "web", profile: "default", profileVersion: "1.0.0",
      profileDigest: "sha256:0123456789abcdef", outcome: .killed, code: .call, process: 4711, thread: 4712, command: "nginx",
      syscall: "execve", arguments: "\"/bin/sh\"",
      because: "frame 1, which returns to nginx+0x1a2c0 (parse_header+9), does not follow a call",
      marks: [
        Event.Mark(frame: 1, check: "call", because: "frame 1, which returns to nginx+0x1a2c0 (parse_header+9), does not follow a call")
      ],
      frames: [
        Event.Line(place: "libc.so.6+0xe0d7b", function: "execve+11", source: "cfi"),
        Event.Line(place: "nginx+0x1a2c0", function: "parse_header+9", source: ""),
      ], rule: "call = enforce", suppressed: 0)
  }

  @Test func `an event comes back from its JSON as it was`() throws {
    let bytes = event.json.serialised()
    #expect(!bytes.contains(UInt8(ascii: "\n")))
    #expect(Event(json: try JSONValue(parsing: bytes)) == event)
  }

  @Test func `a denial reads as a person expects it`() {
    let expected = """
      DENIED execve("/bin/sh") → process killed   container web, pid 4711 nginx   2026-10-22T18:54:05Z   CG4005 call
        because  frame 1, which returns to nginx+0x1a2c0 (parse_header+9), does not follow a call
        stack    #0   libc.so.6+0xe0d7b  execve+11       ok
                 #1   nginx+0x1a2c0      parse_header+9  CALL
        profile  default 1.0.0 (sha256:0123456789ab…): call = enforce
      """
    #expect(event.rendered() == expected)
  }

  @Test func `a record that tells neither version nor digest is still read`() throws {
    var json = event.json
    json["profileVersion"] = nil
    json["profileDigest"] = nil
    let old = try #require(Event(json: json))
    #expect(old.profileVersion.isEmpty && old.profileDigest.isEmpty)
    #expect(old.rendered().hasSuffix("  profile  default: call = enforce"))
  }

  @Test func `what lies below the stack pointer is shown as a trail`() throws {
    var event = event
    event.below = [Event.Line(place: "libc.so.6+0xe0d70", function: "execve", source: "")]
    #expect(Event(json: try JSONValue(parsing: event.json.serialised())) == event)
    #expect(event.rendered().contains("returned through\n                libc.so.6+0xe0d70  execve"))
  }

  @Test func `every reason makes a sentence that names its frame`() {
    var finding = Finding()
    finding.modules = [Module(path: "/usr/lib/libc.so.6", buildID: "")]
    finding.frames = [
      Frame(module: 0, offset: 0x10, function: "execve", functionOffset: 2, source: .cfi),
      Frame(module: nil, offset: 0, function: nil, functionOffset: 0, source: .none),
    ]
    #expect(
      finding.sentence(Violation(check: .site, frame: 0, reason: .notASyscallInstruction))
        == "the system call at libc.so.6+0x10 (execve+2) does not follow a syscall instruction of the file")
    #expect(
      finding.sentence(Violation(check: .text, frame: 1, reason: .notImageText(.heap)))
        == "frame 1, which returns to memory without a file, lies in the heap, where no code of the image can be")
    #expect(
      finding.sentence(Violation(check: .text, frame: 1, reason: .undeclaredJIT(.v8)))
        == "frame 1, which returns to memory without a file, lies in code that V8 (node) makes at run time, which this profile does not declare: it needs 'jit: [v8]' below spec"
    )
    #expect(
      finding.sentence(Unknown(frame: 1, reason: .unknownRegister(6)))
        == "the stack could not be judged beyond frame 1: frame 1, which returns to memory without a file, is unwound by register rbp, whose value is not known there"
    )
  }

  @Test func `what a container wrote cannot steer a terminal`() {
    #expect(escaped("a\u{1b}[31mb\n\\é") == "a\\x1b[31mb\\x0a\\x5c\\xc3\\xa9")
  }

  @Test(arguments: [
    (0, "1970-01-01T00:00:00Z"), (951_782_400_000, "2000-02-29T00:00:00Z"), (1_709_251_199_000, "2024-02-29T23:59:59Z"),
    (4_102_444_800_000, "2100-01-01T00:00:00Z"),
  ])
  func `times are RFC 3339`(_ time: (Int, String)) {
    #expect(timestamp(Int64(time.0)) == time.1)
  }

  @Test func `every code has its own number, a meaning and a remedy`() {
    #expect(Set(Code.allCases.map(\.rawValue)).count == Code.allCases.count)
    for code in Code.allCases {
      #expect(!code.meaning.isEmpty)
      #expect(!code.remedy.isEmpty)
    }
  }
}
