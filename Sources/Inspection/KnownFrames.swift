import ELF
import Unwind
import Wire

/// Frames in code that was walked through before. Of such a frame hardly more is touched than its `KnownFrame`, the words that it names and
/// the callee's entry. Whatever is otherwise than there goes the general way, from the same place, so that what is found, and what that
/// rests on, is the same.
extension Walk {
  /// The registers that calls keep, as far as a chain of known frames has come. Words that nobody has needed yet are not read.
  private struct Kept {
    /// By their place in `KnownFrame.kept`.
    var values: [6 of UInt64] = .init(repeating: 0)
    var origins: [6 of UInt64] = .init(repeating: 0)
    /// Bit n: the register has a value.
    var known: UInt8 = 0
    /// Bit n: that value is the word at its origin.
    var unread: UInt8 = 0

    init(_ place: Place) {
      for index in 0..<6 {
        origins[index] = place.origins[KnownFrame.kept[index]]
        guard let value = place.registers[KnownFrame.kept[index]] else { continue }
        values[index] = value
        known |= 1 << UInt8(index)
      }
    }

    /// What is left of `place` once the chain has come to `instruction`.
    consuming func place(
      at instruction: UInt64, _ stackPointer: UInt64, word: (UInt64) throws(UnwindError) -> UInt64
    ) throws(UnwindError) -> Place {
      var place = Place(instruction: instruction, arrival: .returned, registers: Registers())
      place.registers[Registers.rsp] = stackPointer
      for index in 0..<6 where known & 1 << UInt8(index) != 0 {
        place.registers[KnownFrame.kept[index]] = unread & 1 << UInt8(index) == 0 ? values[index] : try word(origins[index])
      }
      for index in 0..<6 { place.origins[KnownFrame.kept[index]] = origins[index] }
      return place
    }
  }

  /// Goes on from `place` for as long as frames are known, and returns the place of the first that is not.
  mutating func passKnown(from place: Place, in space: inout some AddressSpace) throws(Stop) -> Place {
    guard limits.passesKnown, place.arrival == .returned, !hasMetMadeCode, let mapping = stretch?.mapping, let below = trail.last,
      !below.point.changesStack, below.functionStart != nil, let first = place.registers[Registers.rsp], mapping.contains(first)
    else { return place }
    var (instruction, stackPointer, callee, calleeImage) = (
      place.instruction, first, below.functionStart ?? ImageAddress(0), below.code.image.token.number
    )
    var isCalleeInterrupted = below.place.arrival == .interrupted
    var kept = Kept(place)
    var points = below.code.image.points
    var region = Modules.Region()
    var (image, imageNumber): (Int32, UInt) = (0, 0)
    var canary: UInt64?
    let before = trail.count
    let most = UInt32(clamping: limits.maxFrames)
    memory.turn(to: stackPointer)

    while finding.depth < most {
      if !region.contains(instruction) {
        guard let found = modules.region(at: instruction), let next = modules.image(in: found) else { break }
        (region, image, imageNumber) = (found, trail.number(of: next), next.token.number)
        points = next.points
      }
      let address = region.address(of: instruction)
      guard let number = points.number(of: address, .returned) else { break }
      let frame = points.frames[number]
      guard frame.isKnown, jit.ranges.isEmpty || jit.runtime(at: instruction) == nil else { break }

      // What it has called.
      if frame.callee.value == callee.value, frame.calleeImage == calleeImage {
        if frame.isUnseamed, trail.innermostRun == trail.count { break }
      } else if !points[number].leads(to: callee, of: calleeImage, inInnermostRun: trail.innermostRun == trail.count) {
        break
      }
      if calleeImage != imageNumber, stackPointer % 16 != 0, !isCalleeInterrupted { break }

      // Where its frame ends.
      var base = stackPointer
      if frame.isByFramePointer {
        guard kept.known & 1 << UInt8(KnownFrame.rbpPlace) != 0 else { break }
        base = kept.values[KnownFrame.rbpPlace]
        if kept.unread & 1 << UInt8(KnownFrame.rbpPlace) != 0 {
          guard let value = memory.known(at: kept.origins[KnownFrame.rbpPlace]) else { break }
          base = value
        }
      }
      let cfa = base &+ UInt64(bitPattern: Int64(frame.cfaOffset))
      guard cfa > stackPointer, cfa <= mapping.end, cfa - stackPointer >= 8,
        !frame.hasDepth || cfa &- stackPointer == UInt64(bitPattern: Int64(frame.depth))
      else { break }

      // What lies in it.
      if !memory.isTurned(to: cfa &+ UInt64(bitPattern: Int64(frame.lowest)), end: cfa) {
        guard canRead(frame, cfa, in: &space) else { break }
      }
      guard let returnAddress = memory.known(at: cfa &- 8), returnAddress != 0 else { break }
      if frame.hasCanary, let threadPointer = snapshot.threadPointer {
        let slot = cfa &+ UInt64(bitPattern: Int64(frame.canary))
        if let canary {
          guard memory.known(at: slot) == canary else { break }
        } else {
          guard let own = ownCanary(threadPointer, in: &space), memory.known(at: slot) == own else { break }
          resting.use(wordAt: threadPointer &+ Walk.canaryInThread)
          canary = own
        }
        resting.use(wordAt: slot)
      }

      // All is as it was.
      if frame.isByFramePointer {
        kept.values[KnownFrame.rbpPlace] = base
        kept.unread &= ~(1 << UInt8(KnownFrame.rbpPlace))
        resting.use(origin: kept.origins[KnownFrame.rbpPlace])
      }
      var mask = frame.savedMask
      while mask != 0 {
        let index = mask.trailingZeroBitCount
        kept.origins[index] = cfa &+ UInt64(bitPattern: Int64(frame.saved[index]) &* 8)
        mask &= mask &- 1
      }
      kept.known |= frame.savedMask
      kept.unread |= frame.savedMask
      resting.use(wordAt: cfa &- 8)
      var step = Trail.Step(
        instruction: instruction, stackPointer: stackPointer, address: address, functionStart: frame.function, cfa: cfa,
        called: .read(frame.called), image: image, point: Int32(truncatingIfNeeded: number), module: region.module, listed: nil,
        arrival: .returned, followsMadeCode: false)
      if finding.frames.count < Finding.maxListedFrames - Finding.reservedFrames {
        step.listed = UInt16(truncatingIfNeeded: finding.frames.count)
        finding.frames.append(Frame(module: region.module, offset: address.value, function: nil, functionOffset: 0, source: .cfi))
        names.append(.step(trail.count))
      }
      trail.append(step)
      finding.depth += 1
      (instruction, stackPointer, callee, calleeImage, isCalleeInterrupted) = (
        returnAddress, cfa, frame.function, imageNumber, false
      )
    }
    guard trail.count > before, let last = trail.steps.last else { return place }
    finding.sources[.cfi] += UInt32(truncatingIfNeeded: trail.count - before)
    resting.rise(to: stackPointer)
    current = Current(
      frame: Frame(module: last.module, offset: last.address.value, function: nil, functionOffset: 0, source: .cfi),
      names: .step(trail.count - 1), listed: last.listed)
    do throws(UnwindError) {
      return try kept.place(at: instruction, stackPointer) { (address) throws(UnwindError) in try memory.word(at: address, in: &space) }
    } catch { throw .unknown(Reason(error)) }
  }

  /// The frame lies in more than one piece of what was read of the stack: all of its words are there.
  private mutating func canRead(_ frame: KnownFrame, _ cfa: UInt64, in space: inout some AddressSpace) -> Bool {
    do throws(UnwindError) {
      _ = try memory.word(at: cfa &+ UInt64(bitPattern: Int64(frame.lowest)), in: &space)
      _ = try memory.word(at: cfa &- 8, in: &space)
    } catch { return false }
    memory.turn(to: cfa &- 8)
    var mask = frame.savedMask
    while mask != 0 {
      let offset = Int64(frame.saved[mask.trailingZeroBitCount]) &* 8
      if memory.known(at: cfa &+ UInt64(bitPattern: offset)) == nil { return false }
      mask &= mask &- 1
    }
    return true
  }

  /// The thread's own canary; nil where it cannot be read.
  private mutating func ownCanary(_ threadPointer: UInt64, in space: inout some AddressSpace) -> UInt64? {
    do throws(UnwindError) { return try memory.word(at: threadPointer &+ Walk.canaryInThread, in: &space) } catch { return nil }
  }

  /// A frame was left the general way: those that are like it are known from now on.
  func know(_ code: Code, _ point: CodePoint, from callee: Visited?) {
    guard let number = point.number, let callee, let start = callee.functionStart else { return }
    let edge = point.edges.first { $0.key.image === callee.code.image.token && $0.key.function == start }
    // Where its call leads is asked of each frame anyway.
    do throws(UnwindError) { _ = try code.image.called(before: code.address, point) } catch { return }
    guard let frame = KnownFrame(point, at: code.address, to: edge) else { return }
    code.image.points.know(frame, ofPoint: Int(number))
  }
}

extension CodePoint {
  /// Such a callee was found before, and `seam` has nothing to look at.
  fileprivate func leads(to function: ImageAddress, of image: UInt, inInnermostRun: Bool) -> Bool {
    guard let edge = edges.first(where: { $0.key.function == function && $0.key.image.number == image }), edge.isKnown else { return false }
    return edge.way == .named || edge.isHeldAsSeam || !inInnermostRun
  }
}
