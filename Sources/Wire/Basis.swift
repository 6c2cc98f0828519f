/// All that a finding rests on besides the request's own settings: where it is the same, another inspection would find the same.
///
/// The files' contents are not listed: a file is what its mapping's fact says, to the time of its last change.
package struct Basis: Equatable, Sendable {
  package static let maxWords = 2048
  /// A process's facts are kept by the bits of one word.
  package static let maxFacts = 48

  /// A word of the process's memory: the finding is the same for each value from `low` to `high`. Nearly always that is one value.
  package struct Word: Equatable, Sendable {
    package var address: UInt64
    package var low: UInt64
    package var high: UInt64

    package init(address: UInt64, low: UInt64, high: UInt64) {
      self.address = address
      self.low = low
      self.high = high
    }
  }

  /// Something about the mappings.
  package enum Fact: Equatable, Sendable {
    /// A file's code is mapped at exactly [start, end), read only and privately, and the process has copied no page of it. `changed` is when
    /// the file was changed last (st_ctime), in nanoseconds since 1970.
    case text(start: UInt64, end: UInt64, changed: Int64)
    /// One anonymous mapping, with the access that it has, holds at least [start, end), and none of `without`: at most two addresses.
    case stack(start: UInt64, end: UInt64, without: [UInt64])
    /// At this address lies nothing that can be executed.
    case notCode(UInt64)
  }

  /// Bit n: the value of register n at the trapped instruction. SP always counts.
  package var registers: UInt16 = 0
  /// First those that are used for what they are, from the lowest address up; then those of which only that they are in their range was asked, or
  /// what lies at the address that they hold. Patterns rely on that order.
  package var words: [Word] = []
  package var facts: [Fact] = []

  package init() {}
}

extension Writer {
  mutating func put(_ basis: Basis?) {
    put(UInt8(basis == nil ? 0 : 1))
    guard let basis else { return }
    put(basis.registers)
    put(UInt32(basis.words.count))
    put(words: basis.words)
    put(UInt32(basis.facts.count))
    for fact in basis.facts {
      switch fact {
      case .text(let start, let end, let changed):
        put(UInt8(1))
        put(start)
        put(end)
        put(changed)
      case .stack(let start, let end, let without):
        put(UInt8(2))
        put(start)
        put(end)
        put(without.first)
        put(without.dropFirst().first)
      case .notCode(let address):
        put(UInt8(3))
        put(address)
      }
    }
  }
}

extension Reader {
  mutating func takeBasis() throws(WireError) -> Basis? {
    guard try takeFlag() else { return nil }
    var basis = Basis()
    basis.registers = try take()
    let count = try takeCount(limit: Basis.maxWords)
    basis.words.reserveCapacity(count)
    for _ in 0..<count {
      basis.words.append(Basis.Word(address: try take(), low: try take(), high: try take()))
    }
    for _ in 0..<(try takeCount(limit: Basis.maxFacts)) {
      let place = offset
      switch try take(UInt8.self) {
      case 1: basis.facts.append(.text(start: try take(), end: try take(), changed: try take()))
      case 2:
        let (start, end): (UInt64, UInt64) = (try take(), try take())
        basis.facts.append(.stack(start: start, end: end, without: [try takeOptional(), try takeOptional()].compactMap { $0 }))
      case 3: basis.facts.append(.notCode(try take()))
      default: throw .badValue(offset: place)
      }
    }
    return basis
  }
}
