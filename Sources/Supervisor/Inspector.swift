package import Kernel
package import Wire

/// Why there is no finding. Each one is a denial; after any of them the inspector is no longer believed and a new one is started.
package enum InspectorError: Error, Equatable, Sendable, CustomStringConvertible {
  case system(SyscallError)
  /// It ended, or closed its socket.
  case lost
  /// It did not answer within the deadline.
  case late(milliseconds: Int)
  /// It said something that does not fit.
  case confused(WireError?)

  package var description: String {
    switch self {
    case .system(let error): error.description
    case .lost: "the inspector ended"
    case .late(let milliseconds): "the inspector did not answer within \(milliseconds) ms"
    case .confused: "the inspector sent a message that does not fit"
    }
  }
}

/// The inspector process: confined, and asked one thing at a time.
package final class Inspector {
  private let socket: UnixSocket
  private let process: CInt
  let perch: Perch
  /// The core that it is bound to.
  private var core: CInt?
  /// Which address space's descriptors it has in each of its places, by the space's number.
  private var places: [UInt64?] = Array(repeating: nil, count: SpaceView.maxPlaces)

  /// One inspection may take this long. Cold files of a hundred megabytes on a busy machine stay far below.
  static let deadlineMilliseconds = 5_000
  static let startMilliseconds = 10_000
  /// The largest programs have a hundred megabytes of code.
  static let surveyMilliseconds = 120_000
  /// So long an inspection that knows its files takes at most.
  static let boundMilliseconds: CInt = 1
  /// A process has this many different files mapped at most; more questions than that are no inspection.
  static let maxOpenings = 4096

  /// Starts it and waits until it is sealed. `perch`: of the thread that asks it.
  package init(program: String, perch: Perch = Perch()) throws(InspectorError) {
    self.perch = perch
    // It would be bound as the thread that starts it is.
    if perch.core != nil { perch.leave() }
    do throws(SyscallError) {
      let pair = try UnixSocket.pair()
      process = try startConfined(program, descriptors: [pair.theirs.raw])
      socket = pair.keepOurs()
    } catch {
      throw .system(error)
    }
    guard try receive(until: monotonicMilliseconds() + Int64(Self.startMilliseconds), budget: Self.startMilliseconds) == .ready
    else { throw .confused(nil) }
  }

  deinit {
    // One that cannot be signalled has ended already. Nobody waits here: a read from a file system that does not answer cannot be
    // killed. The kernel forgets children that a process does not want to hear of (`ignoreChildren`).
    do throws(SyscallError) { try PidFD(UInt32(process)).kill() } catch {}
  }

  package var pid: CInt { process }

  /// It speaks only when it is asked: a socket that can be read has been closed at the other end.
  var isAlive: Bool {
    do throws(SyscallError) { return try !waitReadable(socket.raw, milliseconds: 0) } catch { return false }
  }

  /// Has one thread's stack inspected. The descriptors stay the caller's. `isStillThere` says whether the snapshot's thread id still means
  /// the thread that the snapshot was taken of.
  package func inspect(
    _ request: Request, memory: borrowing ProcessMemory, map: borrowing MemoryMap, pages: borrowing PageMap, opener: PatientOpener,
    isStillThere: () -> Bool
  ) throws(InspectorError) -> Finding {
    try inspect(
      request, [memory.descriptor.raw, map.descriptor.raw] + (pages.raw.map { [$0] } ?? []), opener: opener, isStillThere: isStillThere)
  }

  /// The same of a thread in `space`, of which the request says what may be kept.
  func inspect(_ request: Request, in space: OpenSpace, opener: PatientOpener, isStillThere: () -> Bool) throws(InspectorError) -> Finding {
    guard let place = request.space?.place else {
      return try inspect(request, space.descriptors, opener: opener, isStillThere: isStillThere)
    }
    let isKept = places[Int(place)] == space.number
    places[Int(place)] = space.number
    return try inspect(request, isKept ? [] : space.descriptors, opener: opener, isStillThere: isStillThere)
  }

  private func inspect(
    _ request: Request, _ descriptors: [CInt], opener: PatientOpener, isStillThere: () -> Bool
  ) throws(InspectorError) -> Finding {
    let deadline = monotonicMilliseconds() + Int64(Self.deadlineMilliseconds)
    meet()
    defer { if core != nil, core != perch.core { perch.restore() } }
    try send(.inspect(request), descriptors)
    var openings = 0
    while true {
      switch try receive(until: deadline, budget: Self.deadlineMilliseconds) {
      case .finding(let finding): return finding
      case .openMapped(let start, let end):
        guard openings < Self.maxOpenings else { throw .confused(nil) }
        openings += 1
        if core != nil { part() }
        guard monotonicMilliseconds() < deadline else { throw .late(milliseconds: Self.deadlineMilliseconds) }
        try hand(start, end, of: request.snapshot.thread, by: opener, isStillThere)
      case .ready, .inspect, .mapped, .survey, .surveyed: throw .confused(nil)
      }
    }
  }

  /// Has one file looked through.
  package func survey(_ request: SurveyRequest, of file: borrowing OwnedFD) throws(InspectorError) -> Survey {
    let deadline = monotonicMilliseconds() + Int64(Self.surveyMilliseconds)
    try send(.survey(request), [file.raw])
    guard case .surveyed(let survey) = try receive(until: deadline, budget: Self.surveyMilliseconds),
      survey.hasNames.count == request.names.count, survey.fingerprints.count == request.starts.count,
      survey.places.count == request.fingerprints.count
    else { throw .confused(nil) }
    return survey
  }

  /// Binds both to the core that the thread's call has woken us on. Left to itself, the kernel wakes the other one on a core that idles: to get
  /// that up, there and back, takes longer than the inspection. The supervisor only waits meanwhile.
  private func meet() {
    let here = currentCore
    guard let only = perch.cores?.only(here), perch.core == here || only.bind(0) else { return }
    if core == here { return }
    if only.bind(process) { core = here } else { part() }
  }

  /// What takes longer may go on anywhere.
  private func part() {
    core = nil
    _ = perch.cores?.bind(process)
    perch.leave()
  }

  /// Gives the inspector the file that a thread has mapped, or the reason why there is none.
  private func hand(
    _ start: UInt64, _ end: UInt64, of thread: UInt32, by opener: PatientOpener, _ isStillThere: () -> Bool
  ) throws(InspectorError) {
    let file: OwnedFD
    do throws(SyscallError) {
      file = try opener.open(by: thread, start: start, end: end)
    } catch {
      return try send(.mapped(errno: error.errno), [])
    }
    // The thread may have ended, and its number be another's by now: whose file it is then is not the inspector's business.
    guard isStillThere() else { return try send(.mapped(errno: Errno.noProcess), []) }
    try send(.mapped(errno: 0), [file.raw])
  }

  /// The inspector reads between two answers, so there always is room.
  private func send(_ message: Message, _ descriptors: [CInt]) throws(InspectorError) {
    do throws(SyscallError) { try socket.send(message.encode(), descriptors: descriptors, blocking: false) } catch { throw .system(error) }
  }

  private func receive(until deadline: Int64, budget: Int) throws(InspectorError) -> Message {
    let received: UnixSocket.Received?
    do throws(SyscallError) {
      let left = CInt(max(0, deadline - monotonicMilliseconds()))
      var isThere = false
      if core != nil {
        isThere = try waitReadable(socket.raw, milliseconds: min(left, Self.boundMilliseconds))
        if !isThere { part() }
      }
      if !isThere { isThere = try waitReadable(socket.raw, milliseconds: left) }
      received = isThere ? try socket.receive(limit: Message.limit) : nil
    } catch {
      throw .system(error)
    }
    guard let received else { throw .late(milliseconds: budget) }
    guard !received.isTruncated else { throw .confused(nil) }
    guard !received.bytes.isEmpty else { throw .lost }
    do throws(WireError) { return try Message(decoding: received.bytes) } catch { throw .confused(error) }
  }
}
