import ELF
import Unwind
import Wire
import X86

extension Image {
  /// `mov $15, %rax; syscall`: what glibc, musl and every other libc give the kernel as `sa_restorer` (rt_sigreturn(2)). gdb and
  /// libgcc know signal frames by the same nine bytes.
  static let signalTrampoline: [UInt8] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05]
  static let syscallInstruction: [UInt8] = [0x0f, 0x05]
  /// ld.so's `_start` and `_dl_start_user` have some 60 bytes, and no FDE.
  static let maxEntryBytes: UInt64 = 128
  /// Code in a gap between FDEs is decoded from the gap's start up to here: hand-written functions are short.
  static let maxGapBytes: UInt64 = 4096

  func judge(_ address: ImageAddress, _ arrival: Arrival, budget: inout Budget) throws(UnwindError) -> CodePoint {
    let point = CodePoint(unwinding: .unknown(.noUnwindInfo))
    if arrival == .trapped, try !holds(Image.syscallInstruction, at: address - 2) {
      point.objections.append(Objection(check: .site, reason: .notASyscallInstruction))
    }
    if try isSignalTrampoline(address, arrival, budget: &budget) {
      point.unwinding = .signalFrame
      return point
    }
    if arrival == .returned, try isCoroutineStart(address, budget: &budget) {
      point.unwinding = .coroutineStart
      return point
    }
    if let point = try judgeGo(address, arrival, budget: &budget) { return point }
    let lookup = arrival.lookup(address)
    switch try frames.find(lookup, budget: &budget) {
    case .entry(let entry):
      let row = try entry.row(at: lookup, budget: &budget)
      point.unwinding = .row(row, by: .cfi)
      point.functionStart = entry.range.start
      point.isEntry = entry.range.start == file.entry
      if row.returnAddress == .undefined { point.isTaskStart = try holdsSyscall(entry) }
      if row.cfa == .register(6, offset: 24) { point.changesStack = try isMoreStack(entry) }
      if arrival == .interrupted, try contradicts(entry, row, budget: &budget) {
        point.unwinding = try flow.row(address, arrival, in: entry.range, &budget).map { .row($0, by: .flow) } ?? .unknown(.badUnwindInfo)
      }
      try judgeBoundary(address, arrival, from: [row.start, entry.range.start], point, budget: &budget)
    case .gap(let after, let before):
      try judgeGap(address, arrival, after: after, before: before, point, budget: &budget)
    }
    return point
  }

  /// The file's own bytes at `address` are `bytes`.
  func holds(_ bytes: [UInt8], at address: ImageAddress) throws(UnwindError) -> Bool {
    do throws(ELFError) { return try file.bytes(at: address, count: bytes.count) == bytes } catch {
      if case .unmapped = error { return false }
      throw .file(error)
    }
  }

  /// The address returns into a signal trampoline's first byte, or is where its own syscall trapped. Where CFI covers it, it says
  /// 'S' too; musl's has no CFI.
  func isSignalTrampoline(_ address: ImageAddress, _ arrival: Arrival, budget: inout Budget) throws(UnwindError) -> Bool {
    let start: ImageAddress
    switch arrival {
    case .returned: start = address
    case .trapped: start = address - UInt64(Image.signalTrampoline.count)
    case .interrupted: return false
    }
    guard try holds(Image.signalTrampoline, at: start) else { return false }
    switch try frames.find(start, budget: &budget) {
    case .entry(let entry): return entry.isSignalFrame
    case .gap: return true
    }
  }

  /// glibc's clone and clone3 begin a new FDE right after their `syscall` instruction.
  private func holdsSyscall(_ entry: FrameEntry) throws(UnwindError) -> Bool {
    let start = entry.range.start - 2
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: start, upTo: Int(min(entry.range.count, Image.maxGapBytes)) + 2) } catch {
      if case .unmapped = error { return true }
      throw .file(error)
    }
    return (0..<max(0, code.count - 1)).contains { Array(code[$0...($0 + 1)]) == Image.syscallInstruction }
  }

  /// makecontext(3) has a coroutine's function return to the first byte of a function that takes its stack from rbx, where the pointer to the
  /// next context lies: glibc's `__start_context` (sysdeps/unix/sysv/linux/x86_64/__start_context.S), which has no symbol in a stripped
  /// library. No call leads there.
  func isCoroutineStart(_ address: ImageAddress, budget: inout Budget) throws(UnwindError) -> Bool {
    // Nearly every return address lies within its function.
    guard address.value % 16 == 0, case .entry(let entry) = try frames.find(address, budget: &budget), entry.range.start == address,
      entry.range.count <= 256
    else { return false }
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: address, upTo: 32) } catch { throw .file(error) }
    // mov %rbx, %rsp; with shadow stacks a test of theirs stands before it
    return (0..<max(0, code.count - 2)).contains { code[$0] == 0x48 && code[$0 + 1] == 0x89 && code[$0 + 2] == 0xdc }
  }

  /// `site` and `call`: the instruction before `address`, decoded from the nearest of `starts`, which are true boundaries: a
  /// row starts after an instruction that changes the frame. Where bytes on the way do not decode (data among hand-written
  /// code), the next start is tried.
  func judgeBoundary(
    _ address: ImageAddress, _ arrival: Arrival, from starts: [ImageAddress], _ point: CodePoint, budget: inout Budget
  ) throws(UnwindError) {
    let check: Check
    switch arrival {
    case .trapped: check = .site
    case .returned: check = .call
    // Any instruction may be interrupted, also one that jumped over data: that it is one is the kernel's doing.
    case .interrupted: return
    }
    for start in starts where start < address {
      switch try before(address, from: start, budget: &budget) {
      case .instruction(let instruction):
        if check == .call, instruction.isCall { point.callLength = instruction.length }
        if check == .call, !instruction.isCall { point.objections.append(Objection(check: .call, reason: .notAfterCall)) }
        if check == .site, instruction.kind != .syscall, point.objections.isEmpty {
          point.objections.append(Objection(check: .site, reason: .insideAnInstruction))
        }
        return
      case .inside:
        // That it is no syscall instruction at all says more.
        if point.objections.isEmpty { point.objections.append(Objection(check: check, reason: .insideAnInstruction)) }
        return
      case .undecodable: continue
      }
    }
    point.unwinding = .unknown(.undecodable)
  }

  private func judgeGap(
    _ address: ImageAddress, _ arrival: Arrival, after below: FrameEntry?, before above: ImageAddress?, _ point: CodePoint,
    budget: inout Budget
  ) throws(UnwindError) {
    let lookup = arrival.lookup(address)
    // ld.so's `_start`: its entry point lies in the same gap, shortly before.
    let entryIsHere = (below.map { $0.end <= file.entry } ?? true) && file.entry <= lookup
    if entryIsHere, lookup.value - file.entry.value < Image.maxEntryBytes {
      point.isEntry = true
      point.functionStart = file.entry
      point.unwinding = arrival == .returned ? .entryWithoutRow : .unknown(.noUnwindInfo)
      try judgeBoundary(address, arrival, from: [file.entry], point, budget: &budget)
      return
    }
    // glibc's clone and clone3 end their FDE right before their `syscall` instruction, as in the child it would no longer hold
    // (clone.S: "End FDE now"). In the parent nothing has changed: the last row still does.
    if arrival == .trapped, let below, below.range.count > 0, below.end == address - 2 {
      let row = try below.row(at: below.end - 1, budget: &budget)
      point.unwinding = .row(row, by: .cfi)
      point.functionStart = below.range.start
      try judgeBoundary(address, arrival, from: [row.start, below.range.start], point, budget: &budget)
      return
    }
    if let function = try isNamed(lookup), !(try flow.isPart(function)) {
      point.functionStart = function.start
      try judgeBoundary(address, arrival, from: [function.start], point, budget: &budget)
      if let row = try flow.row(address, arrival, in: AddressRange(start: function.start, count: function.count), &budget) {
        point.unwinding = .row(row, by: .flow)
      }
      return
    }
    let candidates = try flow.candidates(address, arrival, &budget)
    if !candidates.isEmpty {
      point.unwinding = .candidates(candidates)
      return
    }
    // No FDE, no symbol. A stripped function that its compiler gave no CFI may lie here (musl, Swift, Go), or nothing but the space
    // between functions: only code with a call before the address may be such a function.
    guard let below, address.value &- below.end.value <= Image.maxGapBytes else {
      guard arrival == .returned, try !mayFollowCall(address) else { return }
      point.objections.append(Objection(check: .function, reason: .noFunction))
      return
    }
    if case .instruction(let instruction) = try before(address, from: below.end, budget: &budget) {
      switch arrival {
      case .trapped where instruction.kind == .syscall: return
      case .returned where instruction.isCall: return
      case .interrupted where !instruction.isPadding: return
      case .trapped, .returned, .interrupted: break
      }
    } else if arrival == .returned, try mayFollowCall(address) {
      return
    }
    point.objections.append(Objection(check: .function, reason: .noFunction))
  }

  /// Where the call goes to that the five bytes before `address` may be.
  func directCall(before address: ImageAddress) throws(UnwindError) -> ImageAddress? {
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: address - 5, count: 5) } catch {
      if case .unmapped = error { return nil }
      throw .file(error)
    }
    guard let instruction = decoder.instruction(at: 0, in: code), instruction.length == 5,
      case .directCall(let displacement) = instruction.kind
    else { return nil }
    return address + UInt64(bitPattern: displacement)
  }

  /// The same, once for each return address. What is no such call can look like one, and lead anywhere.
  func called(before address: ImageAddress, _ point: CodePoint) throws(UnwindError) -> ImageAddress? {
    if case .read(let called) = point.called { return called }
    let called = try directCall(before: address).flatMap { file.isExecutable($0) ? $0 : nil }
    point.called = .read(called)
    return called
  }

  /// Some reading of the bytes before `address` is a call: the forms of `e8` and `ff /2` that compilers write.
  func mayFollowCall(_ address: ImageAddress) throws(UnwindError) -> Bool {
    for length: UInt64 in 2...8 {
      let code: [UInt8]
      do throws(ELFError) { code = try file.bytes(at: address - length, count: Int(length)) } catch {
        if case .unmapped = error { continue }
        throw .file(error)
      }
      if let instruction = decoder.instruction(at: 0, in: code), instruction.length == Int(length), instruction.isCall { return true }
    }
    return false
  }
}
