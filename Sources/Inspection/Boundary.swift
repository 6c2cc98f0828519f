import ELF
import Unwind
import X86

/// What lies just before an address, counted instruction by instruction from a true boundary.
enum Before {
  /// The instruction that ends there.
  case instruction(Instruction)
  /// An instruction begins before the address and ends after it.
  case inside
  /// Some bytes on the way are no instruction.
  case undecodable
}

extension Image {
  /// node's largest function has some 200 KiB; what one row holds is less.
  static let maxDecodedBytes: UInt64 = 1 << 19
  private static let window = 1024

  /// The instruction before `target`, decoding on from `start`, which is a true boundary below it.
  func before(_ target: ImageAddress, from start: ImageAddress, budget: inout Budget) throws(UnwindError) -> Before {
    guard start < target, target.value - start.value <= Image.maxDecodedBytes else { return .undecodable }
    var at = start
    var code: [UInt8] = []
    var codeStart = start
    while true {
      var offset = Int(at.value - codeStart.value)
      if code.count - offset < Decoder.maxInstructionBytes {
        do throws(ELFError) { code = try file.bytes(at: at, upTo: Image.window) } catch { throw .file(error) }
        try budget.spend(min(code.count, Int(target.value - at.value)))
        codeStart = at
        offset = 0
      }
      guard let instruction = decoder.instruction(at: offset, in: code) else { return .undecodable }
      at = at + UInt64(instruction.length)
      if at == target { return .instruction(instruction) }
      if at > target { return .inside }
    }
  }
}
