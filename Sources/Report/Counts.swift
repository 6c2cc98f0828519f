package import Wire

/// How often what happened to one container's trapped calls: what a denial's record cannot tell, because it only speaks of denials.
package struct Counts: Equatable, Sendable {
  /// What became of one trapped call. Each is counted once.
  package enum Outcome: Sendable {
    case allowed
    /// Let through, though a check objected: its setting, or the mode, is audit.
    case audited
    /// `by` is a check's name, or "unknown".
    case denied(by: String)
    /// No finding: the thread could not be copied, or the inspector did not answer.
    case unjudged
    /// The caller was gone by the time it was to be answered: killed, or interrupted by a signal, after which it may call again.
    case withdrawn
  }

  package var allowed: UInt64 = 0
  package var audited: UInt64 = 0
  package var denied: UInt64 = 0
  package var unjudged: UInt64 = 0
  package var withdrawn: UInt64 = 0
  /// Denials by the name of the check that decided; "unknown" where the stack could not be judged.
  package var deniedBy: [String: UInt64] = [:]

  /// Of the calls that were allowed, those whose stack was known word for word: what had been found of it was not found again.
  package var repeated: UInt64 = 0

  /// Stacks that were judged, by the inspector or as one that it had judged before, and the frames that it walked.
  package var stacks: UInt64 = 0
  package var frames: UInt64 = 0
  /// Of the frames, how many each source unwound, by its name. The outermost frame of a stack is not unwound by any.
  package var sources: [String: UInt64] = [:]
  /// Stacks that a check objected to, by its name, whatever the profile made of it.
  package var objections: [String: UInt64] = [:]
  /// Stacks that could not be walked to their base, by the reason's name, whatever the profile made of them.
  package var unknown: [String: UInt64] = [:]
  /// Trapped calls by their name.
  package var syscalls: [String: UInt64] = [:]

  package init() {}

  /// Trapped calls in all.
  package var calls: UInt64 { allowed &+ audited &+ denied &+ unjudged &+ withdrawn }

  /// Counts one call. Nothing is allocated once a name has been seen.
  package mutating func count(_ outcome: Outcome, _ syscall: String) {
    syscalls[syscall, default: 0] &+= 1
    switch outcome {
    case .allowed: allowed &+= 1
    case .audited: audited &+= 1
    case .denied(let name):
      denied &+= 1
      deniedBy[name, default: 0] &+= 1
    case .unjudged: unjudged &+= 1
    case .withdrawn: withdrawn &+= 1
    }
  }

  /// Counts as many allowed calls with the stack of one faultless finding.
  package mutating func count(_ finding: Finding, _ syscall: String, repeated times: UInt64) {
    guard times > 0 else { return }
    count(finding, times: times)
    syscalls[syscall, default: 0] &+= times
    allowed &+= times
    repeated &+= times
  }

  package mutating func add(_ other: Counts) {
    allowed &+= other.allowed
    audited &+= other.audited
    denied &+= other.denied
    unjudged &+= other.unjudged
    withdrawn &+= other.withdrawn
    repeated &+= other.repeated
    stacks &+= other.stacks
    frames &+= other.frames
    deniedBy.merge(other.deniedBy, uniquingKeysWith: &+)
    sources.merge(other.sources, uniquingKeysWith: &+)
    objections.merge(other.objections, uniquingKeysWith: &+)
    unknown.merge(other.unknown, uniquingKeysWith: &+)
    syscalls.merge(other.syscalls, uniquingKeysWith: &+)
  }

  /// Counts one inspected stack, or as many as are the same.
  package mutating func count(_ finding: Finding, times: UInt64 = 1) {
    stacks &+= times
    frames &+= UInt64(finding.depth) &* times
    for source in unwindingSources where finding.sources[source] > 0 {
      sources[source.text, default: 0] &+= UInt64(finding.sources[source]) &* times
    }
    for check in Check.allCases where finding.violations.contains(where: { $0.check == check }) {
      objections[check.name, default: 0] &+= 1
    }
    if let unknown = finding.unknown { self.unknown[unknown.reason.name, default: 0] &+= 1 }
  }
}

private let unwindingSources = FrameSource.allCases.filter { $0 != .none }

extension Reason {
  /// A word for a table; the sentence is `Finding.sentence`'s.
  package var name: String {
    switch self {
    case .notASyscallInstruction: "not a syscall instruction"
    case .insideAnInstruction: "inside an instruction"
    case .notImageText: "no image text"
    case .writableText: "writable text"
    case .notInExecutableSegment: "not in an executable segment"
    case .noFunction: "no function"
    case .notAfterCall: "not after a call"
    case .outsideOwnStack: "outside the own stack"
    case .notRising: "not rising"
    case .misaligned: "misaligned"
    case .endsElsewhere: "ends elsewhere"
    case .wrongDepth: "wrong depth"
    case .noUnwindInfo: "no unwind information"
    case .unknownRegister: "unknown register"
    case .badUnwindInfo: "bad unwind information"
    case .unreadableStack: "unreadable stack"
    case .unreadableImage: "unreadable image"
    case .tooDeep: "too deep"
    case .tooCostly: "too costly"
    case .undecodable: "undecodable"
    case .noRegisters: "no registers"
    case .undeclaredJIT: "undeclared runtime's code"
    case .unrecordedJIT: "unrecorded code of a runtime"
    case .callsCLibrary: "made code calls the C library"
    case .otherNumber: "other number"
    case .changedPage: "changed page"
    case .writtenFile: "written file"
    case .otherCallee: "other callee"
    case .addressNotTaken: "address not taken"
    case .pointerNotHeld: "pointer not held"
    case .otherFrameSize: "other frame size"
    case .noThreadStarted: "no thread started"
    case .otherThread: "other thread"
    case .returnedInto: "returned into"
    case .jumpedInto: "jumped into"
    case .canaryChanged: "canary changed"
    case .forgedSignalFrame: "forged signal frame"
    case .notAHandler: "not a handler"
    case .insideHandler: "inside a handler"
    case .otherBase: "other base"
    case .otherOutermostFrames: "other outermost frames"
    case .unlistedPath: "unlisted path"
    case .deniedPath: "denied path"
    }
  }
}
