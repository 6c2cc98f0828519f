import ELF
import Unwind
import Wire

/// A frame that was judged, for the checks that look at more than one.
struct Visited {
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

  var stackPointer: UInt64 { place.registers[Registers.rsp] ?? 0 }

  /// What is added to the file's addresses where it is loaded.
  var bias: UInt64 { place.instruction &- code.address.value }
}

extension Walk {
  /// The frame below the current one, where nothing lies between them that is not judged.
  var calleeOfCurrent: Visited? {
    guard trail.count >= 2, let current = trail.last, !current.followsMadeCode else { return nil }
    return trail[trail.count - 2]
  }

  /// The outermost frames, for whoever remembers those of earlier calls.
  func outermost(_ stackPointer: UInt64) -> Outermost {
    var links: [Link] = []
    for visited in trail.reversed() {
      guard links.count < Outermost.maxLinks, let cfa = visited.cfa else { break }
      links.append(
        Link(slot: cfa &- 8, returnAddress: 0, function: visited.functionStart.map { $0.value &+ visited.bias } ?? 0))
    }
    return Outermost(stackPointer: stackPointer, links: links)
  }
}
