import Bytes
package import ELF
package import Unwind
import Wire
import X86

/// `residue`: what a return leaves behind that a call would not.
///
///     CFA - 8     return address: `call` writes it, or an attacker has it ready
///     CFA - 16    of a function that was called: whatever an earlier call had left there
///                 of one that was returned into: the word that the `ret` took, i.e. its own address
///
/// SP moves past that word and nothing else touches it, as long as the function does not. Those that make system calls for others (execve,
/// mprotect, setuid, …), which exploits return into, have no frame at all, or leave that word of theirs alone, between the canary and the
/// return address.
///
/// The word may hold the function's address, or that of a jump to it, for honest reasons, and then says nothing:
///
/// - **The function writes there.** Then it is one of its own variables. It is judged only where no instruction of it does (`leavesWord`).
/// - **The caller called through a register or memory.** It may have had the address in a register that calls keep, and something that it
///   called before, from the same SP, pushed that register first thing: just there. So such a call is not judged by one word: the words
///   below have to be a chain of gadgets as well. No compiler's code puts addresses from the middle of functions, after no call and just before
///   a return, into memory: labels that are jumped to (`&&label`) are followed by more than a return, and interrupted
///   instructions come one a signal.
/// - **A thunk returned into it on purpose.** Retpolines do (`mov %rax, (%rsp); ret`), in the place of a call through a register, and in lld's
///   hardened PLT. So a direct call is one only if nothing but jumps leads from its target to the function.
/// - **makecontext(3) and switches between coroutines**: they return into a function, but behind its return address is no direct call of it.
/// - **Lazy binding** pushes an index there, before it jumps.
/// - **A signal on that dead stack** left the address of the instruction that it interrupted: only with the rest of the kernel's frame
///   around it (`isOfDeadSignalFrame`).
/// - setjmp mangles what it keeps, and longjmp jumps; exceptions return into landing pads, which are no function's start.
///
/// What is left is a caller that calls a function directly, and has a copy of its address from elsewhere (dlsym, an argument on the stack)
/// in exactly this one of its dead words.
extension Walk {
  /// Words below the one in question that are looked at where it does not say enough.
  private static let chainWords = 16
  private static let maxJumps = 8

  /// Looks at the innermost frame: further out, what lies below a return address is the stack of those that are still running, and the
  /// addresses of functions that are called back lie about on it. What cannot be read or decoded proves nothing.
  mutating func judgeResidue(in space: inout some AddressSpace) {
    do throws(Stop) {
      if let reason = try residue(in: &space) { object(.residue, reason, frame: trail[0].listed) }
    } catch {
      // That something could not be read is listed nowhere: elsewhere, or later, it may be.
      resting.giveUp()
    }
  }

  private mutating func residue(in space: inout some AddressSpace) throws(Stop) -> Reason? {
    guard trail.count >= 2, let cfa = trail[0].cfa, cfa > UInt64((Walk.chainWords + 2) * 8), let start = trail[0].functionStart else {
      return nil
    }
    let (callee, caller) = (trail[0], trail[1])
    guard callee.place.arrival == .trapped, caller.place.arrival == .returned, !caller.followsMadeCode else { return nil }
    let words = try below(cfa - 16, count: Walk.chainWords + 1, in: &space)
    rest(onWord: words[0], at: cfa - 16)
    // An address in the function leads here, one at which no code lies does not: both are told apart where the function is in one mapping.
    let region = modules.region(at: callee.place.instruction &- 1)
    if region?.contains(start.value &+ callee.bias) != true { resting.giveUp() }
    let isReturn = leadsHere(words[0], to: callee)
    if !isReturn, try !isGadget(words[0], .jumping, in: &space) { return nil }
    // What is asked now leads through addresses that are computed, to whatever is mapped there, or is not. Few calls come so far.
    resting.giveUp()
    for index in 1..<words.count { rest(onWord: words[index], at: cfa - 16 - UInt64(8 * index)) }
    guard try leavesWord(callee, from: start), try !isOfDeadSignalFrame(cfa - 16, in: &space) else { return nil }
    let isDirect = try isCalledDirectly(callee, by: caller, in: &space)
    if isReturn, isDirect { return .returnedInto }
    var evidence = 0
    for word in words.dropFirst() where try isGadget(word, .returning, in: &space) { evidence += 1 }
    // Where a jump goes to has often been taken off the stack, too.
    if !isReturn, words.contains(where: { leadsHere($0, to: callee) }) { evidence += 1 }
    guard evidence >= (isDirect ? 1 : 2) else { return nil }
    return isReturn ? .returnedInto : .jumpedInto
  }

  /// `address` is where a return has to go for `function` to run: into it, before it has got to where it is now, and not behind a call of its
  /// own. A function that jumps to it is not known as such here: who is returned into one of those is seen by other checks only.
  func leadsHere(_ address: UInt64, to function: Visited) -> Bool {
    guard let start = function.functionStart else { return false }
    let (first, place) = (start.value &+ function.bias, function.place.instruction)
    guard address >= first, address < place else { return false }
    if address == first { return true }
    do throws(UnwindError) { return try !function.code.image.mayFollowCall(start + (address - first)) } catch { return false }
  }

  // MARK: - The word itself

  /// No instruction of the function writes to the word below its return address, or could have others do so.
  private mutating func leavesWord(_ function: Visited, from start: ImageAddress) throws(Stop) -> Bool {
    do throws(UnwindError) {
      guard let range = try function.code.image.extent(of: start, budget: &budget) else { return false }
      return try function.code.image.leavesWordBelowReturn(range, budget: &budget)
    } catch { throw .unknown(Reason(error)) }
  }

  /// The word at `slot` is where a signal frame would have the interrupted rip, and a trampoline's address lies where that frame begins.
  private mutating func isOfDeadSignalFrame(_ slot: UInt64, in space: inout some AddressSpace) throws(Stop) -> Bool {
    let distance = 8 + Walk.registersInFrame + UInt64(Walk.registerOrder.count * 8)
    guard slot > distance else { return false }
    let word = try below(slot - distance, count: 1, in: &space)[0]
    rest(onWord: word, at: slot - distance)
    guard case .found(let code) = try executable(word, in: &space) else { return false }
    do throws(UnwindError) { return try code.image.isSignalTrampoline(code.address, .returned, budget: &budget) } catch { return false }
  }

  /// The `count` words up to and with the one at `slot`, the nearest to it first. They lie below SP, where no copy of the stack reaches.
  private func below(_ slot: UInt64, count: Int, in space: inout some AddressSpace) throws(Stop) -> [UInt64] {
    let start = slot - UInt64((count - 1) * 8)
    do throws(Unreadable) {
      let bytes = try space.read(at: start, upTo: count * 8)
      guard bytes.count == count * 8 else { throw Unreadable() }
      return (0..<count).reversed().map { littleEndian(bytes, at: $0 * 8) }
    } catch { throw .unknown(.unreadableStack) }
  }

  // MARK: - The call

  /// A call of the function itself stands before the return address, and nothing but jumps leads from its target to it.
  private mutating func isCalledDirectly(
    _ callee: Visited, by caller: Visited, in space: inout some AddressSpace
  ) throws(Stop) -> Bool {
    guard let start = callee.functionStart else { return false }
    let function = start.value &+ callee.bias
    do throws(UnwindError) {
      guard let target = try caller.code.image.directCall(before: caller.code.address) else { return false }
      var at = target.value &+ caller.bias
      for _ in 0..<Walk.maxJumps {
        if at == function { return true }
        guard case .found(let code) = modules.code(at: at, in: &space) else { return false }
        let bytes: [UInt8]
        do throws(ELFError) { bytes = try code.image.file.bytes(at: code.address, upTo: Decoder.maxInstructionBytes) } catch {
          throw .file(error)
        }
        guard let operation = code.image.assembler.operation(at: 0, in: bytes), !operation.writes(Registers.rsp) else { return false }
        let next = at &+ UInt64(operation.length)
        switch operation.transfer {
        case .next: at = next
        case .jump(let displacement): at = next &+ UInt64(bitPattern: displacement)
        case .jumpMemory(let memory):
          guard memory.base == .instruction, memory.index == nil else { return false }
          resting.use(wordAt: next &+ UInt64(bitPattern: memory.displacement))
          at = try self.memory.word(at: next &+ UInt64(bitPattern: memory.displacement), in: &space)
        case .branch, .jumpRegister, .call, .callIndirect, .syscall, .ret, .halt: return false
        }
      }
      return false
    } catch { throw .unknown(Reason(error)) }
  }

  // MARK: - Gadgets

  private mutating func isGadget(_ address: UInt64, _ kind: Gadget, in space: inout some AddressSpace) throws(Stop) -> Bool {
    guard case .found(let code) = try executable(address, in: &space) else { return false }
    do throws(UnwindError) { return try code.image.isGadget(code.address, kind, budget: &budget) } catch { throw .unknown(Reason(error)) }
  }

  /// Most words are small numbers, or lead to data: about those no file is asked.
  private mutating func executable(_ word: UInt64, in space: inout some AddressSpace) throws(Stop) -> Modules.Answer {
    let nothing = Modules.Answer.objection(.notImageText(.nothing), module: nil)
    guard word > Walk.maxSmall, let stretch, !stretch.mapping.contains(word) else { return nothing }
    guard let mapping = try mapping(at: word, in: &space), mapping.isExecutable else {
      resting.use(.notCode(word))
      return nothing
    }
    // Whatever else can be executed is not listed.
    guard mapping.backing == .file else {
      resting.giveUp()
      return nothing
    }
    return modules.code(at: word, in: &space)
  }

  /// No code lies there: the kernel maps nothing below 64 KiB (vm.mmap_min_addr).
  private static let maxSmall: UInt64 = 0xffff

  /// What is no code because it is small, or the stack's own address, may as well be another such number.
  private mutating func rest(onWord word: UInt64, at slot: UInt64) {
    let range = word <= Walk.maxSmall ? 0...Walk.maxSmall : resting.range(of: word) ?? word...word
    if range.count == 1, stretch?.mapping.contains(word) == true { resting.use(.stack(start: word, end: word &+ 1, without: [])) }
    resting.use(Basis.Word(address: slot, low: range.lowerBound, high: range.upperBound))
  }
}

extension Operation {
  fileprivate func writes(_ register: Int) -> Bool { written & 1 << UInt16(register) != 0 }
}

extension Image {
  /// Functions that are looked through for what they write. Those that make system calls are shorter.
  private static let maxLeavingBytes: UInt64 = 1024
  /// %fs:0x28
  private static let canary = Operand.memory(Memory(base: .none, displacement: 0x28), isThreadLocal: true)

  /// From `start` to the end of its function, as its table or its symbol says.
  func extent(of start: ImageAddress, budget: inout Budget) throws(UnwindError) -> AddressRange? {
    if case .entry(let entry) = try frames.find(start, budget: &budget), entry.range.start == start { return entry.range }
    guard let function = try isNamed(start), function.start == start else { return nil }
    return AddressRange(start: start, count: function.count)
  }

  /// The function moves SP by at most one constant, down at its begin, and none of its instructions writes to the word just below its return
  /// address or takes an address from which others could. What lies above the canary is no variable's: there an address does not matter.
  package func leavesWordBelowReturn(_ range: AddressRange, budget: inout Budget) throws(UnwindError) -> Bool {
    guard range.count <= Image.maxLeavingBytes else { return false }
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: range.start, upTo: Int(range.count)) } catch { throw .file(error) }
    try budget.spend(code.count)
    // How far SP lies below the return address.
    var depth: Int64 = 0
    var (canaryRegister, hasCanaryBelow, givesAddress): (Operand?, Bool, Bool) = (nil, false, false)
    var offset = 0
    while offset < code.count {
      // What does not decode may be anything.
      guard let instruction = assembler.assembly(at: offset, in: code) else { return false }
      offset += instruction.length
      let operands = instruction.operands
      switch instruction.mnemonic {
      case .sub where operands.first == .register(UInt8(Registers.rsp)):
        guard depth == 0, case .constant(let count)? = operands.last, count > 0 else { return false }
        depth = count
      case .add where operands.first == .register(UInt8(Registers.rsp)):
        guard operands.last == .constant(depth) else { return false }
      case .ret, .jmp, .jz, .jnz, .stop: break
      case .call: guard depth > 0 else { return false }
      default:
        guard instruction.written & 1 << UInt16(Registers.rsp) == 0 else { return false }
        if operands.dropFirst().contains(.register(UInt8(Registers.rsp))) { givesAddress = true }
        if instruction.mnemonic == .mov, operands.last == Image.canary { canaryRegister = operands.first }
        for (index, operand) in operands.enumerated() {
          guard case .memory(let memory, false) = operand, memory.base == .register(UInt8(Registers.rsp)) else { continue }
          guard memory.index == nil else { return false }
          // From there up to the word.
          let distance = depth - 8 - memory.displacement
          if instruction.mnemonic == .lea { givesAddress = true }
          if instruction.mnemonic == .mov, let canaryRegister, operands.last == canaryRegister, distance == 8 { hasCanaryBelow = true }
          if index == 0, distance > -8, distance < Int64(instruction.width / 8) { return false }
        }
      }
    }
    return hasCanaryBelow || !givesAddress
  }

  /// A few instructions from `address` on are a gadget, and that is no place that a program's own pointers lead to: no function's start, and
  /// nothing that a call returns to.
  func isGadget(_ address: ImageAddress, _ kind: Gadget, budget: inout Budget) throws(UnwindError) -> Bool {
    guard try !mayFollowCall(address), try isNamed(address)?.start != address else { return false }
    if case .entry(let entry) = try frames.find(address, budget: &budget), entry.range.start == address { return false }
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: address, upTo: Gadget.maxInstructions * Decoder.maxInstructionBytes) } catch {
      throw .file(error)
    }
    try budget.spend(code.count)
    var offset = 0
    for _ in 0..<Gadget.maxInstructions {
      guard let operation = assembler.operation(at: offset, in: code) else { return false }
      offset += operation.length
      switch operation.transfer {
      case .next where kind == .returning || !operation.writes(Registers.rsp): continue
      case .jumpRegister, .jumpMemory: return kind == .jumping
      case .ret: return kind == .returning
      case .next, .jump, .branch, .call, .callIndirect, .syscall, .halt: return false
      }
    }
    return false
  }
}

/// A piece of a function's end that is run for itself.
enum Gadget {
  /// It goes on to the word above those that it takes off the stack.
  case returning
  /// It goes on through a register or memory, and leaves SP where it is.
  case jumping

  fileprivate static let maxInstructions = 4
}
