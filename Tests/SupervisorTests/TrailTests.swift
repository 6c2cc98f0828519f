import Supervisor
import Testing
import Wire

@Suite struct TrailTests {
  private static let stackPointer: UInt64 = 0x7ffc_0000_1000
  private static let threadPointer: UInt64 = 0x7f00_0000_0740

  private static func sight(_ number: Int32 = 117, depth: UInt64 = 0) -> Sight {
    Sight(
      number: number, instruction: 0x7f00_1234, stackPointer: stackPointer - depth, threadPointer: threadPointer,
      startStack: 0x7ffc_0000_8000, borrowsMemory: false, hasExecuted: true, isFirst: true)
  }

  private static func word(_ offset: Int64, _ low: UInt64, _ high: UInt64? = nil) -> Basis.Word {
    Basis.Word(address: stackPointer &+ UInt64(bitPattern: offset), low: low, high: high ?? low)
  }

  private static func trail(_ words: [Basis.Word], registers: UInt16 = 0) -> Trail? {
    var basis = Basis()
    basis.words = words
    basis.registers = registers
    var finding = Finding()
    finding.depth = 3
    return Trail(finding, basis, of: "setresuid", at: sight(), register: { UInt64($0) * 100 })
  }

  /// What one run copies: `below` bytes below SP are real.
  private struct Copy {
    var words: [Int: UInt64] = [:]
    var count = 256
    var below = 256
    var canary: UInt64? = 0xabc0
    var registers: [Int: UInt64] = [:]

    func matches(_ trail: Trail?) -> Bool {
      guard let trail else { return false }
      var bytes = [UInt8](repeating: 0x5a, count: Trail.belowLimit + count)
      for (offset, word) in words {
        for byte in 0..<8 { bytes[Trail.belowLimit + offset + byte] = UInt8(truncatingIfNeeded: word >> UInt64(8 * byte)) }
      }
      let all: [UInt64] = (0..<16).map { registers[$0] ?? UInt64($0) * 100 }
      return unsafe trail.matches(bytes.span.bytes, below: below, canary: canary, all.span.bytes)
    }
  }

  @Test func `each word counts`() {
    let trail = Self.trail([Self.word(8, 1), Self.word(40, 2), Self.word(-16, 3)])
    let same = Copy(words: [8: 1, 40: 2, -16: 3])
    #expect(same.matches(trail))
    for (offset, word) in same.words {
      for bit in 0..<64 {
        var other = same
        other.words[offset] = word ^ 1 << UInt64(bit)
        #expect(!other.matches(trail), "\(offset), bit \(bit)")
      }
    }
  }

  @Test func `a range holds to its ends`() {
    let trail = Self.trail([Self.word(-8, 0x10, 0x20)])
    for (value, holds) in [(UInt64(0xf), false), (0x10, true), (0x18, true), (0x20, true), (0x21, false)] {
      #expect(Copy(words: [-8: value]).matches(trail) == holds, "\(value)")
    }
  }

  @Test func `registers count where they are listed`() {
    let trail = Self.trail([], registers: 1 << 6 | 1 << 12)
    #expect(Copy().matches(trail))
    #expect(Copy(registers: [3: 7]).matches(trail))
    #expect(!Copy(registers: [6: 7]).matches(trail))
    #expect(!Copy(registers: [12: 7]).matches(trail))
  }

  @Test func `the canary counts where it is listed`() {
    let place = Basis.Word(address: Self.threadPointer + Trail.canaryOffset, low: 0xabc0, high: 0xabc0)
    let trail = Self.trail([place])
    #expect(Copy().matches(trail))
    #expect(!Copy(canary: 0xabc1).matches(trail))
    #expect(!Copy(canary: nil).matches(trail))
    #expect(Copy(canary: nil).matches(Self.trail([])))
  }

  @Test func `what was not copied is not the same`() {
    let trail = Self.trail([Self.word(64, 1), Self.word(-32, 2)])
    var copy = Copy(words: [64: 1, -32: 2], count: 72)
    #expect(copy.matches(trail))
    copy.below = 24
    #expect(!copy.matches(trail))
    copy.below = 32
    #expect(copy.matches(trail))
    copy.count = 71
    copy.words[64] = nil
    #expect(!copy.matches(trail))
  }

  @Test func `words that no run copies make no trail`() {
    #expect(Self.trail([Self.word(Int64(Trail.reachLimit) - 8, 1)]) != nil)
    #expect(Self.trail([Self.word(Int64(Trail.reachLimit) - 7, 1)]) == nil)
    #expect(Self.trail([Self.word(-Int64(Trail.belowLimit), 1)]) != nil)
    #expect(Self.trail([Self.word(-Int64(Trail.belowLimit) - 1, 1)]) == nil)
    #expect(Self.trail([Basis.Word(address: Self.threadPointer, low: 1, high: 1)]) == nil)
  }

  /// The proof's other half: at random, a trail matches exactly the copies that have its words.
  @Test func `a trail matches what has its words, and nothing else`() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      let offsets = (0..<Int.random(in: 0...12, using: &random)).map { _ in 8 * Int.random(in: -32...30, using: &random) }
      let words = Set(offsets).sorted().map { Self.word(Int64($0), UInt64.random(in: 0...3, using: &random)) }
      let trail = Self.trail(words)
      var copy = Copy()
      for word in words where Bool.random(using: &random) || Bool.random(using: &random) {
        copy.words[Int(Int64(bitPattern: word.address &- Self.stackPointer))] = UInt64.random(in: 0...3, using: &random)
      }
      let isSame = words.allSatisfy { copy.words[Int(Int64(bitPattern: $0.address &- Self.stackPointer))] == $0.low }
      #expect(copy.matches(trail) == isSame, "\(words) \(copy.words)")
    }
  }

  // MARK: The cache

  private static func trail(_ sight: Sight, value: UInt64 = 1, words: Int = 1) -> Trail {
    var basis = Basis()
    basis.words = (0..<words).map { Basis.Word(address: sight.stackPointer + UInt64(8 * $0), low: value, high: value) }
    return Trail(Finding(), basis, of: "x", at: sight, register: { _ in 0 })!
  }

  @Test func `candidates are those of the same sight`() {
    var cache = TrailCache()
    let (a, b) = (Self.trail(Self.sight()), Self.trail(Self.sight(), value: 2))
    cache.insert(a)
    cache.insert(b)
    cache.insert(Self.trail(Self.sight(59)))
    #expect(cache.candidates(at: Self.sight()).map { $0 === a || $0 === b } == [true, true])
    #expect(cache.candidates(at: Self.sight(1)).isEmpty)
    #expect(cache.count == 3)
  }

  @Test func `one sight has a bounded number of trails, and loses the one that was not used for longest`() {
    var cache = TrailCache()
    let first = Self.trail(Self.sight(), value: 1000)
    cache.insert(first)
    for value in UInt64(0)..<40 {
      cache.insert(Self.trail(Self.sight(), value: value))
      cache.use(first)
    }
    #expect(cache.candidates(at: Self.sight()).count <= 16)
    #expect(cache.candidates(at: Self.sight()).contains { $0 === first })
  }

  @Test func `what is used stays when there are too many`() {
    var cache = TrailCache()
    let first = Self.trail(Self.sight())
    cache.insert(first)
    for depth in UInt64(1)..<UInt64(3 * TrailCache.maxTrails) {
      cache.insert(Self.trail(Self.sight(depth: 16 * depth)))
      cache.use(first)
      #expect(cache.count <= TrailCache.maxTrails)
    }
    #expect(cache.candidates(at: Self.sight()).count == 1)
  }

  @Test func `words are bounded, too`() {
    var cache = TrailCache()
    for depth in UInt64(0)..<1000 { cache.insert(Self.trail(Self.sight(depth: 16 * depth), words: 2000)) }
    #expect(cache.count <= TrailCache.maxWords / 2000)
  }
}
