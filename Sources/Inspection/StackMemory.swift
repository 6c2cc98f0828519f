import Bytes
import Unwind
import Wire

/// The stack's words: the snapshot's copy first, what it did not reach piece by piece from the process.
///
/// A word is read once and stays what it was, so that one inspection judges one stack.
struct StackMemory {
  /// A piece: what one copy costs is the call, not the bytes.
  static let pieceBytes = 4096
  /// 8 MiB, the usual limit of a whole stack.
  static let maxPieces = 2048

  private struct Piece {
    var start: UInt64
    var bytes: [UInt8]
  }

  private var pieces: [Piece] = []
  /// The piece of the last word: the next one is mostly there, too.
  private var last = 0

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
      let bytes = try space.read(at: address, upTo: StackMemory.pieceBytes)
      guard bytes.count <= StackMemory.pieceBytes, !address.addingReportingOverflow(UInt64(bytes.count)).overflow else {
        throw Unreadable()
      }
      pieces.append(Piece(start: address, bytes: bytes))
    } catch { throw .unreadable(address: address) }
    guard let word = held(address) else { throw .unreadable(address: address) }
    return word
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

  private func word(_ address: UInt64, in piece: Piece) -> UInt64? {
    guard address >= piece.start, let offset = Int(exactly: address - piece.start), offset < piece.bytes.count,
      piece.bytes.count - offset >= 8
    else { return nil }
    var value: UInt64 = 0
    for index in 0..<8 { value |= UInt64(piece.bytes[offset + index]) << UInt64(8 * index) }
    return value
  }
}
