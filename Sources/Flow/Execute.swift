import ELF
import Wire
import X86

extension State {
  /// The psABI's registers that a callee may change (3.2.1), as a mask.
  static let scratch: UInt16 = 0b0000_1111_0011_0111

  /// The state after one instruction that ends at `next`.
  mutating func execute(_ operation: Operation, next: ImageAddress) {
    switch operation.effect {
    case .none:
      switch operation.transfer {
      // Their hidden operands include SP.
      case .call, .callIndirect, .ret: break
      default: forget(operation.written)
      }
    case .compare(let value): compared = value
    case .pushConstant: push(.unknown)
    case .push(let register): push(register.map { self[$0] } ?? .unknown)
    case .pushMemory(let memory): push(load(memory, next))
    case .pop(let register):
      let value = slot(stackPointer)
      stackPointer = stackPointer.moved(8)
      if let register { self[register] = value }
    case .move(let to, let from):
      self[to] = self[from]
      if to == Registers.rsp, stackPointer == .unknown { setStack() }
    case .exchange(let a, let b):
      (self[a], self[b]) = (self[b], self[a])
      if stackPointer == .unknown { setStack() }
    case .constant(let to, let value): self[to] = .constant(value)
    case .constantByte(let to, let byte):
      if case .constant(let value) = self[to] { self[to] = .constant(value & ~0xff | Int64(byte)) } else { self[to] = .unknown }
    case .moveHalf(let to, _), .moveIf(let to, _, _): self[to] = .unknown
    case .canary(let to): self[to] = .canary
    case .address(let to, let memory): self[to] = address(memory, next)
    case .load(let to, let memory): self[to] = load(memory, next)
    case .loadSigned(let to, let memory):
      // movslq (table, index, 4)
      if memory.index != nil, memory.scale == 4, case .constant(let table) = base(memory, next) {
        self[to] = .tableEntry(table: table)
      } else {
        self[to] = .unknown
      }
    case .store(let memory, let from, let count):
      // An exchange or an exchange-and-add writes a register as well.
      forget(operation.written)
      guard memory.index == nil else { return }
      let place = address(memory, next)
      switch place {
      case .frame, .aligned: store(from.map { self[$0] } ?? .unknown, at: place, count: Int64(count))
      default: break
      }
    case .add(let to, let n): self[to] = self[to].moved(n)
    case .addRegister(let to, let from): self[to] = sum(self[to], self[from])
    case .lower(let register):
      if register == Registers.rsp { setStack() } else { self[register] = .unknown }
    case .leave:
      let frame = self[UInt8(Registers.rbp)]
      let value = slot(frame)
      stackPointer = frame.moved(8)
      self[UInt8(Registers.rbp)] = value
    }
    switch operation.transfer {
    // The callee takes its return address off again.
    case .call, .callIndirect:
      forget(State.scratch)
      compared = nil
    case .syscall:
      if startsTask { mayBeNewTask = true }
      forget(1 << UInt16(Registers.rax) | 1 << UInt16(Registers.rcx) | 1 << 11)
    case .next, .jump, .branch, .jumpRegister, .jumpMemory, .ret, .halt: break
    }
  }

  /// SP is set to a place that is not known. What was known relative to an earlier such place is no longer told apart from this one.
  private mutating func setStack() {
    forgetAligned()
    stackPointer = .aligned(0)
  }

  /// clone and clone3 (asm/unistd_64.h). vfork's child runs on its parent's stack.
  private var startsTask: Bool { self[UInt8(Registers.rax)] == .constant(56) || self[UInt8(Registers.rax)] == .constant(435) }

  mutating func forget(_ mask: UInt16) {
    var mask = mask
    while mask != 0 {
      self[UInt8(mask.trailingZeroBitCount)] = .unknown
      mask &= mask - 1
    }
  }

  private mutating func push(_ value: Value) {
    stackPointer = stackPointer.moved(-8)
    switch stackPointer {
    case .frame, .aligned: store(value, at: stackPointer, count: 8)
    default: break
    }
  }

  /// The memory operand's address without its index.
  func base(_ memory: Memory, _ next: ImageAddress) -> Value {
    switch memory.base {
    case .none: .constant(memory.displacement)
    case .instruction: .constant(Int64(bitPattern: next.value) &+ memory.displacement)
    case .register(let number): self[number].moved(memory.displacement)
    }
  }

  private func address(_ memory: Memory, _ next: ImageAddress) -> Value { memory.index == nil ? base(memory, next) : .unknown }

  private func load(_ memory: Memory, _ next: ImageAddress) -> Value {
    let place = address(memory, next)
    switch place {
    case .frame, .aligned: return slot(place)
    default: return .unknown
    }
  }

  private func sum(_ a: Value, _ b: Value) -> Value {
    switch (a, b) {
    case (.tableEntry(let table), .constant(let base)), (.constant(let base), .tableEntry(let table)):
      .tableTarget(table: table, base: base)
    case (_, .constant(let n)): a.moved(n)
    case (.constant(let n), _): b.moved(n)
    default: .unknown
    }
  }
}
