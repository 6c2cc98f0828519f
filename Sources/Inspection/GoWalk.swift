import ELF
import Go
import Unwind
import Wire

extension Walk {
  /// The frame above one of a function whose instructions say where it is.
  mutating func follow(
    _ range: AddressRange, from place: Place, in code: Code, _ stackPointer: UInt64, in space: inout some AddressSpace
  ) throws(Stop) -> Place {
    var rest = RestOfFunction(
      of: range, image: code.image, bias: place.instruction &- code.address.value, registers: place.registers,
      threadPointer: snapshot.threadPointer, written: written)
    resting.use(allOf: place.origins)
    do throws(UnwindError) {
      try rest.follow(from: code.address, budget: &budget) { (address) throws(UnwindError) in
        resting.use(wordAt: address)
        return try memory.word(at: address, in: &space)
      }
    } catch { throw .unknown(Reason(error)) }
    guard let cfa = rest.registers[Registers.rsp] else { throw .unknown(.unknownRegister(UInt8(Registers.rsp))) }
    written = rest.written
    unwound(by: .pclntab)
    if rest.isElsewhere {
      try leave(at: stackPointer, for: cfa)
    } else {
      try rise(to: cfa, from: stackPointer, mayStay: false, in: &space)
    }
    return Place(instruction: rest.returnAddress, arrival: .returned, registers: rest.registers)
  }

  /// The chain goes on at `cfa`, on another stack or on this one: where it has not been.
  mutating func leave(at stackPointer: UInt64, for cfa: UInt64) throws(Stop) {
    if var left = stretch {
      if left.isForeign, !isGoMemory(left.mapping) {
        object(.stack, .outsideOwnStack(left.backing), frame: left.frame)
      }
      left.ownership = .go
      walked.append(left.start...max(left.start, stackPointer))
    }
    stretch = nil
    if walked.contains(where: { $0.contains(cfa) }) {
      object(.stack, .notRising)
      throw .objected
    }
  }

  /// A stack of Go's may lie in two mappings: what the runtime advises the kernel of huge pages splits them anywhere.
  func goesOn(to next: Mapping, from mapping: Mapping) -> Bool {
    lastSource == .pclntab && next.start == mapping.end && isGoMemory(mapping) && isGoMemory(next)
  }

  /// Go takes the memory of its stacks from the kernel itself.
  private func isGoMemory(_ mapping: Mapping) -> Bool {
    mapping.backing == .anonymous && mapping.isReadable && mapping.isWritable && !mapping.isExecutable && !mapping.isShared
  }

  /// The chain ends in a function of Go's runtime.
  ///
  /// A goroutine's stack, and the system stack of a thread that Go made without a libc, is a piece of Go's heap: nothing but the chain
  /// on it tells it from any other piece. Whoever writes a chain of Go's own call sites that ends so into the heap, and brings SP there,
  /// is not found by `stack` and `base`. What the runtime notes of its stacks' bounds would be no help: it lies in the same memory.
  mutating func endInGo(_ end: ChainEnd, _ stackPointer: UInt64) {
    if let stretch, stretch.isForeign, isGoMemory(stretch.mapping) { self.stretch?.ownership = .go }
    self.end(end, stackPointer)
  }
}

extension Snapshot {
  /// How far below `startStack` SP may be at a call that `runtime.rt0_go` makes: it takes 40 bytes and aligns SP to 16, and pushes one word
  /// for `newproc`.
  static let belowProgramStart: UInt64 = 64

  /// exit of x86-64 (asm/unistd_64.h).
  private static let exit: Int32 = 60

  /// The objection of `base` to a chain that ended as `end`, in Go's runtime.
  func objection(toGo end: ChainEnd, stackPointer: UInt64, on ownership: Ownership) -> Reason? {
    switch (end, ownership) {
    case (.programStart, .main):
      guard let startStack else { return nil }
      return startStack &- stackPointer <= Snapshot.belowProgramStart && stackPointer % 8 == 0 ? nil : .wrongDepth
    case (.programStart, _): return .wrongDepth
    // No goroutine runs on the stack that the kernel made.
    case (.goroutine, .main): return .wrongDepth
    // With a libc the system stack is the thread's own; where the thread's first function left it is not known.
    case (.goroutine, _), (.systemStack, _): return nil
    case (.goThreadStart, .main): return .wrongDepth
    case (.goThreadStart, _): return nil
    // Its last call, exit, is the only one that may be made without a stack.
    case (.threadEnd, _): return number == Snapshot.exit ? nil : .endsElsewhere
    case (.processEntry, _), (.threadStart, _), (.coroutine, _): return .wrongDepth
    }
  }
}

extension Image {
  /// `crosscall1` (up to 1.22 `crosscall_amd64`) of runtime/cgo/gcc_amd64.S: the one function of C's side without CFI. It keeps C's
  /// registers and calls its arguments, the second to the end:
  ///
  ///     push rbx, rbp, r12, r13, r14, r15; mov %rdi, %rbx; mov %rdx, %rdi; call *%rsi; call *%rbx │ pop …; ret
  private static let crosscallBefore: [UInt8] = [
    0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, 0x48, 0x89, 0xfb, 0x48, 0x89, 0xd7, 0xff, 0xd6, 0xff, 0xd3,
  ]
  private static let crosscallAfter: [UInt8] = [0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3]

  func judgeCrosscall(_ address: ImageAddress, _ arrival: Arrival) throws(UnwindError) -> CodePoint? {
    let start = address - UInt64(Image.crosscallBefore.count)
    guard arrival == .returned, try holds(Image.crosscallAfter, at: address), try holds(Image.crosscallBefore, at: start) else {
      return nil
    }
    var row = Row(start: address, end: address + 1)
    row.cfa = .register(UInt8(Registers.rsp), offset: 56)
    row.returnAddress = .saved(-8)
    for (index, number) in [3, 6, 12, 13, 14, 15].enumerated() { row.registers[number] = .saved(Int64(-16 - 8 * index)) }
    let point = CodePoint(unwinding: .row(row, by: .flow))
    point.functionStart = start
    return point
  }

  /// A function's name and start by Go's table, for an explanation.
  func goFunction(at lookup: ImageAddress) -> (name: String, start: ImageAddress)? {
    guard case .success(let table?) = goTableFound else { return nil }
    do throws(GoTableError) {
      guard let function = try table.function(covering: lookup) else { return nil }
      // As text that cannot steer a terminal or a log.
      let name = try table.name(of: function).map { $0 >= 0x20 && $0 < 0x7f ? $0 : UInt8(ascii: "?") }
      return (String(decoding: name, as: UTF8.self), function.start)
    } catch { return nil }
  }
}
