import ELF
import Unwind
import Wire

/// Chains that leave one stack for another, or end, in ways that no CFI tells: a function that runs on a new piece of stack
/// (-fsplit-stack), and coroutines that were made by writing their first frame by hand.
extension Image {
  /// `mov %rax, %rsp` and `mov %rax, %fs:0x70`: SP moves to a new piece, and the TCB's limit of the stack with it.
  private static let moves: [[UInt8]] = [[0x48, 0x89, 0xc4], [0x64, 0x48, 0x89, 0x04, 0x25, 0x70, 0, 0, 0]]

  /// `__morestack` of libgcc (config/i386/morestack.S), which is linked into each program that uses it, and hidden there.
  func isMoreStack(_ entry: FrameEntry) throws(UnwindError) -> Bool {
    guard entry.range.count >= 64, entry.range.count <= 512 else { return false }
    let code: [UInt8]
    do throws(ELFError) { code = try file.bytes(at: entry.range.start, upTo: Int(entry.range.count)) } catch { throw .file(error) }
    return Image.moves.allSatisfy { move in
      code.indices.contains { code[$0...].starts(with: move) }
    }
  }
}

extension Walk {
  /// How far below the end of its mapping a fiber's first frame lies: above it Ruby keeps the stack of its virtual machine, of 128 KiB unless
  /// RUBY_FIBER_VM_STACK_SIZE says otherwise.
  private static let maxAboveFiber: UInt64 = 1 << 20

  /// The first function of a Ruby fiber has a return address of zero (coroutine/amd64/Context.h writes it so), on a stack of its own with a
  /// page below it that nothing can be written to. No table says that it is a start; on a thread's own stack, in malloc's memory, or in
  /// another library's code, a chain that a zero cuts short is never taken for one.
  mutating func isFiberStart(_ caller: UInt64, cfa: UInt64, _ code: Code, in space: inout some AddressSpace) throws(Stop) -> Bool {
    guard caller == 0, let stretch, stretch.ownership == .chosen || stretch.ownership == .borrowed, stretch.backing == .anonymous,
      Int(code.module) < modules.list.count, isRuby(modules.list[Int(code.module)].path), cfa <= stretch.mapping.end,
      stretch.mapping.end - cfa <= Walk.maxAboveFiber, stretch.mapping.start > 0
    else { return false }
    resting.giveUp()
    guard let guarding = try mapping(at: stretch.mapping.start - 1, in: &space) else { return false }
    return !guarding.isReadable && !guarding.isWritable && !guarding.isExecutable
  }
}
