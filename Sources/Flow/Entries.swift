import Bytes
package import ELF
package import Unwind
package import X86

/// Where functions begin in code that no table describes: what direct calls lead to, what code takes the address of, and what data points
/// at. Found by one pass over the whole file.
package struct Entries {
  /// What is gone through once and never again; files with more code than this have tables.
  static let maxCodeBytes: UInt64 = 8 << 20
  static let maxDataBytes: UInt64 = 16 << 20
  static let maxEntries = 1 << 18

  /// What direct calls lead to, and what symbols name: these are functions.
  package let sorted: [ImageAddress]
  /// What code and data hold the address of: functions, and the targets of jumps through tables.
  let taken: [ImageAddress]
  /// Where code begins after padding: a function, or a part of one.
  package let afterPadding: [ImageAddress]
  /// Jumps that lead past an entry: from a function to a part of it that was split off, or to another function.
  let jumps: [(target: ImageAddress, source: ImageAddress)]

  package init(of file: ObjectFile, known: [ImageAddress], decoder: OperationDecoder, budget: inout Budget) throws(UnwindError) {
    var sweep = Sweep(file)
    var left = Entries.maxCodeBytes
    for segment in file.segments where segment.isExecutable && segment.fileBytes <= left {
      left -= segment.fileBytes
      try sweep.code(segment, decoder, &budget)
    }
    // Elsewhere a word that looks like an address is a number, unless packed relocations (SHT_RELR) keep addresses in place.
    var hasAddresses = file.isFixed
    do throws(ELFError) { if try file.sections().contains(where: { $0.type == 19 }) { hasAddresses = true } } catch { throw .file(error) }
    for segment in file.segments where hasAddresses && !segment.isExecutable {
      guard segment.fileBytes <= Entries.maxDataBytes else { continue }
      try sweep.data(segment, &budget)
    }
    try sweep.relocations(&budget)
    sorted = sweep.called.union(known).sorted()
    taken = sweep.taken.sorted()
    afterPadding = sweep.padded.sorted()
    let all = sweep.called.union(known).union(sweep.taken).sorted()
    jumps = sweep.jumps.filter { Entries.above($0.target, in: all) != Entries.above($0.source, in: all) }.sorted {
      $0.target < $1.target
    }
  }

  package func contains(_ address: ImageAddress) -> Bool {
    let index = Entries.above(address, in: sorted)
    return index > 0 && sorted[index - 1] == address
  }

  /// The start of the next function, where one is known.
  package func next(after address: ImageAddress) -> ImageAddress? {
    let index = Entries.above(address, in: sorted)
    return index < sorted.count ? sorted[index] : nil
  }

  /// The closest start at or below the address.
  package func start(before address: ImageAddress) -> ImageAddress? {
    [Entries.closest(1, below: address, in: sorted).first, Entries.closest(1, below: address, in: taken).first].compactMap { $0 }.max()
  }

  /// Functions that `address` may belong to, the likeliest first: those that begin closest before it, and those that jump to a part that
  /// it lies in.
  package func candidates(for address: ImageAddress) -> [ImageAddress] {
    var result = Entries.closest(2, below: address, in: sorted)
    let floor = result.first
    func add(_ starts: [ImageAddress]) { for start in starts where !result.contains(start) { result.append(start) } }
    add(Entries.closest(2, below: address, in: taken))
    for jump in Entries.jumps(jumps, below: address, above: floor) {
      // A part of the function that jumps, or a function that is only ever jumped to.
      add(Entries.closest(1, below: jump.source, in: sorted))
      add(Entries.closest(1, below: jump.source, in: taken))
      add([jump.target])
    }
    add(Entries.closest(2, below: address, in: afterPadding))
    return result
  }

  /// Parts that were split off are short.
  private static let maxPartBytes: UInt64 = 4096

  private static func jumps(
    _ jumps: [(target: ImageAddress, source: ImageAddress)], below address: ImageAddress, above floor: ImageAddress?
  ) -> [(target: ImageAddress, source: ImageAddress)] {
    var low = 0
    var high = jumps.count
    while low < high {
      let middle = (low + high) / 2
      if jumps[middle].target <= address { low = middle + 1 } else { high = middle }
    }
    var found: [(target: ImageAddress, source: ImageAddress)] = []
    var index = low - 1
    while index >= 0, found.count < 4, address.value - jumps[index].target.value < maxPartBytes {
      if let floor, jumps[index].target < floor { break }
      found.append(jumps[index])
      index -= 1
    }
    return found
  }

  private static func closest(_ count: Int, below address: ImageAddress, in list: [ImageAddress]) -> [ImageAddress] {
    let end = above(address, in: list)
    return list[max(0, end - count)..<end].reversed()
  }

  /// The place of the first that lies above `address`.
  private static func above(_ address: ImageAddress, in list: [ImageAddress]) -> Int {
    var low = 0
    var high = list.count
    while low < high {
      let middle = (low + high) / 2
      if list[middle] <= address { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

/// One pass over a file.
private struct Sweep {
  /// A function of four kilobytes has some hundred.
  static let maxJumps = 1 << 20

  let file: ObjectFile
  var called: Set<ImageAddress> = []
  var taken: Set<ImageAddress> = []
  var padded: Set<ImageAddress> = []
  var jumps: [(target: ImageAddress, source: ImageAddress)] = []

  init(_ file: ObjectFile) { self.file = file }

  mutating func code(_ segment: Segment, _ decoder: OperationDecoder, _ budget: inout Budget) throws(UnwindError) {
    var code = Code(file, decoder)
    var address = segment.address
    var afterEnd = false
    while address < segment.end {
      let decoded: Operation?
      do throws(ELFError) { decoded = try code.operation(at: address) } catch { throw .file(error) }
      guard let operation = decoded else {
        // Data among the code: what follows is decoded from the next byte that makes sense.
        try budget.spend(1)
        address = address + 1
        continue
      }
      try budget.spend(operation.length)
      let next = address + UInt64(operation.length)
      if afterEnd, !operation.isPadding {
        if address.value % 16 == 0 { padded.insert(address) }
        afterEnd = false
      }
      note(operation, at: address, next: next)
      switch operation.transfer {
      case .ret, .halt, .jump, .jumpRegister, .jumpMemory: afterEnd = true
      default: break
      }
      address = next
    }
  }

  private mutating func note(_ operation: Operation, at address: ImageAddress, next: ImageAddress) {
    switch operation.transfer {
    case .call(let displacement):
      let target = next + UInt64(bitPattern: displacement)
      if called.count < Entries.maxEntries, file.isExecutable(target) { called.insert(target) }
    case .jump(let displacement), .branch(let displacement):
      let target = next + UInt64(bitPattern: displacement)
      if file.isExecutable(target), jumps.count < Sweep.maxJumps { jumps.append((target, address)) }
    default: break
    }
    switch operation.effect {
    case .address(_, let memory) where memory.base == .instruction && memory.index == nil:
      take(next.value &+ UInt64(bitPattern: memory.displacement))
    case .constant(_, let value) where file.isFixed: take(UInt64(bitPattern: value))
    default: break
    }
  }

  /// Words that are addresses of code: in a file that is loaded where it was linked, and where packed relocations keep them in place.
  mutating func data(_ segment: Segment, _ budget: inout Budget) throws(UnwindError) {
    var address = segment.address
    while address < segment.end {
      let bytes: [UInt8]
      do throws(ELFError) { bytes = try file.bytes(at: address, upTo: 1 << 16) } catch { throw .file(error) }
      guard !bytes.isEmpty else { return }
      try budget.spend(bytes.count / 8)
      var offset = Int((8 - address.value % 8) % 8)
      while offset + 8 <= bytes.count {
        take(littleEndian(bytes, at: offset))
        offset += 8
      }
      address = address + UInt64(bytes.count)
    }
  }

  /// R_X86_64_RELATIVE and IRELATIVE: the addend is the address (psABI 4.4.1).
  mutating func relocations(_ budget: inout Budget) throws(UnwindError) {
    let sections: [Section]
    do throws(ELFError) { sections = try file.sections() } catch { throw .file(error) }
    // SHT_RELA
    for section in sections where section.type == 4 && section.count <= Entries.maxDataBytes {
      var offset: UInt64 = 0
      while offset + 24 <= section.count {
        let count = min(section.count - offset, 24 * 2048) / 24 * 24
        let bytes: [UInt8]
        do throws(ELFError) { bytes = try file.bytes(at: section.fileOffset &+ offset, count: Int(count)) } catch { throw .file(error) }
        try budget.spend(bytes.count / 8)
        for entry in stride(from: 0, to: bytes.count, by: 24) where bytes[entry + 8] == 8 || bytes[entry + 8] == 37 {
          take(littleEndian(bytes, at: entry + 16))
        }
        offset += count
      }
    }
  }

  private mutating func take(_ value: UInt64) {
    let address = ImageAddress(value)
    if taken.count < Entries.maxEntries, file.isExecutable(address) { taken.insert(address) }
  }
}
