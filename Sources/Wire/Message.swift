/// What the supervisor and the inspector say to one another, one message a datagram of a SOCK_SEQPACKET socket:
///
///     supervisor                              inspector
///                  ◄──────────── ready ──────  sealed
///     inspect + fds (mem, maps, pagemap) ─►          without, where they are kept: SpaceView
///                  ◄──────── openMapped ─────   zero or more times
///     mapped + fd, or without ────────────►
///                  ◄────────── finding ──────
///
///     survey + fd (a file) ───────────────►
///                  ◄───────── surveyed ──────
///
/// Layout: magic u32, version u8, kind u8, then the kind's fields, little-endian, no padding.
package enum Message: Equatable, Sendable {
  /// The inspector gave up everything it does not need; it can be asked now.
  case ready
  case inspect(Request)
  /// Open the file that the inspected thread has mapped at exactly [start, end).
  case openMapped(start: UInt64, end: UInt64)
  /// The answer: 0 and one descriptor, or the errno and none.
  case mapped(errno: Int32)
  case finding(Finding)
  /// Looks through one file, whose descriptor comes along.
  case survey(SurveyRequest)
  case surveyed(Survey)

  static let magic: UInt32 = 0x3147_4c43  // "CLG1"
  static let version: UInt8 = 5
  /// The longest message: a snapshot with its stack bytes, or a finding with everything it may list.
  package static let limit = 128 * 1024
}

/// What is to be inspected, and how.
package struct Request: Equatable, Sendable {
  package var snapshot: Snapshot
  /// The most frames a walk may have.
  package var depth: UInt32
  /// Where a path stands that the report of an objection is to show; nil for none. Whoever reads it may have to wait for whoever
  /// provides the memory, so the supervisor does not.
  package var text: UInt64?
  /// Names and the trail below SP are wanted even where nothing objects.
  package var explain: Bool
  /// The finding is to tell the way, for a recording.
  package var wantsRoute: Bool
  /// The code that declared runtimes have made in the snapshot's address space.
  package var jit: JITMemory
  package var permissions: Set<Permission>
  /// Those to the system call that was trapped; empty where the profile lists none.
  package var paths: Paths
  /// When the container was started, in nanoseconds since 1970 by the host's clock; nil for a process that nobody supervises.
  package var started: Int64?
  /// nil where nothing is to be kept of the address space, nor was.
  package var space: SpaceView?

  package init(
    snapshot: Snapshot, depth: UInt32, text: UInt64? = nil, explain: Bool = false, wantsRoute: Bool = false, jit: JITMemory = JITMemory(),
    permissions: Set<Permission> = [], paths: Paths = Paths(), started: Int64? = nil, space: SpaceView? = nil
  ) {
    self.snapshot = snapshot
    self.depth = depth
    self.text = text
    self.explain = explain
    self.wantsRoute = wantsRoute
    self.jit = jit
    self.permissions = permissions
    self.paths = paths
    self.started = started
    self.space = space
  }
}

private enum Limit {
  static let stack = 65536
  static let belowStack = 4096
  static let modules = 64
  static let violations = 256
  static let path = 512
  static let buildID = 64
  static let function = 160
  static let detail = 200
  static let text = 256
  static let below = 16
}

extension Message {
  private enum Kind: UInt8 { case ready = 1, inspect, openMapped, mapped, finding, survey, surveyed }

  private var likelyBytes: Int {
    if case .finding(let finding) = self { 512 + 32 * finding.frames.count + 24 * (finding.basis?.words.count ?? 0) } else { 512 }
  }

  package func encode() -> [UInt8] {
    var out = Writer(reserving: likelyBytes)
    out.put(Self.magic)
    out.put(Self.version)
    switch self {
    case .ready: out.put(Kind.ready.rawValue)
    case .inspect(let request):
      out.put(Kind.inspect.rawValue)
      out.put(request.depth)
      out.put(request.text)
      out.put(UInt8(request.explain ? 1 : 0))
      out.put(UInt8(request.wantsRoute ? 1 : 0))
      out.put(request.jit)
      out.put(request.permissions.reduce(UInt8(0)) { $0 | 1 << $1.rawValue })
      out.put(request.paths)
      out.put(request.started.map { UInt64(bitPattern: $0) })
      out.put(request.space)
      out.put(request.snapshot)
    case .openMapped(let start, let end):
      out.put(Kind.openMapped.rawValue)
      out.put(start)
      out.put(end)
    case .mapped(let errno):
      out.put(Kind.mapped.rawValue)
      out.put(errno)
    case .finding(let finding):
      out.put(Kind.finding.rawValue)
      out.put(finding)
    case .survey(let request):
      out.put(Kind.survey.rawValue)
      out.put(request)
    case .surveyed(let survey):
      out.put(Kind.surveyed.rawValue)
      out.put(survey)
    }
    return out.bytes
  }

  package init(decoding bytes: [UInt8]) throws(WireError) {
    var input = Reader(bytes)
    let magic = try input.take(UInt32.self)
    guard magic == Self.magic else { throw .badMagic(magic) }
    let version = try input.take(UInt8.self)
    guard version == Self.version else { throw .badVersion(version) }
    let kind = try input.take(UInt8.self)
    switch Kind(rawValue: kind) {
    case .ready: self = .ready
    case .inspect:
      let depth = try input.take(UInt32.self)
      let text = try input.takeOptional()
      let explain = try input.takeFlag()
      let wantsRoute = try input.takeFlag()
      let jit = try input.takeJIT()
      let permissions = try input.takePermissions()
      let paths = try input.takePaths()
      let started = try input.takeOptional().map { Int64(bitPattern: $0) }
      let space = try input.takeSpaceView()
      self = .inspect(
        Request(
          snapshot: try input.takeSnapshot(), depth: depth, text: text, explain: explain, wantsRoute: wantsRoute, jit: jit,
          permissions: permissions, paths: paths, started: started, space: space))
    case .openMapped: self = .openMapped(start: try input.take(), end: try input.take())
    case .mapped: self = .mapped(errno: try input.take())
    case .finding: self = .finding(try input.takeFinding())
    case .survey: self = .survey(try input.takeSurveyRequest())
    case .surveyed: self = .surveyed(try input.takeSurvey())
    case nil: throw .badKind(kind)
    }
    try input.end()
  }
}

extension Writer {
  fileprivate mutating func put(_ snapshot: Snapshot) {
    put(snapshot.thread)
    put(snapshot.process)
    put(snapshot.made)
    put(snapshot.architecture)
    put(snapshot.number)
    put(snapshot.instruction)
    put(UInt8(snapshot.isInterrupted ? 1 : 0))
    put(snapshot.registers.known)
    for number in 0..<16 { put(snapshot.registers.values[number]) }
    put(snapshot.threadPointer)
    put(snapshot.startStack)
    put(snapshot.borrowsMemory.map { UInt64($0 ? 1 : 0) })
    put(snapshot.hasExecuted.map { UInt64($0 ? 1 : 0) })
    put(snapshot.stack)
    put(snapshot.below)
    put(snapshot.canary)
  }

  fileprivate mutating func put(_ finding: Finding) {
    put(finding.depth)
    put(UInt8(finding.end == nil ? 0 : 1))
    put((finding.end ?? .processEntry).rawValue)
    put(finding.outermost?.stackPointer)
    put(UInt8(finding.outermost?.isInLoader == true ? 1 : 0))
    let links = finding.outermost?.links.prefix(Outermost.maxLinks) ?? []
    put(UInt32(links.count))
    for link in links {
      put(link.slot)
      put(link.returnAddress)
      put(link.function)
    }
    for source in FrameSource.allCases { put(finding.sources[source]) }
    put(Array(finding.text.prefix(Limit.text)))
    put(UInt32(min(finding.modules.count, Limit.modules)))
    for module in finding.modules.prefix(Limit.modules) {
      put(module.path, limit: Limit.path)
      put(module.buildID, limit: Limit.buildID)
    }
    put(finding.frames, limit: Finding.maxListedFrames)
    put(finding.below, limit: Limit.below)
    put(UInt32(min(finding.violations.count, Limit.violations)))
    for violation in finding.violations.prefix(Limit.violations) {
      put(violation.check.rawValue)
      put(violation.frame)
      put(violation.reason)
      put(violation.detail, limit: Limit.detail)
    }
    put(UInt8(finding.unknown == nil ? 0 : 1))
    if let unknown = finding.unknown {
      put(unknown.frame)
      put(unknown.reason)
    }
    put(finding.basis)
    // No way is better than one with another module in it, or than no finding at all.
    let isToldWhole = bytes.count + Route.maxBytes <= Message.limit
    let route = finding.route.flatMap { route in
      isToldWhole && route.steps.allSatisfy { ($0.module ?? 0) < Limit.modules } ? route : nil
    }
    put(UInt8(route == nil ? 0 : 1))
    if let route { put(route) }
  }

  private mutating func put(_ frames: [Frame], limit: Int) {
    put(UInt32(min(frames.count, limit)))
    for frame in frames.prefix(limit) {
      // A module beyond the limit is listed as none.
      put(frame.module.flatMap { $0 < Limit.modules ? UInt64($0) : nil })
      put(frame.offset)
      put(UInt8(frame.function == nil ? 0 : 1))
      put(frame.function ?? "", limit: Limit.function)
      put(frame.functionOffset)
      put(frame.source.rawValue)
    }
  }

  fileprivate mutating func put(_ reason: Reason) {
    let (code, operand) = reason.wire
    put(code)
    put(operand)
  }
}

extension Reader {
  fileprivate mutating func takePermissions() throws(WireError) -> Set<Permission> {
    let place = offset
    let bits = try take(UInt8.self)
    let permissions = Permission.allCases.filter { bits & 1 << $0.rawValue != 0 }
    guard bits.nonzeroBitCount == permissions.count else { throw .badValue(offset: place) }
    return Set(permissions)
  }

  fileprivate mutating func takeSnapshot() throws(WireError) -> Snapshot {
    var snapshot = Snapshot()
    snapshot.thread = try take()
    snapshot.process = try take()
    snapshot.made = try takeOptional()
    snapshot.architecture = try take()
    snapshot.number = try take()
    snapshot.instruction = try take()
    snapshot.isInterrupted = try takeFlag()
    let known = try take(UInt16.self)
    for number in 0..<16 {
      let value = try take(UInt64.self)
      if known & (1 << UInt16(number)) != 0 { snapshot.registers[number] = value }
    }
    snapshot.threadPointer = try takeOptional()
    snapshot.startStack = try takeOptional()
    snapshot.borrowsMemory = try takeOptional().map { $0 != 0 }
    snapshot.hasExecuted = try takeOptional().map { $0 != 0 }
    snapshot.stack = try takeBytes(limit: Limit.stack)
    snapshot.below = try takeBytes(limit: Limit.belowStack)
    snapshot.canary = try takeOptional()
    return snapshot
  }

  fileprivate mutating func takeFinding() throws(WireError) -> Finding {
    var finding = Finding()
    finding.depth = try take()
    let hasEnd = try takeFlag()
    let end: ChainEnd = try takeCase()
    finding.end = hasEnd ? end : nil
    let base = try takeOptional()
    let isInLoader = try takeFlag()
    var links: [Link] = []
    for _ in 0..<(try takeCount(limit: Outermost.maxLinks)) {
      links.append(Link(slot: try take(), returnAddress: try take(), function: try take()))
    }
    finding.outermost = base.map { Outermost(stackPointer: $0, links: links, isInLoader: isInLoader) }
    for source in FrameSource.allCases { finding.sources[source] = try take() }
    finding.text = try takeBytes(limit: Limit.text)
    for _ in 0..<(try takeCount(limit: Limit.modules)) {
      finding.modules.append(
        Module(path: try takeString(limit: Limit.path), buildID: try takeString(limit: Limit.buildID)))
    }
    finding.frames = try takeFrames(limit: Finding.maxListedFrames, modules: finding.modules.count)
    finding.below = try takeFrames(limit: Limit.below, modules: finding.modules.count)
    for _ in 0..<(try takeCount(limit: Limit.violations)) {
      finding.violations.append(
        Violation(
          check: try takeCase(), frame: try take(), reason: try takeReason(), detail: try takeString(limit: Limit.detail)))
    }
    if try takeFlag() { finding.unknown = Unknown(frame: try take(), reason: try takeReason()) }
    finding.basis = try takeBasis()
    if try takeFlag() { finding.route = try takeRoute(modules: finding.modules.count) }
    return finding
  }

  private mutating func takeFrames(limit: Int, modules: Int) throws(WireError) -> [Frame] {
    let count = try takeCount(limit: limit)
    var frames: [Frame] = []
    frames.reserveCapacity(count)
    for _ in 0..<count {
      let place = offset
      let module = try takeOptional()
      if let module, module >= modules { throw .badValue(offset: place) }
      let address = try take(UInt64.self)
      let isNamed = try takeFlag()
      let name = try takeString(limit: Limit.function)
      frames.append(
        Frame(
          module: module.map { UInt16($0) }, offset: address, function: isNamed ? name : nil, functionOffset: try take(),
          source: try takeCase()))
    }
    return frames
  }

  private mutating func takeReason() throws(WireError) -> Reason {
    let place = offset
    guard let reason = Reason(wire: try take(), operand: try take()) else { throw .badValue(offset: place) }
    return reason
  }
}

extension Reason {
  /// A stable number, and the evidence as a byte (0 where there is none).
  fileprivate var wire: (UInt8, UInt8) {
    switch self {
    case .notASyscallInstruction: (1, 0)
    case .insideAnInstruction: (2, 0)
    case .notImageText(let backing): (3, backing.rawValue)
    case .writableText: (4, 0)
    case .notInExecutableSegment: (5, 0)
    case .noFunction: (6, 0)
    case .notAfterCall: (7, 0)
    case .outsideOwnStack(let backing): (8, backing.rawValue)
    case .notRising: (9, 0)
    case .misaligned: (10, 0)
    case .endsElsewhere: (11, 0)
    case .wrongDepth: (12, 0)
    case .noUnwindInfo: (13, 0)
    case .unknownRegister(let number): (14, number)
    case .badUnwindInfo: (15, 0)
    case .unreadableStack: (16, 0)
    case .unreadableImage: (17, 0)
    case .tooDeep: (18, 0)
    case .undecodable: (19, 0)
    case .noRegisters: (20, 0)
    case .undeclaredJIT(let runtime): (21, runtime.rawValue)
    case .unrecordedJIT(let runtime): (22, runtime.rawValue)
    case .callsCLibrary(let runtime): (23, runtime.rawValue)
    case .otherNumber: (24, 0)
    case .changedPage: (25, 0)
    case .writtenFile: (26, 0)
    case .otherCallee: (27, 0)
    case .addressNotTaken: (28, 0)
    case .pointerNotHeld: (29, 0)
    case .otherFrameSize: (30, 0)
    case .noThreadStarted: (31, 0)
    case .otherThread: (32, 0)
    case .returnedInto: (33, 0)
    case .jumpedInto: (34, 0)
    case .canaryChanged: (35, 0)
    case .forgedSignalFrame: (36, 0)
    case .notAHandler: (37, 0)
    case .insideHandler: (38, 0)
    case .otherBase: (39, 0)
    case .otherOutermostFrames: (40, 0)
    case .unlistedPath: (41, 0)
    case .deniedPath(let chain): (42, chain)
    case .tooCostly: (43, 0)
    }
  }

  fileprivate init?(wire code: UInt8, operand: UInt8) {
    switch code {
    case 1: self = .notASyscallInstruction
    case 2: self = .insideAnInstruction
    case 3:
      guard let backing = Backing(rawValue: operand) else { return nil }
      self = .notImageText(backing)
    case 4: self = .writableText
    case 5: self = .notInExecutableSegment
    case 6: self = .noFunction
    case 7: self = .notAfterCall
    case 8:
      guard let backing = Backing(rawValue: operand) else { return nil }
      self = .outsideOwnStack(backing)
    case 9: self = .notRising
    case 10: self = .misaligned
    case 11: self = .endsElsewhere
    case 12: self = .wrongDepth
    case 13: self = .noUnwindInfo
    case 14: self = .unknownRegister(operand)
    case 15: self = .badUnwindInfo
    case 16: self = .unreadableStack
    case 17: self = .unreadableImage
    case 18: self = .tooDeep
    case 19: self = .undecodable
    case 20: self = .noRegisters
    case 21:
      guard let runtime = JITRuntime(rawValue: operand) else { return nil }
      self = .undeclaredJIT(runtime)
    case 22:
      guard let runtime = JITRuntime(rawValue: operand) else { return nil }
      self = .unrecordedJIT(runtime)
    case 23:
      guard let runtime = JITRuntime(rawValue: operand) else { return nil }
      self = .callsCLibrary(runtime)
    case 24: self = .otherNumber
    case 25: self = .changedPage
    case 26: self = .writtenFile
    case 27: self = .otherCallee
    case 28: self = .addressNotTaken
    case 29: self = .pointerNotHeld
    case 30: self = .otherFrameSize
    case 31: self = .noThreadStarted
    case 32: self = .otherThread
    case 33: self = .returnedInto
    case 34: self = .jumpedInto
    case 35: self = .canaryChanged
    case 36: self = .forgedSignalFrame
    case 37: self = .notAHandler
    case 38: self = .insideHandler
    case 39: self = .otherBase
    case 40: self = .otherOutermostFrames
    case 41: self = .unlistedPath
    case 42: self = .deniedPath(operand)
    case 43: self = .tooCostly
    default: return nil
    }
  }
}
