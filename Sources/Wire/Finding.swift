/// The checks, by the names that profiles, reports and tests use.
package enum Check: UInt8, CaseIterable, Sendable {
  case site, text, function, call, edge, seam, stack, base, residue, canary, signal, lineage, path

  package var name: String {
    switch self {
    case .site: "site"
    case .text: "text"
    case .function: "function"
    case .call: "call"
    case .edge: "edge"
    case .seam: "seam"
    case .stack: "stack"
    case .base: "base"
    case .residue: "residue"
    case .canary: "canary"
    case .signal: "signal"
    case .lineage: "lineage"
    case .path: "path"
    }
  }
}

/// What backs a code or stack address, as far as a reason needs to say it.
package enum Backing: UInt8, CaseIterable, Sendable {
  case nothing, anonymous, heap, mainStack, file, deletedFile, memfd, special
}

/// What was seen at one frame that a check, or the unwinder, objects to. A finding only says what was seen; what follows is the
/// profile's business.
package enum Reason: Equatable, Sendable {
  // site
  /// The bytes before the trapped instruction pointer are no `syscall` instruction.
  case notASyscallInstruction
  /// The address lies inside an instruction, counted from its function's start.
  case insideAnInstruction
  /// On every way to this syscall instruction its function puts another number into rax. Detail: the numbers.
  case otherNumber
  // text
  /// The address lies in a mapping that code of the image cannot lie in.
  case notImageText(Backing)
  /// Code as a runtime has it that is mapped in this process (executable anonymous memory, V8's embedded builtins), but the profile does not
  /// declare it.
  case undeclaredJIT(JITRuntime)
  /// The same where the profile declares the runtime, but no trapped call of that runtime has made this memory executable.
  case unrecordedJIT(JITRuntime)
  /// The mapping is writable and executable.
  case writableText
  /// The file's program headers have no executable segment there.
  case notInExecutableSegment
  /// The process's own copy of the page differs from the file.
  case changedPage
  /// The file was changed after the container had started.
  case writtenFile
  // function
  /// No FDE and no symbol covers the address.
  case noFunction
  // call
  /// What precedes the return address is a whole instruction, but no call.
  case notAfterCall
  /// Made code has called the C library itself: the runtime's own code calls the runtime's functions, which call others.
  case callsCLibrary(JITRuntime)
  // edge
  /// The call before the return address goes to another function than the one below. Detail: which.
  case otherCallee
  /// The call goes through a pointer, and no loaded file holds the address of the function below.
  case addressNotTaken
  // seam
  /// The library that makes the system call was entered through a pointer that no loaded file holds. Detail: the function entered.
  case pointerNotHeld
  // stack
  /// SP or a CFA lies outside the thread's own stack.
  case outsideOwnStack(Backing)
  /// A CFA is not above the one before it.
  case notRising
  /// A CFA is not aligned to 16 bytes at a call boundary.
  case misaligned
  /// The frame pointer gives another CFA than the depth that the function's own instructions reach.
  case otherFrameSize
  // base
  /// The chain ends at an address that starts no thread and no process.
  case endsElsewhere
  /// The chain ends in a start function, but at another depth than the thread started at.
  case wrongDepth
  /// No clone that was seen has started a thread there.
  case noThreadStarted
  /// Another thread started there.
  case otherThread
  // residue
  /// What was returned through last is the function itself: it was returned into, not called.
  case returnedInto
  /// What was returned through last is an instruction that jumps through a register: the function was jumped to, not called.
  case jumpedInto
  // canary
  /// The word that the function's prologue put between its variables and the return address is not the process's canary.
  case canaryChanged
  // signal
  /// A part of the signal frame is not as the kernel writes it. Detail: which.
  case forgedSignalFrame
  /// The function that the signal frame lies above is none whose address a program can have given to sigaction.
  case notAHandler
  /// The call was made while a signal handler ran.
  case insideHandler
  // lineage
  /// At an earlier call the thread's chain ended elsewhere.
  case otherBase
  /// At an earlier call the thread's outermost frames were others.
  case otherOutermostFrames
  // path
  /// The profile lists chains for this system call, and this is none of them.
  case unlistedPath
  /// The chain is one that the profile denies: its place among `Paths.denied`.
  case deniedPath(UInt8)
  // what could not be judged
  /// No CFI covers the address.
  case noUnwindInfo
  /// A rule names a register that is not known at this frame.
  case unknownRegister(UInt8)
  /// The rule is of a kind that is not supported, or its bytes are malformed.
  case badUnwindInfo
  /// The stack, or a mapping, could not be read at the address the rule names.
  case unreadableStack
  /// The file could not be opened or read, or is no ELF file this program accepts.
  case unreadableImage
  /// More frames than the limit.
  case tooDeep
  /// Judging it would take more work than one inspection may.
  case tooCostly
  /// The function's bytes do not decode from its start to the address.
  case undecodable
  /// The snapshot itself held too little (no registers).
  case noRegisters
}

/// How the rule that unwound a frame was found.
package enum FrameSource: UInt8, CaseIterable, Sendable {
  /// Not unwound from: the outermost frame seen.
  case none
  /// `.eh_frame` of the file.
  case cfi
  /// The kernel's frame, which a signal handler returns into.
  case signalFrame
  /// The function's own instructions, from its entry to the address.
  case flow
  /// Go's table of functions: the stack pointer's distance at each address.
  case pclntab
  /// The frame pointer, where a declared runtime's code always keeps one.
  case framePointer
  /// HotSpot's description of the code that it made.
  case codeCache
}

/// What ended a chain.
package enum ChainEnd: UInt8, CaseIterable, Sendable {
  /// The function at a file's entry point, whose CFI says that nothing called it.
  case processEntry
  /// Another function whose CFI says so: clone and clone3, where a thread starts.
  case threadStart
  /// Where a coroutine starts: glibc's `__start_context`, which makecontext(3) has its function return to, or another library's like.
  case coroutine
  /// Go: the function that every goroutine starts in.
  case goroutine
  /// Go: a function that the runtime runs at the bottom of a thread's system stack.
  case systemStack
  /// Go: the function that the program's first thread starts in, or that of a library made by Go.
  case programStart
  /// Go: where a thread made without a libc starts.
  case goThreadStart
  /// Go: where a thread made so ends.
  case threadEnd
}

/// How many frames of one stack each source unwound.
package struct SourceCounts: Equatable, Sendable {
  private var counts: [8 of UInt32] = .init(repeating: 0)

  package init() {}

  package subscript(source: FrameSource) -> UInt32 {
    get { counts[Int(source.rawValue)] }
    set { counts[Int(source.rawValue)] = newValue }
  }

  package static func == (a: SourceCounts, b: SourceCounts) -> Bool { FrameSource.allCases.allSatisfy { a[$0] == b[$0] } }
}

/// One frame of the chain, innermost first. Addresses are module + offset: absolute ones would hand out the address layout.
package struct Frame: Equatable, Sendable {
  /// Index into the finding's modules; nil where the address lies in no file-backed mapping.
  package var module: UInt16?
  /// The ELF virtual address (what addr2line and objdump take), or 0 without a module.
  package var offset: UInt64
  /// The function's symbol, or nil where the file names none.
  package var function: String?
  /// Bytes from the function's start to the address.
  package var functionOffset: UInt64
  package var source: FrameSource

  package init(module: UInt16?, offset: UInt64, function: String?, functionOffset: UInt64, source: FrameSource) {
    self.module = module
    self.offset = offset
    self.function = function
    self.functionOffset = functionOffset
    self.source = source
  }
}

package struct Module: Hashable, Sendable {
  /// The path as the kernel shows it for the mapping: a hint for people, never an identity.
  package var path: String
  /// The GNU build id in lower-case hex, or empty.
  package var buildID: String

  package init(path: String, buildID: String) {
    self.path = path
    self.buildID = buildID
  }
}

/// A check's objection to one frame.
package struct Violation: Equatable, Sendable {
  package var check: Check
  /// Index into the finding's frames.
  package var frame: UInt16
  package var reason: Reason
  /// What a person needs besides, where the reason says so: a function's name, say. Empty where there is nothing.
  package var detail: String

  package init(check: Check, frame: UInt16, reason: Reason, detail: String = "") {
    self.check = check
    self.frame = frame
    self.reason = reason
    self.detail = detail
  }
}

/// Where and why the chain could not be judged further.
package struct Unknown: Equatable, Sendable {
  package var frame: UInt16
  package var reason: Reason

  package init(frame: UInt16, reason: Reason) {
    self.frame = frame
    self.reason = reason
  }
}

/// A place on the stack where a call has put a return address: what lies there, and the start of the function that it returns into.
/// Absolute addresses, for comparison only: they are never shown.
package struct Link: Hashable, Sendable {
  package var slot: UInt64
  package var returnAddress: UInt64
  package var function: UInt64

  package init(slot: UInt64, returnAddress: UInt64, function: UInt64) {
    self.slot = slot
    self.returnAddress = returnAddress
    self.function = function
  }
}

/// Where a chain ended, for whoever remembers where the thread's chains ended before.
package struct Outermost: Hashable, Sendable {
  /// At most this many links are told.
  package static let maxLinks = 4

  /// SP at the outermost frame's call.
  package var stackPointer: UInt64
  /// The outermost first: the call of the base, and that of the C library's start function where it is one that is called once.
  package var links: [Link]
  /// The base is the dynamic loader's, which goes over to the program's.
  package var isInLoader: Bool

  package init(stackPointer: UInt64, links: [Link] = [], isInLoader: Bool = false) {
    self.stackPointer = stackPointer
    self.links = links
    self.isInLoader = isInLoader
  }
}

/// What the inspector saw on one stack.
package struct Finding: Equatable, Sendable {
  /// At most this many frames are listed; the walk itself may go deeper. What a person reads ends long before.
  package static let maxListedFrames = 128
  /// The last places of the list are kept for frames that something is said about: those before them are the innermost, one after the
  /// other.
  package static let reservedFrames = 16

  package var frames: [Frame] = []
  package var modules: [Module] = []
  /// Where the finding is not clean: code addresses that lie just below SP, the one nearest to it first. What the thread has returned
  /// through, as far as nothing was written over it; evidence for a person, not a judgement.
  package var below: [Frame] = []
  package var violations: [Violation] = []
  /// Set when the walk had to stop before the base.
  package var unknown: Unknown?
  /// Where the chain ended; nil where it could not be followed so far.
  package var end: ChainEnd?
  /// Set together with `end`.
  package var outermost: Outermost?
  /// Frames walked, listed or not.
  package var depth: UInt32 = 0
  /// Of those, how many each source unwound.
  package var sources = SourceCounts()
  /// The bytes that the request's `text` points to, up to a NUL or 256 of them; empty where the finding is clean and no
  /// explanation was asked for, or no text.
  package var text: [UInt8] = []
  /// The way that the chain is, where the request wants it and the chain was followed to its end.
  package var route: Route?
  /// What the finding rests on; nil where it is not clean, or rests on more than can be told.
  package var basis: Basis?

  package init() {}

  /// Every frame was judged, every check held, and the chain reached its base.
  package var isClean: Bool { violations.isEmpty && unknown == nil }
}
