package import ELF
package import Unwind
import Wire
import X86

/// What a function's instructions say of its frame at one address, beside what a table of unwind information can say.
package struct FrameShape: Equatable, Sendable {
  /// SP is CFA + this, on every way; nil where that is not certain.
  package var stackPointer: Int64?
  /// Where the stack protector keeps its copy of the canary: `.saved` or `.savedFrom`; nil where it keeps none.
  package var canary: Rule?

  package init(stackPointer: Int64? = nil, canary: Rule? = nil) {
    self.stackPointer = stackPointer
    self.canary = canary
  }

  package var isEmpty: Bool { stackPointer == nil && canary == nil }
}

extension FlowAnalysis {
  /// The shape of a frame whose call returns to `address`, or else of one that stands there.
  package func shape(at address: ImageAddress, returned: Bool, isFixed: Bool) -> FrameShape {
    state(at: address, returned: returned).map { shape($0, isFixed) } ?? FrameShape()
  }

  /// The shapes, where there are any, at all of the function's calls, by the address that each returns to.
  package func shapes(isFixed: Bool) -> [ImageAddress: FrameShape] {
    var shapes: [ImageAddress: FrameShape] = [:]
    calls.forEach { (address, state) in
      let shape = shape(states[state], isFixed)
      if !shape.isEmpty { shapes[address] = shape }
    }
    return shapes
  }

  private func shape(_ state: State, _ isFixed: Bool) -> FrameShape {
    var shape = FrameShape(canary: state.canary)
    if isFixed, case .frame(let depth) = state.stackPointer { shape.stackPointer = depth }
    return shape
  }

  /// Nothing in the function moves SP by an amount that is known at run time only, also where no way that was followed leads: an exception's
  /// landing pad goes on with the SP of its call, and may come back to where the other ways have taken less.
  package mutating func isFixed(_ budget: inout Budget) throws(UnwindError) -> Bool {
    guard unresolved == nil, !hasOtherParts else { return false }
    var address = extent.start
    while extent.contains(address) {
      guard let operation = try decoded(at: address, &budget), !operation.setsStack else { return false }
      address = address + UInt64(operation.length)
    }
    return true
  }

  /// Some instruction may load the canary: what compilers write is `mov %fs:0x28, reg`. A look at the bytes costs a thirtieth of the
  /// analysis.
  package static func mayKeepCanary(_ code: [UInt8]) -> Bool {
    var at = code.startIndex
    while let found = code[at...].firstIndex(of: 0x64) {
      at = found + 1
      // fs, REX.W, mov, any register from an absolute address
      if code.count - found >= 9, code[found + 1] & 0xfb == 0x48, code[found + 2] == 0x8b, code[found + 3] & 0xc7 == 0x04,
        code[(found + 4)...].starts(with: [0x25, 0x28, 0, 0, 0])
      {
        return true
      }
    }
    return false
  }
}

extension Operation {
  /// SP becomes what is known at run time only.
  fileprivate var setsStack: Bool {
    let rsp = UInt8(Registers.rsp)
    switch effect {
    case .push, .pushConstant, .pushMemory, .leave: return false
    case .pop(let register): return register == rsp
    case .add(rsp, _): return false
    case .address(rsp, let memory):
      return memory.index != nil || (memory.base != .register(rsp) && memory.base != .register(UInt8(Registers.rbp)))
    case .move(rsp, let from): return from != UInt8(Registers.rbp)
    default: break
    }
    switch transfer {
    // Their hidden operands include SP.
    case .call, .callIndirect, .ret: return false
    default: return written & 1 << UInt16(rsp) != 0
    }
  }
}

extension State {
  /// Where the one copy of the canary lies in the frame. Below SP it is no longer kept.
  fileprivate var canary: Rule? {
    let kept = slots.filter { $0.value == .canary }
    guard kept.count == 1, let place = kept.first?.place else { return nil }
    switch (place, stackPointer) {
    case (.frame(let slot), .frame(let depth)), (.aligned(let slot), .aligned(let depth)): return slot >= depth ? rule(at: place) : nil
    // Below a place that is known, SP has been lowered by an amount that is not.
    case (.frame, .aligned): return rule(at: place)
    case (.frame, .unknown): return keepsFrame ? rule(at: place) : nil
    default: return nil
    }
  }
}
