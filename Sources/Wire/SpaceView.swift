/// An address space that the supervisor knows from one question to the next, so that the inspector may keep what is open of it, and what it
/// has seen of its mappings.
///
/// The supervisor alone decides what is the same: the inspector has no way to tell.
package struct SpaceView: Equatable, Sendable {
  /// Places that the inspector keeps descriptors in.
  package static let maxPlaces = 16
  package static let maxUntouched = 64

  /// Where the space's descriptors are kept: those that came with the last question that brought some for this place.
  package var place: UInt32
  /// What was seen of the mappings is good for as long as this is the same.
  package var generation: UInt64
  /// Mappings of which the process had copied no page for itself when the thread was trapped.
  package var untouched: [Range<UInt64>]

  package init(place: UInt32, generation: UInt64, untouched: [Range<UInt64>]) {
    self.place = place
    self.generation = generation
    self.untouched = untouched
  }
}

extension Writer {
  mutating func put(_ view: SpaceView?) {
    put(UInt8(view == nil ? 0 : 1))
    guard let view else { return }
    put(view.place)
    put(view.generation)
    let untouched = view.untouched.prefix(SpaceView.maxUntouched)
    put(UInt32(untouched.count))
    for range in untouched {
      put(range.lowerBound)
      put(range.upperBound)
    }
  }
}

extension Reader {
  mutating func takeSpaceView() throws(WireError) -> SpaceView? {
    guard try takeFlag() else { return nil }
    let start = offset
    var view = SpaceView(place: try take(), generation: try take(), untouched: [])
    guard view.place < SpaceView.maxPlaces else { throw .badValue(offset: start) }
    for _ in 0..<(try takeCount(limit: SpaceView.maxUntouched)) {
      let place = offset
      let (low, high): (UInt64, UInt64) = (try take(), try take())
      guard low < high else { throw .badValue(offset: place) }
      view.untouched.append(low..<high)
    }
    return view
  }
}
