package import BPF
package import Wire

/// A trail that is good for other address spaces, too: whoever starts the same program makes the same calls from the same places of the dynamic
/// loader, only that the kernel has put the loader and the stack elsewhere.
///
/// **Why what is moved is found as it was.** An inspection uses the addresses of code by their distance from the mapping's start, and
/// those of the stack by their distances from one another and modulo 16. Where the chain's code is that of one mapping only, and its words point
/// nowhere but into that and into the stack, a process in which both lie elsewhere, at distances that keep the alignment, is inspected in the
/// same steps. Nothing else is taken for a pattern: no canary, no second file, nor any other word that does not lie in the stack.
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

  package let key: Key
  let syscall: String
  private let finding: Finding
  private let basis: Basis
  private let registers: [UInt64]
  private let stackPointer: UInt64
  private let codeStart: UInt64
  private let stack: Range<UInt64>
  let stackFlags: UInt64
  let outermost: Outermost
  /// Of the word of which the value does not matter: its place among the basis's, and how far it lies below SP.
  private let anyAddress: (index: Int, below: Int)?
  package var wordBelow: Int? { anyAddress?.below }

  /// nil where the finding of `trail` rests on more than one mapping of code and the stack.
  package init?(
    _ finding: Finding, _ basis: Basis, of syscall: String, at sight: Sight, register: (Int) -> UInt64, code: CodeIdentity,
    stackFlags: UInt64
  ) {
    guard sight.isFirst, (2...3).contains(basis.facts.count), let outermost = finding.outermost else { return nil }
    var (text, stack): (Range<UInt64>?, Range<UInt64>?)
    var anyAddress: (index: Int, below: Int)?
    for fact in basis.facts {
      switch fact {
      case .text(let start, let end, _): text = start..<end
      case .stack(let start, let end, let without) where without.isEmpty: stack = start..<end
      case .stack: return nil
      case .notCode(let address):
        let holding = basis.words.indices.filter { basis.words[$0].low...basis.words[$0].high ~= address }
        guard anyAddress == nil, holding.count == 1, case let word = basis.words[holding[0]], word.low == word.high,
          word.address < sight.stackPointer, sight.stackPointer - word.address <= UInt64(Trail.belowLimit),
          // A basis lists the words that are used for what they are first, from the lowest up: this one is not of them.
          basis.words[..<holding[0]].contains(where: { $0.address > word.address })
        else { return nil }
        anyAddress = (holding[0], Int(sight.stackPointer - word.address))
      }
    }
    guard let text, let stack, text.contains(sight.instruction &- 1), stack.contains(sight.stackPointer), !text.overlaps(stack),
      basis.words.allSatisfy({ stack.contains($0.address) })
    else { return nil }
    self.syscall = syscall
    var kept = finding
    kept.frames = Array(finding.frames.prefix(2))
    self.finding = kept
    self.basis = basis
    registers = (0..<16).map(register)
    self.stack = stack
    self.stackFlags = stackFlags
    self.outermost = outermost
    self.anyAddress = anyAddress
    stackPointer = sight.stackPointer
    codeStart = text.lowerBound
    key = Pattern.Key(sight, code: (text.lowerBound, text.upperBound, code))
  }

  /// The finding, what it rests on, and the registers in another address space; nil where the stack does not lie so that it could be moved there.
  /// `word`: what lies `wordBelow` bytes below SP there; nil where that is not known.
  package func moved(to sight: Sight, codeStart: UInt64, word: UInt64?) -> (Finding, Basis, registers: [UInt64])? {
    guard (sight.stackPointer &- stackPointer) % 16 == 0, (sight.threadPointer != 0) == key.hasThreadPointer, sight.isFirst else {
      return nil
    }
    let (code, stack) = (codeStart &- self.codeStart, sight.stackPointer &- stackPointer)
    let codeEnd = self.codeStart &+ key.length
    func moved(_ value: UInt64) -> UInt64 {
      // A return address may be the mapping's end.
      if value >= self.codeStart, value <= codeEnd { return value &+ code }
      return self.stack.contains(value) ? value &+ stack : value
    }
    var basis = basis
    for index in basis.words.indices {
      basis.words[index].address &+= stack
      basis.words[index].low = moved(basis.words[index].low)
      basis.words[index].high = moved(basis.words[index].high)
    }
    var address: UInt64?
    if let anyAddress {
      guard let word else { return nil }
      basis.words[anyAddress.index].low = word
      basis.words[anyAddress.index].high = word
      address = word
    }
    basis.facts = basis.facts.map { fact in
      switch fact {
      case .text(let start, let end, let changed): .text(start: start &+ code, end: end &+ code, changed: changed)
      case .stack(let start, let end, let without): .stack(start: start &+ stack, end: end &+ stack, without: without)
      case .notCode(let before): .notCode(address ?? before)
      }
    }
    var finding = finding
    finding.outermost = Outermost(
      stackPointer: moved(outermost.stackPointer),
      links: outermost.links.map { Link(slot: moved($0.slot), returnAddress: moved($0.returnAddress), function: moved($0.function)) },
      isInLoader: outermost.isInLoader)
    return (finding, basis, registers.map(moved))
  }
}

extension Pattern.Key {
  init(_ sight: Sight, code: (start: UInt64, end: UInt64, identity: CodeIdentity)) {
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
  private static let maxPatterns = 512
  private static let maxAlternatives = 8

  private var patterns: [Pattern.Key: [Pattern]] = [:]
  private var count = 0

  func all(at key: Pattern.Key) -> [Pattern] { patterns[key] ?? [] }

  mutating func insert(_ pattern: Pattern) {
    if count >= Patterns.maxPatterns { (patterns, count) = ([:], 0) }
    var here = patterns[pattern.key] ?? []
    if here.count >= Patterns.maxAlternatives {
      here.removeLast()
      count -= 1
    }
    here.insert(pattern, at: 0)
    count += 1
    patterns[pattern.key] = here
  }
}
