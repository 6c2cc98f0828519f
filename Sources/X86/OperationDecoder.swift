private import CZydis

/// Decodes 64-bit code with its operands. Not thread-safe: it decodes into storage of its own.
@safe package final class OperationDecoder {
  private static let operandCount = 10
  private static let rsp: UInt8 = 7
  /// `tcbhead_t.stack_guard` (the psABI's thread control block): the place is part of the compilers' ABI.
  private static let canary = Memory(base: .none, displacement: 0x28)

  private var decoder = ZydisDecoder()
  private var decoded = unsafe ZydisDecodedInstruction()
  private let operands: UnsafeMutableBufferPointer<ZydisDecodedOperand>
  private var recent = Recent()

  /// What was decoded lately, by the sixteen bytes that begin with it: one function is gone through by several analyses in a row. Only the
  /// bytes decide what an instruction is, and it has at most fifteen.
  private struct Recent {
    private struct Decoded {
      var bytes: (UInt64, UInt64)
      var operation: Operation?
    }

    /// 256 of them, some 30 KiB, once there is one.
    private var all: [Decoded] = []

    private static func place(of bytes: (UInt64, UInt64)) -> Int {
      Int(truncatingIfNeeded: ((bytes.0 ^ bytes.1 << 7) &* 0x9e37_79b9_7f4a_7c15) >> 56)
    }

    /// nil where it is not among them; else what the bytes are, be it no instruction.
    func operation(_ bytes: (UInt64, UInt64)) -> Operation?? {
      guard !all.isEmpty else { return nil }
      let slot = Recent.place(of: bytes)
      return all[slot].bytes == bytes ? .some(all[slot].operation) : nil
    }

    mutating func keep(_ operation: Operation?, _ bytes: (UInt64, UInt64)) {
      let decoded = Decoded(bytes: bytes, operation: operation)
      // In the others' places, too, it is what it is.
      if all.isEmpty { all = .init(repeating: decoded, count: 256) } else { all[Recent.place(of: bytes)] = decoded }
    }
  }

  package init() {
    // SAFETY: the buffer is this object's own, zeroed at once (all-zero operands are valid), and freed by deinit alone.
    unsafe operands = .allocate(capacity: Self.operandCount)
    unsafe operands.initialize(repeating: ZydisDecodedOperand())
    // SAFETY: the decoder is this object's own field; the call only writes to it.
    let status = unsafe ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)
    precondition(status & 0x8000_0000 == 0, "Zydis does not know 64-bit mode")
  }

  deinit { unsafe operands.deallocate() }

  /// The instruction at `offset`, or nil where the bytes are none, or end too early.
  package func operation(at offset: Int, in code: [UInt8]) -> Operation? {
    guard offset >= 0, code.count >= 16, offset <= code.count - 16 else { return decode(at: offset, in: code) }
    // SAFETY: the line above has found that sixteen bytes are there, and any bytes are numbers.
    let bytes = unsafe (
      code.span.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self),
      code.span.bytes.unsafeLoadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)
    )
    if let known = recent.operation(bytes) { return known }
    let operation = decode(at: offset, in: code)
    recent.keep(operation, bytes)
    return operation
  }

  /// Decodes into the storage, which the operands are read from.
  func decode(at offset: Int, in code: [UInt8]) -> Operation? {
    guard offset >= 0, offset < code.count else { return nil }
    // SAFETY: the pointer comes from `code`, which outlives the call; the decoder reads no more than what is left of it from `offset`, and
    // writes at most ten operands, which is what the buffer holds.
    let status = unsafe code.withUnsafeBufferPointer { buffer in
      unsafe ZydisDecoderDecodeFull(
        &decoder, buffer.baseAddress! + offset, ZyanUSize(buffer.count - offset), &decoded, operands.baseAddress!)
    }
    let length = unsafe Int(decoded.length)
    guard status & 0x8000_0000 == 0, length > 0 else { return nil }
    let count = unsafe min(Int(decoded.operand_count), Self.operandCount)
    let (effect, transfer) = (effect(), transfer())
    let isPadding = unsafe decoded.mnemonic == ZYDIS_MNEMONIC_NOP || decoded.mnemonic == ZYDIS_MNEMONIC_INT3
    return Operation(length: length, transfer: transfer, effect: effect, written: written(count), isPadding: isPadding)
  }

  // MARK: Operands

  private func written(_ count: Int) -> UInt16 {
    var mask: UInt16 = 0
    for index in 0..<count where isWritten(index) {
      if let number = number(index) { mask |= 1 << UInt16(number) }
    }
    return mask
  }

  func isWritten(_ index: Int) -> Bool {
    let writes = UInt8(truncatingIfNeeded: ZYDIS_OPERAND_ACTION_MASK_WRITE.rawValue)
    return unsafe operands[index].actions & writes != 0
  }

  /// The general register that the operand is, or is a part of.
  private func number(_ index: Int) -> UInt8? {
    guard unsafe operands[index].type == ZYDIS_OPERAND_TYPE_REGISTER else { return nil }
    return unsafe dwarf(operands[index].reg.value)
  }

  /// The whole 64-bit register that the operand is.
  private func wide(_ index: Int) -> UInt8? { unsafe operands[index].size == 64 ? number(index) : nil }

  var visibleOperands: Int { unsafe min(Int(decoded.operand_count_visible), Self.operandCount) }

  func bits(_ index: Int) -> Int { unsafe Int(operands[index].size) }

  func operand(_ index: Int) -> Operand {
    if let value = constant(index) { return .constant(value) }
    if let number = number(index) { return .register(number) }
    if let memory = memory(index) { return .memory(memory, isThreadLocal: false) }
    if let memory = memory(index, in: ZYDIS_REGISTER_FS) { return .memory(memory, isThreadLocal: true) }
    return .other
  }

  var mnemonic: Assembly.Mnemonic {
    switch unsafe decoded.mnemonic {
    case ZYDIS_MNEMONIC_MOV: .mov
    case ZYDIS_MNEMONIC_LEA: .lea
    case ZYDIS_MNEMONIC_ADD: .add
    case ZYDIS_MNEMONIC_SUB: .sub
    case ZYDIS_MNEMONIC_AND: .and
    case ZYDIS_MNEMONIC_OR: .or
    case ZYDIS_MNEMONIC_XOR: .xor
    case ZYDIS_MNEMONIC_CMP: .cmp
    case ZYDIS_MNEMONIC_TEST: .test
    case ZYDIS_MNEMONIC_PUSH: .push
    case ZYDIS_MNEMONIC_PUSHFQ: .pushf
    case ZYDIS_MNEMONIC_POP: .pop
    case ZYDIS_MNEMONIC_POPFQ: .popf
    case ZYDIS_MNEMONIC_JZ: .jz
    case ZYDIS_MNEMONIC_JNZ: .jnz
    case ZYDIS_MNEMONIC_JMP: .jmp
    case ZYDIS_MNEMONIC_CALL: .call
    case ZYDIS_MNEMONIC_RET: .ret
    case ZYDIS_MNEMONIC_HLT, ZYDIS_MNEMONIC_UD0, ZYDIS_MNEMONIC_UD1, ZYDIS_MNEMONIC_UD2, ZYDIS_MNEMONIC_INT3: .stop
    default: .other
    }
  }

  private func constant(_ index: Int) -> Int64? {
    guard unsafe operands[index].type == ZYDIS_OPERAND_TYPE_IMMEDIATE else { return nil }
    return unsafe operands[index].imm.value.s
  }

  /// In `segment`, or where segments mean nothing: fs and gs have bases of their own.
  private func memory(_ index: Int, in segment: ZydisRegister? = nil) -> Memory? {
    guard unsafe operands[index].type == ZYDIS_OPERAND_TYPE_MEMORY else { return nil }
    let memory = unsafe operands[index].mem
    if let segment {
      guard memory.segment == segment else { return nil }
    } else {
      guard memory.segment != ZYDIS_REGISTER_FS, memory.segment != ZYDIS_REGISTER_GS else { return nil }
    }
    let base: Memory.Base
    if memory.base == ZYDIS_REGISTER_RIP {
      base = .instruction
    } else if memory.base == ZYDIS_REGISTER_NONE {
      base = .none
    } else if let number = dwarf(memory.base) {
      base = .register(number)
    } else {
      return nil
    }
    let index: UInt8? = memory.index == ZYDIS_REGISTER_NONE ? nil : dwarf(memory.index)
    if index == nil && memory.index != ZYDIS_REGISTER_NONE { return nil }
    return Memory(base: base, index: index, scale: memory.scale, displacement: memory.disp.value)
  }

  private func dwarf(_ register: ZydisRegister) -> UInt8? {
    // rax rcx rdx rbx rsp rbp rsi rdi, as the encoding numbers them
    let numbers: [8 of UInt8] = [0, 2, 1, 3, 7, 6, 4, 5]
    let whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, register)
    guard whole.rawValue >= ZYDIS_REGISTER_RAX.rawValue, whole.rawValue <= ZYDIS_REGISTER_R15.rawValue else { return nil }
    let encoded = Int(whole.rawValue - ZYDIS_REGISTER_RAX.rawValue)
    return encoded < 8 ? numbers[encoded] : UInt8(encoded)
  }

  // MARK: What it does

  private func transfer() -> Transfer {
    let mnemonic = unsafe decoded.mnemonic
    switch mnemonic {
    case ZYDIS_MNEMONIC_CALL:
      if let displacement = constant(0) { return .call(displacement: displacement) }
      return .callIndirect
    case ZYDIS_MNEMONIC_JMP:
      if let displacement = constant(0) { return .jump(displacement: displacement) }
      if let register = wide(0) { return .jumpRegister(register) }
      if let memory = memory(0) { return .jumpMemory(memory) }
      return .halt
    case ZYDIS_MNEMONIC_RET, ZYDIS_MNEMONIC_IRET, ZYDIS_MNEMONIC_IRETD, ZYDIS_MNEMONIC_IRETQ: return .ret
    case ZYDIS_MNEMONIC_HLT, ZYDIS_MNEMONIC_UD0, ZYDIS_MNEMONIC_UD1, ZYDIS_MNEMONIC_UD2, ZYDIS_MNEMONIC_INT3: return .halt
    case ZYDIS_MNEMONIC_SYSCALL: return .syscall
    default: break
    }
    if unsafe decoded.meta.category == ZYDIS_CATEGORY_COND_BR, let displacement = constant(0) {
      return .branch(displacement: displacement)
    }
    return .next
  }

  private func effect() -> Effect {
    switch unsafe decoded.mnemonic {
    case ZYDIS_MNEMONIC_PUSH:
      guard unsafe operands[0].size == 64 || constant(0) != nil else { return .none }
      if let memory = memory(0) { return .pushMemory(memory) }
      if let value = constant(0) { return .pushConstant(value) }
      return .push(wide(0))
    case ZYDIS_MNEMONIC_PUSHFQ: return .push(nil)
    case ZYDIS_MNEMONIC_POP: return unsafe operands[0].size == 64 ? .pop(wide(0)) : .none
    case ZYDIS_MNEMONIC_POPFQ: return .pop(nil)
    case ZYDIS_MNEMONIC_LEAVE: return .leave
    case ZYDIS_MNEMONIC_MOV: return move()
    case ZYDIS_MNEMONIC_LEA:
      guard let to = wide(0), let memory = memory(1) else { return .none }
      return .address(to: to, memory)
    case ZYDIS_MNEMONIC_MOVSXD:
      guard let to = wide(0), let memory = memory(1) else { return .none }
      return .loadSigned(to: to, memory)
    case ZYDIS_MNEMONIC_ADD: return sum(negative: false)
    case ZYDIS_MNEMONIC_SUB: return sum(negative: true)
    case ZYDIS_MNEMONIC_INC: return wide(0).map { .add(to: $0, 1) } ?? stored()
    case ZYDIS_MNEMONIC_DEC: return wide(0).map { .add(to: $0, -1) } ?? stored()
    case ZYDIS_MNEMONIC_CMP: return number(0) == nil ? .none : constant(1).map { .compare($0) } ?? .none
    case ZYDIS_MNEMONIC_XCHG:
      if let a = wide(0), let b = wide(1) { return .exchange(a, b) }
      return stored()
    case ZYDIS_MNEMONIC_AND:
      if let to = wide(0), let mask = constant(1), mask < 0 { return .lower(to) }
      return stored()
    case ZYDIS_MNEMONIC_XOR:
      // The idiom for zero; a write of 32 bits clears the upper half.
      if let a = number(0), a == number(1), unsafe operands[0].size >= 32 { return .constant(to: a, 0) }
      return stored()
    default: return unsafe decoded.meta.category == ZYDIS_CATEGORY_CMOV ? moveIf() : stored()
    }
  }

  private func moveIf() -> Effect {
    guard let to = number(0), let from = number(1), unsafe operands[0].size >= 32 else { return .none }
    return .moveIf(to: to, from: from, isHalf: unsafe operands[0].size == 32)
  }

  private func move() -> Effect {
    if let to = wide(0) {
      if let from = wide(1) { return .move(to: to, from: from) }
      if let memory = memory(1) { return .load(to: to, memory) }
      if memory(1, in: ZYDIS_REGISTER_FS) == OperationDecoder.canary { return .canary(to: to) }
    }
    if unsafe operands[0].size == 32, let to = number(0), let from = number(1) { return .moveHalf(to: to, from: from) }
    if let to = number(0), let value = constant(1) {
      if unsafe operands[0].size >= 32 {
        return .constant(to: to, unsafe operands[0].size == 32 ? Int64(UInt32(truncatingIfNeeded: value)) : value)
      }
      if unsafe operands[0].size == 8 && !isHighByte(0) { return .constantByte(to: to, UInt8(truncatingIfNeeded: value)) }
    }
    if let memory = memory(0) { return .store(memory, from: wide(1), count: width(0)) }
    return .none
  }

  private func isHighByte(_ index: Int) -> Bool {
    let register = unsafe operands[index].reg.value
    return register.rawValue >= ZYDIS_REGISTER_AH.rawValue && register.rawValue <= ZYDIS_REGISTER_BH.rawValue
  }

  private func sum(negative: Bool) -> Effect {
    guard let to = wide(0) else { return stored() }
    if let value = constant(1) {
      let (negated, overflow) = (0 as Int64).subtractingReportingOverflow(value)
      return negative ? (overflow ? .none : .add(to: to, negated)) : .add(to: to, value)
    }
    if let from = wide(1) { return negative ? .lower(to) : .addRegister(to: to, from: from) }
    return .none
  }

  /// The memory that an instruction of any other kind writes.
  private func stored() -> Effect {
    guard unsafe decoded.operand_count_visible > 0, isWritten(0), let memory = memory(0) else { return .none }
    return .store(memory, from: nil, count: width(0))
  }

  /// In bytes.
  private func width(_ index: Int) -> UInt16 { unsafe operands[index].size / 8 }
}
