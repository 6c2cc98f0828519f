import ELF
import Flow
import Unwind
import Wire

/// What a file's code points say, by address and arrival: a table with open addressing, as each frame of each walk looks into it.
///
/// A code point's number stays its own until the table is emptied, which happens only before a walk meets the image.
struct CodePoints {
  /// A whole run of a program meets some 400 to 1,200 distinct return addresses in all its files. One walk may add as many as it has frames.
  static let maxKept = 4096

  private var points: [CodePoint] = []
  /// Beside each of them.
  private(set) var frames: [KnownFrame] = []
  /// Places in `points`, -1 where there is none; a power of two of them, at most half full.
  private var slots: [Int32] = []
  private var shift: UInt64 = 64
  /// Odd, and nothing that the author of a file could know.
  private let multiplier = UInt64(bitPattern: Int64(Hasher().finalize())) | 1

  subscript(number: Int) -> CodePoint { points[number] }

  /// Makes room for those of another walk.
  mutating func trim() {
    if points.count < CodePoints.maxKept { return }
    for point in points { point.number = nil }
    (points, frames, slots, shift) = ([], [], [], 64)
  }

  @inline(__always)
  func number(of address: ImageAddress, _ arrival: Arrival) -> Int? {
    guard !slots.isEmpty else { return nil }
    var slot = place(of: address, arrival)
    while true {
      let number = Int(slots[slot])
      if number < 0 { return nil }
      if frames[number].address.value == address.value, frames[number].arrival == arrival { return number }
      slot = (slot + 1) & (slots.count - 1)
    }
  }

  private func place(of address: ImageAddress, _ arrival: Arrival) -> Int {
    Int(truncatingIfNeeded: (((address.value &* 4) ^ UInt64(arrival.rawValue)) &* multiplier) >> shift)
  }

  /// There is none at that address yet.
  mutating func keep(_ point: CodePoint, at address: ImageAddress, _ arrival: Arrival) {
    if points.count * 2 >= slots.count {
      slots = .init(repeating: -1, count: Swift.max(64, slots.count * 2))
      shift = 64 - UInt64(slots.count.trailingZeroBitCount)
      for number in points.indices { enter(number) }
    }
    point.number = Int32(points.count)
    points.append(point)
    frames.append(KnownFrame(address: address, arrival: arrival))
    enter(points.count - 1)
  }

  private mutating func enter(_ number: Int) {
    var slot = place(of: frames[number].address, frames[number].arrival)
    while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
    slots[slot] = Int32(number)
  }

  mutating func know(_ frame: KnownFrame, ofPoint number: Int) { frames[number] = frame }
}

/// What a frame at one return address is like where nothing about it is unusual, in a form that is copied by value. All that depends on the
/// file alone has been found, and nothing objected to it; what is left is to be compared with the stack.
///
///     CFA = rsp or rbp + cfaOffset        the callee has a frame; nothing but these two
///     return address at CFA - 8
///     rbx, rbp, r12 to r15                where they were, or saved in the frame; no other register is known above it
struct KnownFrame {
  /// The registers that calls keep, by their place in `saved` and in the loop that uses it.
  static let kept: [6 of Int] = [Registers.rbx, Registers.rbp, 12, 13, 14, 15]
  static let rbpPlace = 1

  let address: ImageAddress
  let arrival: Arrival
  /// The rest holds.
  var isKnown = false
  var isByFramePointer = false
  /// CFA - SP, which the function's own instructions give; only where the CFA is found through rbp.
  var hasDepth = false
  /// The stack protector's copy lies at CFA + `canary`.
  var hasCanary = false
  /// The last callee was reached through a pointer, and `seam` has yet to look at it.
  var isUnseamed = false
  /// Bit n: the register of that place in `kept` is saved at CFA + 8 × saved[n].
  var savedMask: UInt8 = 0
  var saved: [6 of Int16] = .init(repeating: 0)
  /// The lowest word of the frame that is needed lies at CFA + `lowest`.
  var lowest: Int32 = -8
  var cfaOffset: Int32 = 0
  var depth: Int32 = 0
  var canary: Int32 = 0
  /// Where the function begins.
  var function = ImageAddress(0)
  /// The callee that was last found to be the call's: its file, and where it begins.
  var calleeImage: UInt = 0
  var callee = ImageAddress(0)
  /// Where the call leads that the five bytes before the address are.
  var called: ImageAddress?

  init(address: ImageAddress, arrival: Arrival) {
    self.address = address
    self.arrival = arrival
  }

  /// `point` was found by a walk that has just left a frame there, with `edge` to the frame below; nil where it is unusual.
  init?(_ point: CodePoint, at address: ImageAddress, to edge: Edge?) {
    guard case .row(let row, by: .cfi) = point.unwinding, point.objections.isEmpty, !point.changesStack, let shape = point.shape,
      let function = point.functionStart, case .read(let called) = point.called, let edge, edge.isKnown, edge.way != .none
    else { return nil }
    self.init(address: address, arrival: .returned)
    guard case .register(let base, let offset) = row.cfa, let cfaOffset = Int32(exactly: offset), !row.isSignalFrame,
      row.returnAddress == .saved(-8)
    else { return nil }
    switch Int(base) {
    case Registers.rsp: guard cfaOffset >= 8 else { return nil }
    case Registers.rbp: isByFramePointer = true
    default: return nil
    }
    self.cfaOffset = cfaOffset
    for number in 0..<16 {
      let place = (0..<6).first { KnownFrame.kept[$0] == number }
      switch row.registers[number] {
      case .unspecified: break
      case .sameValue where place != nil: break
      case .saved(let offset):
        guard let place, offset % 8 == 0, offset <= -16, let words = Int16(exactly: offset / 8) else { return nil }
        saved[place] = words
        savedMask |= 1 << UInt8(place)
        lowest = min(lowest, Int32(words) * 8)
      default: return nil
      }
    }
    if isByFramePointer, let known = shape.stackPointer {
      guard let depth = Int32(exactly: 0 &- known) else { return nil }
      (hasDepth, self.depth) = (true, depth)
    }
    switch shape.canary {
    case nil: break
    case .saved(let offset)?:
      guard let canary = Int32(exactly: offset) else { return nil }
      (hasCanary, self.canary) = (true, canary)
      lowest = min(lowest, canary)
    default: return nil
    }
    self.function = function
    self.called = called
    calleeImage = edge.key.image.number
    callee = edge.key.function
    isUnseamed = edge.way == .pointer && !edge.isHeldAsSeam
    isKnown = true
  }
}

extension Image.Token {
  /// Nobody else's while it exists.
  var number: UInt { UInt(bitPattern: ObjectIdentifier(self)) }
}
