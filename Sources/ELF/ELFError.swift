/// Why a file is not taken as an ELF image, or a part of it could not be used.
package enum ELFError: Error, Equatable, Sendable {
  case unreadable(offset: UInt64, count: Int)
  case notELF
  /// A class, machine, type or version that no container of this platform runs.
  case unsupported(Field)
  case malformed(Field)
  /// A count or size above the named limit.
  case tooLarge(Field, UInt64)
  /// The address lies in no segment that the file fills.
  case unmapped(ImageAddress)

  package enum Field: Equatable, Sendable {
    case ident, type, machine, version
    case programHeaders, sectionHeaders, segment, section, note, symbols, strings
    case read
  }
}

/// An address as the file's program headers number it (`p_vaddr`): what addr2line and objdump take.
package struct ImageAddress: Hashable, Comparable, Sendable {
  package var value: UInt64
  package init(_ value: UInt64) { self.value = value }
  package static func < (a: ImageAddress, b: ImageAddress) -> Bool { a.value < b.value }
  /// The address `bytes` further, wrapping as addresses do.
  package static func + (a: ImageAddress, bytes: UInt64) -> ImageAddress { ImageAddress(a.value &+ bytes) }
  package static func - (a: ImageAddress, bytes: UInt64) -> ImageAddress { ImageAddress(a.value &- bytes) }
}
