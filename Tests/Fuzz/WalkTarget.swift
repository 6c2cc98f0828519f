import Inspection
import Samples
import Unwind
import Wire

/// The whole walk: a stack, registers and code of the fuzzer's; functions with CFI, without, a signal's trampoline.
func fuzzWalk(_ bytes: ArraySlice<UInt8>) {
  var input = Input(bytes)
  let flags = input.byte()
  let (snapshot, stack) = (input.snapshot(), input.stack())
  let file = program(patched: &input, flags)
  inspectTwice(snapshot, in: Space(file, stack: stack))
}

/// A handler's frame on top of the kernel's, which holds registers of the fuzzer's: the chain goes on at what they say was interrupted.
func fuzzSignalFrame(_ bytes: ArraySlice<UInt8>) {
  var input = Input(bytes)
  let flags = input.byte()
  var snapshot = input.snapshot()
  // The leaf's system call, under the trampoline; or the trampoline's own.
  snapshot.instruction = File.codeAddress + (flags & 16 == 0 ? 0x47 : 0x6a)
  snapshot.isInterrupted = false
  snapshot.registers[Registers.rsp] = Space.stackStart + 0x1000
  // The registers that the kernel has saved: mostly addresses of the stack, and RIP one of the code.
  var frame: [UInt8] = flags & 16 == 0 ? le(File.codeAddress + 0x61) : []
  frame += [UInt8](repeating: 0, count: 40)
  for _ in 0..<16 {
    frame += le(input.byte() & 7 == 0 ? input.number(UInt64.self) : Space.stackStart + UInt64(input.number(UInt16.self) & 0x3fff))
  }
  frame += le(File.codeAddress + UInt64(input.number(UInt16.self) & 0x1ff))
  var stack = input.stack()
  let start = min(0x1000, stack.count)
  stack.replaceSubrange(start..<min(stack.count, start + frame.count), with: frame)
  let file = program(patched: &input, flags)
  inspectTwice(snapshot, in: Space(file, stack: Array(stack.prefix(Int(Space.stackBytes)))))
}

/// Five functions: `_start`, one with CFI, a leaf, a signal's trampoline, and code without CFI; with bytes changed.
func program(patched input: inout Input, _ flags: UInt8 = 0) -> File {
  var image = SampleImage(code: [])
  var code = [UInt8](repeating: 0x90, count: 512)
  func put(_ bytes: [UInt8], at offset: Int) { code.replaceSubrange(offset..<(offset + bytes.count), with: bytes) }
  put([0x31, 0xed], at: 0)
  put([0xe8, 0x10, 0, 0, 0, 0xf4], at: 0x0b)
  put([0x48, 0x83, 0xec, 24, 0xe8, 0x17, 0, 0, 0, 0x48, 0x83, 0xc4, 24, 0xc3], at: 0x20)
  put([0xb8, 59, 0, 0, 0, 0x0f, 0x05, 0xc3], at: 0x40)
  put([0x90, 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05], at: 0x60)
  put([0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20, 0xe8, 0xab, 0xff, 0xff, 0xff, 0xc9, 0xc3], at: 0x80)
  put([0x53, 0xff, 0xd0, 0x5b, 0xc3], at: 0xa0)
  image.entries = [
    .init(offset: 0, count: 0x11, instructions: [0x07, 16]),
    .init(offset: 0x20, count: 14, instructions: [0x44, 0x0e, 32, 0x49, 0x0e, 8]),
    .init(offset: 0x40, count: 8, instructions: flags & 1 == 0 ? [] : input.bytes(Int(input.byte() & 15))),
    .init(offset: 0x60, count: 10, instructions: [0x0f, 3, 0x77, 0xa0, 1], isSignalFrame: flags & 2 == 0),
  ]
  while !input.isAtEnd { code[Int(input.number(UInt16.self)) % code.count] = input.byte() }
  let tables = image.tables()
  var data = [UInt8](repeating: 0, count: 0x200) + tables.header
  data += [UInt8](repeating: 0, count: 0x400 - data.count) + tables.frames
  return File(
    data: data, code: code, frameHeader: flags & 4 == 0 ? (SampleImage.headerAddress, UInt64(tables.header.count)) : nil,
    isFixed: flags & 8 == 0)
}
