import ELF
import Unwind
import Wire

/// Keeps what a walk's finding comes to rest on (`Basis`), as the walk goes.
///
/// A register that a frame has saved is read with the others when the frame is left, but nothing rests on it until it is used: most never
/// are, and their words change from call to call. Until then it is known where each comes from (`Origins`).
struct Resting {
  private var registers: UInt16 = 0
  private var addresses: [UInt64] = []
  /// Words whose value was told, not kept by the walk's memory.
  private var told: [Basis.Word] = []
  private var facts: [Basis.Fact] = []
  /// Where chains run on one stack: grows as the walk goes on.
  private var stacks: [Stack] = []
  /// Something was asked that a basis does not list.
  private(set) var isWhole = true

  private static let belowBytes: UInt64 = 4096

  private struct Stack {
    var start: UInt64
    var end: UInt64
    var without: [UInt64]
  }

  /// Where the value of each register comes from.
  struct Origins {
    /// 0: from what is listed already. 1 to 16: register n - 1 of the trapped thread. Else: the word at this address.
    private var places: [16 of UInt64] = .init(repeating: 0)

    static var trapped: Origins {
      var origins = Origins()
      for number in 0..<16 { origins.places[number] = UInt64(number) + 1 }
      return origins
    }

    subscript(number: Int) -> UInt64 {
      get { places[number] }
      set { places[number] = newValue }
    }
  }

  /// The finding rests on more than a basis can tell.
  mutating func giveUp() { isWhole = false }

  mutating func use(_ number: Int, from origins: Origins) { use(origin: origins[number]) }

  mutating func use(origin: UInt64) {
    switch origin {
    case 0: break
    case let origin where origin <= 16: registers |= 1 << UInt16(origin - 1)
    case let origin: addresses.append(origin)
    }
  }

  mutating func use(allOf origins: Origins) {
    for number in 0..<16 { use(number, from: origins) }
  }

  mutating func use(wordAt address: UInt64) { addresses.append(address) }

  mutating func use(_ word: Basis.Word) { told.append(word) }

  mutating func use(_ fact: Basis.Fact) {
    if facts.last != fact, !facts.contains(fact) { facts.append(fact) }
  }

  mutating func use(code mapping: Mapping, of image: Image?) {
    guard mapping.backing == .file, mapping.isExecutable, !mapping.isWritable, !mapping.isShared, let changed = image?.changed else {
      return giveUp()
    }
    use(.text(start: mapping.start, end: mapping.end, changed: changed))
  }

  /// A stretch begins on the stack that `mapping` is.
  mutating func enter(_ mapping: Mapping, at stackPointer: UInt64, of snapshot: Snapshot) {
    guard mapping.backing != .file, let startStack = snapshot.startStack, let threadPointer = snapshot.threadPointer else {
      return giveUp()
    }
    // What lies just below SP tells of the last calls.
    let below = stackPointer > Resting.belowBytes ? stackPointer - Resting.belowBytes : 0
    var stack = Stack(start: max(mapping.start, below), end: stackPointer &+ 8, without: [])
    // Ownership is told by which of these lies on it.
    for place in [startStack, threadPointer] {
      if mapping.contains(place) {
        stack.start = min(stack.start, place)
        stack.end = max(stack.end, place &+ 1)
        break
      }
      stack.without.append(place)
    }
    stacks.append(stack)
  }

  /// The stretch goes on to `address`, on the same mapping or just past its end.
  mutating func rise(to address: UInt64) {
    guard !stacks.isEmpty else { return giveUp() }
    stacks[stacks.count - 1].end = max(stacks[stacks.count - 1].end, address)
  }

  /// One of the stacks, as far as the chain has come, holds this value whatever it is exactly: the range that it lies in.
  func range(of value: UInt64) -> ClosedRange<UInt64>? {
    stacks.first { $0.start <= value && value < $0.end }.map { $0.start...($0.end - 1) }
  }

  /// A chain goes up: nearly all addresses are at their place.
  private mutating func sortAddresses() {
    var moves = 8 * addresses.count
    for index in addresses.indices.dropFirst() {
      let address = addresses[index]
      var place = index
      while place > 0, addresses[place - 1] > address {
        addresses[place] = addresses[place - 1]
        place -= 1
      }
      addresses[place] = address
      moves -= index - place
      guard moves > 0 else {
        addresses.sort()
        return
      }
    }
  }

  /// `sorted` are in order.
  private static func contains(_ sorted: [UInt64], _ address: UInt64) -> Bool {
    var (low, high) = (0, sorted.count)
    while low < high {
      let middle = (low + high) / 2
      if sorted[middle] < address { low = middle + 1 } else { high = middle }
    }
    return low < sorted.count && sorted[low] == address
  }

  /// nil where there is too much to tell.
  consuming func basis(of memory: StackMemory) -> Basis? {
    guard isWhole else { return nil }
    var basis = Basis()
    basis.registers = registers
    sortAddresses()
    basis.words.reserveCapacity(addresses.count + told.count)
    var last: UInt64?
    for address in addresses where address != last {
      guard let value = memory.held(at: address) else { return nil }
      basis.words.append(Basis.Word(address: address, low: value, high: value))
      last = address
    }
    // What is used for what it is, need not be in a range as well. The order is the basis's promise.
    basis.words += told.filter { word in !Resting.contains(addresses, word.address) }
    basis.facts = facts + stacks.map { .stack(start: $0.start, end: $0.end, without: $0.without) }
    guard basis.words.count <= Basis.maxWords, basis.facts.count <= Basis.maxFacts else { return nil }
    return basis
  }
}

extension Walk {
  /// `row` was applied to `place`, and gave `caller`: what that rests on, and where the caller's registers come from.
  mutating func rest(on row: Row, appliedTo place: Place, _ caller: Caller) -> Resting.Origins {
    let cfa = caller.cfa
    var origins = Resting.Origins()
    var isComputed = false
    switch row.cfa {
    case .register(let number, _): resting.use(Int(number), from: place.origins)
    case .saved(let number, let offset, _):
      resting.use(Int(number), from: place.origins)
      if let base = place.registers[Int(number)] { resting.use(wordAt: base &+ UInt64(bitPattern: offset)) }
    case .computed: isComputed = true
    }
    /// Where what a rule gives comes from.
    func origin(_ rule: Rule, of number: Int, kept: Bool) -> UInt64 {
      switch rule {
      case .unspecified: return kept ? place.origins[number] : 0
      case .undefined, .value: return 0
      case .sameValue: return place.origins[number]
      case .saved(let offset): return cfa &+ UInt64(bitPattern: offset)
      case .register(let other): return place.origins[Int(other)]
      case .savedFrom(let base, let offset):
        resting.use(Int(base), from: place.origins)
        return (place.registers[Int(base)] ?? 0) &+ UInt64(bitPattern: offset)
      case .savedAt, .computed:
        isComputed = true
        return 0
      }
    }
    for number in 0..<16 {
      let kept = row.isSignalFrame || Registers.keptByCalls.contains(number)
      origins[number] = origin(row.registers[number], of: number, kept: kept)
    }
    if row.registers[Registers.rsp] == .unspecified { origins[Registers.rsp] = 0 }
    var address = Resting.Origins()
    address[0] = origin(row.returnAddress, of: 0, kept: false)
    resting.use(0, from: address)
    // What an expression reads is not told apart: only signal frames and PLTs have any.
    if isComputed { resting.giveUp() }
    // SP is used by whatever comes next.
    resting.use(Registers.rsp, from: origins)
    origins[Registers.rsp] = 0
    return origins
  }
}

extension Walk {
  /// What the finding rests on, now that it is made; nil where that cannot be told whole.
  func basis() -> Basis? {
    var resting = resting
    if modules.hasFailed { resting.giveUp() }
    for (mapping, image) in modules.found where mapping.isExecutable { resting.use(code: mapping, of: image) }
    for (address, mapping) in modules.misses {
      if mapping?.isExecutable == true { resting.giveUp() } else { resting.use(.notCode(address)) }
    }
    return resting.basis(of: memory)
  }
}
