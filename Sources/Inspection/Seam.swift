import ELF
import Linkage
import Unwind
import Wire

/// `seam`: that the library which makes the system call (nearly always libc) was entered by a call that names the function, or through a
/// pointer that a loaded file really holds.
///
/// What dlsym(3) gives to plugins' callers is enough for `edge`. It is not for the functions that make system calls: an attacker who can
/// overwrite one pointer would call `system` through it, from its rightful place and with a genuine stack.
extension Walk {
  /// How far jumps to a function are followed back.
  private static let maxSearched = 48

  mutating func judgeSeam(
    _ edge: Edge, _ caller: Visited, _ below: Visited, in space: inout some AddressSpace
  ) throws(UnwindError) {
    guard edge.way == .pointer, !edge.isHeldAsSeam, isInnermostRun, let start = below.entry,
      let piece = try below.code.image.piece(at: start, &budget)
    else { return }
    guard try isHeld(Callee(image: below.code.image, piece: piece), of: caller.code.image, asSeam: true, in: &space) else {
      let name = below.code.image.function(at: start)?.name ?? "the function at +0x\(String(start.value, radix: 16))"
      object(.seam, .pointerNotHeld, detail: name)
      return
    }
    var edge = edge
    edge.isHeldAsSeam = true
    caller.point.keep(edge)
  }

  /// All frames below the current one lie in the file that makes the system call, and each called the next.
  private var isInnermostRun: Bool {
    guard let first = trail.first, first.place.arrival == .trapped else { return false }
    return trail.dropLast().allSatisfy { $0.code.image === first.code.image && !$0.followsMadeCode && $0.place.arrival != .interrupted }
  }

  /// Some loaded file holds the address of the function, or of one that jumps to it.
  ///
  /// `asSeam`: what the function's own file only loads into a register, and what dlsym could have found, does not count for callers in
  /// other files.
  mutating func isHeld(
    _ callee: Callee, of caller: Image, asSeam: Bool, in space: inout some AddressSpace
  ) throws(UnwindError) -> Bool {
    var queue = [callee]
    var next = 0
    while next < queue.count, next < Walk.maxSearched {
      let candidate = queue[next]
      next += 1
      if try isHeldItself(candidate, of: caller, asSeam: asSeam, in: &space) { return true }
      for before in try jumping(to: candidate, in: &space)
      where !queue.contains(where: { $0.image === before.image && $0.piece === before.piece }) { queue.append(before) }
    }
    return false
  }

  private mutating func isHeldItself(
    _ callee: Callee, of caller: Image, asSeam: Bool, in space: inout some AddressSpace
  ) throws(UnwindError) -> Bool {
    let (image, range) = (callee.image, callee.piece.range)
    // Go's tables of methods hold distances, and any function may be a value.
    if try image.goRange(of: range.start, &budget) != nil { return true }
    let names = try image.linkage.names(in: range, &budget)
    if !asSeam || image === caller {
      if try image.linkage.takes(range, &budget) { return true }
    } else {
      if try image.linkage.takesInData(range, &budget) { return true }
      // Nobody else can know of a function without a name: its own file has given the pointer away.
      if names.isEmpty, try image.linkage.takes(range, &budget) { return true }
    }
    guard !names.isEmpty else { return false }
    // libc finds the vDSO's functions by their names.
    if image.isVDSO { return true }
    if !asSeam, permissions.contains(.dlsym) { return true }
    if asSeam, permissions.contains(.foreignCalls), try caller.isForeignInterface(&budget) { return true }
    // The loader calls the resolvers of IFUNCs, and a few functions whose names it holds.
    if try caller.isLoader(&budget) {
      for name in names {
        if try image.linkage.exports(named: name, &budget).contains(where: { $0.isResolver && range.contains($0.address) }) { return true }
        if try caller.linkage.holdsText(name, &budget) { return true }
      }
    }
    for other in loadedImages(in: &space) where other !== image {
      for name in names {
        if try other.linkage.holds(name, &budget) { return true }
        if try other.looksUp(name, &budget) { return true }
      }
    }
    return false
  }

  /// The functions that jump to this one, or to its stub in another file's PLT.
  private mutating func jumping(to callee: Callee, in space: inout some AddressSpace) throws(UnwindError) -> [Callee] {
    var found: [Callee] = []
    func add(_ sources: [ImageAddress], _ image: Image, _ budget: inout Budget) throws(UnwindError) {
      for source in sources { if let piece = try image.piece(at: source, &budget) { found.append(Callee(image: image, piece: piece)) } }
    }
    try add(callee.image.linkage.jumps(into: callee.piece.range, &budget), callee.image, &budget)
    let names = try callee.image.linkage.names(in: callee.piece.range, &budget)
    guard !names.isEmpty else { return found }
    for image in loadedImages(in: &space) {
      for name in names {
        for slot in try image.linkage.slots(of: name, &budget) {
          for jump in try image.linkage.jumps(through: slot, &budget) {
            // A stub, to which others jump, or a function's own jump.
            let stub = AddressRange(start: ImageAddress(jump.value & ~15), count: 16)
            try add(try image.linkage.jumps(into: stub, &budget), image, &budget)
            try add([jump], image, &budget)
          }
        }
      }
    }
    return found
  }
}

extension Image {
  /// The file asks dlsym(3) for functions, and holds the text of this name.
  fileprivate func looksUp(_ name: SymbolName, _ budget: inout Budget) throws(UnwindError) -> Bool {
    for search in ["dlsym", "dlvsym"] where try linkage.wants(Array(search.utf8), &budget) {
      return try linkage.holdsText(name, &budget)
    }
    return false
  }
}
