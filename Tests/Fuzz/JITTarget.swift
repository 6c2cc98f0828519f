import Inspection
import Samples
import Unwind
import Wire

private let made: UInt64 = 0x7e00_0000_0000

/// V8's made code, whose frames keep a frame pointer.
func fuzzFramePointer(_ bytes: ArraySlice<UInt8>) { fuzzMade(bytes, by: .v8) }

/// HotSpot's made code, by a description of the code cache in which the fuzzer has changed bytes.
func fuzzCodeCache(_ bytes: ArraySlice<UInt8>) { fuzzMade(bytes, by: .hotspot) }

private func fuzzMade(_ bytes: ArraySlice<UInt8>, by runtime: JITRuntime) {
  var input = Input(bytes)
  let flags = input.byte()
  let (snapshot, stack) = (input.snapshot(), input.stack(made: made))
  var description = codeCache()
  for _ in 0..<input.byte() { description[Int(input.number(UInt16.self)) % description.count] = input.byte() }
  var file = program(patched: &input)
  file.data += [UInt8](repeating: 0, count: 0x1000 - file.data.count) + description
  file.object = ("gHotSpotVMStructs", File.dataAddress + 0x1000)
  var space = Space(file, path: runtime == .v8 ? "/usr/bin/node" : "/usr/lib/libjvm.so", stack: stack)
  if flags & 2 == 0 {
    space.mappings.append(Mapping(start: made, end: made + 0x1000, isWritable: true, isExecutable: true, backing: .anonymous))
    // call *%rax, as often as it fits
    space.memory.append((made, (0..<4096).map { $0 % 2 == 0 ? 0xff : 0xd0 }))
  }
  let jit = JITMemory(
    declared: flags & 4 == 0 ? [runtime] : [], ranges: [JITRange(start: made, end: made + 0x1000, runtime: runtime)],
    isCopy: flags & 8 != 0)
  inspectTwice(snapshot, in: space, jit: jit)
}

/// What `gHotSpotVMStructs` of a libjvm.so with one code heap leads to, at 0x401000: see HotSpot.swift.
private func codeCache() -> [UInt8] {
  let base = File.dataAddress + 0x1000
  let (heapList, array, heap, segments, blob) = (base + 0xd00, base + 0xd20, base + 0xd40, base + 0xe00, base + 0xf00)
  var (table, texts) = ([] as [UInt8], [] as [UInt8])
  func text(_ string: String) -> UInt64 {
    defer { texts += Array(string.utf8) + [0] }
    return base + 0x600 + UInt64(texts.count)
  }
  let fields: [(String, String, UInt64)] = [
    ("GrowableArrayBase", "_len", 0), ("GrowableArray<int>", "_data", 8), ("CodeHeap", "_memory", 0), ("CodeHeap", "_segmap", 16),
    ("CodeHeap", "_log2_segment_size", 32), ("VirtualSpace", "_low", 0), ("VirtualSpace", "_high", 8), ("HeapBlock::Header", "_used", 8),
    ("CodeBlob", "_name", 0), ("CodeBlob", "_frame_size", 8), ("nmethod", "_deopt_handler_offset", 16),
  ]
  for (owner, name, offset) in fields {
    table += le(text(owner)) + le(text(name)) + le(UInt64(0)) + le(UInt64(0)) + le(offset) + le(UInt64(0))
  }
  table += le(text("CodeCache")) + le(text("_heaps")) + le(UInt64(0)) + le(UInt64(1)) + le(UInt64(0)) + le(base + 0xcf8)
  let name = text("nmethod")
  var memory = [UInt8](repeating: 0, count: 0x1000)
  func put(_ bytes: [UInt8], at place: UInt64) {
    memory.replaceSubrange(Int(place - base)..<(Int(place - base) + bytes.count), with: bytes)
  }
  put(le(base + 8) + table, at: base)
  put(texts, at: base + 0x600)
  put(le(heapList), at: base + 0xcf8)
  put(le(UInt64(1)) + le(array), at: heapList)
  put(le(heap), at: array)
  // Blocks begin in the memory of the code itself: its header is what follows.
  put(le(made) + le(made + 0x1000) + le(segments) + le(segments + 64) + le(UInt64(6)), at: heap)
  put([0] + (1..<64).map { UInt8($0) }, at: segments)
  put(le(name) + le(UInt64(4)), at: blob)
  return memory
}
