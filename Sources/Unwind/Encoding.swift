import Bytes
import ELF

/// A `DW_EH_PE` pointer encoding (LSB 5.0 core, 10.5): the low four bits are the format, the next three what it is relative to.
struct Encoding: Equatable {
  static let omitted: UInt8 = 0xff
  static let pcRelativeSigned4 = Encoding(0x1b)
  static let dataRelativeSigned4 = Encoding(0x3b)

  let raw: UInt8
  init(_ raw: UInt8) { self.raw = raw }

  /// Bytes of a value, nil for a LEB128.
  var fixedBytes: Int? {
    switch raw & 15 {
    case 2, 10: 2
    case 3, 11: 4
    case 0, 4, 12: 8
    default: nil
    }
  }
}

extension Cursor {
  /// A value in `encoding`'s format alone, sign-extended, relative to nothing.
  mutating func plain(_ encoding: Encoding) throws(UnwindError) -> UInt64 {
    do throws(BytesError) {
      switch encoding.raw & 15 {
      case 0, 4, 12: return try u64()
      case 1: return try uleb()
      case 2: return UInt64(try u16())
      case 3: return UInt64(try u32())
      case 9: return UInt64(bitPattern: try sleb())
      case 10: return UInt64(bitPattern: Int64(try i16()))
      case 11: return UInt64(bitPattern: Int64(try i32()))
      default: break
      }
    } catch { throw .malformed(.pointer) }
    throw .unsupported(.pointer)
  }

  /// A pointer; `base` is the image address of the cursor's first byte, `data` what data-relative ones are relative to.
  /// Text- and function-relative, aligned and indirect pointers appear in no `.eh_frame` of this platform.
  mutating func pointer(_ encoding: Encoding, base: ImageAddress, data: ImageAddress?) throws(UnwindError) -> ImageAddress {
    let here = base + UInt64(offset)
    let value = try plain(encoding)
    switch encoding.raw & 0xf0 {
    case 0x00: return ImageAddress(value)
    case 0x10: return here + value
    case 0x30:
      guard let data else { throw .unsupported(.pointer) }
      return data + value
    default: throw .unsupported(.pointer)
    }
  }
}

/// Runs `body` on `bytes`; running out of them is malformed in `part`.
func reading<Value>(
  _ part: UnwindError.Part, _ cursor: inout Cursor, _ body: (inout Cursor) throws(BytesError) -> Value
) throws(UnwindError) -> Value {
  do throws(BytesError) { return try body(&cursor) } catch { throw .malformed(part) }
}

extension ObjectFile {
  /// `bytes(at:count:)` as this target's errors.
  func unwindBytes(at address: ImageAddress, count: Int) throws(UnwindError) -> [UInt8] {
    do throws(ELFError) { return try bytes(at: address, count: count) } catch { throw .file(error) }
  }
}
