import ELF
import Flow
import Samples
import Testing
import Unwind
import Wire
import X86

/// Which numbers reach a `syscall` instruction. Each function ends in it, if nothing else is said.
@Suite struct NumberTests {
  private static let syscall: [UInt8] = [0x0f, 0x05]

  private func numbers(
    _ code: [UInt8], site: Int? = nil, count: Int? = nil, entries: [UInt64] = [], keptByCalls: [Int] = Registers.keptByCalls,
    functions: [UInt64] = [], budget: Int = 1 << 20
  ) throws -> Numbers? {
    var image = SampleImage(code: code + NumberTests.syscall)
    image.hasHeader = false
    let start = ImageAddress(SampleImage.codeAddress)
    var budget = Budget(budget)
    return try NumberAnalysis.numbers(
      at: start + UInt64(site ?? code.count), in: AddressRange(start: start, count: UInt64(count ?? code.count + 2)),
      entries: entries.map { start + $0 }, keptByCalls: keptByCalls, of: ObjectFile(Source(image.bytes)), decoder: OperationDecoder(),
      budget: &budget
    ) { functions.map { start + $0 }.contains($0) }
  }

  @Test(
    arguments: [
      ("mov $39,%eax", [0xb8, 39, 0, 0, 0], [39]),
      ("mov $39,%rax", [0x48, 0xc7, 0xc0, 39, 0, 0, 0], [39]),
      ("xor %eax,%eax", [0x31, 0xc0], [0]),
      // xor %eax,%eax; mov $57,%al
      ("a byte of zero", [0x31, 0xc0, 0xb0, 57], [57]),
      // push $60; pop %rax
      ("through the stack", [0x6a, 60, 0x58], [60]),
      // mov $59,%ebx; call +0; mov %ebx,%eax
      ("in a register that calls keep", [0xbb, 59, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x89, 0xd8], [59]),
      // mov $90,%eax; mov $91,%edx; test %edi,%edi; cmove %edx,%eax
      ("one of two by cmov", [0xb8, 90, 0, 0, 0, 0xba, 91, 0, 0, 0, 0x85, 0xff, 0x0f, 0x44, 0xc2], [90, 91]),
      // mov $90,%eax; test %edi,%edi; je +5; mov $91,%eax
      ("one of two by a branch", [0xb8, 90, 0, 0, 0, 0x85, 0xff, 0x74, 5, 0xb8, 91, 0, 0, 0], [90, 91]),
      // mov $5,%eax; lea 2(%rax),%rax; mov %rax,%rcx; xchg %rcx,%rax
      ("computed", [0xb8, 5, 0, 0, 0, 0x48, 0x8d, 0x40, 2, 0x48, 0x89, 0xc1, 0x48, 0x91], [7]),
      // push %rbp; mov %rsp,%rbp; mov $12,%ecx; mov %rcx,-8(%rbp); mov $3,%edx; mov %rdx,-16(%rbp); mov -8(%rbp),%rax
      (
        "in a slot",
        [
          0x55, 0x48, 0x89, 0xe5, 0xb9, 12, 0, 0, 0, 0x48, 0x89, 0x4d, 0xf8, 0xba, 3, 0, 0, 0, 0x48, 0x89, 0x55, 0xf0, 0x48, 0x8b, 0x45,
          0xf8,
        ], [12]
      ),
    ] as [(String, [UInt8], [Int32])])
  func `constants are followed to the instruction`(what: String, code: [UInt8], expected: [Int32]) throws {
    #expect(try numbers(code) == .only(expected), "\(what)")
  }

  @Test(
    arguments: [
      ("mov %edi,%eax", [0x89, 0xf8]),
      ("mov (%rdi),%eax", [0x8b, 0x07]),
      // mov $57,%al, with what an argument left above it
      ("a byte of an unknown register", [0xb0, 57]),
      // mov $39,%eax; call +0
      ("a call's result", [0xb8, 39, 0, 0, 0, 0xe8, 0, 0, 0, 0]),
      // mov $39,%eax; syscall
      ("a system call's result", [0xb8, 39, 0, 0, 0, 0x0f, 0x05]),
      // mov $39,%eax; test %edi,%edi; cmove %esi,%eax
      ("an argument by cmov", [0xb8, 39, 0, 0, 0, 0x85, 0xff, 0x0f, 0x44, 0xc6]),
      // mov $1,%eax; neg %eax | sbb %eax,%eax | sete %al | and $3,%eax | add $2,%eax
      ("neg", [0xb8, 1, 0, 0, 0, 0xf7, 0xd8]), ("sbb", [0x19, 0xc0]), ("setcc", [0xb8, 1, 0, 0, 0, 0x0f, 0x94, 0xc0]),
      ("and", [0xb8, 1, 0, 0, 0, 0x83, 0xe0, 3]), ("add", [0xb8, 1, 0, 0, 0, 0x83, 0xc0, 2]),
      // mov $7,%ah over a number
      ("the second byte", [0xb8, 1, 0, 0, 0, 0xb4, 7]),
      // push $60; mov %rsi,(%rdi); pop %rax
      ("a slot that a pointer may lead to", [0x6a, 60, 0x48, 0x89, 0x37, 0x58]),
      // push $60; call +0; pop %rax
      ("a slot that a call may change", [0x6a, 60, 0xe8, 0, 0, 0, 0, 0x58]),
      // mov $39,%eax; je +2; jmp *%rdx
      ("a jump that may lead to the instruction", [0x50, 0xb8, 39, 0, 0, 0, 0x74, 2, 0xff, 0xe2]),
      // mov $39,%eax; je +1; no instruction
      ("bytes that are no instruction", [0xb8, 39, 0, 0, 0, 0x74, 1, 0x06]),
      // mov $39,%eax over and over, each time plus one
      ("a loop that counts", [0x31, 0xc0, 0x48, 0xff, 0xc0, 0x39, 0xf8, 0x75, 0xf9]),
    ] as [(String, [UInt8])])
  func `what is not followed may be any number`(what: String, code: [UInt8]) throws {
    #expect(try numbers(code) == .any, "\(what)")
  }

  @Test func `a jump through a register in the place of a return leads elsewhere`() throws {
    // mov $39,%eax; je +2; jmp *%rdx
    #expect(try numbers([0xb8, 39, 0, 0, 0, 0x74, 2, 0xff, 0xe2]) == .only([39]))
  }

  @Test func `Go's calls keep no register`() throws {
    let code: [UInt8] = [0xbb, 59, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x89, 0xd8]
    #expect(try numbers(code, keptByCalls: []) == .any)
  }

  /// mov $1,%eax; jne to the part; syscall; ret | mov $2,%eax; jmp to the syscall
  private static let split: [UInt8] = [0xb8, 1, 0, 0, 0, 0x75, 3, 0x0f, 0x05, 0xc3, 0xb8, 2, 0, 0, 0, 0xeb, 0xf6]

  @Test func `a part that jumps back brings its own number, another function does not`() throws {
    #expect(try numbers(NumberTests.split, site: 7, count: 10) == .only([1, 2]))
    #expect(try numbers(NumberTests.split, site: 7, count: 10, functions: [10]) == .only([1]))
  }

  @Test func `an entry in the middle brings any number`() throws {
    let code: [UInt8] = [0xb8, 39, 0, 0, 0, 0x90]
    #expect(try numbers(code) == .only([39]))
    #expect(try numbers(code, entries: [5]) == .any)
  }

  @Test func `what nothing reaches is entered from elsewhere`() throws {
    // mov $1,%ebx; jmp to the call; | mov %rax,%rdi | call +0; mov %ebx,%eax; syscall: a landing pad falls into the shared code
    let code: [UInt8] = [0xbb, 1, 0, 0, 0, 0xeb, 3, 0x48, 0x89, 0xc7, 0xe8, 0, 0, 0, 0, 0x89, 0xd8]
    #expect(try numbers(code) == .any)
  }

  @Test func `a place that is no instruction's start is reached by nothing`() throws {
    #expect(try numbers([0xb8, 0x0f, 0x05, 0, 0], site: 1) == nil)
  }

  @Test func `code that is written to be slow costs no more than the budget`() throws {
    // push $n; je somewhere ahead
    let code = (0..<3000).flatMap { [0x6a, UInt8($0 & 127), 0x74, UInt8($0 * 37 % 120)] as [UInt8] }
    let took = ContinuousClock().measure {
      do { _ = try numbers(code, budget: 1 << 18) } catch { #expect(error as? UnwindError == .exhausted) }
    }
    #expect(took < .seconds(20))
  }
}
