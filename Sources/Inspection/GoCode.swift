import ELF
import Go
import Unwind
import Wire
import X86

/// What a function of Go's runtime does with stacks that its table of depths cannot say.
///
/// By name: the table's numbers for such functions (funcID) differ from release to release, their names have not changed.
enum GoRole: Equatable {
  /// The table says it all.
  case ordinary
  /// The bottom of every goroutine: the runtime itself writes its address + 1 where a return address belongs (newproc1).
  case goroutineStart
  /// It runs its callee at the bottom of the thread's system stack (g0), and never returns to where it was called: what called it
  /// goes on later, by `gogo`.
  case systemStart
  /// The thread's first function in the program, which runs on the stack that the kernel made.
  case programStart
  /// It makes threads that have no libc: the child calls its first function here.
  case threadStart
  /// It goes to another stack, or aligns its own, and comes back: where to, its instructions after the call say.
  case switches
  /// As `switches`, wherever it is: called from C, it keeps registers in its own way.
  case keepsRegisters
  /// It ends its thread, and has given the stack back by then: whatever lies there is somebody else's.
  case threadEnd
  /// The runtime's signal handler makes it look as if it had been called at the interrupted instruction.
  case injected

  private static let byName: [String: GoRole] = [
    "runtime.goexit": .goroutineStart,
    "runtime.mcall": .systemStart, "runtime.morestack": .systemStart,
    "runtime.rt0_go": .programStart,
    "runtime.clone": .threadStart,
    "runtime.exitThread": .threadEnd,
    "runtime.sigpanic": .injected, "runtime.sigpanic0": .injected, "runtime.asyncPreempt": .injected, "runtime.debugCallV2": .injected,
    "crosscall2": .keepsRegisters, "runtime.sigtramp": .keepsRegisters, "runtime.sigprofNonGoWrapper": .keepsRegisters,
    "_rt0_amd64_lib": .keepsRegisters,
    // Releases before 1.17 do not mark what sets SP.
    "runtime.systemstack": .switches, "runtime.asmcgocall": .switches, "runtime.asmcgocall_no_g": .switches,
    "runtime.cgocallback": .switches, "runtime.cgocallback_gofunc": .switches, "runtime.nanotime1": .switches,
    "runtime.walltime": .switches, "runtime.walltime1": .switches, "runtime.callCgoMmap": .switches,
    "runtime.callCgoMunmap": .switches, "runtime.callCgoSigaction": .switches, "runtime.sigfwd": .switches,
  ]

  init(_ name: [UInt8], _ flags: GoFunctionFlags) {
    self = GoRole.byName[String(decoding: name, as: UTF8.self)] ?? (flags.contains(.setsStackPointer) ? .switches : .ordinary)
  }
}

extension Image {
  /// Finding the table costs this much, each question to it that much.
  private static let findCost = 4096
  private static let askCost = 256

  /// The file's table of Go functions, nil where it has none. Found once.
  func goTable(budget: inout Budget) throws(UnwindError) -> GoTable? {
    if let goTableFound { return try goTableFound.get() }
    try budget.spend(Image.findCost)
    let found = Result { () throws(UnwindError) -> GoTable? in
      do throws(GoTableError) { return try GoTable.find(in: file) } catch { throw UnwindError(error) }
    }
    if case .failure(let error) = found, error.isPassing { throw error }
    goTableFound = found
    return try found.get()
  }

  /// What Go's table says about `address`; nil where it says nothing, i.e. in C code.
  func judgeGo(_ address: ImageAddress, _ arrival: Arrival, budget: inout Budget) throws(UnwindError) -> CodePoint? {
    guard let table = try goTable(budget: &budget) else { return nil }
    try budget.spend(Image.askCost)
    let lookup = arrival.lookup(address)
    guard let (function, depth, name) = try known(lookup, in: table) else { return try judgeCrosscall(address, arrival) }
    let role = GoRole(name, function.flags)
    let point = CodePoint(unwinding: .unknown(.noUnwindInfo))
    point.functionStart = function.start
    if role == .goroutineStart, arrival == .returned, address == function.start + 1 {
      point.unwinding = .goEnd(.goroutine)
      return point
    }
    point.unwinding = try unwinding(at: lookup, arrival, in: function, role, depth, budget: &budget)
    try judgeBoundary(address, arrival, from: [depth.start, function.start], point, budget: &budget)
    // What signals, and the calls that the runtime's handler feigns, interrupt is an instruction: Go keeps no data among its code.
    if arrival == .interrupted, depth.start < address,
      case .inside = try before(address, from: depth.start, budget: &budget)
    {
      point.objections.append(Objection(check: .call, reason: .insideAnInstruction))
    }
    return point
  }

  /// The function of Go's that holds `address`; nil in C code.
  func goRange(of address: ImageAddress, _ budget: inout Budget) throws(UnwindError) -> AddressRange? {
    guard let table = try goTable(budget: &budget) else { return nil }
    try budget.spend(Image.askCost)
    do throws(GoTableError) { return try table.function(covering: address).map { AddressRange($0) } } catch { throw UnwindError(error) }
  }

  private func known(
    _ lookup: ImageAddress, in table: GoTable
  ) throws(UnwindError) -> (GoFunction, StackDepth, name: [UInt8])? {
    do throws(GoTableError) {
      guard let function = try table.function(covering: lookup), let depth = try table.depth(at: lookup, in: function) else { return nil }
      return (function, depth, try table.name(of: function))
    } catch { throw UnwindError(error) }
  }

  private func unwinding(
    at lookup: ImageAddress, _ arrival: Arrival, in function: GoFunction, _ role: GoRole, _ depth: StackDepth, budget: inout Budget
  ) throws(UnwindError) -> CodePoint.Unwinding {
    switch role {
    case .ordinary: break
    case .injected:
      guard case .row(var row, _) = try goRow(at: lookup, arrival, in: function, depth, budget: &budget) else { break }
      row.isSignalFrame = true
      return .row(row, by: .pclntab)
    case .goroutineStart: return .goEnd(.goroutine)
    case .keepsRegisters where arrival == .returned: return .rest(of: AddressRange(function))
    case .keepsRegisters: break
    case .threadEnd where arrival == .trapped: return .goEnd(.threadEnd)
    case .threadEnd: break
    case .programStart where try !startsInGo():
      // A program that gcc links begins in C, and this is its `main`. The `and` that aligns SP changes nothing then.
      let moved = try moves(from: function.start, to: lookup, budget: &budget)
      return try goRow(
        at: lookup, arrival, in: function, StackDepth(start: lookup, end: lookup + 1, bytes: moved.depth), budget: &budget)
    case .systemStart, .programStart, .threadStart, .switches:
      // Before SP is set the table is right, but for what it does not know in such functions: plain additions to SP.
      let moved = try moves(from: function.start, to: lookup, budget: &budget)
      guard moved.isSet || moved.depth != depth.bytes else { break }
      switch role {
      case .systemStart: return .goEnd(.systemStack)
      case .programStart: return .goEnd(.programStart)
      case .threadStart: return .goEnd(.goThreadStart)
      default: return .rest(of: AddressRange(function))
      }
    }
    return try goRow(at: lookup, arrival, in: function, depth, budget: &budget)
  }

  /// Go's calling convention keeps no register but SP and, since 1.7, rbp: what C code above needs comes from what the functions
  /// between save.
  private func goRow(
    at lookup: ImageAddress, _ arrival: Arrival, in function: GoFunction, _ depth: StackDepth, budget: inout Budget
  ) throws(UnwindError) -> CodePoint.Unwinding {
    var row = Row(start: depth.start, end: depth.end)
    row.cfa = .register(UInt8(Registers.rsp), offset: Int64(depth.bytes) + 8)
    row.returnAddress = .saved(-8)
    for number in Registers.keptByCalls { row.registers[number] = .undefined }
    if depth.bytes == -8 {
      // syscall.rawVforkSyscall: as vfork's child would overwrite its return address, it is kept in r12.
      guard try followsPop(lookup, arrival) else { return .unknown(.badUnwindInfo) }
      row.returnAddress = .register(12)
      row.registers[Registers.rbp] = .sameValue
      return .row(row, by: .pclntab)
    }
    guard depth.bytes >= 0 else { return .unknown(.badUnwindInfo) }
    if depth.bytes == 0 {
      row.registers[Registers.rbp] = .sameValue
    } else if let slot = try savedFramePointer(before: lookup, in: function, budget: &budget) {
      row.registers[Registers.rbp] = .saved(slot)
    }
    return .row(row, by: .pclntab)
  }

  /// Where the function's first instructions store rbp, from the CFA; nil where they do not. Every prologue that saves it begins with
  /// a check of the stack's limit, makes the frame and stores rbp, or pushes it.
  private func savedFramePointer(
    before lookup: ImageAddress, in function: GoFunction, budget: inout Budget
  ) throws(UnwindError) -> Int64? {
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: function.start, upTo: 96) } catch { throw .file(error) }
    try budget.spend(code.count)
    var offset = 0
    var deep: Int64 = 8
    while let instruction = assembler.assembly(at: offset, in: code), function.start + UInt64(offset + instruction.length) <= lookup {
      offset += instruction.length
      guard let operation = GoInstruction(instruction) else { continue }
      switch operation {
      case .push(.register(Registers.rbp)): return -(deep + 8)
      case .push, .pushFlags: deep += 8
      case .arithmetic(.subtract, .register(Registers.rsp), .constant(let bytes), isWide: true): deep += Int64(bitPattern: bytes)
      case .arithmetic(.add, .register(Registers.rsp), .constant(let bytes), isWide: true): deep -= Int64(bitPattern: bytes)
      case .move(.memory(let place), .register(Registers.rbp), isWide: true) where place.isPlain(Registers.rsp):
        return place.displacement - deep
      // Other code than a prologue's.
      case .call, .callOther, .leave, .stop: return nil
      default: break
      }
      guard abs(deep) < 1 << 40 else { return nil }
    }
    return nil
  }

  /// `pop %r12; syscall` lies just before, or `syscall` is what a signal interrupted.
  private func followsPop(_ lookup: ImageAddress, _ arrival: Arrival) throws(UnwindError) -> Bool {
    let code: [UInt8] = [0x41, 0x5c, 0x0f, 0x05]
    switch arrival {
    case .trapped: return try holds(code, at: lookup - 3)
    case .interrupted:
      let isAfter = try holds(code, at: lookup - 4)
      return try isAfter ? true : holds(code, at: lookup - 2)
    case .returned: return false
    }
  }

  /// The file's entry point is Go's.
  private func startsInGo() throws(UnwindError) -> Bool {
    guard case .success(let table?) = goTableFound else { return false }
    do throws(GoTableError) {
      guard let function = try table.function(covering: file.entry), function.start == file.entry else { return false }
      return try table.name(of: function) == Array("_rt0_amd64_linux".utf8)
    } catch { throw UnwindError(error) }
  }

  /// What the instructions in [start, end) do to SP, one after the other.
  private func moves(
    from start: ImageAddress, to end: ImageAddress, budget: inout Budget
  ) throws(UnwindError) -> (depth: Int32, isSet: Bool) {
    var moved: (depth: Int32, isSet: Bool) = (0, false)
    guard start < end, end.value - start.value <= Image.maxGapBytes else { return moved }
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: start, upTo: Int(end.value - start.value) + 16) } catch { throw .file(error) }
    try budget.spend(code.count)
    var offset = 0
    while let instruction = assembler.assembly(at: offset, in: code), start + UInt64(offset + instruction.length) <= end + 1 {
      switch GoInstruction(instruction) {
      case .push, .pushFlags: moved.depth &+= 8
      case .pop(let number) where number != Registers.rsp: moved.depth &-= 8
      case .popFlags: moved.depth &-= 8
      case .arithmetic(.subtract, .register(Registers.rsp), .constant(let bytes), isWide: true):
        moved.depth &+= Int32(truncatingIfNeeded: bytes)
      case .arithmetic(.add, .register(Registers.rsp), .constant(let bytes), isWide: true):
        moved.depth &-= Int32(truncatingIfNeeded: bytes)
      case .some(let operation): moved.isSet = moved.isSet || operation.setsStackPointer
      case nil: break
      }
      offset += instruction.length
    }
    return moved
  }
}

extension UnwindError {
  init(_ error: GoTableError) {
    switch error {
    case .file(let error): self = .file(error)
    case .malformed: self = .malformed(.table)
    }
  }
}

extension AddressRange {
  fileprivate init(_ function: GoFunction) { self.init(start: function.start, count: function.end.value - function.start.value) }
}
