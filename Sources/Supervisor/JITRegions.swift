package import Wire

/// Where the declared runtimes' code may lie, by address space: what an inspection takes for made code, and nothing else.
///
/// A range comes to be by a trapped mmap, mprotect or pkey_mprotect with PROT_EXEC whose stack was found faultless, whose caller is the
/// runtime's own file, and which names its address. V8 and HotSpot reserve their code's memory without any access, and later make
/// pieces of it executable where they lie; what the kernel is to choose the address of is nobody's code here.
///
/// **Why nothing is taken off at munmap, which cannot be trapped.** A range says what may be code, never that something is there: the
/// inspector takes an address in it for code only while an executable, private, anonymous mapping holds it. What is mapped there later
/// is executable only by another call that was trapped and judged, since a profile that declares a runtime has to trap the whole
/// of @exec-memory. Where such a call names its address and is not the runtime's, or moves memory there by mremap, the range loses that
/// piece. (V8 maps its own file into the range, too: that is judged as a file.) Left is memory that a faultless call of another library had made executable and that the kernel put by chance
/// where the runtime's code had been: it is taken for the runtime's. mremap of the runtime's own code leads to where no range is.
///
/// **Which address space** is told by where the kernel put its first stack (`start_stack`). Each execve draws it anew, a fork keeps
/// it with the memory, and no process can move it, as PR_SET_MM is refused. Who turned the layout's randomness off, or met one chance
/// in a billion, gains no executable memory: that takes faultless calls of its own.
package struct JITRegions {
  /// Processes that made code; the one that was quiet longest is forgotten for another, and its calls out of made code are denied.
  package static let maxSpaces = 1024

  /// Forks of one another that all make code: a program that forks so and has such a runtime is not known.
  private static let maxMakers = 64

  private struct Space {
    /// Sorted, disjoint.
    var ranges: [JITRange] = []
    /// The processes that made them; a fork of one is none.
    var makers: Set<UInt32> = []
    var lastUse: UInt64 = 0
  }

  private let declared: Set<JITRuntime>
  private var spaces: [UInt64: Space] = [:]
  private var clock: UInt64 = 0

  package init(declared: Set<JITRuntime>) { self.declared = declared }

  /// What the inspection of a thread is told.
  package mutating func memory(of snapshot: Snapshot) -> JITMemory {
    guard let startStack = snapshot.startStack, let space = spaces[startStack] else { return JITMemory(declared: declared) }
    touch(startStack)
    // The child of a vfork is no copy: it runs in the very memory.
    let isCopy = !space.makers.contains(snapshot.process) && snapshot.borrowsMemory != true
    return JITMemory(declared: declared, ranges: space.ranges, isCopy: isCopy)
  }

  /// Takes note of a call that is allowed to go on. `finding` is that of its stack; only a faultless one makes a range.
  package mutating func note(_ call: MemoryCall, of snapshot: Snapshot, _ finding: Finding) {
    guard !declared.isEmpty, let startStack = snapshot.startStack else { return }
    if !call.isMove, finding.isClean, let maker = finding.maker(among: declared) {
      add(JITRange(start: call.start, end: call.end, runtime: maker), to: startStack, by: snapshot.process)
    } else if let known = spaces[startStack]?.ranges {
      spaces[startStack]?.ranges = without(call.start, call.end, known)
    }
  }

  private mutating func add(_ range: JITRange, to startStack: UInt64, by process: UInt32) {
    if spaces[startStack] == nil, spaces.count >= JITRegions.maxSpaces,
      let oldest = spaces.min(by: { $0.value.lastUse < $1.value.lastUse })
    {
      spaces[oldest.key] = nil
    }
    touch(startStack)
    if (spaces[startStack]?.makers.count ?? 0) < JITRegions.maxMakers { spaces[startStack]?.makers.insert(process) }
    var ranges = without(range.start, range.end, spaces[startStack]?.ranges ?? [])
    ranges.append(range)
    ranges.sort { $0.start < $1.start }
    ranges = joined(ranges)
    // One too many is not kept, and what lies there is denied.
    if ranges.count <= JITMemory.maxRanges { spaces[startStack]?.ranges = ranges }
  }

  private mutating func touch(_ startStack: UInt64) {
    clock += 1
    spaces[startStack, default: Space()].lastUse = clock
  }
}

private func without(_ start: UInt64, _ end: UInt64, _ ranges: [JITRange]) -> [JITRange] {
  var left: [JITRange] = []
  for range in ranges {
    guard range.start < end, start < range.end else {
      left.append(range)
      continue
    }
    if range.start < start { left.append(JITRange(start: range.start, end: start, runtime: range.runtime)) }
    if end < range.end { left.append(JITRange(start: end, end: range.end, runtime: range.runtime)) }
  }
  return left
}

private func joined(_ sorted: [JITRange]) -> [JITRange] {
  var result: [JITRange] = []
  for range in sorted {
    if let last = result.last, last.end == range.start, last.runtime == range.runtime {
      result[result.count - 1].end = range.end
    } else {
      result.append(range)
    }
  }
  return result
}

/// A call that decides what executable memory [start, end) holds from now on.
package struct MemoryCall: Equatable, Sendable {
  package var start: UInt64
  package var end: UInt64
  /// What lies there comes from elsewhere in the process.
  package var isMove = false

  /// Which argument says what.
  package enum Kind: Sendable {
    case map, protect, move

    /// nil for a call that never does such a thing.
    package init?(_ syscall: String) {
      switch syscall {
      case "mmap": self = .map
      case "mprotect", "pkey_mprotect": self = .protect
      case "mremap": self = .move
      default: return nil
      }
    }
  }

  /// nil for a call that does no such thing this time, and for one whose address the kernel chooses.
  package init?(_ kind: Kind, _ arguments: [6 of UInt64]) {
    let address: UInt64
    let length: UInt64
    switch kind {
    case .map:
      // MAP_FIXED and MAP_FIXED_NOREPLACE of linux/mman.h.
      guard arguments[2] & protectExecute != 0, arguments[3] & 0x10_0010 != 0 else { return nil }
      (address, length) = (arguments[0], arguments[1])
    case .protect:
      guard arguments[2] & protectExecute != 0 else { return nil }
      (address, length) = (arguments[0], arguments[1])
    case .move:
      // MREMAP_FIXED: to an address of the caller's choice.
      guard arguments[3] & 2 != 0 else { return nil }
      (address, length) = (arguments[4], arguments[2])
      isMove = true
    }
    let (sum, overflow) = address.addingReportingOverflow(length)
    let (rounded, over) = sum.addingReportingOverflow(0xfff)
    // The kernel refuses an address that is no page's, and what wraps around.
    guard address & 0xfff == 0, length > 0, !overflow, !over else { return nil }
    start = address
    end = rounded & ~0xfff
  }
}

/// PROT_EXEC, asm-generic/mman-common.h.
private let protectExecute: UInt64 = 4

extension Finding {
  /// The declared runtime that made the call: its own file holds the system call, or the return address of libc's wrapper around it.
  func maker(among declared: Set<JITRuntime>) -> JITRuntime? {
    for (index, frame) in frames.prefix(2).enumerated() {
      guard let module = frame.module, Int(module) < modules.count else { return nil }
      let path = modules[Int(module)].path
      if let maker = JITRuntime.allCases.first(where: { declared.contains($0) && $0.isModule(path) }) { return maker }
      guard index == 0, isCLibrary(path) else { return nil }
    }
    return nil
  }
}
