import ELF
import Flow
import Unwind
import Wire

extension Walk {
  /// What one such question may cost.
  private static let maxShapeWork = 1 << 21
  /// `stack_guard` of glibc's `tcbhead_t` and `canary` of musl's `struct pthread`: compilers load it from there.
  static let canaryInThread: UInt64 = 0x28

  /// `stack` and `canary`: the frame is as the function's own instructions make it.
  mutating func judgeFrame(by row: Row, _ source: FrameSource, from place: Place, in space: inout some AddressSpace) throws(Stop) {
    // What a signal frame or Go's table describes has neither.
    guard let visited = trail.last, let cfa = visited.cfa, !row.isSignalFrame, source == .cfi || source == .flow else { return }
    let shape = shape(of: visited, by: row)
    if let depth = shape.stackPointer, row.isByFramePointer, cfa != visited.stackPointer &- UInt64(bitPattern: depth) {
      object(.stack, .otherFrameSize)
    }
    guard let rule = shape.canary, let threadPointer = snapshot.threadPointer else { return }
    do throws(UnwindError) {
      let slot: UInt64
      switch rule {
      case .saved(let offset): slot = cfa &+ UInt64(bitPattern: offset)
      case .savedFrom(let number, let offset):
        guard let base = place.registers[Int(number)] else { return }
        resting.use(Int(number), from: place.origins)
        slot = base &+ UInt64(bitPattern: offset)
      default: return
      }
      let canary = try memory.word(at: threadPointer &+ Walk.canaryInThread, in: &space)
      resting.use(wordAt: threadPointer &+ Walk.canaryInThread)
      resting.use(wordAt: slot)
      if try memory.word(at: slot, in: &space) != canary { object(.canary, .canaryChanged) }
    } catch { throw .unknown(Reason(error)) }
  }

  private mutating func shape(of visited: Visited, by row: Row) -> FrameShape {
    let (image, address, point) = (visited.code.image, visited.code.address, visited.point)
    if let shape = point.shape { return shape }
    // Which function a candidate's row is from differs from walk to walk.
    guard case .row = point.unwinding else { return FrameShape() }
    let shape = budget.lending(upTo: Walk.maxShapeWork) { (budget) throws(UnwindError) in
      try image.shape(at: address, visited.place.arrival, by: row, budget: &budget)
    }
    // Another inspection may find the time for it.
    if shape == nil { resting.giveUp() }
    point.shape = shape
    return shape ?? FrameShape()
  }
}

extension Row {
  /// The CFA comes from another register than SP: what lies between SP and that register is not counted.
  fileprivate var isByFramePointer: Bool {
    if case .register(let number, _) = cfa { number != Registers.rsp } else { false }
  }
}

extension Image {
  /// What the instructions of the function that holds `address` say of its frame there. Nothing but the file decides.
  fileprivate func shape(
    at address: ImageAddress, _ arrival: Arrival, by row: Row, budget: inout Budget
  ) throws(UnwindError) -> FrameShape {
    let lookup = arrival.lookup(address)
    let function: AddressRange
    switch try frames.find(lookup, budget: &budget) {
    case .entry(let entry):
      // A part that was split off begins with its parent's frame.
      guard try entry.startsFunction(&budget) else { return FrameShape() }
      function = entry.range
    case .gap:
      guard let symbol = try isNamed(lookup), !(try flow.isPart(symbol)) else { return FrameShape() }
      function = AddressRange(start: symbol.start, count: symbol.count)
    }
    // Where a signal interrupts, the frame may be half made or half gone.
    let isDepthWanted = arrival != .interrupted && row.isByFramePointer ? try !isEnteredInside(function) : false
    return try flow.shape(at: address, arrival, in: function, withDepth: isDepthWanted, &budget)
  }

  /// Symbols name other entries of the function, as in hand-written code.
  private func isEnteredInside(_ function: AddressRange) throws(UnwindError) -> Bool {
    do throws(ELFError) { return try file.functions().starting(in: function).contains { $0.start != function.start } } catch {
      throw .file(error)
    }
  }
}

/// A function whose shapes are kept, with the depth of SP or without: to know that takes one pass more.
struct ShapedFunction: Hashable {
  var start: ImageAddress
  var hasDepth: Bool
}

extension FlowPoints {
  /// A function of more bytes has no shape: the analysis of such a one takes some milliseconds. Interpreters' loops have 60 KiB.
  private static let maxShapedBytes: UInt64 = 1 << 16
  /// Of all functions, some 1 MiB.
  private static let maxShapes = 1 << 14

  fileprivate func shape(
    at address: ImageAddress, _ arrival: Arrival, in function: AddressRange, withDepth: Bool, _ budget: inout Budget
  ) throws(UnwindError) -> FrameShape {
    let key = ShapedFunction(start: function.start, hasDepth: withDepth)
    if arrival == .returned, let known = shapes[key] { return known[address] ?? FrameShape() }
    guard function.count <= FlowPoints.maxShapedBytes else { return FrameShape() }
    if !withDepth, !(try mayKeepCanary(function, &budget)) { return FrameShape() }
    var analysis = try FlowAnalysis(of: file, from: function.start, within: function, decoder: decoder, budget: &budget)
    let isFixed = withDepth ? try analysis.isFixed(&budget) : false
    keepShapes(of: analysis, as: key, isFixed: isFixed)
    return analysis.shape(at: arrival == .trapped ? address - 2 : address, returned: arrival == .returned, isFixed: isFixed)
  }

  private func mayKeepCanary(_ function: AddressRange, _ budget: inout Budget) throws(UnwindError) -> Bool {
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: function.start, upTo: Int(function.count)) } catch { throw .file(error) }
    try budget.spend(code.count / 16)
    return FlowAnalysis.mayKeepCanary(code)
  }

  /// One analysis tells of all the function's calls.
  private func keepShapes(of analysis: FlowAnalysis, as key: ShapedFunction, isFixed: Bool) {
    let found = analysis.shapes(isFixed: isFixed)
    if shapeCount + found.count >= FlowPoints.maxShapes { (shapes, shapeCount) = ([:], 0) }
    if shapes.updateValue(found, forKey: key) == nil { shapeCount += found.count + 1 }
  }

  /// Where the row at one of its calls was found by this analysis. By such a row's nature there is no depth to compare: where SP's is known,
  /// the row is by SP.
  func keepShapes(of analysis: FlowAnalysis, in function: AddressRange) {
    keepShapes(of: analysis, as: ShapedFunction(start: function.start, hasDepth: false), isFixed: false)
  }
}
