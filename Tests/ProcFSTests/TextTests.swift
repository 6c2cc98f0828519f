import ProcFS
import Testing

@Suite struct TextTests {
  @Test func `a blocked call gives number, arguments, SP and PC`() throws {
    let call = try BlockedCall(Array("230 0x0 0x0 0x7fffe3268060 0x7fffe32680a0 0x0 0x0 0x7fffe3268048 0x7f876696d503\n".utf8))
    #expect(call.number == 230)
    #expect(call.arguments == [0, 0, 0x7fff_e326_8060, 0x7fff_e326_80a0, 0, 0])
    #expect(call.stackPointer == 0x7fff_e326_8048)
    #expect(call.instruction == 0x7f87_6696_d503)
  }

  @Test(arguments: ["running\n", "", "-1 0x7ffd 0x7f00\n", "1 0x0 0x0 0x0 0x0 0x0 0x0 0x0 zz", "1 2 3 4 5 6 7 8 9"])
  func `anything else is an error, not a guess`(_ text: String) {
    #expect(throws: ProcFSError.self) { try BlockedCall(Array(text.utf8)) }
  }

  @Test func `a process name may hold brackets and spaces`() throws {
    let rest = (0..<23).map { "\(100 + $0)" }.joined(separator: " ")
    let stat = try ProcessStat(Array("4711 (a) S (b) S 42 \(rest) 140736 99 98".utf8))
    #expect(stat.command == "a) S (b")
    #expect(stat.parent == 42)
  }

  @Test(arguments: ["x\u{600}", ") S 1 \u{600}", ") S 1 2 3 4 5 6\u{301}", "(", "))", " ", "\u{1F468}\u{200D}"])
  func `a process cannot move a field by its name`(_ name: String) throws {
    let rest = (0..<23).map { "\(100 + $0)" }.joined(separator: " ")
    let stat = try ProcessStat(Array("4711 (\(name)) S 42 \(rest) 140736 99 98".utf8))
    #expect(stat.command == name)
    #expect(stat.parent == 42)
    #expect(stat.startStack == 140736)
    #expect(stat.made == 117)
  }

  @Test func `a mapped file cannot move a field by its name`() throws {
    let line = try MapsLine(Array("1000-2000 r-xp 00000000 00:01 7 /memfd:\u{301}x\u{600} (deleted)".utf8))
    #expect(line.inode == 7)
    #expect(line.name.utf8.starts(with: "/memfd:".utf8))
  }

  @Test func `a thread runs, waits in a call, or waits for something else`() throws {
    #expect(try CallState(Array("running\n".utf8)) == .running)
    #expect(try CallState(Array("-1 0x7ffe00 0x401000\n".utf8)) == .waiting)
    let blocked = Array("34 0x1 0x2 0x3 0x4 0x5 0x6 0x7ffe00 0x401000\n".utf8)
    #expect(try CallState(blocked) == .blocked(BlockedCall(blocked)))
    #expect(throws: ProcFSError.self) { try CallState(Array("34 0x1\n".utf8)) }
  }

  @Test func `who traces a thread, and how often it ran, are found in the status text`() throws {
    let status = Array("Name:\tx\nTgid:\t7\nTracerPid:\t99\nvoluntary_ctxt_switches:\t5000000000\nnonvoluntary_ctxt_switches:\t2\n".utf8)
    #expect(try tracer(status: status) == 99)
    #expect(try contextSwitches(status: status) == 5_000_000_002)
    #expect(throws: ProcFSError.self) { try contextSwitches(status: Array("voluntary_ctxt_switches:\t1\n".utf8)) }
  }

  @Test func `the thread group is found in the status text`() throws {
    #expect(try threadGroup(status: Array("Name:\tx\nUmask:\t0022\nState:\tS\nTgid:\t4711\nNgid:\t0\n".utf8)) == 4711)
    #expect(throws: ProcFSError.self) { try threadGroup(status: Array("Name:\tx\n".utf8)) }
  }

  @Test func `a maps line gives its fields, the name with its spaces`() throws {
    let line = try MapsLine(Array("7f8766889000-7f87668af000 r-xp 00026000 fe:00 1837      /usr/lib/a b (deleted)".utf8))
    #expect(line.start == 0x7f87_6688_9000)
    #expect(line.end == 0x7f87_668a_f000)
    #expect((line.isReadable, line.isWritable, line.isExecutable, line.isShared) == (true, false, true, false))
    #expect(line.fileOffset == 0x26000)
    #expect(line.deviceMajor == 0xfe)
    #expect(line.inode == 1837)
    #expect(line.name == "/usr/lib/a b (deleted)")
  }

  @Test(arguments: ["", "7f-7e r-xp 0 0:0 0", "zz-7e r-xp 0 0:0 0", "1-2 r-xp 0 0 0", "1-2 rx 0 0:0 0"])
  func `a maps line that does not parse is an error`(_ line: String) {
    #expect(throws: ProcFSError.self) { try MapsLine(Array(line.utf8)) }
  }

  @Test func `a mapping is found by an address inside it and by no other`() throws {
    let text = "1000-2000 r-xp 00000000 fe:00 7 /a\n3000-4000 rw-p 00000000 00:00 0 \n"
    #expect(try mapping(at: 0x1fff, in: Array(text.utf8))?.name == "/a")
    #expect(try mapping(at: 0x2000, in: Array(text.utf8)) == nil)
    #expect(try mapping(at: 0x3000, in: Array(text.utf8))?.name == "")
  }
}
