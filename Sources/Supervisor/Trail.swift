package import Wire

/// What one run of the snapshot shows of a blocked thread, apart from the words of its stack.
package struct Sight: Hashable, Sendable {
  package var number: Int32
  package var instruction: UInt64
  package var stackPointer: UInt64
  package var threadPointer: UInt64
  package var startStack: UInt64
  package var borrowsMemory: Bool
  package var hasExecuted: Bool
  /// Its number is its process's.
  package var isFirst: Bool

  package init(
    number: Int32, instruction: UInt64, stackPointer: UInt64, threadPointer: UInt64, startStack: UInt64, borrowsMemory: Bool,
    hasExecuted: Bool, isFirst: Bool
  ) {
    self.number = number
    self.instruction = instruction
    self.stackPointer = stackPointer
    self.threadPointer = threadPointer
    self.startStack = startStack
    self.borrowsMemory = borrowsMemory
    self.hasExecuted = hasExecuted
    self.isFirst = isFirst
  }
}

/// A faultless finding, and all that it rests on: it is repeated where all of that is the same.
///
/// **Why a repetition is what another inspection would find.** An inspection is a function of the request's settings, which a container's
/// plan fixes; of the registers; of words of the process's memory; of its mappings; and of the mapped files. Those that this finding has
/// used are in here, each with its value (`Basis`), and are compared, not interpreted. An inspection that finds them the same goes the same
/// way step by step: what it asks next depends on what it was told before. So whoever controls all of the process's memory
/// controls no more than which trail is compared.
package final class Trail {
  /// How far above SP words are compared: as far as one run copies.
  package static let reachLimit = 32768
  /// How far below SP.
  package static let belowLimit = 256

  package let sight: Sight
  let syscall: String
  private let registers: [(number: Int, value: UInt64)]
  /// The slots' distances from SP - `belowLimit`, and their values.
  private let slots: [UInt32]
  private let values: [UInt64]
  private let ranges: [(slot: UInt32, low: UInt64, high: UInt64)]
  private let canary: UInt64?
  /// Bytes above SP that are compared.
  package let reach: Int
  /// Bytes below SP.
  package let below: Int
  /// Where what it rests on is looked after: a space, which of those that were kept in the same place, and its facts, by their bits.
  package private(set) var facts: UInt64 = 0
  private(set) var space = 0
  private(set) var epoch: UInt64 = 0
  /// Without the frames' list.
  package let finding: Finding
  /// Equal outermost frames have equal numbers.
  private(set) var outermost = 0

  /// Answers that nobody has counted yet.
  var repetitions: UInt64 = 0
  var lastUse: UInt64 = 0
  /// Its way's number in the recording, once one was counted there.
  var recorded: Int?

  /// glibc's and musl's place of the canary, from the thread pointer.
  package static let canaryOffset: UInt64 = 0x28

  /// nil where the finding rests on words that one run does not copy.
  package init?(_ finding: Finding, _ basis: Basis, of syscall: String, at sight: Sight, register: (Int) -> UInt64) {
    var slots: [UInt32] = []
    var values: [UInt64] = []
    var ranges: [(slot: UInt32, low: UInt64, high: UInt64)] = []
    var canary: UInt64?
    let start = sight.stackPointer &- UInt64(Trail.belowLimit)
    let end = Trail.belowLimit + Trail.reachLimit
    var (lowest, highest) = (Trail.belowLimit, Trail.belowLimit)
    for word in basis.words {
      let distance = word.address &- start
      if distance <= UInt64(end - 8) {
        lowest = min(lowest, Int(distance))
        highest = max(highest, Int(distance) + 8)
        if word.low == word.high {
          slots.append(UInt32(distance))
          values.append(word.low)
        } else {
          ranges.append((UInt32(distance), word.low, word.high))
        }
      } else if word.address == sight.threadPointer &+ Trail.canaryOffset, word.low == word.high {
        canary = word.low
      } else {
        return nil
      }
    }
    self.sight = sight
    self.syscall = syscall
    registers = (0..<16).filter { basis.registers & 1 << UInt16($0) != 0 }.map { ($0, register($0)) }
    self.slots = slots
    self.values = values
    self.ranges = ranges
    self.canary = canary
    below = Trail.belowLimit - lowest
    reach = highest - Trail.belowLimit
    var kept = finding
    // What is asked of it later is who made the call.
    kept.frames = Array(finding.frames.prefix(2))
    kept.basis = nil
    self.finding = kept
  }

  /// Before it is compared with anything, and once.
  func settle(in space: Int, epoch: UInt64, facts: UInt64, outermost: Int) {
    self.facts = facts
    self.space = space
    self.epoch = epoch
    self.outermost = outermost
  }

  var words: Int { slots.count + ranges.count }

  /// Whether the registers and words are those that the finding rests on. `window` begins at SP - `belowLimit`; `below` is how many bytes
  /// below SP it really holds; `registers` are the sixteen. Who calls has compared the sight, and asks about the facts.
  package func matches(_ window: RawSpan, below: Int, canary: UInt64?, _ registers: RawSpan) -> Bool {
    guard below >= self.below, window.byteCount >= Trail.belowLimit + reach else { return false }
    if let known = self.canary, known != canary { return false }
    for index in self.registers.indices {
      let (number, value) = self.registers[index]
      // SAFETY: bounds are checked, and any bytes are a number.
      if unsafe registers.unsafeLoadUnaligned(fromByteOffset: 8 * number, as: UInt64.self) != value { return false }
    }
    for index in slots.indices {
      // SAFETY: every slot ends at or below `reach`, which the window holds.
      let word = unsafe window.unsafeLoadUnaligned(fromUncheckedByteOffset: Int(slots[index]), as: UInt64.self)
      if word != values[index] { return false }
    }
    for (slot, low, high) in ranges {
      let word = unsafe window.unsafeLoadUnaligned(fromUncheckedByteOffset: Int(slot), as: UInt64.self)
      if word < low || word > high { return false }
    }
    return true
  }
}
