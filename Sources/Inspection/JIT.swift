import ELF
import Unwind
import Wire
import X86

/// Code that a declared runtime made, or prepared in its own file without unwind information.
///
/// V8 keeps a frame pointer in every function that calls: in what it compiles, in its interpreter's and its other builtins, and in the
/// stubs to and from C++ (v8/src/execution/frame-constants.h):
///
///     rbp + 8   return address
///     rbp       the caller's rbp
///     rbp - 8   frame type, context, function, …
///
/// None of V8's frames says where the other registers are kept: above them they are unknown until CFI names them again. C++ that
/// was compiled without frame pointers needs rsp only, and with them rbp.
extension Walk {
  /// The frame above one that lies in recorded code; nil where `place` lies in none, so that it is a file's or nobody's.
  mutating func visitMade(
    _ place: Place, after callee: Visited?, in space: inout some AddressSpace
  ) throws(Stop) -> Place? {
    // A system call is never made by such code itself: both runtimes call libraries for it.
    guard place.arrival != .trapped, let runtime = jit.runtime(at: place.instruction) else { return nil }
    // Made code can change at any time, and what HotSpot says of it.
    resting.giveUp()
    let mapping = try mapping(at: place.instruction, in: &space)
    if let mapping {
      guard mapping.isExecutable, !mapping.isShared, mapping.backing == .anonymous else { return nil }
    } else {
      // Nothing can return to what is not there: such a frame only tells the way to those above it.
      guard runtime == .v8, jit.isCopy else { return nil }
    }
    current = Current()
    list()
    guard let stackPointer = place.registers[Registers.rsp] else { throw .unknown(.noRegisters) }
    if stretch == nil { try enter(stackPointer, in: &space) }
    // What a signal interrupted may be about to make its frame, or have left it.
    guard place.arrival == .returned else { throw .unknown(.noUnwindInfo) }
    switch runtime {
    case .v8:
      // V8 keeps its code's memory writable: what was written there by others calls what it wants. memcpy and its like, which V8's code
      // may call, make no system call.
      if let callee, callee.place.arrival != .interrupted, Int(callee.code.module) < modules.list.count,
        isCLibrary(modules.list[Int(callee.code.module)].path)
      {
        object(.call, .callsCLibrary(.v8))
      }
      if mapping != nil, try !followsCall(place.instruction, in: &space), try !isLazyExit(place.instruction, in: &space) {
        object(.call, .notAfterCall)
      }
      return try aboveFramePointer(place, stackPointer, by: .framePointer, in: &space)
    case .hotspot: return try aboveCompiled(place, stackPointer, in: &space)
    }
  }

  /// The frame above one in V8's embedded builtins; nil where `code` is something else. They lie in V8's own file, in one piece of more
  /// than a megabyte without CFI (v8/src/snapshot/embedded).
  mutating func visitEmbedded(_ code: Code, _ place: Place, in space: inout some AddressSpace) throws(Stop) -> Place? {
    guard isEmbedded(code, place) else { return nil }
    resting.giveUp()
    // Nothing else tells where their frames are: some of them take their callers' arguments off the stack.
    guard jit.declared.contains(.v8) else { throw .unknown(.undeclaredJIT(.v8)) }
    guard place.arrival == .returned else { throw .unknown(.noUnwindInfo) }
    guard let stackPointer = place.registers[Registers.rsp] else { throw .unknown(.noRegisters) }
    do throws(UnwindError) {
      if try !code.image.mayFollowCall(code.address), try !code.image.startsBuiltin(code.address) { object(.call, .notAfterCall) }
    } catch { throw .unknown(Reason(error)) }
    return try aboveFramePointer(place, stackPointer, by: .framePointer, in: &space)
  }

  private mutating func isEmbedded(_ code: Code, _ place: Place) -> Bool {
    guard Int(code.module) < modules.list.count, JITRuntime.v8.isModule(modules.list[Int(code.module)].path) else { return false }
    do throws(UnwindError) { return try code.image.liesInLargeGap(place.arrival.lookup(code.address), budget: &budget) } catch {
      return false
    }
  }

  /// CFA = rbp + 16; the return address and the caller's rbp below it.
  mutating func aboveFramePointer(
    _ place: Place, _ stackPointer: UInt64, by source: FrameSource, in space: inout some AddressSpace
  ) throws(Stop) -> Place {
    guard let framePointer = place.registers[Registers.rbp] else { throw .unknown(.unknownRegister(UInt8(Registers.rbp))) }
    guard framePointer >= stackPointer, framePointer <= UInt64.max - 16 else {
      object(.stack, .notRising)
      throw .objected
    }
    var registers = Registers()
    registers[Registers.rsp] = framePointer + 16
    registers[Registers.rbp] = try word(at: framePointer, in: &space)
    let next = Place(instruction: try word(at: framePointer + 8, in: &space), arrival: .returned, registers: registers)
    unwound(by: source)
    try rise(to: framePointer + 16, from: stackPointer, in: &space)
    return next
  }

  mutating func word(at address: UInt64, in space: inout some AddressSpace) throws(Stop) -> UInt64 {
    resting.use(wordAt: address)
    do throws(UnwindError) { return try memory.word(at: address, in: &space) } catch { throw .unknown(Reason(error)) }
  }

  // MARK: - The instruction before

  /// Some reading of the bytes before `address` is a call. Where made code's instructions begin is not known.
  func followsCall(_ address: UInt64, in space: inout some AddressSpace) throws(Stop) -> Bool {
    guard address >= 8 else { return false }
    let bytes = try code(at: address - 8, count: 8, in: &space)
    let decoder = Decoder()
    return (0...6).contains { start in
      guard let instruction = decoder.instruction(at: start, in: bytes) else { return false }
      return instruction.isCall && start + instruction.length == bytes.count
    }
  }

  /// V8 moves the return address of a frame whose code is no longer valid onto the exit that belongs to it, `call *disp32(%r13)`
  /// (v8/src/deoptimizer/deoptimizer.cc, ActivationsFinder; r13 is V8's root register).
  private func isLazyExit(_ address: UInt64, in space: inout some AddressSpace) throws(Stop) -> Bool {
    let bytes = try code(at: address, count: 4, in: &space)
    return bytes.starts(with: [0x41, 0xff, 0x95]) || bytes.starts(with: [0x41, 0xff, 0x55])
  }

  private func code(at address: UInt64, count: Int, in space: inout some AddressSpace) throws(Stop) -> [UInt8] {
    do throws(Unreadable) {
      let bytes = try space.read(at: address, upTo: count)
      guard bytes.count == count else { throw Unreadable() }
      return bytes
    } catch { throw .unknown(.unreadableImage) }
  }

  // MARK: - What to declare

  /// `reason`, or what it means where the process runs a runtime that makes code.
  func named(_ reason: Reason, at address: UInt64, in space: inout some AddressSpace) -> Reason {
    // A fork's stack still holds frames of the code that V8 keeps out of it.
    if reason == .notImageText(.nothing), !jit.declared.contains(.v8) {
      do throws(Unreadable) { return try space.code(ofFile: { JITRuntime.v8.isModule($0) }) == nil ? reason : .undeclaredJIT(.v8) } catch {
        return reason
      }
    }
    // In a runtime's own code nothing but a system call, or what the walk refused to take for code, is objected to.
    guard reason == .notImageText(.anonymous), jit.runtime(at: address) == nil else { return reason }
    do throws(Unreadable) {
      guard let mapping = try space.mapping(at: address), mapping.isExecutable else { return reason }
      for runtime in JITRuntime.allCases {
        guard try space.code(ofFile: { runtime.isModule($0) }) != nil else { continue }
        return jit.declared.contains(runtime) ? .unrecordedJIT(runtime) : .undeclaredJIT(runtime)
      }
    } catch {}  // It is the reason's own words that then stand.
    return reason
  }

  mutating func named(_ reason: Reason, _ code: Code, _ place: Place) -> Reason {
    !jit.declared.contains(.v8) && isEmbedded(code, place) ? .undeclaredJIT(.v8) : reason
  }
}

extension Image {
  /// Functions without CFI come one by one; V8's builtins take 1.2 MiB and more.
  private static let leastEmbeddedBytes: UInt64 = 1 << 19

  /// `address` lies between two FDEs that are very far apart.
  func liesInLargeGap(_ address: ImageAddress, budget: inout Budget) throws(UnwindError) -> Bool {
    guard case .gap(let after?, let before?) = try frames.find(address, budget: &budget), before > after.end else { return false }
    return before.value - after.end.value >= Image.leastEmbeddedBytes
  }

  /// A frame that V8 writes itself, in place of one that is no longer valid, returns to the start of a builtin. Each starts at a
  /// multiple of 32, after `int3`.
  func startsBuiltin(_ address: ImageAddress) throws(UnwindError) -> Bool {
    guard address.value % 32 == 0 else { return false }
    do throws(ELFError) { return try file.bytes(at: address - 1, count: 1) == [0xcc] } catch { throw .file(error) }
  }
}
