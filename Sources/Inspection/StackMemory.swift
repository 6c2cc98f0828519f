import Bytes
import Unwind
import Wire

/// The stack's words: the snapshot's copy first, what it did not reach piece by piece from the process.
///
/// A word is read once and stays what it was, so that one inspection judges one stack.
struct StackMemory {
  /// A piece: what one copy costs is the call, not the bytes. Where one goes on after another, it is twice as long.
  static let pieceBytes = 4096
  static let longestPieceBytes = 1 << 15
  /// 8 MiB, the usual limit of a whole stack.
  static let maxPieces = 2048
  /// From so many on none is longer than the shortest.
  private static let maxLongPieces = 128

  private struct Piece {
    var start: UInt64
    var bytes: [UInt8]
  }

  private var pieces: [Piece] = []
  /// The piece of the last word: the next one is mostly there, too.
  private var last = 0

  /// The piece that words are looked for in first by `known`.
  private var turned = 0
  private var turnedStart: UInt64 = 0
  /// Bytes from `turnedStart` at which a whole word begins.
  private var turnedCount: UInt64 = 0

  init(_ snapshot: Snapshot) {
    add(snapshot.stack, at: snapshot.registers[Registers.rsp] ?? 0)
    guard let canary = snapshot.canary, let threadPointer = snapshot.threadPointer else { return }
    add((0..<8).map { UInt8(truncatingIfNeeded: canary >> UInt64(8 * $0)) }, at: threadPointer &+ Snapshot.canaryPlace)
  }

  private mutating func add(_ bytes: [UInt8], at start: UInt64) {
    if !start.addingReportingOverflow(UInt64(bytes.count)).overflow { pieces.append(Piece(start: start, bytes: bytes)) }
  }

  mutating func word(
    at address: UInt64, in space: inout some AddressSpace
  ) throws(UnwindError) -> UInt64 {
    if let word = held(address) { return word }
    guard pieces.count < StackMemory.maxPieces else { throw .unreadable(address: address) }
    do throws(Unreadable) {
      let count = nextCount(at: address)
      let bytes = try space.read(at: address, upTo: count)
      guard bytes.count <= count, !address.addingReportingOverflow(UInt64(bytes.count)).overflow else {
        throw Unreadable()
      }
      pieces.append(Piece(start: address, bytes: bytes))
    } catch { throw .unreadable(address: address) }
    guard let word = held(address) else { throw .unreadable(address: address) }
    return word
  }

  /// How much is read at `address`.
  private func nextCount(at address: UInt64) -> Int {
    guard pieces.count < StackMemory.maxLongPieces else { return StackMemory.pieceBytes }
    let before = pieces.last { address &- $0.start &- UInt64($0.bytes.count) < UInt64(StackMemory.pieceBytes) }
    guard let before else { return StackMemory.pieceBytes }
    return min(StackMemory.longestPieceBytes, max(StackMemory.pieceBytes, 2 * before.bytes.count))
  }

  /// A word that was read before.
  func held(at address: UInt64) -> UInt64? {
    for piece in pieces { if let word = word(address, in: piece) { return word } }
    return nil
  }

  private mutating func held(_ address: UInt64) -> UInt64? {
    if last < pieces.count, let word = word(address, in: pieces[last]) { return word }
    for index in pieces.indices.reversed() {
      if let word = word(address, in: pieces[index]) {
        last = index
        return word
      }
    }
    return nil
  }

  @inline(__always)
  private func word(_ address: UInt64, in piece: Piece) -> UInt64? {
    let offset = address &- piece.start
    guard piece.bytes.count >= 8, offset <= UInt64(piece.bytes.count - 8) else { return nil }
    return littleEndianWord(piece.bytes, at: Int(offset))
  }

  // MARK: - A chain's next words

  /// The words around `address`, which are mostly those that come next.
  mutating func turn(to address: UInt64) {
    guard let index = pieces.lastIndex(where: { word(address, in: $0) != nil }) else { return }
    (turned, turnedStart) = (index, pieces[index].start)
    turnedCount = UInt64(pieces[index].bytes.count - 7)
  }

  /// All words from `start` to `end` are among those that were turned to.
  @inline(__always)
  func isTurned(to start: UInt64, end: UInt64) -> Bool { start &- turnedStart < turnedCount && end &- 8 &- turnedStart < turnedCount }

  /// A word that was read before.
  @inline(__always)
  func known(at address: UInt64) -> UInt64? {
    let offset = address &- turnedStart
    return offset < turnedCount ? littleEndianWord(pieces[turned].bytes, at: Int(offset)) : held(at: address)
  }
}
