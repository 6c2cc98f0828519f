import Bytes
package import ELF

/// SP's distance from where it was at a function's entry, for the code in [start, end).
package struct StackDepth: Equatable, Sendable {
  package var start: ImageAddress
  package var end: ImageAddress
  /// Bytes; negative where assembly has popped its own return address.
  package var bytes: Int32

  package init(start: ImageAddress, end: ImageAddress, bytes: Int32) {
    self.start = start
    self.end = end
    self.bytes = bytes
  }
}

extension GoTable {
  /// How deep the stack of `function` is when it is about to run the instruction at `address`; nil where the table does not say.
  package func depth(at address: ImageAddress, in function: GoFunction) throws(GoTableError) -> StackDepth? {
    guard function.depthOffset != 0, function.start <= address, address < function.end else { return nil }
    let start = depths + UInt64(function.depthOffset)
    // Nearly all have a few dozen bytes.
    for count in [128, 4096, GoTable.maxDepthBytes] {
      let bytes: [UInt8]
      do throws(ELFError) { bytes = try file.bytes(at: start, upTo: count) } catch { throw .file(error) }
      var cursor = Cursor(bytes.span)
      do throws(BytesError) { return try cursor.depth(at: address, in: function) } catch {
        if bytes.count < count { break }
      }
    }
    throw .malformed(.stackDepths)
  }
}

extension Cursor {
  /// A pc-value table (runtime/symtab.go, step): pairs of a zigzag change of the value, which begins at -1, and a length of code
  /// that has it. A change of 0 ends the table, except as the first.
  fileprivate mutating func depth(at address: ImageAddress, in function: GoFunction) throws(BytesError) -> StackDepth? {
    var value: Int32 = -1
    var at = function.start
    var isFirst = true
    while true {
      let change = UInt32(truncatingIfNeeded: try uleb())
      if change == 0, !isFirst { return nil }
      isFirst = false
      value &+= change & 1 != 0 ? Int32(bitPattern: ~(change >> 1)) : Int32(bitPattern: change >> 1)
      let length = UInt64(UInt32(truncatingIfNeeded: try uleb()))
      // It would be no progress, and the runtime's own writers never do that.
      guard length > 0, length <= function.end.value - at.value else { return nil }
      let end = at + length
      if address < end { return StackDepth(start: at, end: end, bytes: value) }
      at = end
    }
  }
}
