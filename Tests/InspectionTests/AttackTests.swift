import Foundation
import Inspection
import Testing
import Wire

private let getppid: Int32 = 110

/// Real stacks with a few words changed, as an attacker's exploit leaves them.
@Suite(.serialized) struct AttackTests {
  /// The finding for the first `getppid` of `name`, whose stack `alter` changed.
  private func finding(
    _ name: String, flavour: String = "plain", alter: (inout Snapshot, LiveProcess) -> Void
  ) throws -> Finding {
    var result = Finding()
    try stops(at: [getppid], of: [try Workshop.made.get().path("cases-\(flavour)"), name], limit: 1, alter: alter) { result = $1 }
    return result
  }

  private func word(_ snapshot: Snapshot, _ index: Int) -> UInt64 {
    (0..<8).reduce(0) { $0 | UInt64(snapshot.stack[index * 8 + $1]) << UInt64(8 * $1) }
  }

  private func put(_ value: UInt64, at index: Int, in snapshot: inout Snapshot) {
    for byte in 0..<8 { snapshot.stack[index * 8 + byte] = UInt8(truncatingIfNeeded: value >> UInt64(8 * byte)) }
  }

  private func has(_ finding: Finding, _ check: Check, _ reason: Reason, frame: UInt16? = nil) -> Bool {
    finding.violations.contains { $0.check == check && $0.reason == reason && (frame == nil || $0.frame == frame) }
  }

  @Test func `the unchanged stack is clean, and explained on demand`() throws {
    var finding = Finding()
    try stops(at: [getppid], of: [try Workshop.made.get().path("cases-plain-O0"), "direct"], limit: 1, explain: true) { finding = $1 }
    #expect(finding.isClean, "\(shown(finding))")
    #expect(finding.frames.map { $0.function ?? "?" } == ["syscall", "trap", "main", "?", "__libc_start_main", "_start"])
    #expect(finding.modules.allSatisfy { $0.buildID.count == 40 })
    #expect(finding.depth == 6)
  }

  @Test func `a return address after no call is objected to, and the walk goes on`() throws {
    // One byte earlier is inside the call instruction; its start is a boundary, but not after a call (call *mem or rel32: 5 or 6).
    let inside = try finding("direct") { snapshot, _ in put(word(snapshot, 0) - 1, at: 0, in: &snapshot) }
    #expect(has(inside, .call, .insideAnInstruction, frame: 1), "\(shown(inside))")
    #expect(inside.violations.count == 1 && inside.unknown == nil, "\(shown(inside))")
    let plain = try finding("direct") { snapshot, _ in put(word(snapshot, 0) - 5, at: 0, in: &snapshot) }
    #expect(has(plain, .call, .notAfterCall, frame: 1), "\(shown(plain))")
  }

  @Test func `a pop-ret gadget is objected to`() throws {
    let finding = try finding("direct") { snapshot, live in
      // `pop %rdi; ret` in libc: its bytes lie inside another instruction or after no call.
      let text = live.mapping(at: snapshot.instruction)!
      let code = (try? live.read(at: text.start, upTo: 1 << 20)) ?? []
      for index in 0..<(code.count - 1) where code[index] == 0x5f && code[index + 1] == 0xc3 {
        put(text.start + UInt64(index), at: 0, in: &snapshot)
        break
      }
    }
    #expect(finding.violations.contains { $0.check == .call && $0.frame == 1 }, "\(shown(finding))")
  }

  @Test func `a return address in the stack, the heap or nothing is no text`() throws {
    let stack = try finding("direct") { snapshot, _ in put(snapshot.registers[Registers.rsp]!, at: 0, in: &snapshot) }
    #expect(has(stack, .text, .notImageText(.mainStack), frame: 1), "\(shown(stack))")
    let nothing = try finding("direct") { snapshot, _ in put(0, at: 0, in: &snapshot) }
    #expect(has(nothing, .text, .notImageText(.nothing), frame: 1), "\(shown(nothing))")
    #expect(nothing.unknown == nil)
  }

  @Test func `a data segment is no text`() throws {
    let finding = try finding("direct") { snapshot, live in
      let text = live.mapping(at: snapshot.instruction)!
      var at = text.end
      while let next = live.mapping(at: at), !next.isWritable { at = next.end }
      put(at, at: 0, in: &snapshot)
    }
    #expect(has(finding, .text, .writableText, frame: 1), "\(shown(finding))")
  }

  @Test func `a trapped address that is no syscall instruction is objected to`() throws {
    let finding = try finding("direct") { snapshot, _ in snapshot.instruction += 1 }
    #expect(has(finding, .site, .notASyscallInstruction, frame: 0), "\(shown(finding))")
  }

  @Test func `a stack pointer outside the own stack is objected to`() throws {
    // The stack's words copied into memory of another kind: here a fake stack pointer whose words the snapshot holds.
    for (backing, name) in [(Backing.heap, "[heap]"), (.anonymous, "")] {
      let finding = try finding("altstack-heap") { snapshot, live in
        let elsewhere = live.every.first { $0.path == name && $0.isWritable && !$0.contains(snapshot.threadPointer!) }!
        snapshot.registers[Registers.rsp] = elsewhere.start + 64
        snapshot.borrowsMemory = false
        // The chain stays readable: a copy of a whole stack.
        snapshot.stack = []
      }
      #expect(
        has(finding, .stack, .outsideOwnStack(backing), frame: 0) || finding.violations.contains { $0.check == .text },
        "\(shown(finding))")
    }
  }

  @Test func `another thread's stack is objected to`() throws {
    let finding = try finding("thread") { snapshot, _ in
      snapshot.threadPointer = snapshot.startStack! - 4096  // the thread's own stack is another one
      snapshot.borrowsMemory = false
    }
    #expect(has(finding, .stack, .outsideOwnStack(.anonymous), frame: 0), "\(shown(finding))")
    let main = try self.finding("direct") { snapshot, _ in snapshot.thread += 1 }
    #expect(has(main, .stack, .outsideOwnStack(.mainStack), frame: 0), "\(shown(main))")
  }

  @Test func `a planted thread start on the first stack has the wrong depth`() throws {
    let finding = try finding("direct") { snapshot, live in
      // after `call *%rax` in clone (31 ed 58 5f ff d0)
      let text = live.mapping(at: snapshot.instruction)!
      let code = (try? live.read(at: text.start, upTo: Int(text.end - text.start))) ?? []
      let pattern: [UInt8] = [0x31, 0xed, 0x58, 0x5f, 0xff, 0xd0]
      for index in 0..<(code.count - 6) where code[index] == 0x31 && Array(code[index..<(index + 6)]) == pattern {
        put(text.start + UInt64(index) + 6, at: 0, in: &snapshot)
        break
      }
    }
    #expect(has(finding, .base, .wrongDepth), "\(shown(finding))")
    #expect(finding.depth == 2)
  }

  @Test func `the first thread of a program that was executed does not end where a thread starts`() throws {
    for (hasExecuted, isObjected) in [(true, true), (false, false), (nil, false)] as [(Bool?, Bool)] {
      let finding = try finding("thread") { snapshot, _ in
        snapshot.thread = snapshot.process
        snapshot.hasExecuted = hasExecuted
      }
      #expect(has(finding, .base, .wrongDepth) == isObjected, "\(shown(finding))")
    }
  }

  /// Where `pattern` lies in libc's code.
  private func find(_ pattern: [UInt8], _ snapshot: Snapshot, _ live: LiveProcess) -> UInt64? {
    let text = live.mapping(at: snapshot.instruction)!
    let code = (try? live.read(at: text.start, upTo: Int(text.end - text.start))) ?? []
    return code.indices.first { code[$0...].starts(with: pattern) }.map { text.start + UInt64($0) }
  }

  /// SP is moved to `memory`, where nothing but `returnAddress` lies, and rbx points beside it.
  private func pivot(_ snapshot: inout Snapshot, to memory: UInt64, returnAddress: UInt64) {
    snapshot.registers[Registers.rsp] = memory
    snapshot.registers[Registers.rbx] = memory + 16
    snapshot.stack = []
    snapshot.stack = .init(repeating: 0, count: 256)
    put(returnAddress, at: 0, in: &snapshot)
  }

  @Test func `a pivot is not excused by one word that claims to be a coroutine's start`() throws {
    for wanted in [Backing.heap, .anonymous, .file] {
      let finding = try finding("altstack-heap") { snapshot, live in
        // mov %rbx, %rsp; mov (%rsp), %rdi; test %rdi, %rdi: __start_context, which is in every program's libc
        let start = find([0x48, 0x89, 0xdc, 0x48, 0x8b, 0x3c, 0x24, 0x48, 0x85, 0xff], snapshot, live)!
        let elsewhere = live.every.first { $0.backing == wanted && $0.isWritable && !$0.contains(snapshot.threadPointer!) }!
        snapshot.borrowsMemory = false
        pivot(&snapshot, to: elsewhere.start + 256, returnAddress: start)
      }
      #expect(finding.violations.contains { $0.check == .stack }, "\(wanted): \(shown(finding))")
    }
  }

  @Test func `a pivot in a fork is not excused by one word that claims to be a clone's start`() throws {
    for wanted in [Backing.heap, .anonymous] {
      let finding = try finding("altstack-heap") { snapshot, live in
        let clone = find([0x31, 0xed, 0x58, 0x5f, 0xff, 0xd0], snapshot, live)!
        let elsewhere = live.every.first { $0.backing == wanted && $0.isWritable && !$0.contains(snapshot.threadPointer!) }!
        // A server's worker: made by fork, and it has executed nothing.
        (snapshot.borrowsMemory, snapshot.hasExecuted) = (false, false)
        pivot(&snapshot, to: elsewhere.start + 256, returnAddress: clone + 6)
      }
      #expect(finding.violations.contains { $0.check == .stack }, "\(wanted): \(shown(finding))")
    }
  }

  @Test func `a planted process entry has the wrong depth`() throws {
    var finding = Finding()
    var entry: UInt64 = 0
    try stops(at: [getppid], of: [try Workshop.made.get().path("cases-plain-static"), "direct"], limit: 1) { _, found in
      entry = found.frames.last!.offset  // ET_EXEC: image addresses are live ones
    }
    try stops(at: [getppid], of: [try Workshop.made.get().path("cases-plain-static"), "direct"], limit: 1) { snapshot, _ in
      put(entry, at: 0, in: &snapshot)
    } found: {
      finding = $1
    }
    #expect(has(finding, .base, .wrongDepth, frame: 1), "\(shown(finding))")
  }

  /// Changes word `register` of the first signal frame on the stack: 15 is SP, 16 is RIP.
  private func forgeSignalFrame(_ snapshot: inout Snapshot, _ live: LiveProcess, register: Int, value: UInt64) {
    snapshot.stack = (try? live.read(at: snapshot.registers[Registers.rsp]!, upTo: 8192)) ?? []
    for index in 0..<(snapshot.stack.count / 8 - 32) {
      guard (try? live.read(at: word(snapshot, index), upTo: 9)) == [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05] else { continue }
      put(value, at: index + 1 + 5 + register, in: &snapshot)
      return
    }
    Issue.record("no signal frame on the stack")
  }

  @Test func `a forged signal frame does not lead back`() throws {
    let finding = try finding("signal") { snapshot, live in
      forgeSignalFrame(&snapshot, live, register: 15, value: snapshot.registers[Registers.rsp]! + 16)
    }
    #expect(has(finding, .stack, .notRising), "\(shown(finding))")
  }

  @Test func `a forged signal frame leads to no heap and to no data`() throws {
    let heap = try finding("altstack-heap") { snapshot, live in
      let heap = live.every.first { $0.backing == .heap }!
      forgeSignalFrame(&snapshot, live, register: 15, value: heap.end - 4096)
    }
    #expect(heap.violations.contains { $0.check == .stack && $0.reason == .outsideOwnStack(.heap) }, "\(shown(heap))")
    let data = try finding("signal") { snapshot, live in
      forgeSignalFrame(&snapshot, live, register: 16, value: snapshot.registers[Registers.rsp]!)
    }
    #expect(has(data, .text, .notImageText(.mainStack)), "\(shown(data))")
  }

  @Test func `without registers nothing is judged`() throws {
    let finding = try finding("direct") { snapshot, _ in snapshot.registers = Registers() }
    #expect(finding.unknown == Unknown(frame: 0, reason: .noRegisters), "\(shown(finding))")
  }

  @Test func `with SP alone frames of rsp are judged and one of rbp is unknown`() throws {
    let plain = try finding("direct") { snapshot, _ in
      let stackPointer = snapshot.registers[Registers.rsp]
      snapshot.registers = Registers()
      snapshot.registers[Registers.rsp] = stackPointer
    }
    #expect(plain.isClean, "\(shown(plain))")
    let framed = try finding("direct", flavour: "plain-O0") { snapshot, _ in
      let stackPointer = snapshot.registers[Registers.rsp]
      snapshot.registers = Registers()
      snapshot.registers[Registers.rsp] = stackPointer
    }
    #expect(framed.unknown?.reason == .unknownRegister(6), "\(shown(framed))")
  }

  @Test func `a changed frame pointer is seen`() throws {
    let finding = try finding("direct", flavour: "plain-O0") { snapshot, _ in snapshot.registers[Registers.rbp]! -= 4096 }
    #expect(has(finding, .stack, .notRising), "\(shown(finding))")
  }
}
