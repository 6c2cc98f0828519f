import ELF

/// Numbers by address. An analysis asks several times for each instruction, so that a dictionary's hashing would be much of what it costs.
struct AddressMap {
  private struct Slot {
    var address = ImageAddress(0)
    /// -1: there is none.
    var place: Int32 = -1
  }

  /// A power of two of them, at most half used.
  private var slots: [Slot] = []
  private var values: [Int] = []
  private var shift: UInt64 = 64
  /// Odd, and nothing that the author of a file could know.
  private static let multiplier = UInt64(bitPattern: Int64(Hasher().finalize())) | 1

  var count: Int { values.count }

  subscript(address: ImageAddress) -> Int? {
    get {
      guard !slots.isEmpty else { return nil }
      let place = slots[slot(of: address)].place
      return place < 0 ? nil : values[Int(place)]
    }
    set {
      guard let newValue else { preconditionFailure("nothing is taken out") }
      if values.count * 2 >= slots.count { grow() }
      let slot = slot(of: address)
      if slots[slot].place >= 0 {
        values[Int(slots[slot].place)] = newValue
      } else {
        slots[slot] = Slot(address: address, place: Int32(values.count))
        values.append(newValue)
      }
    }
  }

  func forEach(_ body: (ImageAddress, Int) -> Void) {
    for slot in slots where slot.place >= 0 { body(slot.address, values[Int(slot.place)]) }
  }

  /// That of `address`, or the free one where it would be.
  private func slot(of address: ImageAddress) -> Int {
    var slot = Int(truncatingIfNeeded: (address.value &* AddressMap.multiplier) >> shift)
    while slots[slot].place >= 0, slots[slot].address.value != address.value { slot = (slot + 1) & (slots.count - 1) }
    return slot
  }

  private mutating func grow() {
    let before = slots
    slots = .init(repeating: Slot(), count: max(16, before.count * 4))
    values.reserveCapacity(slots.count / 2)
    shift = 64 - UInt64(slots.count.trailingZeroBitCount)
    for old in before where old.place >= 0 { slots[slot(of: old.address)] = old }
  }
}
