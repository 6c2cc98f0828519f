import ELF
import Unwind
import Wire

/// A frame that was judged, for the checks that look at more than one. A class, as it has some five hundred bytes, and each check looks at it.
final class Visited {
  let code: Walk.Code
  let place: Walk.Place
  let point: CodePoint
  /// Where its function begins, where that is known.
  var functionStart: ImageAddress?
  /// SP in its caller, after the return; nil at the base, and while it is not known.
  var cfa: UInt64?
  /// Its place in the finding's list, where it has one.
  let listed: UInt16?
  /// Code that a runtime made, or V8's builtins, lies between it and the frame below.
  let followsMadeCode: Bool

  init(
    code: Walk.Code, place: Walk.Place, point: CodePoint, functionStart: ImageAddress?, listed: UInt16?, followsMadeCode: Bool
  ) {
    self.code = code
    self.place = place
    self.point = point
    self.functionStart = functionStart
    self.listed = listed
    self.followsMadeCode = followsMadeCode
  }

  var stackPointer: UInt64 { place.registers[Registers.rsp] ?? 0 }

  /// What is added to the file's addresses where it is loaded.
  var bias: UInt64 { place.instruction &- code.address.value }

  /// Where its function begins in the process.
  var startAddress: UInt64? { functionStart.map { $0.value &+ bias } }
}

extension Walk {
  /// The frame below the current one, where nothing lies between them that is not judged.
  var calleeOfCurrent: Visited? {
    guard trail.count >= 2, let current = trail.last, !current.followsMadeCode else { return nil }
    return trail[trail.count - 2]
  }

  /// The outermost frames, for whoever remembers those of earlier calls. The base's own call comes first; the second is told only where a
  /// call of it lasts as long as the thread, and no jump leaves it for another function: in glibc's start functions (musl's, which have no
  /// CFI, do that).
  func outermost(_ stackPointer: UInt64) -> Outermost {
    guard let base = trail.last else { return Outermost(stackPointer: stackPointer) }
    var links: [Link] = []
    for (callee, caller) in zip(trail.dropLast().reversed(), trail.reversed()) {
      guard links.count < Outermost.maxLinks, let cfa = callee.cfa, caller.place.arrival == .returned, !caller.followsMadeCode,
        links.isEmpty || caller.point.hasCFI && caller.code.image.holdsStartFunctions
      else { break }
      links.append(
        Link(
          slot: cfa &- 8, returnAddress: caller.place.instruction, function: caller.startAddress ?? 0))
    }
    return Outermost(stackPointer: stackPointer, links: links, isInLoader: base.code.image.isLoader)
  }
}

extension Image {
  /// It is the C library of a dynamically linked program. What cannot be read is none.
  fileprivate var holdsStartFunctions: Bool {
    do throws(ELFError) { return try exports("__libc_start_main") } catch { return false }
  }

  /// It is the dynamic loader, glibc's or musl's: what only that can do is to find a thread's variables in libraries (ELF Handling For TLS,
  /// 4.1). It finds functions by their names, and calls IFUNCs' resolvers.
  var isLoader: Bool {
    // Programs, which may export a great many functions, need not be asked.
    guard !file.hasInterpreter else { return false }
    do throws(ELFError) { return try exports("__tls_get_addr") } catch { return false }
  }
}
