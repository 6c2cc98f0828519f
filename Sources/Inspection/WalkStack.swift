import Unwind
import Wire

/// Where a chain may run: the stretches of stacks that it goes through, and where it ends.
extension Walk {
  /// A stretch begins at `stackPointer`.
  mutating func enter(_ stackPointer: UInt64, in space: inout some AddressSpace) throws(Stop) {
    guard let mapping = try mapping(at: stackPointer, in: &space) else {
      object(.stack, .outsideOwnStack(.nothing))
      throw .objected
    }
    let ownership = snapshot.ownership(of: mapping, stackPointer: stackPointer)
    var entered = Stretch(mapping: mapping, backing: mapping.backing, start: stackPointer, ownership: ownership, frame: 0)
    if entered.isForeign { entered.frame = listCurrent() }
    resting.enter(mapping, at: stackPointer, of: snapshot)
    stretch = entered
  }

  func mapping(at address: UInt64, in space: inout some AddressSpace) throws(Stop) -> Mapping? {
    do throws(Unreadable) {
      guard let mapping = try space.mapping(at: address) else { return nil }
      guard mapping.contains(address) else { throw Unreadable() }
      return mapping
    } catch { throw .unknown(.unreadableStack) }
  }

  /// The next frame's SP is `cfa`: it has to lie above this one's, on the same stack.
  mutating func rise(
    to cfa: UInt64, from stackPointer: UInt64, mayStay: Bool = false, in space: inout some AddressSpace
  ) throws(Stop) {
    guard cfa > stackPointer || (mayStay && cfa == stackPointer) else {
      object(.stack, .notRising)
      throw .objected
    }
    // The outermost frame's CFA may be the end of the mapping.
    guard let mapping = stretch?.mapping, cfa < mapping.start || cfa > mapping.end else { return resting.rise(to: cfa) }
    resting.giveUp()
    let other = try self.mapping(at: cfa, in: &space)
    if let other, goesOn(to: other, from: mapping) {
      stretch?.mapping = other
      return
    }
    object(.stack, .outsideOwnStack(other?.backing ?? .nothing))
    guard let other else { throw .objected }
    stretch?.mapping = other
  }

  /// A signal interrupted `place`, and its frame lies at `frameAddress` on the current stretch. That may be any memory which
  /// sigaltstack(2) takes, but the chain has to go on somewhere it has not been.
  mutating func cross(to place: Place, from frameAddress: UInt64, in space: inout some AddressSpace) throws(Stop) {
    guard let stackPointer = place.registers[Registers.rsp] else { throw .unknown(.unknownRegister(UInt8(Registers.rsp))) }
    if let stretch {
      if stretch.isForeign, !Snapshot.maySignalsUse(stretch.mapping) {
        object(.stack, .outsideOwnStack(stretch.backing), frame: stretch.frame)
      }
      walked.append(stretch.start...max(stretch.start, frameAddress))
    }
    stretch = nil
    if walked.contains(where: { $0.contains(stackPointer) }) {
      object(.stack, .notRising)
      throw .objected
    }
  }

  /// What a signal interrupted: the registers in the frame that the kernel wrote at `stackPointer`.
  mutating func interrupted(at stackPointer: UInt64, in space: inout some AddressSpace) throws(Stop) -> Place {
    do throws(UnwindError) {
      var registers = Registers()
      var address = stackPointer &+ Walk.registersInFrame
      var origins = Resting.Origins()
      for number in Walk.registerOrder {
        registers[number] = try memory.word(at: address, in: &space)
        origins[number] = address
        address &+= 8
      }
      resting.use(Registers.rsp, from: origins)
      origins[Registers.rsp] = 0
      resting.use(wordAt: address)
      return Place(
        instruction: try memory.word(at: address, in: &space), arrival: .interrupted, registers: registers, origins: origins)
    } catch { throw .unknown(Reason(error)) }
  }

  // MARK: - The base

  mutating func end(_ end: ChainEnd, _ stackPointer: UInt64) {
    finding.end = end
    finding.outermost = outermost(stackPointer)
    // Not on its own stack at all: that is the objection, unless the memory is a coroutine's.
    guard let stretch,
      let ownership = stretch.ownership ?? (end == .coroutine && Snapshot.mayHoldCoroutine(stretch.mapping) ? .chosen : nil)
    else { return }
    switch (ownership, snapshot.objection(to: end, stackPointer: stackPointer, on: ownership)) {
    case (.chosen, nil): self.stretch?.ownership = .borrowed
    case (.chosen, _): break
    case (_, let reason?): object(.base, reason)
    case (_, nil): break
    }
  }
}
