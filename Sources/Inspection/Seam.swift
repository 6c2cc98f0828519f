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
  /// How many functions that jump to one are looked for, and to those.
  private static let maxFamily = 12

  mutating func judgeSeam(
    _ edge: Edge, _ caller: Visited, _ below: Visited, in space: inout some AddressSpace
  ) throws(UnwindError) {
    guard edge.way == .pointer, !edge.isHeldAsSeam, isInnermostRun, let callee = try callee(below) else { return }
    guard try isHeld(callee, of: caller.code.image, asSeam: true, in: &space) else {
      object(.seam, .pointerNotHeld, detail: enteredName(callee))
      return
    }
    var edge = edge
    edge.isHeldAsSeam = true
    caller.point.keep(edge)
  }

  /// What was entered, for a person: `system` jumps to a function that only libc's authors know by its name.
  private mutating func enteredName(_ callee: Callee) -> String {
    let (image, start) = (callee.image, callee.pieces[0].range.start)
    let name = image.function(at: start)?.name ?? "the function at +0x\(String(start.value, radix: 16))"
    do throws(UnwindError) {
      for piece in callee.pieces where try !image.linkage.names(in: piece.range, &budget).isEmpty { return name }
      for piece in try family(of: callee.pieces, in: image).dropFirst(callee.pieces.count)
      where try !image.linkage.names(in: piece.range, &budget).isEmpty {
        if let known = image.function(at: piece.range.start)?.name { return "\(name), to which \(known) jumps," }
      }
    } catch {}  // only shown
    return name
  }

  /// All frames below the current one lie in the file that makes the system call, and each called the next.
  private var isInnermostRun: Bool {
    trail.innermostRun > 0 && trail.innermostRun >= trail.count - 1
  }

  /// Some loaded file holds the address of the function, or of one that jumps to it.
  ///
  /// `asSeam`: what the function's own file only loads into a register, and what dlsym could have found, does not count for callers in
  /// other files. `caller` is nil where the kernel calls what the program has told it.
  mutating func isHeld(
    _ callee: Callee, of caller: Image?, asSeam: Bool, in space: inout some AddressSpace
  ) throws(UnwindError) -> Bool {
    let image = callee.image
    // Go's tables of methods hold distances, and any function may be a value.
    if try image.goRange(of: callee.pieces[0].range.start, &budget) != nil { return true }
    let byOthers = asSeam && image !== caller
    // The most calls need no more than this.
    for piece in callee.pieces {
      if try isTaken(piece, of: image, byOthers: byOthers) { return true }
      if !asSeam, permissions.contains(.dlsym), try !image.linkage.names(in: piece.range, &budget).isEmpty { return true }
    }
    let family = try family(of: callee.pieces, in: image)
    for piece in family.dropFirst(callee.pieces.count) where try isTaken(piece, of: image, byOthers: byOthers) { return true }
    var names: [SymbolName] = []
    for piece in family { names += try image.linkage.names(in: piece.range, &budget) }
    guard !names.isEmpty else { return false }
    // libc finds the vDSO's functions by their names.
    if image.isVDSO { return true }
    if !asSeam, permissions.contains(.dlsym) { return true }
    if asSeam, permissions.contains(.foreignCalls), try caller?.isForeignInterface(&budget) == true { return true }
    if let caller, caller.isLoader, try isCalledByLoader(names, family, of: image, loader: caller) { return true }
    let others = loadedImages(in: &space).filter { $0 !== image }
    for other in others { for name in names where try other.linkage.holds(name, &budget) { return true } }
    for other in others { for name in names where try other.looksUp(name, &budget) { return true } }
    for other in others { for name in names where try jumpsHeld(to: name, in: other) { return true } }
    return false
  }

  /// The pieces, and those of the same file that jump to them, the closest first.
  private mutating func family(of pieces: [Piece], in image: Image) throws(UnwindError) -> [Piece] {
    var family = pieces
    var next = 0
    while next < family.count, family.count < Walk.maxFamily {
      let range = family[next].range
      for source in try image.linkage.jumps(into: range, &budget) {
        // Bytes that look like a jump are one where the function's instructions, one after the other, say so.
        if let piece = try image.piece(at: source, &budget), piece.targets.contains(where: range.contains),
          !family.contains(where: { $0 === piece })
        {
          family.append(piece)
        }
      }
      next += 1
    }
    return family
  }

  private mutating func isTaken(_ piece: Piece, of image: Image, byOthers: Bool) throws(UnwindError) -> Bool {
    guard byOthers else { return try image.linkage.takes(piece.range, &budget) }
    if try image.linkage.takesInData(piece.range, &budget) { return true }
    // Nobody else can know of a function without a name: its own file has given the pointer away.
    guard try image.linkage.names(in: piece.range, &budget).isEmpty else { return false }
    return try image.linkage.takes(piece.range, &budget)
  }

  /// The loader calls the resolvers of IFUNCs, and a few functions whose names it holds.
  private mutating func isCalledByLoader(
    _ names: [SymbolName], _ family: [Piece], of image: Image, loader: Image
  ) throws(UnwindError) -> Bool {
    for name in names {
      for export in try image.linkage.exports(named: name, &budget) where export.isResolver {
        if family.contains(where: { $0.range.contains(export.address) }) { return true }
      }
      if try loader.linkage.holdsText(name, &budget) { return true }
    }
    return false
  }

  /// A function of `image` whose address is held jumps to the other file's function of this name.
  private mutating func jumpsHeld(to name: SymbolName, in image: Image) throws(UnwindError) -> Bool {
    for slot in try image.linkage.slots(of: name, &budget) {
      for jump in try image.linkage.jumps(through: slot, &budget) {
        // A function's own jump, or a stub, to which others jump: where it begins, or before it an endbr64 and a bnd prefix. Nothing but a
        // section's name tells them apart, and one FDE covers all stubs.
        let stub = AddressRange(start: jump - 5, count: 6)
        let sources = try (image.isInPLT(jump) ? [] : [jump]) + image.linkage.jumps(into: stub, &budget)
        for source in sources {
          guard let piece = try image.piece(at: source, &budget),
            piece.slots.contains(slot) || piece.targets.contains(where: stub.contains)
          else { continue }
          for candidate in try family(of: [piece], in: image) {
            if try image.linkage.takes(candidate.range, &budget) { return true }
            if permissions.contains(.dlsym), try !image.linkage.names(in: candidate.range, &budget).isEmpty { return true }
          }
        }
      }
    }
    return false
  }
}

extension Image {
  /// In `.plt`, `.plt.sec` or `.plt.got`.
  fileprivate func isInPLT(_ address: ImageAddress) throws(UnwindError) -> Bool {
    do throws(ELFError) {
      return try file.sections().contains {
        $0.name.utf8.starts(with: ".plt".utf8) && AddressRange(start: $0.address, count: $0.count).contains(address)
      }
    } catch { throw .file(error) }
  }

  /// The file asks dlsym(3) for functions, and holds the text of this name.
  fileprivate func looksUp(_ name: SymbolName, _ budget: inout Budget) throws(UnwindError) -> Bool {
    for search in ["dlsym", "dlvsym"] where try linkage.wants(Array(search.utf8), &budget) {
      return try linkage.holdsText(name, &budget)
    }
    return false
  }
}
