import ELF
import Flow
import Unwind
import Wire

/// How control flow came to lie at a code address.
enum Arrival: UInt8, Hashable, Sendable {
  /// The address after the trapped instruction.
  case trapped
  /// A return address.
  case returned
  /// Where a signal interrupted: any instruction's start.
  case interrupted

  /// The address that belongs to the function: a call may be its last instruction, so a return address may lie past its end.
  func lookup(_ address: ImageAddress) -> ImageAddress {
    switch self {
    case .trapped, .returned: address - 1
    case .interrupted: address
    }
  }
}

/// What one file says about one code address in it: the same for every stack that holds it, and not changed once it is kept. A
/// class, as a row has some 300 bytes that each frame of each walk would copy.
final class CodePoint {
  enum Unwinding {
    case row(Row, by: FrameSource)
    /// No table says which function the address belongs to: the caller's call does.
    case candidates([FlowRow])
    /// `__restore_rt`: the kernel's signal frame lies at SP.
    case signalFrame
    /// `__start_context`: the end of a coroutine's stack.
    case coroutineStart
    /// A process entry without CFI (ld.so's `_start`): the end of the stack.
    case entryWithoutRow
    /// The instructions of this function that are still to run say where its caller is.
    case rest(of: AddressRange)
    /// A function of Go's runtime that is the end of a stack.
    case goEnd(ChainEnd)
    case unknown(Reason)
  }

  var unwinding: Unwinding
  /// Its place among those that its image keeps; nil where it is not kept.
  var number: Int32?
  /// Objections of `site`, `function` and `call`.
  var objections: [Objection] = []
  /// The function starts at the file's entry point.
  var isEntry = false
  /// The function makes system calls itself: where its CFI says that nothing called it, a task may start.
  var isTaskStart = false
  /// libgcc's `__morestack`: the frame above lies on another stack.
  var changesStack = false
  /// Where the call leads that the five bytes before a return address are: looked for once.
  var called: Called = .unread
  /// The system calls that the function makes here; nil before that was asked, and while it cannot be told.
  var numbers: Numbers?
  /// What the function's frame looks like here; nil before that was asked.
  var shape: FrameShape?
  /// Where the function's FDE starts.
  var functionStart: ImageAddress?

  /// Bytes of the call instruction before a return address, where its function's instructions lead to it.
  var callLength: Int?
  /// What that call names; nil while nobody has asked.
  var calls: [CallForm]?
  /// Callees that were found to be the call's.
  var edges: [Edge] = []

  enum Called {
    case unread
    case read(ImageAddress?)
  }

  var hasCFI: Bool {
    if case .row(_, by: .cfi) = unwinding { true } else { false }
  }

  init(unwinding: Unwinding) { self.unwinding = unwinding }
}

struct Objection: Equatable {
  var check: Check
  var reason: Reason
}

extension Reason {
  /// What is said of a frame whose unwinding threw `error`.
  init(_ error: UnwindError) {
    self =
      switch error {
      case .file(.unreadable): .unreadableImage
      case .file, .malformed, .unsupported, .tooLarge: .badUnwindInfo
      case .unknownRegister(let number): .unknownRegister(number)
      case .unreadable: .unreadableStack
      case .exhausted: .tooCostly
      }
  }
}
