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

  /// Some instruction of the function moves SP down, while its CFI says that SP stays where it was at the entry.
  ///
  /// CFI that a compiler writes holds at each instruction; hand-written assembly may have an FDE that nobody filled in (glibc's
  /// __mpn_mul_1). At calls that does not matter, as such code makes none: it does where a signal interrupts it.
  func contradicts(_ entry: FrameEntry, _ row: Row, budget: inout Budget) throws(UnwindError) -> Bool {
    guard row.start == entry.range.start, row.end == entry.end, row.cfa == .register(7, offset: 8),
      entry.range.count <= Image.maxGapBytes
    else { return false }
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: entry.range.start, upTo: Int(entry.range.count)) } catch { throw .file(error) }
    try budget.spend(code.count)
    var offset = 0
    while let instruction = decoder.instruction(at: offset, in: code) {
      if instruction.lowersStack { return true }
      offset += instruction.length
    }
    return false
  }
}
