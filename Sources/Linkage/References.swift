import Bytes
import ELF
import Unwind

/// Where a file's code and data hold addresses of code, found by one pass over its bytes.
///
/// Instructions are looked for at every byte, not decoded one after the other: that is several times as fast, and finds a few that are
/// none. A function more that counts as having its address taken is no false alarm, and four bytes that name a function's very first
/// one by chance are rare.
struct References {
  static let maxCodeBytes: UInt64 = 256 << 20
  static let maxDataBytes: UInt64 = 64 << 20
  private static let blockBytes: UInt64 = 1 << 20
  /// The longest instruction that is looked for: REX, opcode, ModRM and four bytes of displacement.
  private static let overlap: UInt64 = 8
  /// Bytes for one unit of the budget: a pass is some ten times as fast as decoding.
  private static let bytesAUnit = 16

  /// Sorted, each once.
  let taken: [UInt64]
  /// Slots of the GOT that are loaded from, not only called through.
  let loaded: Set<UInt64>

  init(of file: ObjectFile, _ relocations: Relocations, _ budget: inout Budget) throws(UnwindError) {
    var sweep = Sweep(file, relocations)
    let hasRelativePointers = try References.hasSwiftMetadata(file)
    for segment in file.segments {
      let isWanted =
        segment.isExecutable
        ? segment.fileBytes <= References.maxCodeBytes
        : (file.isFixed || hasRelativePointers) && segment.fileBytes <= References.maxDataBytes
      guard isWanted else { continue }
      try References.blocks(of: segment, in: file, &budget) { bytes, address in
        if segment.isExecutable { sweep.code(bytes, at: address) } else if file.isFixed { sweep.words(bytes, at: address) }
        // Records of asynchronous functions lie in writable data, too.
        if hasRelativePointers { sweep.relativeWords(bytes, at: address) }
      }
    }
    taken = sweep.taken.sorted()
    loaded = sweep.loaded
  }

  /// The jumps, conditional or not, into `range` from outside of it: the addresses of the instructions.
  static func jumps(into range: AddressRange, of file: ObjectFile, _ budget: inout Budget) throws(UnwindError) -> [ImageAddress] {
    var found: [ImageAddress] = []
    try codeBlocks(of: file, &budget) { bytes, address in
      let code = bytes.span
      func note(_ index: Int, _ length: Int, _ distance: UInt64) {
        let source = address + UInt64(index)
        if range.contains(source + UInt64(length) + distance), !range.contains(source) { found.append(source) }
      }
      var index = 0
      while index + 6 <= code.count {
        let opcode = code[index]
        // jmp rel32, jcc rel32; jmp rel8, jcc rel8
        if opcode == 0xe9 {
          note(index, 5, displacement(code, index + 1))
        } else if opcode == 0x0f && code[index + 1] & 0xf0 == 0x80 {
          note(index, 6, displacement(code, index + 2))
        } else if opcode == 0xeb || opcode & 0xf0 == 0x70 {
          note(index, 2, UInt64(bitPattern: Int64(Int8(bitPattern: code[index + 1]))))
        }
        index += 1
      }
    }
    return found
  }

  /// The jumps through the word at `slot` (`jmp *disp(%rip)`).
  static func jumps(through slot: ImageAddress, of file: ObjectFile, _ budget: inout Budget) throws(UnwindError) -> [ImageAddress] {
    var found: [ImageAddress] = []
    try codeBlocks(of: file, &budget) { bytes, address in
      let code = bytes.span
      var index = 0
      while index + 6 <= code.count {
        if code[index] == 0xff, code[index + 1] == 0x25, address + UInt64(index + 6) + displacement(code, index + 2) == slot {
          found.append(address + UInt64(index))
        }
        index += 1
      }
    }
    return found
  }

  /// Pieces of all code that is gone through.
  private static func codeBlocks(
    of file: ObjectFile, _ budget: inout Budget, _ body: ([UInt8], ImageAddress) -> Void
  ) throws(UnwindError) {
    for segment in file.segments where segment.isExecutable && segment.fileBytes <= maxCodeBytes {
      try blocks(of: segment, in: file, &budget, body)
    }
  }

  /// Pieces of a segment, each with a few bytes of the next one.
  private static func blocks(
    of segment: Segment, in file: ObjectFile, _ budget: inout Budget, _ body: ([UInt8], ImageAddress) -> Void
  ) throws(UnwindError) {
    var offset: UInt64 = 0
    while offset < segment.fileBytes {
      let count = min(segment.fileBytes - offset, References.blockBytes + References.overlap)
      let bytes: [UInt8]
      do throws(ELFError) { bytes = try file.wholeBytes(at: segment.fileOffset + offset, count: count) } catch { throw .file(error) }
      try budget.spend(bytes.count / References.bytesAUnit)
      body(bytes, segment.address + offset)
      offset += References.blockBytes
    }
  }

  /// Swift's metadata points at functions by their distance (docs/ABI/TypeMetadata.rst): no relocation names those.
  private static func hasSwiftMetadata(_ file: ObjectFile) throws(UnwindError) -> Bool {
    do throws(ELFError) { return try file.sections().contains { $0.name.utf8.starts(with: "swift5_".utf8) } } catch { throw .file(error) }
  }
}

private struct Sweep {
  let file: ObjectFile
  let slots: [UInt64: Int]
  /// From the lowest executable address to the highest.
  let bounds: Range<UInt64>
  var taken: Set<UInt64>
  var loaded: Set<UInt64> = []

  init(_ file: ObjectFile, _ relocations: Relocations) {
    self.file = file
    slots = relocations.globalSlots
    let code = file.segments.filter(\.isExecutable)
    let low = code.map(\.address.value).min() ?? 0
    bounds = low..<max(low, code.map(\.end.value).max() ?? 0)
    taken = Set(relocations.addresses.filter { [bounds] in bounds.contains($0) })
  }

  mutating func code(_ bytes: [UInt8], at start: ImageAddress) {
    let code = bytes.span
    let isFixed = file.isFixed
    var index = 1
    while index + 6 <= code.count {
      let opcode = code[index]
      switch opcode {
      // lea, and mov, cmp, add, sub from memory, of 64 bits: relative to the instruction's end
      case 0x8d, 0x8b, 0x3b, 0x03, 0x2b:
        if code[index + 1] & 0xc7 == 0x05, code[index - 1] & 0xf8 == 0x48 {
          let target = (start + UInt64(index + 6) + displacement(code, index + 2)).value
          if opcode == 0x8d { take(target) } else { load(target) }
        }
      // push
      case 0xff:
        if code[index + 1] == 0x35 { load((start + UInt64(index + 6) + displacement(code, index + 2)).value) }
      default: break
      }
      if isFixed {
        // Any four bytes may be an address that an instruction carries.
        take(displacement(code, index) & 0xffff_ffff)
      }
      index += 1
    }
  }

  /// Words that the linker has filled in.
  mutating func words(_ bytes: [UInt8], at start: ImageAddress) {
    var offset = Int((8 - start.value % 8) % 8)
    while offset + 8 <= bytes.count {
      take(littleEndian(bytes, at: offset))
      offset += 8
    }
  }

  mutating func relativeWords(_ bytes: [UInt8], at start: ImageAddress) {
    let data = bytes.span
    var offset = Int((4 - start.value % 4) % 4)
    while offset + 4 <= data.count {
      take((start + UInt64(offset) + displacement(data, offset)).value)
      offset += 4
    }
  }

  private mutating func take(_ address: UInt64) { if bounds.contains(address) { taken.insert(address) } }
  private mutating func load(_ slot: UInt64) { if slots[slot] != nil { loaded.insert(slot) } }
}

/// Four bytes, sign-extended.
@inline(__always)
private func displacement(_ code: Span<UInt8>, _ index: Int) -> UInt64 {
  let value =
    UInt32(code[index]) | UInt32(code[index + 1]) << 8 | UInt32(code[index + 2]) << 16 | UInt32(code[index + 3]) << 24
  return UInt64(bitPattern: Int64(Int32(bitPattern: value)))
}
