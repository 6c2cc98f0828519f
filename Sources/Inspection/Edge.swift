import ELF
import Linkage
import Unwind
import Wire
import X86

/// `edge`: that the function whose frame lies below a return address is the one that the call before that address goes to.
///
/// A direct call names it: by its address, through the PLT and the GOT by the symbol's name, through an IFUNC's resolver by what that
/// may choose. Between the call and the frame lie tail calls and parts of functions that were split off, each a jump of the file's own
/// code, which are followed. What a call through a pointer leads to has to be a function whose address some loaded file holds.
///
/// GOT and function pointers in the process's memory are the attacker's, and are never read: only what the files say counts.
extension Walk {
  /// A function by its file.
  ///
  /// Where no table says which function a frame belongs to, the walk has chosen one whose instructions lead to its address, tail calls
  /// included: it is that one, or the one that the address itself lies in.
  struct Callee {
    let image: Image
    let pieces: [Piece]

    func contains(_ address: ImageAddress) -> Bool { pieces.contains { $0.range.contains(address) } }
  }

  mutating func callee(_ visited: Visited) throws(UnwindError) -> Callee? {
    guard let start = visited.functionStart, let piece = try visited.code.image.piece(at: start, &budget) else { return nil }
    var pieces = [piece]
    if case .candidates = visited.point.unwinding {
      let address = visited.place.arrival.lookup(visited.code.address)
      if let own = try visited.code.image.piece(at: address, &budget), own !== piece { pieces.append(own) }
    }
    return Callee(image: visited.code.image, pieces: pieces)
  }

  /// A place that a call may have led to.
  fileprivate struct Position {
    var image: Image
    var address: ImageAddress
    /// What runs there is no callee: it says which function is.
    var isResolver = false
  }

  /// How a call can have led to a function.
  enum Way: Equatable {
    /// Every step is named by the file.
    case named
    /// At some step a pointer says where to.
    case pointer
    case none
  }

  /// Steps from a call to its callee: a tail call, a stub, a part that was split off. More than a few is a maze.
  private static let maxSteps = 96

  /// Judges the call that the current frame's address follows, if it is one.
  mutating func judgeEdge(in space: inout some AddressSpace) throws(Stop) {
    guard let caller = trail.last, caller.place.arrival == .returned, let below = calleeOfCurrent, let start = below.functionStart,
      // A prologue has called it, and it calls what follows the prologue.
      !caller.point.changesStack, !below.point.changesStack
    else { return }
    switch caller.point.unwinding {
    // The kernel made the handler return here: `signal` says what that may be.
    case .signalFrame, .goEnd: return
    case .row, .candidates, .coroutineStart, .entryWithoutRow, .rest, .unknown: break
    }
    // What follows no call has been objected to.
    guard !caller.point.objections.contains(where: { $0.check == .call || $0.check == .function }) else { return }
    let key = Edge.Key(image: below.code.image.token, function: start)
    var edge = caller.point.edges.first { $0.key == key } ?? Edge(key: key)
    do throws(UnwindError) {
      if !edge.isKnown {
        guard let callee = try callee(below) else { return }
        switch try way(from: caller, to: callee, in: &space) {
        case .named: edge.way = .named
        case .pointer:
          guard try isHeld(callee, of: caller.code.image, asSeam: false, in: &space) else {
            object(.edge, .addressNotTaken)
            // What `seam` says of it does not depend on how `edge` is set.
            edge.way = .pointer
            try judgeSeam(edge, caller, below, in: &space)
            return
          }
          edge.way = .pointer
        case .none:
          object(.edge, .otherCallee, detail: try calledName(caller))
          return
        }
        edge.isKnown = true
        caller.point.keep(edge)
      }
      try judgeSeam(edge, caller, below, in: &space)
    } catch { throw .unknown(Reason(error)) }
  }

  private mutating func way(from caller: Visited, to callee: Callee, in space: inout some AddressSpace) throws(UnwindError) -> Way {
    var best = Way.none
    if case .coroutineStart = caller.point.unwinding { return .pointer }
    for form in try caller.code.image.calls(before: caller.code.address, caller.point) {
      var first: [Position] = []
      var meetsPointer = false
      switch form {
      case .pointer: meetsPointer = true
      case .direct(let target):
        first = [Position(image: caller.code.image, address: target)]
        meetsPointer = try isInlineRetpoline(target, in: caller)
      case .slot(let slot): meetsPointer = try !follow(slot, of: caller.code.image, to: callee, &first, in: &space)
      }
      switch try search(for: callee, from: first, in: &space) {
      case .named: return .named
      case .pointer: best = .pointer
      case .none: if meetsPointer { best = .pointer }
      }
    }
    return best
  }

  /// Whether control that comes to one of `first` gets to the callee by jumps that the files hold.
  private mutating func search(
    for callee: Callee, from first: [Position], in space: inout some AddressSpace
  ) throws(UnwindError) -> Way {
    var queue = first
    var next = 0
    var meetsPointer = false
    while next < queue.count, next < Walk.maxSteps {
      let at = queue[next]
      next += 1
      func add(_ positions: [Position]) {
        for position in positions where !queue.contains(where: { $0.image === position.image && $0.address == position.address }) {
          queue.append(position)
        }
      }
      if at.image === callee.image, callee.contains(at.address), !at.isResolver { return .named }
      if !at.isResolver, let slot = try at.image.stubSlot(at.address) {
        var found: [Position] = []
        if try !follow(slot, of: at.image, to: callee, &found, in: &space) { meetsPointer = true }
        add(found)
        if try isLazyBinding(callee, of: slot, at.image) { return .named }
        continue
      }
      guard let piece = try at.image.piece(at: at.address, &budget) else {
        meetsPointer = true
        continue
      }
      if at.isResolver {
        add(piece.addresses.filter { at.image.file.isExecutable($0) }.map { Position(image: at.image, address: $0) })
        continue
      }
      add(piece.targets.map { Position(image: at.image, address: $0) })
      for slot in piece.slots {
        var found: [Position] = []
        if try !follow(slot, of: at.image, to: callee, &found, in: &space) { meetsPointer = true }
        add(found)
      }
      if piece.jumpsThroughPointer { meetsPointer = true }
    }
    return meetsPointer || next < queue.count ? .pointer : .none
  }

  /// Where the loader makes a word of the GOT point; false where the word is a variable, or nothing says what it is.
  private mutating func follow(
    _ slot: ImageAddress, of image: Image, to callee: Callee, _ positions: inout [Position], in space: inout some AddressSpace
  ) throws(UnwindError) -> Bool {
    switch try image.linkage.slot(at: slot, &budget) {
    case nil: return false
    case .resolved(let resolver): positions.append(Position(image: image, address: resolver, isResolver: true))
    case .symbol(let name):
      func add(_ image: Image, _ budget: inout Budget) throws(UnwindError) {
        for export in try image.linkage.exports(named: name, &budget) {
          positions.append(Position(image: image, address: export.address, isResolver: export.isResolver))
        }
      }
      try add(callee.image, &budget)
      if callee.image !== image { try add(image, &budget) }
      guard positions.isEmpty else { break }
      for other in loadedImages(in: &space) where other !== image && other !== callee.image { try add(other, &budget) }
    }
    return true
  }

  /// The PLT's word is not bound yet: the call led into the loader, which looks the symbol up.
  private mutating func isLazyBinding(_ callee: Callee, of slot: ImageAddress, _ image: Image) throws(UnwindError) -> Bool {
    guard callee.image !== image, try callee.image.bindsLazily(&budget), case .symbol? = try image.linkage.slot(at: slot, &budget) else {
      return false
    }
    for piece in callee.pieces where try !callee.image.linkage.names(in: piece.range, &budget).isEmpty { return false }
    return true
  }

  /// `-mindirect-branch=thunk-inline`: a call to a call, which replaces its own return address.
  private mutating func isInlineRetpoline(_ target: ImageAddress, in caller: Visited) throws(UnwindError) -> Bool {
    guard let start = caller.functionStart, start < target, target < caller.code.address else { return false }
    let image = caller.code.image
    let code: [UInt8]
    do throws(ELFError) { code = try image.file.bytes(at: target, upTo: 64) } catch { throw .file(error) }
    guard let call = image.assembler.operation(at: 0, in: code), case .call(let displacement) = call.transfer,
      displacement >= 0, displacement < 32,
      let store = image.assembler.operation(at: call.length + Int(displacement), in: code), store.replacesReturnAddress
    else { return false }
    return true
  }

  /// What the call names, for a person.
  private mutating func calledName(_ caller: Visited) throws(UnwindError) -> String {
    switch try caller.code.image.calls(before: caller.code.address, caller.point).first {
    case .direct(let target):
      if let slot = try caller.code.image.stubSlot(target), let name = try slotName(slot, caller.code.image) { return name }
      let shown = caller.code.image.function(at: target)
      return shown.map { $0.start == target ? $0.name : "\($0.name)+\(target.value &- $0.start.value)" }
        ?? "the function at +0x\(String(target.value, radix: 16))"
    case .slot(let slot): return try slotName(slot, caller.code.image) ?? "a function of another file"
    case .pointer, nil: return "another function"
    }
  }

  private mutating func slotName(_ slot: ImageAddress, _ image: Image) throws(UnwindError) -> String? {
    guard case .symbol(let name)? = try image.linkage.slot(at: slot, &budget) else { return nil }
    return String(decoding: name, as: UTF8.self)
  }

  /// The files whose code the process has mapped.
  mutating func loadedImages(in space: inout some AddressSpace) -> [Image] {
    // Which those are is asked once for each edge.
    resting.giveUp()
    if let loaded { return loaded }
    var images: [Image] = []
    do throws(Unreadable) {
      for mapping in try space.codeMappings() {
        // What cannot be opened holds nothing.
        do throws(Unreadable) {
          if let image = try space.image(of: mapping), !images.contains(where: { $0 === image }) { images.append(image) }
        } catch { continue }
      }
    } catch {}
    loaded = images
    return images
  }
}

/// A call and its callee that were found to belong together.
struct Edge {
  struct Key: Equatable {
    /// The callee's file.
    var image: Image.Token
    var function: ImageAddress

    static func == (a: Key, b: Key) -> Bool { a.image === b.image && a.function == b.function }
  }

  let key: Key
  var way = Walk.Way.none
  var isKnown = false
  /// What `seam` asks has been found, too.
  var isHeldAsSeam = false

  init(key: Key) { self.key = key }
}

extension CodePoint {
  /// Callbacks are called from few places, and each calls a few.
  static let maxEdges = 64

  func keep(_ edge: Edge) {
    if let index = edges.firstIndex(where: { $0.key == edge.key }) {
      edges[index] = edge
    } else {
      if edges.count >= CodePoint.maxEdges { edges.removeFirst() }
      edges.append(edge)
    }
  }
}

extension Image {
  /// The word that a stub of the PLT jumps through: `jmp *disp(%rip)`, after an endbr64 and with a bnd prefix or without.
  func stubSlot(_ address: ImageAddress) throws(UnwindError) -> ImageAddress? {
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: address, upTo: 16) } catch { throw .file(error) }
    var offset = code.starts(with: [0xf3, 0x0f, 0x1e, 0xfa]) ? 4 : 0
    if offset < code.count, code[offset] == 0xf2 { offset += 1 }
    guard offset + 6 <= code.count, code[offset] == 0xff, code[offset + 1] == 0x25 else { return nil }
    var displacement: UInt32 = 0
    for byte in 0..<4 { displacement |= UInt32(code[offset + 2 + byte]) << UInt32(8 * byte) }
    return address + UInt64(offset + 6) + UInt64(bitPattern: Int64(Int32(bitPattern: displacement)))
  }

  /// glibc's; musl binds everything when it loads.
  func bindsLazily(_ budget: inout Budget) throws(UnwindError) -> Bool {
    guard isLoader else { return false }
    return try !linkage.exports(named: Array("_dl_mcount".utf8), &budget).isEmpty
  }

  /// libffi, which calls what a script names.
  func isForeignInterface(_ budget: inout Budget) throws(UnwindError) -> Bool {
    try !linkage.exports(named: Array("ffi_call".utf8), &budget).isEmpty
  }
}
