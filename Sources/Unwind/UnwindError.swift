package import ELF

/// Why a frame could not be unwound.
package enum UnwindError: Error, Equatable, Sendable {
  /// The file could not be read, or an address lies outside what it fills.
  case file(ELFError)
  /// The bytes are not what the format says.
  case malformed(Part)
  /// A form that no compiler of this platform writes.
  case unsupported(Part)
  case tooLarge(Part, UInt64)
  /// A rule names a register whose value is not known here.
  case unknownRegister(UInt8)
  /// A rule reads memory that could not be read.
  case unreadable(address: UInt64)
  /// The inspection has spent what one inspection may.
  case exhausted

  package enum Part: Equatable, Sendable {
    case header, table, cie, fde, augmentation, pointer, instructions, row, expression, returnAddress
  }
}

/// What one inspection may spend: bytes of unwind information and code that are gone through. Everything that a file's or a
/// stack's author chooses the length of is paid from it, so that no input makes an inspection quadratic.
package struct Budget: Sendable {
  package private(set) var left: Int

  package init(_ units: Int) { left = units }

  package mutating func spend(_ units: Int) throws(UnwindError) {
    guard units <= left else { throw .exhausted }
    left -= max(1, units)
  }
}

extension UnwindError {
  /// True where another try may end otherwise: such an outcome is no property of the file.
  package var isPassing: Bool {
    switch self {
    case .exhausted, .file(.unreadable): true
    case .file, .malformed, .unsupported, .tooLarge, .unknownRegister, .unreadable: false
    }
  }
}
