/// A small ELF file put together by hand, so that a test says exactly what it holds:
///
///     0x000000  ELF header, program headers      0x400000  r--
///     0x000200  .eh_frame_hdr                     0x400200
///     0x000400  .eh_frame                         0x400400
///     0x100000  code                              0x500000  r-x
package struct SampleImage {
  package static let headerAddress: UInt64 = 0x400200
  package static let framesAddress: UInt64 = 0x400400
  package static let codeOffset: UInt64 = 0x100000
  package static let codeAddress: UInt64 = 0x500000

  package struct Entry {
    /// From the code's start.
    package var offset: UInt32
    package var count: UInt32
    package var instructions: [UInt8]
    package var isSignalFrame: Bool

    package init(offset: UInt32, count: UInt32, instructions: [UInt8], isSignalFrame: Bool = false) {
      self.offset = offset
      self.count = count
      self.instructions = instructions
      self.isSignalFrame = isSignalFrame
    }
  }

  package var code: [UInt8]
  package var entries: [Entry] = []
  /// def_cfa rsp+8; offset ra at cfa-8
  package var commonInstructions: [UInt8] = [0x0c, 7, 8, 0x90, 1]
  package var hasHeader = true
  package var entryPoint: UInt64 = SampleImage.codeAddress
  /// Replaces the whole of `.eh_frame`.
  package var frames: [UInt8]?
  /// Replaces the whole of `.eh_frame_hdr`.
  package var header: [UInt8]?
  /// ET_EXEC, else ET_DYN.
  package var isFixed = true
  /// nil: no section headers.
  package var linkage: SampleLinkage?

  package init(code: [UInt8]) { self.code = code }

  package mutating func put(_ bytes: [UInt8], at offset: Int) { code.replaceSubrange(offset..<(offset + bytes.count), with: bytes) }

  /// An instruction at `offset` of the code that ends in the distance to `target`, an address: `call`, `jmp`, `lea x(%rip), %reg`.
  package mutating func put(_ opcode: [UInt8], to target: UInt64, at offset: Int) {
    let end = SampleImage.codeAddress + UInt64(offset + opcode.count + 4)
    put(opcode + le(UInt32(truncatingIfNeeded: target &- end)), at: offset)
  }

  package var bytes: [UInt8] {
    var file = [UInt8](repeating: 0, count: Int(SampleImage.codeOffset))
    func put(_ bytes: [UInt8], at offset: Int) { for (index, byte) in bytes.enumerated() { file[offset + index] = byte } }
    var (frames, header) = tables()
    frames = self.frames ?? frames
    header = self.header ?? header
    let dataOffset = SampleImage.codeOffset + UInt64((code.count + 4095) / 4096 * 4096)
    let sections = linkage?.parts(codeBytes: code.count, dataOffset: dataOffset)
    let data = linkage?.data ?? []
    let programCount: UInt16 = 2 + (hasHeader ? 1 : 0) + (data.isEmpty ? 0 : 1)
    let sectionCount = UInt16(sections?.sectionCount ?? 0)
    put(
      [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9) + le(UInt16(isFixed ? 2 : 3)) + le(UInt16(62)) + le(UInt32(1))
        + le(entryPoint) + le(UInt64(64)) + le(UInt64(sectionCount > 0 ? 0x70000 : 0)) + le(UInt32(0)) + le(UInt16(64)) + le(UInt16(56))
        + le(programCount)
        + le(UInt16(64)) + le(sectionCount) + le(sectionCount > 0 ? sectionCount - 1 : 0), at: 0)
    func program(_ type: UInt32, _ flags: UInt32, _ offset: UInt64, _ address: UInt64, _ count: UInt64) -> [UInt8] {
      le(type) + le(flags) + le(offset) + le(address) + le(address) + le(count) + le(count) + le(UInt64(0x1000))
    }
    put(program(1, 4, 0, 0x400000, SampleImage.codeOffset), at: 64)
    put(program(1, 5, SampleImage.codeOffset, SampleImage.codeAddress, UInt64(code.count)), at: 120)
    if hasHeader { put(program(0x6474_e550, 4, 0x200, SampleImage.headerAddress, UInt64(header.count)), at: 176) }
    if !data.isEmpty {
      put(program(1, 6, dataOffset, SampleLinkage.dataAddress, UInt64(data.count)), at: hasHeader ? 232 : 176)
    }
    put(header, at: 0x200)
    put(frames, at: 0x400)
    for piece in sections?.pieces ?? [] { put(piece.bytes, at: piece.offset) }
    if data.isEmpty { return file + code }
    return file + code + [UInt8](repeating: 0, count: Int(dataOffset - SampleImage.codeOffset) - code.count) + data
  }

  /// `.eh_frame` and its header, with the 4-byte pc-relative and data-relative pointers that compilers use.
  package func tables() -> (frames: [UInt8], header: [UInt8]) {
    var frames: [UInt8] = []
    var table: [(start: UInt64, entry: UInt64)] = []
    var commons: [Bool: Int] = [:]
    for entry in entries {
      if commons[entry.isSignalFrame] == nil {
        commons[entry.isSignalFrame] = frames.count
        // version 1, "zR" or "zRS", code alignment 1, data alignment -8, return address in 16, augmentation: sdata4 pcrel
        let body =
          le(UInt32(0)) + [1] + Array((entry.isSignalFrame ? "zRS" : "zR").utf8) + [0, 1, 0x78, 16, 1, 0x1b] + commonInstructions
        frames += le(UInt32(body.count)) + body
      }
      let at = frames.count
      let pointer = UInt32(at + 4 - commons[entry.isSignalFrame]!)
      let field = SampleImage.framesAddress + UInt64(at) + 8
      let start = SampleImage.codeAddress + UInt64(entry.offset)
      let body = le(pointer) + le(UInt32(truncatingIfNeeded: start &- field)) + le(entry.count) + [0] + entry.instructions
      frames += le(UInt32(body.count)) + body
      table.append((start, SampleImage.framesAddress + UInt64(at)))
    }
    frames += le(UInt32(0))
    table.sort { $0.start < $1.start }
    var header: [UInt8] = [1, 0x1b, 0x03, 0x3b]
    header += le(UInt32(truncatingIfNeeded: SampleImage.framesAddress &- (SampleImage.headerAddress + 4))) + le(UInt32(table.count))
    for row in table {
      header += le(UInt32(truncatingIfNeeded: row.start &- SampleImage.headerAddress))
      header += le(UInt32(truncatingIfNeeded: row.entry &- SampleImage.headerAddress))
    }
    return (frames, header)
  }
}

package func le<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
  (0..<(Value.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> Value($0 * 8)) }
}

/// Steele, Lea and Flood's SplitMix64: the same numbers each run.
package struct Seeded: RandomNumberGenerator {
  private var state: UInt64
  package init(_ seed: UInt64) { state = seed }
  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
