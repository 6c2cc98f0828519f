import ELF
import Flow
import Go
import Unwind
import X86

/// A function, or a part of one that a table knows by itself (`.cold`), and the ways out of it that are no returns.
final class Piece {
  /// node's largest function has some 200 KiB.
  static let maxBytes: UInt64 = 1 << 19

  let range: AddressRange
  /// Where jumps lead that leave it: tail calls, parts that were split off, and what it falls into.
  private(set) var targets: [ImageAddress] = []
  /// The words that it jumps through: the GOT's.
  private(set) var slots: [ImageAddress] = []
  /// It jumps through a pointer when its own frame is gone, or as a retpoline does.
  private(set) var jumpsThroughPointer = false
  /// Addresses that it makes: what an IFUNC's resolver chooses among.
  private(set) var addresses: [ImageAddress] = []

  /// `isTailJump`: an indirect jump at this address finds the frame gone.
  init(
    _ range: AddressRange, of file: ObjectFile, _ decoder: OperationDecoder, _ budget: inout Budget,
    isTailJump: (ImageAddress, inout Budget) throws(UnwindError) -> Bool
  ) throws(UnwindError) {
    self.range = range
    guard range.count <= Piece.maxBytes else {
      jumpsThroughPointer = true
      return
    }
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: range.start, upTo: Int(range.count)) } catch { throw .file(error) }
    try budget.spend(code.count)
    var offset = 0
    var last: Operation?
    while offset < code.count, let operation = decoder.operation(at: offset, in: code) {
      let next = range.start + UInt64(offset + operation.length)
      func target(_ displacement: Int64) {
        let target = next + UInt64(bitPattern: displacement)
        if !range.contains(target) { targets.append(target) }
      }
      switch operation.transfer {
      case .jump(let displacement), .branch(let displacement): target(displacement)
      case .jumpMemory(let memory) where memory.base == .instruction && memory.index == nil:
        slots.append(next + UInt64(bitPattern: memory.displacement))
      case .jumpRegister, .jumpMemory:
        if !jumpsThroughPointer { jumpsThroughPointer = try isTailJump(range.start + UInt64(offset), &budget) }
      // A retpoline: the return address is written over, and returned to.
      case .ret: if let last, last.replacesReturnAddress { jumpsThroughPointer = true }
      case .next, .call, .callIndirect, .syscall, .halt: break
      }
      if case .address(_, let memory) = operation.effect, memory.base == .instruction, memory.index == nil {
        addresses.append(next + UInt64(bitPattern: memory.displacement))
      }
      if case .constant(_, let value) = operation.effect, file.isFixed { addresses.append(ImageAddress(UInt64(bitPattern: value))) }
      offset += operation.length
      last = operation
    }
    // What does not decode may lead anywhere.
    if offset < code.count { jumpsThroughPointer = true }
    if case .next? = last?.transfer, offset == code.count { targets.append(range.start + range.count) }
  }
}

extension Operation {
  /// `mov %reg, (%rsp)`.
  var replacesReturnAddress: Bool {
    if case .store(let memory, from: _?, count: 8) = effect {
      return memory.base == .register(7) && memory.index == nil && memory.displacement == 0
    }
    return false
  }
}

extension Image {
  static let maxPieces = 4096

  /// The function that holds `address`; nil where nothing says where it begins and ends.
  func piece(at address: ImageAddress, _ budget: inout Budget) throws(UnwindError) -> Piece? {
    guard let range = try extent(at: address, &budget) else { return nil }
    if let known = pieces[range.start], known.range == range { return known }
    let piece = try Piece(range, of: file, assembler, &budget) { (address, budget) throws(UnwindError) in
      // With CFI, an indirect jump leaves the function only where SP is back at the return address; without, it may.
      guard case .entry(let entry) = try frames.find(address, budget: &budget) else { return true }
      return try entry.row(at: address, budget: &budget).cfa == .register(7, offset: 8)
    }
    if pieces.count >= Image.maxPieces { pieces = [:] }
    pieces[range.start] = piece
    return piece
  }

  /// From the first to the last byte of the function that holds `address`.
  private func extent(at address: ImageAddress, _ budget: inout Budget) throws(UnwindError) -> AddressRange? {
    if let function = try goRange(of: address, &budget) { return function }
    if case .entry(let entry) = try frames.find(address, budget: &budget) { return entry.range }
    if let symbol = try isNamed(address) { return AddressRange(start: symbol.start, count: symbol.count) }
    guard let segment = file.segments.first(where: { $0.isExecutable && $0.address <= address && address < $0.end }) else { return nil }
    let entries = try flow.found(&budget)
    guard let start = entries.start(before: address), segment.address <= start else { return nil }
    let end = min(entries.next(after: address) ?? segment.end, segment.end)
    return AddressRange(start: start, count: end.value - start.value)
  }

  /// How a return address that follows a call of this file came to be.
  func calls(before address: ImageAddress, _ point: CodePoint) throws(UnwindError) -> [CallForm] {
    if let known = point.calls { return known }
    var forms: [CallForm] = []
    // Where no boundary is known, each reading may be the right one.
    let lengths = point.callLength.map { [$0] } ?? Array(2...8)
    for length in lengths {
      let code: [UInt8]
      do throws(ELFError) { code = try file.bytes(at: address - UInt64(length), count: length) } catch {
        if case .unmapped = error { continue }
        throw .file(error)
      }
      guard let operation = assembler.assembly(at: 0, in: code), operation.length == length, operation.mnemonic == .call,
        let operand = operation.operands.first
      else { continue }
      switch operand {
      case .constant(let displacement): forms.append(.direct(address + UInt64(bitPattern: displacement)))
      case .memory(let memory, isThreadLocal: false) where memory.base == .instruction && memory.index == nil:
        forms.append(.slot(address + UInt64(bitPattern: memory.displacement)))
      case .register, .memory, .other: forms.append(.pointer)
      }
    }
    point.calls = forms
    return forms
  }
}

/// What a call names.
enum CallForm: Equatable {
  case direct(ImageAddress)
  /// A word at a fixed place of the file's data: the GOT's, or a variable's.
  case slot(ImageAddress)
  case pointer
}
