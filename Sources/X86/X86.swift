private import CZydis

/// What one instruction does to control flow, as far as the checks ask.
package struct Instruction: Equatable, Sendable {
  package enum Kind: Equatable, Sendable {
    case syscall
    /// A near call to the address `displacement` bytes past the instruction's end.
    case directCall(displacement: Int64)
    /// A near call through a register or memory.
    case indirectCall
    /// `ret`, `jmp`, `hlt`, `ud2`, `int3`: the next instruction is not reached from here.
    case noFallThrough
    case other
  }

  /// 1 to 15.
  package var length: Int
  package var kind: Kind
  /// `nop` of any length, or `int3`: what fills the space between functions.
  package var isPadding: Bool
  /// `push` of any kind, or `sub` of a constant from rsp: it moves the stack pointer down within its own function.
  package var lowersStack: Bool

  package var isCall: Bool {
    switch kind {
    case .directCall, .indirectCall: true
    case .syscall, .noFallThrough, .other: false
    }
  }
}

/// Decodes 64-bit code (Zydis in its minimal mode: lengths and opcodes, no operands).
package struct Decoder {
  /// The architecture's limit (Intel SDM 2, 2.3.11).
  package static let maxInstructionBytes = 15

  private var decoder = ZydisDecoder()

  package init() {
    // SAFETY: the decoder is this value's own field; both calls only write to it.
    let status = unsafe ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)
    precondition(status & 0x8000_0000 == 0, "Zydis does not know 64-bit mode")
    let minimal = unsafe ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MINIMAL, 1)
    precondition(minimal & 0x8000_0000 == 0, "Zydis was built without its minimal mode")
  }

  /// The instruction at `offset`, or nil where the bytes are none, or end too early.
  package func instruction(at offset: Int, in code: [UInt8]) -> Instruction? {
    guard offset >= 0, offset < code.count else { return nil }
    var decoded = unsafe ZydisDecodedInstruction()
    // SAFETY: the pointer comes from `code`, which outlives the call, and the length is what is left of it from `offset`;
    // the decoder reads no more than the length. Operands are neither decoded nor asked for.
    let status = unsafe code.withUnsafeBufferPointer { buffer in
      unsafe withUnsafePointer(to: decoder) { decoder in
        unsafe ZydisDecoderDecodeInstruction(decoder, nil, buffer.baseAddress! + offset, ZyanUSize(buffer.count - offset), &decoded)
      }
    }
    // SAFETY: plain numbers in a struct of our own that began as zeroes; a union is only read where the opcode says which
    // member the decoder wrote.
    let length = unsafe Int(decoded.length)
    guard status & 0x8000_0000 == 0, length > 0 else { return nil }
    let opcode = unsafe decoded.opcode
    var kind = Instruction.Kind.other
    var isPadding = false
    var lowersStack = false
    switch unsafe decoded.mnemonic {
    case ZYDIS_MNEMONIC_SYSCALL: kind = .syscall
    case ZYDIS_MNEMONIC_CALL:
      if opcode == 0xe8 {
        kind = unsafe .directCall(displacement: decoded.raw.imm.0.value.s)
      } else if unsafe opcode == 0xff && decoded.raw.modrm.reg == 2 {
        kind = .indirectCall
      }  // else a far call, which pushes a selector too: no compiler writes one
    case ZYDIS_MNEMONIC_RET, ZYDIS_MNEMONIC_JMP, ZYDIS_MNEMONIC_HLT, ZYDIS_MNEMONIC_UD2: kind = .noFallThrough
    case ZYDIS_MNEMONIC_INT3:
      kind = .noFallThrough
      isPadding = true
    case ZYDIS_MNEMONIC_NOP: isPadding = true
    case ZYDIS_MNEMONIC_PUSH, ZYDIS_MNEMONIC_PUSHFQ, ZYDIS_MNEMONIC_ENTER: lowersStack = true
    case ZYDIS_MNEMONIC_SUB:
      // 81 /5 and 83 /5 with a register operand 4 that REX.B does not make r12
      lowersStack =
        unsafe (opcode == 0x81 || opcode == 0x83) && decoded.raw.modrm.mod == 3 && decoded.raw.modrm.rm == 4 && decoded.raw.rex.B == 0
    default: break
    }
    return Instruction(length: length, kind: kind, isPadding: isPadding, lowersStack: lowersStack)
  }
}
