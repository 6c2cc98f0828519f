import Testing
import X86

@Suite struct DecoderTests {
  @Test(
    arguments: [
      ([0x0f, 0x05], 2, .syscall),
      // call +0x11, and the relaxed `addr32 call` that linkers write for call *f@GOTPCREL(%rip)
      ([0xe8, 0x11, 0, 0, 0], 5, .directCall(displacement: 0x11)),
      ([0x67, 0xe8, 0xf0, 0xff, 0xff, 0xff], 6, .directCall(displacement: -16)),
      // data16 data16 rex.W call: the general dynamic TLS sequence
      ([0x66, 0x66, 0x48, 0xe8, 1, 0, 0, 0], 8, .directCall(displacement: 1)),
      // call *rax; call *8(%rbx); call *0x2f4f(%rip); notrack call *rdx; call *(%r12,%rax,8)
      ([0xff, 0xd0], 2, .indirectCall), ([0xff, 0x53, 0x08], 3, .indirectCall),
      ([0xff, 0x15, 0x4f, 0x2f, 0, 0], 6, .indirectCall), ([0x3e, 0xff, 0xd2], 3, .indirectCall),
      ([0x41, 0xff, 0x14, 0xc4], 4, .indirectCall),
      // jmp *rax; ret; hlt; lcall *(%rax); push (%rax); mov $60,%eax
      ([0xff, 0xe0], 2, .noFallThrough), ([0xc3], 1, .noFallThrough), ([0xf4], 1, .noFallThrough),
      ([0xff, 0x18], 2, .other), ([0xff, 0x30], 2, .other), ([0xb8, 0x3c, 0, 0, 0], 5, .other),
      // vaddps zmm; endbr64
      ([0x62, 0xf1, 0x74, 0x48, 0x58, 0xc2], 6, .other), ([0xf3, 0x0f, 0x1e, 0xfa], 4, .other),
    ] as [([UInt8], Int, Instruction.Kind)])
  func `an instruction has its length and kind`(code: [UInt8], length: Int, kind: Instruction.Kind) {
    let decoder = Decoder()
    let instruction = decoder.instruction(at: 0, in: code)
    #expect(instruction?.length == length && instruction?.kind == kind && instruction?.isPadding == false)
    #expect(decoder.instruction(at: 1, in: [0x90] + code)?.length == length)
  }

  @Test func `bytes that are cut off or no instruction are nil`() {
    let decoder = Decoder()
    #expect(decoder.instruction(at: 0, in: [0xe8, 1, 2, 3]) == nil)
    #expect(decoder.instruction(at: 0, in: [0x06]) == nil)
    #expect(decoder.instruction(at: 0, in: []) == nil)
    #expect(decoder.instruction(at: -1, in: [0x90]) == nil)
    #expect(decoder.instruction(at: 0, in: [UInt8](repeating: 0x66, count: 32)) == nil)
  }

  @Test func `nops of any length and int3 are padding`() {
    let decoder = Decoder()
    #expect(decoder.instruction(at: 0, in: [0x90])?.isPadding == true)
    #expect(decoder.instruction(at: 0, in: [0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0])?.isPadding == true)
    #expect(decoder.instruction(at: 0, in: [0xcc])?.isPadding == true)
    #expect(decoder.instruction(at: 0, in: [0x31, 0xed])?.isPadding == false)
  }

  @Test func `no bytes make it trap`() {
    let decoder = Decoder()
    var random = SplitMix64(seed: 1)
    var decoded = 0
    for _ in 0..<20_000 {
      let code = (0..<16).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      if let instruction = decoder.instruction(at: 0, in: code) {
        #expect((1...Decoder.maxInstructionBytes).contains(instruction.length))
        decoded += 1
      }
    }
    #expect(decoded > 1000)
  }
}

/// Steele, Lea and Flood's generator: the same bytes each run.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
