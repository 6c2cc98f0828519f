package import BPF
package import Wire

/// A trail that is good for other address spaces, too: whoever starts the same program makes the same calls from the same places of the same
/// files, only that the kernel has put these and the stack elsewhere.
///
/// **Why what is moved is found as it was.** An inspection uses the addresses of code by their distance from the mapping's start, those of the
/// stack by their distances from one another and modulo 16, and the thread's canary by its being equal to words of the stack, or not. So in a
/// process in which each of the mappings and the stack lie elsewhere, at distances that keep the alignment, and which has another canary, it takes
/// the same steps, if every word means what it meant: an address in the same mapping at the same distance, one in the stack, the canary, or
/// the same value, which lies in none of them, neither here nor there. No canary is taken for one that could be an address. What an inspection
/// relates by the distance between two mappings are parts of one file: of these a pattern has one. Whatever else lies at addresses that it
/// computes, the basis does not list, and it gives up.
///
/// Of one word the value does not matter: below SP an earlier call has left an address at which no code lies (`residue`). Whichever it is in
/// the other process, if no code lies there either, the inspection takes the same step.
package final class Pattern {
  package struct Key: Hashable {
    var number: Int32
    var identity: CodeIdentity
    var length: UInt64
    /// Of the trapped instruction in the mapping.
    var place: UInt64
    /// How far below the process's first SP.
    var depth: UInt64
    var borrowsMemory: Bool
    var hasExecuted: Bool
    /// The loader has set it.
    var hasThreadPointer: Bool
  }

  /// A mapping of code that the finding rests on.
  package struct Code: Equatable {
    package var start: UInt64
    package var end: UInt64
    package var identity: CodeIdentity

    package init(start: UInt64, end: UInt64, identity: CodeIdentity) {
      (self.start, self.end, self.identity) = (start, end, identity)
    }

    /// A return address may be the mapping's end.
    fileprivate func contains(_ address: UInt64) -> Bool { start <= address && address <= end }
  }

  /// What one run of the snapshot shows of another process.
  package struct Place {
    package var sight: Sight
    /// Where the mapping of the trapped instruction begins.
    package var codeStart: UInt64
    package var canary: UInt64?

    package init(sight: Sight, codeStart: UInt64, canary: UInt64?) {
      (self.sight, self.codeStart, self.canary) = (sight, codeStart, canary)
    }
  }

  package struct Moved {
    package var finding: Finding
    package var basis: Basis
    package var registers: [UInt64]
    /// Where the mappings begin, and what they have to be of.
    package var codes: [Code]
  }

  package let key: Key
  let syscall: String
  private let finding: Finding
  private let basis: Basis
  private let registers: [UInt64]
  private let stackPointer: UInt64
  /// That of the trapped instruction first.
  private let codes: [Code]
  /// Of each of the others a word that points into it, by its place among the basis's: it tells where that mapping is in another process.
  private let anchors: [Int]
  private let stack: Range<UInt64>
  let stackFlags: UInt64
  private let canary: UInt64?
  /// Of the word of which the value does not matter: its place among the basis's.
  private let anyAddress: Int?
  /// Bytes above SP that the words reach.
  package let reach: Int

  /// As many words as a pattern is big.
  var size: Int { basis.words.count }

  private static let maxCodes = 8
  /// As far as a glance reaches, whatever page SP lies on.
  private static let reachLimit = Trail.reachLimit - 4096 - 8
  private static let pageMask: UInt64 = 4095
  /// No address of a process is as high (Documentation/arch/x86/x86_64/mm.rst, with five levels of page tables).
  private static let addressLimit: UInt64 = 1 << 56
  /// Nor is any of these one of the kernel's: it maps the vsyscall page, which has code, to everybody.
  private static let noAddresses = addressLimit..<(UInt64.max - addressLimit)

  /// `codes` are all mappings of code that the finding rests on. nil where it rests on something else than these, one stack and the canary.
  package init?(
    _ finding: Finding, _ basis: Basis, of syscall: String, at sight: Sight, register: (Int) -> UInt64, codes: [Code], stackFlags: UInt64
  ) {
    guard sight.isFirst, finding.outermost != nil, codes.count <= Pattern.maxCodes else { return nil }
    var stack: Range<UInt64>?
    var anyAddress: Int?
    var texts = 0
    for fact in basis.facts {
      switch fact {
      case .text(let start, let end, _):
        guard codes.contains(where: { $0.start == start && $0.end == end }) else { return nil }
        texts += 1
      // What comes from the inspector may be anything.
      case .stack(let start, let end, let without):
        guard without.isEmpty, stack == nil, start < end else { return nil }
        stack = start..<end
      case .notCode(let address):
        let holding = basis.words.indices.filter { basis.words[$0].low <= address && address <= basis.words[$0].high }
        guard anyAddress == nil, holding.count == 1, case let word = basis.words[holding[0]], word.low == word.high,
          word.address < sight.stackPointer, sight.stackPointer - word.address <= UInt64(Trail.belowLimit),
          // A basis lists the words that are used for what they are first, from the lowest up: this one is not of them.
          basis.words[..<holding[0]].contains(where: { $0.address > word.address })
        else { return nil }
        anyAddress = holding[0]
      }
    }
    let placeOfCanary = sight.threadPointer &+ Trail.canaryOffset
    guard let stack, texts == codes.count,
      let own = codes.firstIndex(where: { $0.start < sight.instruction && sight.instruction <= $0.end }),
      stack.contains(sight.stackPointer), !stack.contains(placeOfCanary)
    else { return nil }
    // Signal frames and Go's stacks are aligned by more than 16.
    guard finding.sources[.signalFrame] == 0, finding.sources[.pclntab] == 0 else { return nil }
    var ordered = codes
    ordered.swapAt(0, own)
    guard Pattern.areApart(ordered, stack), Pattern.areOfDifferentFiles(ordered) else { return nil }

    var canary: UInt64?
    var reach = 0
    for word in basis.words {
      if stack.contains(word.address) {
        guard word.address < sight.stackPointer || word.address - sight.stackPointer <= UInt64(Pattern.reachLimit) else { return nil }
        if word.address >= sight.stackPointer { reach = max(reach, Int(word.address - sight.stackPointer) + 8) }
      } else {
        guard sight.threadPointer != 0, word.address == placeOfCanary, word.low == word.high, Pattern.noAddresses.contains(word.low) else {
          return nil
        }
        canary = word.low
      }
    }
    var anchors: [Int] = []
    for code in ordered.dropFirst() {
      guard
        let anchor = basis.words.indices.first(where: { index in
          let word = basis.words[index]
          return index != anyAddress && word.low == word.high && code.contains(word.low)
        })
      else { return nil }
      anchors.append(anchor)
    }
    self.syscall = syscall
    var kept = finding
    kept.frames = Array(finding.frames.prefix(2))
    kept.basis = nil
    self.finding = kept
    self.basis = basis
    registers = (0..<16).map(register)
    self.codes = ordered
    self.anchors = anchors
    self.stack = stack
    self.stackFlags = stackFlags
    self.canary = canary
    self.anyAddress = anyAddress
    self.reach = reach
    stackPointer = sight.stackPointer
    key = Pattern.Key(sight, code: ordered[0])
  }

  private static func areOfDifferentFiles(_ codes: [Code]) -> Bool {
    codes.indices.allSatisfy { index in
      !codes[..<index].contains { $0.identity.device == codes[index].identity.device && $0.identity.inode == codes[index].identity.inode }
    }
  }

  /// What is in one of them is in no other, and no address is the end of one and the start of another.
  private static func areApart(_ codes: [Code], _ stack: Range<UInt64>) -> Bool {
    guard codes.allSatisfy({ $0.start < $0.end && $0.end < addressLimit }) else { return false }
    let ranges = (codes.map { $0.start...$0.end } + [stack.lowerBound...stack.upperBound]).sorted { $0.lowerBound < $1.lowerBound }
    return zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound }
  }

  /// The finding and all that it rests on in another address space; nil where it cannot be moved there. `word` gives the word so many bytes above
  /// SP there, or below it; nil where that is not known.
  package func moved(to place: Place, word: (Int) -> UInt64?) -> Moved? {
    let sight = place.sight
    let stackMove = sight.stackPointer &- stackPointer
    guard stackMove % 16 == 0, (sight.threadPointer != 0) == key.hasThreadPointer, sight.isFirst,
      let codes = codes(from: place.codeStart, word)
    else { return nil }
    let anyValue = anyAddress.flatMap { known(at: $0, word) }
    if anyAddress != nil, anyValue == nil { return nil }
    let (start, size) = (stack.lowerBound &+ stackMove, stack.upperBound - stack.lowerBound)
    guard start <= UInt64.max - size, case let stack = start..<(start + size), Pattern.areApart(codes, stack),
      !stack.contains(sight.threadPointer &+ Trail.canaryOffset)
    else { return nil }
    if canary != nil { guard let theirs = place.canary, Pattern.noAddresses.contains(theirs) else { return nil } }
    let moving = Moving(
      codes: zip(self.codes, codes).map { ($0, $1) }, stack: (self.stack, stack),
      canary: canary.flatMap { ours in place.canary.map { (ours, $0) } })

    var basis = basis
    for index in basis.words.indices {
      let word = basis.words[index]
      if index == anyAddress, let anyValue {
        basis.words[index] = Basis.Word(address: word.address &+ stackMove, low: anyValue, high: anyValue)
        continue
      }
      guard let low = moving(word.low), let high = word.low == word.high ? low : moving(word.high), low <= high else { return nil }
      let address = self.stack.contains(word.address) ? word.address &+ stackMove : sight.threadPointer &+ Trail.canaryOffset
      basis.words[index] = Basis.Word(address: address, low: low, high: high)
    }
    for index in basis.facts.indices {
      switch basis.facts[index] {
      case .text(let start, _, let changed):
        guard let which = self.codes.firstIndex(where: { $0.start == start }) else { return nil }
        basis.facts[index] = .text(start: codes[which].start, end: codes[which].end, changed: changed)
      case .stack: basis.facts[index] = .stack(start: stack.lowerBound, end: stack.upperBound, without: [])
      case .notCode(let address): basis.facts[index] = .notCode(anyValue ?? address)
      }
    }
    var registers = registers
    for number in 0..<16 where basis.registers & 1 << UInt16(number) != 0 {
      guard let value = moving(registers[number]) else { return nil }
      registers[number] = value
    }
    guard let outermost = finding.outermost.flatMap({ moving($0) }) else { return nil }
    var finding = finding
    finding.outermost = outermost
    return Moved(finding: finding, basis: basis, registers: registers, codes: codes)
  }

  /// What lies there in the other process.
  private func known(at index: Int, _ word: (Int) -> UInt64?) -> UInt64? {
    word(Int(truncatingIfNeeded: basis.words[index].address &- stackPointer))
  }

  /// Where the mappings are there: the first at `start`, each of the others where the word that points into it says.
  private func codes(from start: UInt64, _ word: (Int) -> UInt64?) -> [Code]? {
    var moved = codes
    moved[0].start = start
    for (index, anchor) in anchors.enumerated() {
      guard let there = known(at: anchor, word) else { return nil }
      let move = there &- basis.words[anchor].low
      guard move & Pattern.pageMask == 0 else { return nil }
      moved[index + 1].start &+= move
    }
    for index in moved.indices { moved[index].end = moved[index].start &+ (codes[index].end - codes[index].start) }
    return moved
  }

  /// What a value that means something here is there. Nothing, where it would mean something else.
  private struct Moving {
    let codes: [(here: Code, there: Code)]
    let stack: (here: Range<UInt64>, there: Range<UInt64>)
    let canary: (here: UInt64, there: UInt64)?

    func callAsFunction(_ value: UInt64) -> UInt64? {
      for (here, there) in codes where here.contains(value) { return there.start &+ (value - here.start) }
      if stack.here.contains(value) { return stack.there.lowerBound &+ (value - stack.here.lowerBound) }
      if let canary, value == canary.here { return canary.there }
      if stack.there.contains(value) || value == canary?.there || codes.contains(where: { $0.there.contains(value) }) { return nil }
      return value
    }

    func isCode(_ address: UInt64) -> Bool { codes.contains { $0.here.contains(address) } }

    /// nil where one of its addresses lies elsewhere than it should.
    func callAsFunction(_ outermost: Outermost) -> Outermost? {
      // SP may be the stack's end.
      guard stack.here.lowerBound <= outermost.stackPointer, outermost.stackPointer <= stack.here.upperBound else { return nil }
      var moved = outermost
      moved.stackPointer = stack.there.lowerBound &+ (outermost.stackPointer - stack.here.lowerBound)
      moved.links = []
      for link in outermost.links {
        guard stack.here.contains(link.slot), isCode(link.returnAddress), link.function == 0 || isCode(link.function),
          let slot = self(link.slot), let returnAddress = self(link.returnAddress),
          let function = link.function == 0 ? 0 : self(link.function)
        else { return nil }
        moved.links.append(Link(slot: slot, returnAddress: returnAddress, function: function))
      }
      return moved
    }
  }
}

extension Pattern.Key {
  init(_ sight: Sight, code: Pattern.Code) {
    number = sight.number
    identity = code.identity
    length = code.end &- code.start
    place = sight.instruction &- code.start
    depth = sight.startStack &- sight.stackPointer
    borrowsMemory = sight.borrowsMemory
    hasExecuted = sight.hasExecuted
    hasThreadPointer = sight.threadPointer != 0
  }
}

/// The patterns of a container. When there are too many, all are forgotten: what is still needed comes back with the next process.
struct Patterns {
  private static let maxPatterns = 1024
  /// Of 24 bytes each.
  private static let maxWords = 1 << 16
  private static let maxAlternatives = 8

  private var patterns: [Pattern.Key: [Pattern]] = [:]
  private var count = 0
  private var words = 0

  func all(at key: Pattern.Key) -> [Pattern] { patterns[key] ?? [] }

  mutating func insert(_ pattern: Pattern) {
    if count >= Patterns.maxPatterns || words + pattern.size > Patterns.maxWords { (patterns, count, words) = ([:], 0, 0) }
    var here = patterns[pattern.key] ?? []
    if here.count >= Patterns.maxAlternatives {
      words -= here.removeLast().size
      count -= 1
    }
    here.insert(pattern, at: 0)
    count += 1
    words += pattern.size
    patterns[pattern.key] = here
  }
}
