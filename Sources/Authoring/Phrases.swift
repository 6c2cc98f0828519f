internal import Diagnostics
package import Profile
package import Wire

// What the parts of a profile mean, in words for those who have to answer for it.

extension Check {
  /// What a correct program's stack has, and this check demands.
  package var demand: String {
    switch self {
    case .site: "the call is made by a real syscall instruction of a known function, at which this call can be made"
    case .text: "all code on the stack lies in unchanged, unwritable pages of files of the image"
    case .function: "every return address lies in a known function"
    case .call: "every return address follows a call instruction"
    case .edge: "each of these calls leads to the function whose frame lies below it"
    case .seam: "the library that makes the call was not entered through a pointer that no file holds"
    case .stack: "all frames lie in the thread's own stack, in order"
    case .base: "the chain ends where the thread started"
    case .residue: "the innermost function was called, not returned into"
    case .canary: "the stack protector's canaries are whole"
    case .signal: "signal frames are the kernel's, and no handler makes the call"
    case .lineage: "the outer frames are those of the thread's earlier calls"
    case .path: "the chain is one of the listed ways, where ways are listed"
    }
  }

  /// What an attacker gains where it is not enforced.
  package var loss: String {
    switch self {
    case .site: "shellcode and syscall bytes inside of other instructions can make the calls"
    case .text: "code that the attacker brought, such as shellcode, patched pages or a dropped library, can make the calls"
    case .function: "return addresses may lie in no function at all"
    case .call: "chains of short gadgets, to which no call leads, are not stopped"
    case .edge: "calls to other functions than those whose frames lie below are not stopped"
    case .seam: "an overwritten function pointer may lead straight to a function that makes system calls"
    case .stack: "the stack may lie in memory that the attacker has filled"
    case .base: "a chain may be cut short, or planted: it need not reach the thread's start"
    case .residue: "a function that makes system calls may be returned into"
    case .canary: "an overflow that overwrote a canary is not noticed"
    case .signal: "forged signal frames (sigreturn) are not noticed, and handlers may make the calls"
    case .lineage: "the outer frames may be exchanged between two calls"
    case .path: "the listed ways bind nobody"
    }
  }
}

extension Permission {
  /// What programs may do by it, and what an attacker with them.
  package var meaning: String {
    switch self {
    case .dlsym:
      "functions that a file exports may be called through pointers that no file holds (plugins); an attacker who overwrites a pointer may "
        + "call any of them"
    case .foreignCalls:
      "scripts may make system calls through libffi (ctypes, fiddle); an attacker who gives libffi its arguments may, too"
    case .signalHandlers: "the calls may be made in signal handlers; an attacker may use what handlers do"
    case .writtenFiles:
      "code may lie in files that were changed after the container had started; an attacker who can write a file may run it"
    }
  }
}

extension JITRuntime {
  package var meaning: String {
    switch self {
    case .v8: "code that V8 (node) made at run time may be on the stack; what is wrong inside of it is not seen"
    case .hotspot: "code that HotSpot (Java) made at run time may be on the stack; what is wrong inside of it is not seen"
    }
  }
}

extension Action {
  package var words: String {
    switch self {
    case .audit: "it is written down, and the call goes on"
    case .errno(let number): "the call fails with \(errnoName(number))"
    case .killProcess: "the process is killed before the call is made"
    case .killContainer: "every process of the container is killed"
    }
  }

  /// As a profile has it, in one word.
  package var short: String { if case .errno(let number) = self { errnoName(number) } else { name } }
}

func errnoName(_ number: Int32) -> String { errnoNames.first { $0.number == number }?.name ?? "errno \(number)" }

extension Condition {
  package var words: String {
    "where argument \(argument) has \(relation == .allSet ? "all" : "any") of 0x\(String(mask, radix: 16))"
  }
}

extension Trap {
  var words: String { condition.map { "\(syscall) \($0.words)" } ?? syscall }
}

extension PathRule {
  /// `libc:execve ← nginx:ngx_execute_proc ← … ← nginx:main`
  package var way: String { chain.map { $0 == .anyFrames ? "…" : $0.description }.joined(separator: " ← ") }
}

/// The day and minute, in UTC.
func moment(_ secondsSince1970: Int64) -> String {
  let text = timestamp(secondsSince1970 * 1000)
  return "\(text.prefix(10)) \(text.dropFirst(11).prefix(5)) UTC"
}

func listed(_ words: some Sequence<String>) -> String {
  let words = Array(words)
  guard let last = words.last, words.count > 1 else { return words.first ?? "" }
  return words.dropLast().joined(separator: ", ") + " and " + last
}

extension Profile {
  /// The groups that are trapped as a whole, and the traps that are part of none of them.
  var grouped: (groups: [Group], others: [Trap]) {
    let groups = Group.all.filter { group in
      group.traps.allSatisfy { needed in traps.contains { $0.covers(needed) } }
        && group.absent.allSatisfy { name in
          absent.contains(name) || never.contains(name) || traps.contains { $0.syscall == name }
        }
    }
    let others = traps.filter { trap in
      let parts = groups.flatMap(\.traps).filter { $0.syscall == trap.syscall }
      // What is trapped in more cases than its groups say is told by itself.
      guard let first = parts.first else { return true }
      guard let condition = trap.condition else { return parts.allSatisfy { $0.condition != nil } }
      return parts.reduce(0) { $0 | ($1.condition?.mask ?? .max) } & condition.mask != condition.mask || first.condition == nil
    }
    return (groups, others)
  }
}
