package import Diagnostics
package import Wire

extension Finding {
  /// The place of a frame that a runtime has made the code of.
  package static let madeCode = "code made at run time"

  /// A frame as module + offset. Absolute addresses would hand out the address layout.
  package func place(of frame: Frame) -> String {
    guard let index = frame.module, Int(index) < modules.count else {
      return frame.source == .framePointer || frame.source == .codeCache ? Finding.madeCode : "memory without a file"
    }
    return "\(baseName(modules[Int(index)].path))+0x\(String(frame.offset, radix: 16))"
  }

  package func line(of frame: Frame) -> Event.Line {
    let function = frame.function.map { escaped($0) + (frame.functionOffset == 0 ? "" : "+\(frame.functionOffset)") } ?? ""
    return Event.Line(place: escaped(place(of: frame)), function: function, source: frame.source.text)
  }

  /// The objection in a sentence that needs no knowledge of the code.
  package func sentence(_ violation: Violation) -> String {
    "\(subject(Int(violation.frame))) \(predicate(violation.reason, frame: Int(violation.frame), detail: escaped(violation.detail)))"
  }

  package func sentence(_ unknown: Unknown) -> String {
    "the stack could not be judged beyond frame \(unknown.frame): \(subject(Int(unknown.frame))) \(predicate(unknown.reason, frame: Int(unknown.frame)))"
  }

  private func subject(_ index: Int) -> String {
    guard index < frames.count else { return "frame \(index)" }
    let line = line(of: frames[index])
    let name = line.function.isEmpty ? line.place : "\(line.place) (\(line.function))"
    return index == 0 ? "the system call at \(name)" : "frame \(index), which returns to \(name),"
  }

  /// The function that the frame below this one belongs to, as a person calls it.
  private func callee(of frame: Int) -> String {
    guard frame > 0, frame <= frames.count else { return "the function below it" }
    let below = frames[frame - 1]
    return below.function.map { escaped($0) } ?? "the function at \(escaped(place(of: below)))"
  }

  func predicate(_ reason: Reason, frame: Int, detail: String = "") -> String {
    switch reason {
    case .otherNumber: "comes from an instruction that its function uses for other calls only (\(detail))"
    case .changedPage: "lies in a page whose bytes are no longer the file's"
    case .writtenFile: "lies in a file that was changed after the container had started"
    case .otherCallee: "follows a call to \(detail), not to \(callee(of: frame)), which is what ran"
    case .addressNotTaken:
      "follows a call through a pointer, and no loaded file holds the address of \(callee(of: frame)), which is what ran"
    case .pointerNotHeld: "entered \(detail) through a pointer, and no loaded file holds the address of that function"
    case .otherFrameSize: "has a frame pointer that does not fit the size of its function's frame"
    case .noThreadStarted: "is where a thread would start, but no thread was started there"
    case .otherThread: "is where another thread started"
    case .returnedInto: "was returned into, not called: the word that the return took still lies below the stack pointer"
    case .jumpedInto: "was jumped to, not called: the address of the jump still lies below the stack pointer, where a return took it"
    case .canaryChanged: "has a frame in which the canary was overwritten"
    case .forgedSignalFrame: "lies below a signal frame that the kernel has not written: \(detail)"
    case .notAHandler: "is where a signal handler returns, but \(callee(of: frame)) is no function that a program can have made its handler"
    case .insideHandler: "is the signal handler's way back: the call was made while a handler ran, which this profile does not permit"
    case .otherBase: "is where the chain ends, and it ended elsewhere at an earlier call of this thread"
    case .otherOutermostFrames: "is not the frame that lay there at an earlier call of this thread"
    case .unlistedPath: "was reached along a way that the profile does not list: none of its chains for this call has \(detail) here"
    case .deniedPath: "was reached along a way that the profile denies: \(detail)"
    case .notASyscallInstruction: "does not follow a syscall instruction of the file"
    case .insideAnInstruction: "lies inside an instruction of its function, where no correct program can arrive"
    case .notImageText(let backing): "lies in \(backing.text), where no code of the image can be"
    case .undeclaredJIT(let runtime):
      "lies in code that \(runtime.title) makes at run time, which this profile does not declare: it needs 'jit: [\(runtime.name)]' below spec"
    case .unrecordedJIT(let runtime): "lies in executable memory without a file that was not made by a call of \(runtime.title)"
    case .writableText: "lies in memory that is writable and executable"
    case .notInExecutableSegment: "lies outside the file's executable segments"
    case .noFunction: "lies in no function that its file declares"
    case .notAfterCall: "does not follow a call: nothing in the program could have put this return address there"
    case .callsCLibrary(let runtime): "calls the C library itself, which code that \(runtime.title) makes never does"
    case .outsideOwnStack(let backing): "has its frame in \(backing.text), which is not the thread's own stack"
    case .notRising: "has its frame below its callee's: a stack only rises towards its base"
    case .misaligned: "has its frame at an address that is not aligned to 16 bytes, as every call demands"
    case .endsElsewhere: "is where the chain ends, but no thread and no process starts there"
    case .wrongDepth: "is a start function, but not at the depth where this thread started"
    case .noUnwindInfo: "has no unwind information"
    case .unknownRegister(let number): "is unwound by register \(registerName(number)), whose value is not known there"
    case .badUnwindInfo: "has unwind information that is malformed or not supported"
    case .unreadableStack: "has a frame that could not be read"
    case .unreadableImage: "lies in a file that could not be read as an ELF image"
    case .tooDeep: "is one more than the profile's limit of frames"
    case .tooCostly: "takes more work to judge than one inspection may do"
    case .undecodable: "lies in a function whose instructions could not be decoded"
    case .noRegisters: "came without registers"
    }
  }
}

extension Check {
  package var code: Code {
    switch self {
    case .site: .site
    case .text: .text
    case .function: .function
    case .call: .call
    case .stack: .stack
    case .base: .base
    case .edge: .edge
    case .seam: .seam
    case .residue: .residue
    case .canary: .canary
    case .signal: .signal
    case .lineage: .lineage
    case .path: .path
    }
  }
}

extension Backing {
  var text: String {
    switch self {
    case .nothing: "memory that is not mapped"
    case .anonymous: "anonymous memory"
    case .heap: "the heap"
    case .mainStack: "the process's main stack"
    case .file: "a mapped file"
    case .deletedFile: "a deleted file"
    case .memfd: "a memory file (memfd)"
    case .special: "a special mapping of the kernel"
    }
  }
}

extension JITRuntime {
  var title: String {
    switch self {
    case .v8: "V8 (node)"
    case .hotspot: "HotSpot (Java)"
    }
  }
}

extension FrameSource {
  var text: String {
    switch self {
    case .none: ""
    case .cfi: "cfi"
    case .signalFrame: "signal frame"
    case .flow: "flow"
    case .pclntab: "pclntab"
    case .framePointer: "frame pointer"
    case .codeCache: "code cache"
    }
  }
}

private let registerNames = [
  "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
]

private func registerName(_ number: UInt8) -> String {
  Int(number) < registerNames.count ? registerNames[Int(number)] : "\(number)"
}

package func baseName(_ path: String) -> String {
  path.split(separator: "/").last.map(String.init) ?? path
}

/// What a container wrote may hold terminal sequences: everything but printable ASCII is written as \xNN.
package func escaped(_ text: String, limit: Int = 200) -> String {
  var out = ""
  for byte in text.utf8 {
    // What is cut off is not worth a line of a screen.
    if out.utf8.count >= limit { return out + "…" }

    if byte >= 0x20, byte < 0x7f, byte != UInt8(ascii: "\\") {
      out.unicodeScalars.append(Unicode.Scalar(byte))
    } else {
      let digits = String(byte, radix: 16)
      out += "\\x" + (digits.count < 2 ? "0" : "") + digits
    }
  }
  return out
}
