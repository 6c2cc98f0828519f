import ProcFS
import Testing

@Suite struct TextTests {
  @Test func `a blocked call gives number, arguments, SP and PC`() throws {
    let call = try BlockedCall("230 0x0 0x0 0x7fffe3268060 0x7fffe32680a0 0x0 0x0 0x7fffe3268048 0x7f876696d503\n")
    #expect(call.number == 230)
    #expect(call.arguments == [0, 0, 0x7fff_e326_8060, 0x7fff_e326_80a0, 0, 0])
    #expect(call.stackPointer == 0x7fff_e326_8048)
    #expect(call.instruction == 0x7f87_6696_d503)
  }

  @Test(arguments: ["running\n", "", "-1 0x7ffd 0x7f00\n", "1 0x0 0x0 0x0 0x0 0x0 0x0 0x0 zz", "1 2 3 4 5 6 7 8 9"])
  func `anything else is an error, not a guess`(_ text: String) {
    #expect(throws: ProcFSError.self) { try BlockedCall(text) }
  }

  @Test func `a process name may hold brackets and spaces`() throws {
    let rest = (0..<22).map { "\(100 + $0)" }.joined(separator: " ")
    let stat = try ProcessStat("4711 (a) S (b) S 42 \(rest) 140736 99 98")
    #expect(stat.command == "a) S (b")
    #expect(stat.parent == 42)
  }

  @Test func `the thread group is found in the status text`() throws {
    #expect(try threadGroup(status: "Name:\tx\nUmask:\t0022\nState:\tS\nTgid:\t4711\nNgid:\t0\n") == 4711)
    #expect(throws: ProcFSError.self) { try threadGroup(status: "Name:\tx\n") }
  }

  @Test func `a maps line gives its fields, the name with its spaces`() throws {
    let line = try MapsLine("7f8766889000-7f87668af000 r-xp 00026000 fe:00 1837      /usr/lib/a b (deleted)")
    #expect(line.start == 0x7f87_6688_9000)
    #expect(line.end == 0x7f87_668a_f000)
    #expect(line.permissions == "r-xp")
    #expect(line.fileOffset == 0x26000)
    #expect(line.deviceMajor == 0xfe)
    #expect(line.inode == 1837)
    #expect(line.name == "/usr/lib/a b (deleted)")
  }

  @Test(arguments: ["", "7f-7e r-xp 0 0:0 0", "zz-7e r-xp 0 0:0 0", "1-2 r-xp 0 0 0", "1-2 rx 0 0:0 0"])
  func `a maps line that does not parse is an error`(_ line: String) {
    #expect(throws: ProcFSError.self) { try MapsLine(line) }
  }

  @Test func `a mapping is found by an address inside it and by no other`() throws {
    let text = "1000-2000 r-xp 00000000 fe:00 7 /a\n3000-4000 rw-p 00000000 00:00 0 \n"
    #expect(try mapping(at: 0x1fff, in: text)?.name == "/a")
    #expect(try mapping(at: 0x2000, in: text) == nil)
    #expect(try mapping(at: 0x3000, in: text)?.name == "")
  }
}
