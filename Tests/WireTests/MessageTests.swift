import Testing
import Wire

@Suite struct MessageTests {
  private func sampleSnapshot() -> Snapshot {
    var snapshot = Snapshot()
    snapshot.thread = 4711
    snapshot.process = 4700
    snapshot.made = 123_456
    snapshot.architecture = 0xC000_003E
    snapshot.number = 59
    snapshot.instruction = 0x7fff_1234
    snapshot.registers[Registers.rsp] = 0x7ffe_0010
    snapshot.registers[Registers.rbp] = 0
    snapshot.threadPointer = 0x7f00_0000_0740
    snapshot.borrowsMemory = false
    snapshot.isInterrupted = true
    snapshot.stack = [1, 2, 3, 4, 5]
    snapshot.below = [6, 7, 8]
    snapshot.canary = 0xfeed_f00d_0000_1200
    return snapshot
  }

  private func sampleFinding() -> Finding {
    var finding = Finding()
    finding.depth = 9
    finding.end = .threadStart
    finding.outermost = Outermost(stackPointer: 0x7f00_0010, links: [Link(slot: 1, returnAddress: 2, function: 3)], isInLoader: true)
    finding.modules = [Module(path: "/usr/lib/libc.so.6", buildID: "00ff")]
    finding.frames = [
      Frame(module: 0, offset: 0xe0d7b, function: "execve", functionOffset: 11, source: .cfi),
      Frame(module: nil, offset: 0, function: nil, functionOffset: 0, source: .none),
    ]
    finding.below = [Frame(module: 0, offset: 0x277e5, function: nil, functionOffset: 0, source: .none)]
    finding.text = Array("/bin/sh".utf8)
    finding.violations = [
      Violation(check: .text, frame: 1, reason: .notImageText(.heap)), Violation(check: .call, frame: 1, reason: .notAfterCall),
    ]
    finding.unknown = Unknown(frame: 1, reason: .unknownRegister(6))
    return finding
  }

  private var samplePaths: Paths {
    Paths(
      modules: [PathModule(name: "nginx", path: "/usr/sbin/nginx"), PathModule(name: "app", buildID: "00ff")],
      chains: [[.function("execve", of: "libc"), .anyFrames, .start(0x1a2c0, of: "nginx")], [.anyFunction(of: "app")]],
      denied: [[.anyFrames, .function("system", of: "libc"), .anyFrames]])
  }

  @Test func `an element of a chain that is none is refused`() throws {
    var bytes = Message.inspect(Request(snapshot: sampleSnapshot(), depth: 1, paths: samplePaths)).encode()
    let place = try #require(bytes.indices.first { bytes[$0...].starts(with: "libc:execve".utf8) })
    bytes[place + 4] = UInt8(ascii: "-")
    #expect(throws: WireError.self) { try Message(decoding: bytes) }
  }

  @Test func `a place that is none, and a range that holds nothing, are refused`() throws {
    func request(_ place: UInt32, _ untouched: [Range<UInt64>]) -> [UInt8] {
      Message.inspect(
        Request(snapshot: sampleSnapshot(), depth: 1, space: SpaceView(place: place, generation: 7, untouched: untouched))
      ).encode()
    }
    #expect(throws: Never.self) { try Message(decoding: request(15, [0x1000..<0x2000])) }
    #expect(throws: WireError.self) { try Message(decoding: request(16, [])) }
    #expect(throws: WireError.self) { try Message(decoding: request(0, [0x1000..<0x1000])) }
  }

  @Test func `a text that is no UTF-8 is refused`() throws {
    var finding = Finding()
    finding.modules = [Module(path: "path", buildID: "")]
    var bytes = Message.finding(finding).encode()
    let place = try #require(bytes.indices.first { bytes[$0...].starts(with: "path".utf8) })
    bytes[place] = 0xff
    #expect(throws: WireError.self) { try Message(decoding: bytes) }
  }

  private func findingWithBasis() -> Finding {
    var basis = Basis()
    basis.registers = 1 << 6 | 1 << 7
    basis.words = [Basis.Word(address: 0x7ffc_0000, low: 3, high: 3), Basis.Word(address: 0x7ffc_0008, low: 0, high: .max)]
    basis.facts = [
      .text(start: 0x1000, end: 0x2000, changed: -1), .stack(start: 0x7ffc_0000, end: 0x7ffd_0000, without: []),
      .stack(start: 1, end: 2, without: [3, 4]), .notCode(0x5000),
    ]
    var finding = Finding()
    finding.basis = basis
    return finding
  }

  @Test func `every message comes back as it was`() throws {
    let jit = JITMemory(declared: [.v8, .hotspot], ranges: [JITRange(start: 0x1000, end: 0x3000, runtime: .hotspot)], isCopy: true)
    let messages: [Message] = [
      .inspect(Request(snapshot: sampleSnapshot(), depth: 512, jit: jit)), .ready,
      .inspect(Request(snapshot: sampleSnapshot(), depth: 512)),
      .inspect(Request(snapshot: sampleSnapshot(), depth: 512, permissions: [.dlsym], paths: samplePaths)),
      .inspect(Request(snapshot: sampleSnapshot(), depth: 512, permissions: [.dlsym, .writtenFiles], started: 1_790_000_000_000_000_001)),
      .inspect(
        Request(
          snapshot: sampleSnapshot(), depth: 512,
          space: SpaceView(place: 15, generation: 1 << 40, untouched: [0x1000..<0x2000, 0x3000..<0x5000]))),
      .inspect(Request(snapshot: sampleSnapshot(), depth: 512, text: 1, explain: true)), .openMapped(start: 0x1000, end: 0x2000),
      .mapped(errno: 13), .finding(sampleFinding()), .finding(Finding()), .finding(findingWithBasis()),
      .inspect(Request(snapshot: sampleSnapshot(), depth: 512, wantsRoute: true)), .finding(findingWithRoute()),
    ]
    for message in messages { #expect(try Message(decoding: message.encode()) == message) }
  }

  private func findingWithRoute() -> Finding {
    var finding = findingWithBasis()
    finding.modules = [Module(path: "/usr/sbin/nginx", buildID: "00ff")]
    finding.route = Route(
      steps: [
        RouteStep(module: 0, start: 0x1a2c0, names: ["execve", "__execve"]), RouteStep(module: nil),
        RouteStep(module: 0, start: 0x10, fingerprint: .max, isStart: true, repeats: true), RouteStep(module: 0),
      ], gap: 2)
    return finding
  }

  @Test func `a way is told whole, or without names that would be others, or not at all`() throws {
    func told(_ finding: Finding) throws -> Route? {
      guard case .finding(let read) = try Message(decoding: Message.finding(finding).encode()) else { return nil }
      return read.route
    }
    var finding = findingWithRoute()
    finding.route = Route(steps: [RouteStep(module: 0, start: 1, names: [String(repeating: "n", count: Paths.maxTextBytes + 1), "short"])])
    #expect(try told(finding)?.steps == [RouteStep(module: 0, start: 1, names: ["short"])])
    // As much of everything as a message may hold.
    let long = String(repeating: "f", count: Paths.maxTextBytes)
    finding.route = Route(steps: (0..<Route.maxSteps).map { RouteStep(module: 0, start: UInt64($0), names: [long]) })
    finding.basis?.words = Array(repeating: Basis.Word(address: 0, low: 0, high: 0), count: Basis.maxWords)
    #expect(Message.finding(finding).encode().count <= Message.limit)
    let route = try #require(try told(finding))
    #expect(route.steps.map(\.start) == (0..<Route.maxSteps).map { UInt64($0) })
    #expect(route.steps.count { !$0.names.isEmpty } == Route.maxTextBytes / long.utf8.count)
    // A module that the message has no room for would be told as none.
    finding.modules = Array(repeating: Module(path: "/x", buildID: ""), count: 70)
    finding.route = Route(steps: [RouteStep(module: 69, start: 1)])
    #expect(try told(finding) == nil)
  }

  @Test func `a basis with too many words or facts is refused`() throws {
    var finding = findingWithBasis()
    finding.basis?.words = Array(repeating: Basis.Word(address: 0, low: 0, high: 0), count: Basis.maxWords + 1)
    #expect(throws: WireError.self) { try Message(decoding: Message.finding(finding).encode()) }
    finding = findingWithBasis()
    finding.basis?.facts = Array(repeating: .notCode(0), count: Basis.maxFacts + 1)
    #expect(throws: WireError.self) { try Message(decoding: Message.finding(finding).encode()) }
  }

  @Test func `every reason comes back as it was`() throws {
    var reasons: [Reason] = [
      .notASyscallInstruction, .insideAnInstruction, .writableText, .notInExecutableSegment, .noFunction, .notAfterCall, .notRising,
      .misaligned, .endsElsewhere, .wrongDepth, .noUnwindInfo, .unknownRegister(0), .unknownRegister(16), .badUnwindInfo,
      .unreadableStack, .unreadableImage, .tooDeep, .tooCostly, .undecodable, .noRegisters,
      .unlistedPath, .deniedPath(0), .deniedPath(63),
    ]
    for runtime in JITRuntime.allCases { reasons += [.undeclaredJIT(runtime), .unrecordedJIT(runtime), .callsCLibrary(runtime)] }
    for backing in Backing.allCases { reasons += [.notImageText(backing), .outsideOwnStack(backing)] }
    for reason in reasons {
      var finding = Finding()
      finding.violations = [Violation(check: .site, frame: 0, reason: reason)]
      #expect(try Message(decoding: Message.finding(finding).encode()) == .finding(finding))
    }
  }

  @Test func `a register that is not known stays unknown, even if its value is zero`() throws {
    let message = Message.inspect(Request(snapshot: sampleSnapshot(), depth: 1))
    guard case .inspect(let request) = try Message(decoding: message.encode()) else {
      Issue.record("another message came back")
      return
    }
    #expect(request.snapshot.registers[Registers.rbp] == 0)
    #expect(request.snapshot.registers[Registers.rbx] == nil)
  }

  @Test func `a message cut anywhere is refused`() {
    for message in [Message.inspect(Request(snapshot: sampleSnapshot(), depth: 512, paths: samplePaths)), .finding(sampleFinding())] {
      let bytes = message.encode()
      for count in 0..<bytes.count {
        #expect(throws: WireError.self) { try Message(decoding: Array(bytes[..<count])) }
      }
      #expect(throws: WireError.trailing(1)) { try Message(decoding: bytes + [0]) }
    }
  }

  @Test func `a message with any byte changed is refused or is another whole message`() {
    let bytes = Message.finding(sampleFinding()).encode()
    for index in bytes.indices {
      for change in [UInt8(1), 0x80, 0xff] {
        var changed = bytes
        changed[index] ^= change
        // Neither a trap nor an endless loop: that the call returns at all is what is tested.
        _ = Result { () throws(WireError) in try Message(decoding: changed) }
      }
    }
  }

  @Test func `a frame that names a module which was not sent is refused`() {
    var finding = sampleFinding()
    finding.modules = []
    #expect(throws: WireError.self) { try Message(decoding: Message.finding(finding).encode()) }
  }

  @Test func `what is too long is cut, not refused`() throws {
    var finding = Finding()
    finding.modules = [Module(path: String(repeating: "é", count: 4096), buildID: "")]
    finding.frames = Array(
      repeating: Frame(module: 0, offset: 1, function: String(repeating: "f", count: 5000), functionOffset: 0, source: .cfi), count: 500)
    let bytes = Message.finding(finding).encode()
    #expect(bytes.count < Message.limit)
    guard case .finding(let back) = try Message(decoding: bytes) else {
      Issue.record("another message came back")
      return
    }
    #expect(back.frames.count == Finding.maxListedFrames)
    #expect(back.modules[0].path.allSatisfy { $0 == "é" })
  }
}
