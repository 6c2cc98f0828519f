package import Diagnostics

/// A classic BPF program over `struct seccomp_data`, as seccomp(2) takes it.
package struct Program: Equatable, Sendable {
  /// `struct sock_filter` of linux/filter.h.
  package struct Instruction: Equatable, Sendable {
    package let code: UInt16
    package let jumpTrue: UInt8
    package let jumpFalse: UInt8
    package let operand: UInt32
  }
  package let instructions: [Instruction]

  /// BPF_MAXINSNS of linux/bpf_common.h.
  package static let maxInstructions = 4096

  /// Eight bytes an instruction, little endian.
  package init(bytes: [UInt8]) throws(Refusal) {
    guard bytes.count % 8 == 0, (1...Program.maxInstructions).contains(bytes.count / 8) else {
      throw Refusal(.filterNotProven, "the compiled filter has \(bytes.count) bytes, which is no filter the kernel accepts")
    }
    instructions = stride(from: 0, to: bytes.count, by: 8).map { start in
      func byte(_ offset: Int) -> UInt32 { UInt32(bytes[start + offset]) }
      return Instruction(
        code: UInt16(byte(0) | byte(1) << 8), jumpTrue: bytes[start + 2], jumpFalse: bytes[start + 3],
        operand: byte(4) | byte(5) << 8 | byte(6) << 16 | byte(7) << 24)
    }
  }

  package var bytes: [UInt8] {
    instructions.flatMap { instruction -> [UInt8] in
      let (code, operand) = (instruction.code, instruction.operand)
      return [
        UInt8(code & 0xff), UInt8(code >> 8), instruction.jumpTrue, instruction.jumpFalse, UInt8(operand & 0xff),
        UInt8(operand >> 8 & 0xff), UInt8(operand >> 16 & 0xff), UInt8(operand >> 24),
      ]
    }
  }
}

/// `struct seccomp_data` of linux/seccomp.h.
package struct Call: Equatable, Sendable {
  package static let x86_64: UInt32 = 0xC000_003E
  package static let i386: UInt32 = 0x4000_0003
  /// __X32_SYSCALL_BIT
  package static let x32Bit: UInt32 = 0x4000_0000

  package var number: UInt32
  package var architecture: UInt32
  package var arguments: [6 of UInt64]

  package init(_ number: UInt32, architecture: UInt32 = Call.x86_64, arguments: [6 of UInt64] = .init(repeating: 0)) {
    self.number = number
    self.architecture = architecture
    self.arguments = arguments
  }

  package static func == (a: Call, b: Call) -> Bool {
    guard a.number == b.number, a.architecture == b.architecture else { return false }
    for index in 0..<6 where a.arguments[index] != b.arguments[index] { return false }
    return true
  }

  /// The 32-bit word at `offset`: nr, arch, instruction pointer (0 here: no filter of ours reads it), six arguments low word first.
  func word(at offset: UInt32) -> UInt32? {
    switch offset {
    case 0: return number
    case 4: return architecture
    case 8, 12: return 0
    case 16..<64 where offset % 4 == 0:
      let argument = arguments[Int(offset - 16) / 8]
      return UInt32(truncatingIfNeeded: offset % 8 == 0 ? argument : argument >> 32)
    default: return nil
    }
  }
}

extension Program {
  /// What the program returns for a call: a SECCOMP_RET_* value with its data; nil for a program that the kernel would not load.
  ///
  /// Total: jumps only go forward, so every run ends within the number of instructions.
  package func evaluate(_ call: Call) -> UInt32? { evaluate(call, from: 0) }

  /// The same from an instruction that loads the accumulator, where nothing has been kept elsewhere.
  func evaluate(_ call: Call, from start: Int) -> UInt32? {
    var accumulator: UInt32 = 0
    var index: UInt32 = 0
    var memory: [16 of UInt32] = .init(repeating: 0)
    var place = start
    while place < instructions.count {
      let instruction = instructions[place]
      let operand = instruction.operand
      place += 1
      switch instruction.code {
      case 0x20:  // BPF_LD | BPF_W | BPF_ABS
        guard let word = call.word(at: operand) else { return nil }
        accumulator = word
      case 0x00: accumulator = operand  // BPF_LD | BPF_IMM
      case 0x01: index = operand  // BPF_LDX | BPF_IMM
      case 0x80: accumulator = 64  // BPF_LD | BPF_W | BPF_LEN
      case 0x81: index = 64  // BPF_LDX | BPF_W | BPF_LEN
      case 0x60, 0x61, 0x02, 0x03:  // BPF_LD, BPF_LDX, BPF_ST, BPF_STX of BPF_MEM
        guard operand < 16 else { return nil }
        switch instruction.code {
        case 0x60: accumulator = memory[Int(operand)]
        case 0x61: index = memory[Int(operand)]
        case 0x02: memory[Int(operand)] = accumulator
        default: memory[Int(operand)] = index
        }
      case 0x07: index = accumulator  // BPF_MISC | BPF_TAX
      case 0x87: accumulator = index  // BPF_MISC | BPF_TXA
      case 0x05: place += Int(operand)  // BPF_JMP | BPF_JA
      case 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d:
        let other = instruction.code & 0x08 == 0 ? operand : index
        let holds =
          switch instruction.code & 0x70 {
          case 0x10: accumulator == other
          case 0x20: accumulator > other
          case 0x30: accumulator >= other
          default: accumulator & other != 0
          }
        place += Int(holds ? instruction.jumpTrue : instruction.jumpFalse)
      case 0x06: return operand  // BPF_RET | BPF_K
      case 0x16: return accumulator  // BPF_RET | BPF_A
      default:
        guard instruction.code & 0x07 == 0x04,
          let result = arithmetic(instruction.code, accumulator, instruction.code & 0x08 == 0 ? operand : index)
        else { return nil }
        accumulator = result
      }
    }
    return nil
  }
}

/// BPF_ALU. Nil for an operation the kernel refuses in a filter.
private func arithmetic(_ code: UInt16, _ a: UInt32, _ b: UInt32) -> UInt32? {
  switch code & 0xf0 {
  case 0x00: a &+ b
  case 0x10: a &- b
  case 0x20: a &* b
  case 0x30: b == 0 ? 0 : a / b
  case 0x40: a | b
  case 0x50: a & b
  case 0x60: b < 32 ? a << b : 0
  case 0x70: b < 32 ? a >> b : 0
  case 0x80: 0 &- a
  case 0xa0: a ^ b
  default: nil
  }
}
