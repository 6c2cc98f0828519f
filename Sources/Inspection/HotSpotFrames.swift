import ELF
import Unwind
import Wire

/// The frames of HotSpot's code on x86-64 (hotspot/cpu/x86/frame_x86.hpp):
///
///     interpreter                           compiled code, stubs
///     rbp + 8   return address              CFA = SP + frame size
///     rbp       the caller's rbp            CFA - 8    return address
///     rbp - 8   the caller's SP             CFA - 16   the caller's rbp
///     rbp - 16  method, locals, …
///
/// The interpreter makes room for a method's locals between its caller's SP and the return address: only rbp - 8 tells that SP, which
/// compiled callers are unwound by. Stubs without a frame size, such as the one that C++ calls Java by, keep rbp.
extension Walk {
  mutating func aboveCompiled(_ place: Place, _ stackPointer: UInt64, in space: inout some AddressSpace) throws(Stop) -> Place {
    guard let blob = try blob(at: place.instruction, in: &space) else { throw .unknown(.noUnwindInfo) }
    let wasInterrupted = isAboveSafepoint
    isAboveSafepoint = blob.isSafepoint
    switch blob.kind {
    case .interpreter:
      // The interpreter returns to entries of its own, which it pushes without a call (AbstractInterpreter::invoke_return_entry_table).
      return try aboveInterpreted(place, stackPointer, in: &space)
    case .framePointer:
      if !blob.isReturnBarrier, try !followsCall(place.instruction, in: &space) { object(.call, .notAfterCall) }
      return try aboveFramePointer(place, stackPointer, by: .codeCache, in: &space)
    case .sized(let size):
      if !wasInterrupted, !blob.deoptimisers.contains(place.instruction), try !followsCall(place.instruction, in: &space) {
        object(.call, .notAfterCall)
      }
      let (cfa, overflow) = stackPointer.addingReportingOverflow(size)
      guard size >= 16, !overflow else { throw .unknown(.badUnwindInfo) }
      var registers = Registers()
      registers[Registers.rsp] = cfa
      registers[Registers.rbp] = try word(at: cfa - 16, in: &space)
      let next = Place(instruction: try word(at: cfa - 8, in: &space), arrival: .returned, registers: registers)
      unwound(by: .codeCache)
      try rise(to: cfa, from: stackPointer, in: &space)
      return next
    }
  }

  private mutating func aboveInterpreted(
    _ place: Place, _ stackPointer: UInt64, in space: inout some AddressSpace
  ) throws(Stop) -> Place {
    var next = try aboveFramePointer(place, stackPointer, by: .codeCache, in: &space)
    guard let framePointer = place.registers[Registers.rbp] else { return next }
    let senders = try word(at: framePointer &- 8, in: &space)
    // Interpreted calls through a method handle take its last argument off the stack: their caller, interpreted as well, keeps the SP
    // from before, which then is that of the argument.
    guard senders >= framePointer &+ 8 else {
      object(.stack, .notRising)
      throw .objected
    }
    let known = max(senders, framePointer &+ 16)
    try rise(to: known, from: stackPointer, in: &space)
    next.registers[Registers.rsp] = known
    return next
  }

  private mutating func blob(at address: UInt64, in space: inout some AddressSpace) throws(Stop) -> HotSpot.Blob? {
    do throws(Unreadable) {
      if case .unread = hotSpot { hotSpot = try readHotSpot(in: &space) }
      guard case .read(let known) = hotSpot else { return nil }
      return try known.blob(at: address, &remote, in: &space)
    } catch {
      if case .unread = hotSpot { hotSpot = .absent }
      throw .unknown(.badUnwindInfo)
    }
  }

  private mutating func readHotSpot(in space: inout some AddressSpace) throws(Unreadable) -> HotSpot.State {
    guard let mapping = try space.code(ofFile: { JITRuntime.hotspot.isModule($0) }), let image = try space.image(of: mapping),
      let address = image.file.executableAddress(ofFileOffset: mapping.fileOffset), let structs = image.hotSpotStructs
    else { return .absent }
    let bias = mapping.start &- address.value
    return try HotSpot(&remote, structs: bias &+ structs.value, in: &space).map { .read($0) } ?? .absent
  }
}
