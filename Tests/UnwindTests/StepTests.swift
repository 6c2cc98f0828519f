import ELF
import Samples
import Testing
import Unwind
import Wire

/// Steps over rows with rules of each kind, on a stack of sixteen words: word n is at 0x7000 + 8n and holds 0x100 + n.
@Suite struct StepTests {
  private let registers: Registers = {
    var registers = Registers()
    for number in 0..<16 { registers[number] = UInt64(number) }
    registers[Registers.rsp] = 0x7000
    registers[Registers.rbp] = 0x7040
    return registers
  }()

  private func caller(_ instructions: [UInt8], at offset: UInt64 = 8, registers: Registers? = nil) throws(UnwindError) -> Caller {
    var image = SampleImage(code: [UInt8](repeating: 0x90, count: 64))
    image.entries = [.init(offset: 0, count: 64, instructions: instructions)]
    let file: ObjectFile
    do throws(ELFError) { file = try ObjectFile(Source(image.bytes)) } catch { throw .file(error) }
    var budget = Budget(1 << 16)
    var table = FrameTable(file)
    let address = ImageAddress(SampleImage.codeAddress + offset)
    guard case .entry(let entry) = try table.find(address, budget: &budget) else { throw .malformed(.table) }
    let row = try entry.row(at: address, budget: &budget)
    return try step(row, in: registers ?? self.registers, at: 0x50_000b, file: file, budget: &budget) { (address) throws(UnwindError) in
      guard address >= 0x7000, address < 0x7080, address % 8 == 0 else { throw .unreadable(address: address) }
      return 0x100 + (address - 0x7000) / 8
    }
  }

  private func thrown(_ instructions: [UInt8], registers: Registers? = nil) -> UnwindError? {
    do throws(UnwindError) { _ = try caller(instructions, registers: registers) } catch { return error }
    return nil
  }

  @Test func `a plain frame keeps what calls keep, and nothing else`() throws {
    let found = try caller([])
    #expect(found.cfa == 0x7008 && found.returnAddress == 0x100)
    #expect(found.registers[Registers.rsp] == 0x7008)
    for number in [0, 1, 2, 4, 5, 8, 9, 10, 11] { #expect(found.registers[number] == nil) }
    for number in [3, 12, 13, 14, 15] { #expect(found.registers[number] == UInt64(number)) }
  }

  @Test func `saved, moved, computed and lost registers`() throws {
    // CFA = rbp + 16; rbp at cfa-16; rbx = cfa-24 (val_offset); r12 = r13; r14 undefined; rax same value
    let found = try caller([0x0c, 6, 16, 0x86, 2, 0x14, 3, 3, 0x09, 12, 13, 0x07, 14, 0x08, 0])
    #expect(found.cfa == 0x7050 && found.returnAddress == 0x109)
    #expect(found.registers[6] == 0x108 && found.registers[3] == 0x7038 && found.registers[12] == 13)
    #expect(found.registers[14] == nil && found.registers[0] == 0)
  }

  @Test func `the PLT's expression asks for the frame's own address`() throws {
    // breg7 8; breg16 0; lit15; and; lit11; ge; lit3; shl; plus: rsp + 8 + ((rip & 15) >= 11) * 8
    let found = try caller([0x0f, 0x0b, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22])
    #expect(found.cfa == 0x7010 && found.returnAddress == 0x101)
  }

  @Test func `expressions read the stack and branch`() throws {
    // CFA = *(rbp): word 8 is 0x108; then the return address at cfa-8 is unreadable
    #expect(thrown([0x0f, 3, 0x76, 0, 0x06]) == .unreadable(address: 0x100))
    // rbx = *(cfa + 8) by expression with the CFA pushed first; r12 = lit5 bra over lit1: 5 != 0 skips
    let found = try caller([0x10, 3, 2, 0x23, 8, 0x16, 12, 7, 0x37, 0x31, 0x28, 1, 0, 0x32, 0x96])
    #expect(found.registers[3] == 0x102 && found.registers[12] == 7)
  }

  @Test(
    arguments: [
      ([0x0f, 0], .malformed(.expression)),  // empty: nothing to take
      ([0x0f, 1, 0x06], .malformed(.expression)),  // deref of nothing
      ([0x0f, 3, 0x2f, 0xfd, 0xff], .tooLarge(.expression, 1025)),  // skip -3: for ever
      ([0x0f, 4, 0x31, 0x2f, 0xfc, 0xff], .tooLarge(.expression, 64)),  // lit1, skip -4: the stack grows
      ([0x0f, 3, 0x2f, 0xff, 0x7f], .malformed(.expression)),  // skip out of it
      ([0x0f, 3, 0x31, 0x30, 0x1b], .malformed(.expression)),  // 1 / 0
      ([0x0f, 3, 0x31, 0x30, 0x1d], .malformed(.expression)),  // 1 % 0
      ([0x0f, 13, 0x0e, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x09, 0xff, 0x1b, 0x96], .malformed(.expression)),  // least / -1
      ([0x0f, 2, 0x15, 0xff], .malformed(.expression)),  // pick 255
      ([0x0f, 2, 0x15, 0], .malformed(.expression)), ([0x0f, 2, 0x94, 9], .malformed(.expression)),
      ([0x0f, 1, 0x03], .unsupported(.expression)), ([0x0f, 1, 0x97], .unsupported(.expression)),
      ([0x0f, 3, 0x92, 17, 0], .unsupported(.expression)), ([0x0f, 0xff, 0x7f], .tooLarge(.expression, 0x3fff)),
    ] as [([UInt8], UnwindError)])
  func `an expression that goes wrong is an error`(code: [UInt8], expected: UnwindError) {
    #expect(thrown(code) == expected)
  }

  @Test func `an unknown register is named, and none is guessed`() {
    var partial = registers
    partial[6] = nil
    #expect(thrown([0x0c, 6, 16], registers: partial) == .unknownRegister(6))
    #expect(thrown([0x0f, 2, 0x76, 0], registers: partial) == .unknownRegister(6))
  }

  @Test func `an undefined return address is the end`() throws {
    #expect(try caller([0x07, 16]).returnAddress == nil)
    // vfork: popped into rdi
    #expect(try caller([0x0e, 0, 0x09, 16, 5]).returnAddress == 5)
    // restored to a common entry that says nothing: not even an end
    #expect(thrown([0x08, 16]) == .malformed(.returnAddress))
  }
}
