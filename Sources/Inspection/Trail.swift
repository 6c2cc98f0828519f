import ELF
import Unwind
import Wire

/// A frame that was judged, for the checks that look at more than one.
struct Visited {
  /// Where it is, and where its stack pointer is.
  struct Place {
    var instruction: UInt64
    var arrival: Arrival
    var stackPointer: UInt64
  }

  let code: Walk.Code
  let place: Place
  let point: CodePoint
  /// Where its function begins, where that is known.
  let functionStart: ImageAddress?
  /// SP in its caller, after the return; nil at the base, and while it is not known.
  let cfa: UInt64?
  /// Its place in the finding's list, where it has one.
  let listed: UInt16?
  /// Code that a runtime made, or V8's builtins, lies between it and the frame below.
  let followsMadeCode: Bool

  var stackPointer: UInt64 { place.stackPointer }

  /// What is added to the file's addresses where it is loaded.
  var bias: UInt64 { place.instruction &- code.address.value }

  /// Where its function begins in the process.
  var startAddress: UInt64? { functionStart.map { $0.value &+ bias } }
}

/// The frames that were judged, the innermost first. Each takes some eighty bytes, and no reference is counted for it: its image is among
/// those of the trail, and its code point among those that the image keeps for as long as the walk lasts (`CodePoints`).
struct Trail: RandomAccessCollection {
  struct Step {
    var instruction: UInt64
    var stackPointer: UInt64
    var address: ImageAddress
    var functionStart: ImageAddress?
    var cfa: UInt64?
    /// Where the call leads that the five bytes before a return address are; nil where that is to be asked of the code point.
    var called: CodePoint.Called
    /// The image's place among the trail's.
    var image: Int32
    /// The code point's place among the image's, or below zero: -1 - its place among the trail's own.
    var point: Int32
    var module: UInt16
    var listed: UInt16?
    var arrival: Arrival
    var followsMadeCode: Bool
  }

  private(set) var steps: [Step] = []
  private(set) var images: [Image] = []
  /// Those that no image keeps.
  private var points: [CodePoint] = []
  /// So many frames, the innermost ones, lie in the file that makes the system call, and each called the next.
  private(set) var innermostRun = 0

  var startIndex: Int { 0 }
  var endIndex: Int { steps.count }

  subscript(index: Int) -> Visited {
    let step = steps[index]
    let image = images[Int(step.image)]
    return Visited(
      code: Walk.Code(image: image, module: step.module, address: step.address),
      place: Visited.Place(instruction: step.instruction, arrival: step.arrival, stackPointer: step.stackPointer),
      point: step.point >= 0 ? image.points[Int(step.point)] : points[-1 - Int(step.point)], functionStart: step.functionStart,
      cfa: step.cfa, listed: step.listed, followsMadeCode: step.followsMadeCode)
  }

  /// The image's place among the trail's.
  mutating func number(of image: Image) -> Int32 {
    if let known = images.firstIndex(where: { $0 === image }) { return Int32(known) }
    images.append(image)
    return Int32(images.count - 1)
  }

  mutating func append(_ code: Walk.Code, _ place: Walk.Place, _ point: CodePoint, listed: UInt16?, followsMadeCode: Bool) {
    var number = point.number
    if number == nil {
      points.append(point)
      number = Int32(-points.count)
    }
    append(
      Step(
        instruction: place.instruction, stackPointer: place.registers[Registers.rsp] ?? 0, address: code.address,
        functionStart: point.functionStart, called: .unread, image: self.number(of: code.image), point: number ?? 0, module: code.module,
        listed: listed, arrival: place.arrival, followsMadeCode: followsMadeCode))
  }

  mutating func append(_ step: Step) {
    if innermostRun == steps.count, step.image == 0, !step.followsMadeCode,
      step.arrival == (steps.isEmpty ? .trapped : .returned)
    {
      innermostRun += 1
    }
    steps.append(step)
  }

  mutating func removeLast() {
    steps.removeLast()
    innermostRun = Swift.min(innermostRun, steps.count)
  }

  /// What was found of the last frame after it had been listed.
  mutating func note(functionStart: ImageAddress) { steps[steps.count - 1].functionStart = functionStart }
  mutating func note(cfa: UInt64?) { steps[steps.count - 1].cfa = cfa }
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
