import Bytes
package import ELF

/// A common information entry (LSB 5.0 core, 10.6.1): what many functions' entries share.
struct CommonEntry {
  /// The largest that compilers write has some 40 bytes.
  static let maxBytes: UInt32 = 4096

  var codeAlignment: UInt64 = 1
  var dataAlignment: Int64 = 1
  var addressEncoding = Encoding(0)
  var hasAugmentationData = false
  var isSignalFrame = false
  var instructions: [UInt8] = []
  /// The image address of the first instruction.
  var instructionsAddress = ImageAddress(0)
}

/// A frame description entry: one function's range and its rows, not yet evaluated.
package struct FrameEntry {
  /// clang's own largest has some 60 KiB; every byte of it is gone through for one row.
  package static let maxBytes: UInt32 = 1 << 18

  /// The function's addresses.
  package let range: AddressRange
  /// Where the entry lies.
  package let address: ImageAddress
  let common: CommonEntry
  let instructions: [UInt8]
  let instructionsAddress: ImageAddress

  /// The augmentation says so ('S'): a return address here was not pushed by a call but by the kernel.
  package var isSignalFrame: Bool { common.isSignalFrame }
  package var end: ImageAddress { range.start + range.count }
}

/// What a length field says lies at an address of `.eh_frame`.
enum EntryHeader {
  /// A zero length: the end of the section.
  case end
  /// `common` is the CIE's address, nil where the entry is a CIE itself; `body` is what follows that field.
  case entry(common: ImageAddress?, body: ImageAddress, count: Int, next: ImageAddress)

  init(in file: ObjectFile, at address: ImageAddress) throws(UnwindError) {
    let lengthField = try file.unwindBytes(at: address, count: 4)
    var cursor = Cursor(lengthField.span)
    let length = try reading(.fde, &cursor) { (cursor) throws(BytesError) in try cursor.u32() }
    if length == 0 {
      self = .end
      return
    }
    // 0xffffffff announces a 64-bit length: that is for more than 4 GiB of one entry.
    guard length <= FrameEntry.maxBytes else { throw .tooLarge(.fde, UInt64(length)) }
    guard length >= 4 else { throw .malformed(.fde) }
    let pointerField = try file.unwindBytes(at: address + 4, count: 4)
    cursor = Cursor(pointerField.span)
    let pointer = try reading(.fde, &cursor) { (cursor) throws(BytesError) in try cursor.u32() }
    self = .entry(
      common: pointer == 0 ? nil : address + 4 - UInt64(pointer), body: address + 8, count: Int(length) - 4,
      next: address + 4 + UInt64(length))
  }
}

extension CommonEntry {
  init(in file: ObjectFile, at address: ImageAddress) throws(UnwindError) {
    guard case .entry(common: nil, let body, let count, _) = try EntryHeader(in: file, at: address), count <= CommonEntry.maxBytes
    else { throw .malformed(.cie) }
    let bytes = try file.unwindBytes(at: body, count: count)
    var cursor = Cursor(bytes.span)
    let version = try reading(.cie, &cursor) { (cursor) throws(BytesError) in try cursor.u8() }
    guard version == 1 || version == 3 else { throw .unsupported(.cie) }
    let augmentation = try reading(.augmentation, &cursor) { (cursor) throws(BytesError) in try cursor.untilNUL(limit: 16) }
    var result = CommonEntry()
    let returnColumn = try reading(.cie, &cursor) { (cursor) throws(BytesError) in
      result.codeAlignment = try cursor.uleb()
      result.dataAlignment = try cursor.sleb()
      return version == 1 ? UInt64(try cursor.u8()) : try cursor.uleb()
    }
    guard returnColumn == 16 else { throw .unsupported(.returnAddress) }
    if augmentation.first == UInt8(ascii: "z") {
      result.hasAugmentationData = true
      let count = try reading(.augmentation, &cursor) { (cursor) throws(BytesError) in try cursor.uleb() }
      guard count <= UInt64(cursor.remaining) else { throw .malformed(.augmentation) }
      let end = cursor.offset + Int(count)
      for letter in augmentation.dropFirst() {
        switch letter {
        case UInt8(ascii: "R"):
          result.addressEncoding = Encoding(try reading(.augmentation, &cursor) { (c) throws(BytesError) in try c.u8() })
        case UInt8(ascii: "L"): _ = try reading(.augmentation, &cursor) { (c) throws(BytesError) in try c.u8() }
        case UInt8(ascii: "P"):
          let encoding = Encoding(try reading(.augmentation, &cursor) { (c) throws(BytesError) in try c.u8() })
          // Only passed over; an aligned one (0x50) would have another size.
          guard encoding.raw & 0x70 != 0x50 else { throw .unsupported(.augmentation) }
          if encoding.raw != Encoding.omitted { _ = try cursor.plain(encoding) }
        case UInt8(ascii: "S"): result.isSignalFrame = true
        case UInt8(ascii: "B"): break
        default: throw .unsupported(.augmentation)
        }
      }
      guard cursor.offset <= end else { throw .malformed(.augmentation) }
      try reading(.augmentation, &cursor) { (cursor) throws(BytesError) in try cursor.seek(to: end) }
    } else if !augmentation.isEmpty {
      throw .unsupported(.augmentation)
    }
    result.instructionsAddress = body + UInt64(cursor.offset)
    result.instructions = try reading(.cie, &cursor) { (cursor) throws(BytesError) in try cursor.copy(cursor.remaining) }
    self = result
  }
}

extension FrameEntry {
  /// The entry at `address`, whose common entry `commons` finds.
  init(
    in file: ObjectFile, at address: ImageAddress, common find: (ImageAddress) throws(UnwindError) -> CommonEntry
  ) throws(UnwindError) {
    guard case .entry(let commonAddress?, let body, let count, _) = try EntryHeader(in: file, at: address) else {
      throw .malformed(.fde)
    }
    common = try find(commonAddress)
    self.address = address
    let bytes = try file.unwindBytes(at: body, count: count)
    var cursor = Cursor(bytes.span)
    let start = try cursor.pointer(common.addressEncoding, base: body, data: nil)
    let rangeBytes = try cursor.plain(Encoding(common.addressEncoding.raw & 0x0f))
    guard !start.value.addingReportingOverflow(rangeBytes).overflow else { throw .malformed(.fde) }
    range = AddressRange(start: start, count: rangeBytes)
    if common.hasAugmentationData {
      let count = try reading(.augmentation, &cursor) { (cursor) throws(BytesError) in try cursor.uleb() }
      guard count <= UInt64(cursor.remaining) else { throw .malformed(.augmentation) }
      try reading(.augmentation, &cursor) { (cursor) throws(BytesError) in try cursor.skip(Int(count)) }
    }
    instructionsAddress = body + UInt64(cursor.offset)
    instructions = try reading(.fde, &cursor) { (cursor) throws(BytesError) in try cursor.copy(cursor.remaining) }
  }
}

extension FrameEntry {
  /// The row that holds `address`, which lies in `range`.
  package func row(at address: ImageAddress, budget: inout Budget) throws(UnwindError) -> Row {
    try RowMachine.row(of: self, at: address, budget: &budget)
  }
}
