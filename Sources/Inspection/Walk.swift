import ELF
import Unwind
import Wire

/// One walk from the trapped instruction to the base of the stack.
struct Walk {
  /// So many objections say enough.
  static let maxViolations = 64
  /// Where the kernel puts the general registers in a signal frame: `struct rt_sigframe` after its return address is a
  /// `struct ucontext`, whose `uc_mcontext.gregs` follow 40 bytes of flags, link and stack (asm/ucontext.h).
  static let registersInFrame: UInt64 = 40
  /// gregs in the order of asm/sigcontext.h, as DWARF numbers; RIP follows them.
  static let registerOrder = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7]

  /// A frame being judged.
  struct Place {
    var instruction: UInt64
    var arrival: Arrival
    var registers: Registers
    var origins = Resting.Origins()
  }

  /// A code address found in a file.
  struct Code {
    var image: Image
    var module: UInt16
    var address: ImageAddress
  }

  /// The part of the chain on one stack: signal frames may lead from one to another.
  struct Stretch {
    var mapping: Mapping
    /// Of the mapping that the stretch began in.
    let backing: Backing
    var start: UInt64
    var ownership: Ownership?
    /// The finding's frame that the stretch begins with.
    var frame: UInt16

    /// Nothing says that this memory is the thread's stack: how the chain on it ends has to.
    var isForeign: Bool { ownership == nil || ownership == .chosen }
  }

  /// The frame that is being judged, and its place in the finding once something is said about it.
  struct Current {
    var frame = Frame(module: nil, offset: 0, function: nil, functionOffset: 0, source: .none)
    var names = Named.nothing
    var listed: UInt16?
  }

  /// Why a walk ends before the base.
  enum Stop: Error {
    /// An objection has been recorded that leaves nothing to go on from.
    case objected
    case unknown(Reason)
  }

  /// What a listed frame's name is looked up by.
  struct Names {
    var image: Image
    var address: ImageAddress
    var lookup: ImageAddress
    var functionStart: ImageAddress?
  }

  enum Named {
    case nothing
    case names(Names)
    /// By the frame at this place of the trail.
    case step(Int)
  }

  let snapshot: Snapshot
  let limits: Limits
  var finding = Finding()
  var names: [Named] = []
  var modules = Modules()
  var budget: Budget
  var memory: StackMemory
  /// What the finding rests on so far.
  var resting = Resting()
  var current = Current()
  var trail = Trail()
  /// Frames that files' tables say nothing of have been met since the last one of the trail.
  private(set) var hasMetMadeCode = false
  /// The images of all files that the process has mapped code of; nil while nobody has asked.
  var loaded: [Image]?
  /// What functions that are left on the way out would have written: see RestOfFunction.
  var written: [UInt64: UInt64?] = [:]
  var stretch: Stretch?
  /// What the profile and the address space's history let code be beside files'.
  let jit: JITMemory
  let permissions: Set<Permission>
  /// When the container was started.
  let started: Int64?
  var hotSpot = HotSpot.State.unread
  var isAboveSafepoint = false
  var remote = RemoteMemory()
  /// The stack's ranges that were walked before a signal frame led on: no chain comes back to them.
  var walked: [ClosedRange<UInt64>] = []

  init(_ snapshot: Snapshot, _ limits: Limits, _ jit: JITMemory, _ permissions: Set<Permission>, _ started: Int64?) {
    self.snapshot = snapshot
    self.limits = limits
    self.jit = jit
    self.permissions = permissions
    self.started = started
    budget = Budget(limits.maxWork)
    memory = StackMemory(snapshot)
  }

  mutating func run(in space: inout some AddressSpace) {
    var place = Place(
      instruction: snapshot.instruction, arrival: snapshot.isInterrupted ? .interrupted : .trapped, registers: snapshot.registers,
      origins: .trapped)
    do throws(Stop) {
      repeat {
        guard finding.depth < limits.maxFrames else { throw .unknown(.tooDeep) }
        finding.depth += 1
        guard let next = try visit(place, in: &space) else { break }
        place = try passKnown(from: next, in: &space)
      } while true
    } catch {
      switch error {
      case .objected: break
      case .unknown(let reason): finding.unknown = Unknown(frame: listCurrent(), reason: reason)
      }
    }
    if let stretch, stretch.isForeign {
      object(.stack, .outsideOwnStack(stretch.backing), frame: stretch.frame)
    }
    judgeFiles(in: &space)
  }

  /// Judges one frame, and finds the one above; nil at the base.
  private mutating func visit(
    _ place: Place, in space: inout some AddressSpace
  ) throws(Stop) -> Place? {
    if let next = try visitMade(place, after: hasMetMadeCode ? nil : trail.last, in: &space) {
      hasMetMadeCode = true
      return next
    }
    let code = try locate(place, in: &space)
    guard let stackPointer = place.registers[Registers.rsp] else { throw .unknown(.noRegisters) }
    let point = code.image.point(code.address, place.arrival, budget: &budget)
    current.names = .names(
      Names(image: code.image, address: code.address, lookup: place.arrival.lookup(code.address), functionStart: point.functionStart))
    list()
    if stretch == nil { try enter(stackPointer, in: &space) }
    trail.append(code, place, point, listed: current.listed, followsMadeCode: hasMetMadeCode)
    hasMetMadeCode = false
    judgeAlignment(stackPointer, place, in: code)
    if !point.hasCFI, let next = try visitEmbedded(code, place, in: &space) {
      hasMetMadeCode = true
      trail.removeLast()
      return next
    }
    for objection in point.objections { object(objection.check, objection.reason) }
    judgeNumber()
    try judgeEdge(in: &space)

    switch point.unwinding {
    case .unknown(let reason):
      // An address that belongs to nothing has been objected to: that nothing unwinds it is no news.
      throw point.objections.contains { $0.check == .function } ? .objected : .unknown(named(reason, code, place))
    case .entryWithoutRow:
      end(.processEntry, stackPointer)
      return nil
    case .coroutineStart:
      // rbx points at the pointer to the next context, above the arguments that did not fit into registers.
      resting.use(Registers.rbx, from: place.origins)
      let isWhole = place.registers[Registers.rbx].map { $0 >= stackPointer && $0 - stackPointer <= 1024 && $0 % 8 == 0 } ?? false
      if isWhole, isMade(by: .makecontext, startingIn: code) { end(.coroutine, stackPointer) } else { object(.base, .wrongDepth) }
      return nil
    case .signalFrame:
      unwound(by: .signalFrame)
      try judgeSignalFrame(at: stackPointer, in: &space)
      let interrupted = try interrupted(at: stackPointer, in: &space)
      try cross(to: interrupted, from: stackPointer, in: &space)
      return interrupted
    case .goEnd(let end):
      endInGo(end, stackPointer)
      return nil
    case .rest(let range): return try follow(range, from: place, in: code, stackPointer, in: &space)
    case .row(let row, let source):
      let end: ChainEnd = point.isEntry ? .processEntry : source == .cfi && !point.isTaskStart ? .coroutine : .threadStart
      let next = try ascend(from: place, by: row, source, code, end, changesStack: point.changesStack, in: &space)
      if next != nil, source == .cfi, place.arrival == .returned { know(code, point, from: calleeOfCurrent) }
      return next
    case .candidates(let candidates):
      guard let chosen = choose(among: candidates, from: place, code, in: &space) else { throw .unknown(.noUnwindInfo) }
      if case .names(var names) = current.names {
        names.functionStart = chosen.entry
        current.names = .names(names)
      }
      trail.note(functionStart: chosen.entry)
      let end: ChainEnd = chosen.entry == code.image.file.entry ? .processEntry : .threadStart
      return try ascend(from: place, by: chosen.row, .flow, code, end, in: &space)
    }
  }

  /// Applies `row`, and goes on to the frame above; where there is none, `end` is what the chain ends at.
  private mutating func ascend(
    from place: Place, by row: Row, _ source: FrameSource, _ code: Code, _ end: ChainEnd, changesStack: Bool = false,
    in space: inout some AddressSpace
  ) throws(Stop) -> Place? {
    let stackPointer = place.registers[Registers.rsp] ?? 0
    let (caller, origins): (Caller, Resting.Origins)
    do throws(UnwindError) { (caller, origins) = try apply(row, to: place, code, in: &space) } catch { throw .unknown(Reason(error)) }
    trail.note(cfa: caller.returnAddress == nil ? nil : caller.cfa)
    try judgeFrame(by: row, source, from: place, in: &space)
    guard let returnAddress = caller.returnAddress else {
      if end == .threadStart, stretch?.ownership == .chosen, !isMade(by: .clone, startingIn: code) {
        object(.base, .wrongDepth)
      } else {
        self.end(end, stackPointer)
      }
      return nil
    }
    if try isFiberStart(returnAddress, cfa: caller.cfa, code, in: &space) {
      self.end(.coroutine, stackPointer)
      return nil
    }
    let next = Place(
      instruction: returnAddress, arrival: row.isSignalFrame ? .interrupted : .returned, registers: caller.registers, origins: origins)
    unwound(by: row.isSignalFrame ? .signalFrame : source)
    if row.isSignalFrame {
      try cross(to: next, from: stackPointer, in: &space)
    } else if changesStack {
      try leave(at: stackPointer, for: caller.cfa)
    } else {
      // vfork keeps its return address in a register, as the child's calls would overwrite the stack's: then nothing is popped.
      var mayStay = false
      if case .register = row.returnAddress { mayStay = true }
      try rise(to: caller.cfa, from: stackPointer, mayStay: mayStay, in: &space)
    }
    return next
  }

  mutating func apply(
    _ row: Row, to place: Place, _ code: Code, in space: inout some AddressSpace
  ) throws(UnwindError) -> (Caller, Resting.Origins) {
    let caller = try step(row, in: place.registers, at: place.instruction, file: code.image.file, budget: &budget) {
      (address) throws(UnwindError) in try memory.word(at: address, in: &space)
    }
    return (caller, rest(on: row, appliedTo: place, caller))
  }

  /// `text`: the place of the frame's address in its file.
  private mutating func locate(_ place: Place, in space: inout some AddressSpace) throws(Stop) -> Code {
    current = Current()
    switch modules.code(at: place.instruction, place.arrival, in: &space) {
    case .found(let code):
      current.frame.module = code.module
      current.frame.offset = code.address.value
      return code
    case .objection(let reason, let module):
      current.frame.module = module
      object(.text, named(reason, at: place.instruction, in: &space))
      throw .objected
    case .unknown(let reason, let module):
      current.frame.module = module
      throw .unknown(reason)
    }
  }

  /// The psABI (3.2.2) aligns SP to 16 bytes at each call, but a compiler may call functions that it knows, i.e. in the same file,
  /// otherwise (gcc does for small local ones). Where a call leaves a file it is bound to the rule. An interrupted function has
  /// called nothing.
  private mutating func judgeAlignment(_ stackPointer: UInt64, _ place: Place, in code: Code) {
    guard let callee = calleeOfCurrent, place.arrival == .returned, callee.place.arrival != .interrupted,
      callee.code.image !== code.image,
      stackPointer % 16 != 0
    else { return }
    object(.stack, .misaligned)
  }

  // MARK: - What is said

  /// How the frame that is being left was unwound.
  var lastSource: FrameSource { current.frame.source }

  mutating func object(_ check: Check, _ reason: Reason, frame: UInt16? = nil, detail: String = "") {
    guard finding.violations.count < Walk.maxViolations else { return }
    let violation = Violation(check: check, frame: frame ?? listCurrent(), reason: reason, detail: detail)
    if !finding.violations.contains(violation) { finding.violations.append(violation) }
  }

  mutating func unwound(by source: FrameSource) {
    current.frame.source = source
    finding.sources[source] += 1
    if let listed = current.listed { finding.frames[Int(listed)].source = source }
  }

  /// Lists the current frame while there is room for frames that nothing is said about.
  mutating func list() {
    if finding.frames.count < Finding.maxListedFrames - Finding.reservedFrames { _ = listCurrent() }
  }

  /// The current frame's place in the list. When even the reserved places are full, the last one stands for all further frames.
  mutating func listCurrent() -> UInt16 {
    if let listed = current.listed { return listed }
    if finding.frames.count < Finding.maxListedFrames {
      finding.frames.append(current.frame)
      names.append(current.names)
    }
    let listed = UInt16(clamping: finding.frames.count - 1)
    current.listed = listed
    return listed
  }
}
