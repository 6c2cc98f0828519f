import ELF
import Unwind
import Wire

/// HotSpot's own description of the code that it made, read from the inspected process as debuggers do it (hotspot/share/runtime/
/// vmStructs.hpp, code/codeCache.hpp, memory/heap.hpp, code/codeBlob.hpp).
///
///     gHotSpotVMStructs ─► field table                   where which field of which class lies: it differs from release to release
///     CodeCache::_heaps ─► GrowableArray ─► CodeHeap     up to four, each with memory in segments and a map, a byte a segment
///                                             └─► segment map: how far to step back; 0 is where a block starts
///     HeapBlock | CodeBlob | code                        the blob says how large a frame of its code is
///
/// All of it is memory that the process can write. A forged description moves a chain as a forged saved register does: what it leads to is
/// checked like any other frame.
struct HotSpot {
  enum State {
    case unread
    /// No libjvm.so is mapped, or what it says of itself cannot be read.
    case absent
    case read(HotSpot)
  }

  /// A piece of made code.
  struct Blob {
    enum Kind {
      /// The interpreter: a frame by frame pointer, with the caller's SP below the saved one.
      case interpreter
      /// Compiled code and stubs of a known frame size.
      case sized(UInt64)
      /// Stubs without one keep a frame pointer where they call.
      case framePointer
    }

    var kind: Kind
    /// Where a frame returns to whose code is no longer valid: no call stands before.
    var deoptimisers: [UInt64] = []
    /// Entered by a signal handler, with a return address that is an instruction which was interrupted.
    var isSafepoint = false
    /// The lowest frame of a virtual thread returns to the start of such a stub, which no call stands before. Its saved rbp is that of the
    /// frame which carries the thread (hotspot/cpu/x86/continuationFreezeThaw_x86.inline.hpp, patch_caller_links).
    var isReturnBarrier = false
  }

  /// Fields by `Class::name`; `address` of a static one, else `offset`.
  private struct Fields {
    var offsets: [String: UInt64] = [:]
    var statics: [String: UInt64] = [:]
  }

  /// OpenJDK 8 to 25 have some 600 to 1,100.
  private static let maxFields = 2048
  /// `VMStructEntry`: three pointers to text, an int, an offset, an address.
  private static let entryBytes = 48
  private static let maxHeaps: UInt64 = 8
  /// One step goes back up to 254 segments of 64 or 128 bytes: enough for a blob of 32 MiB.
  private static let maxSteps = 2048

  private var fields = Fields()

  /// nil where a field is missing that the walk needs.
  init?(_ memory: inout RemoteMemory, structs: UInt64, in space: inout some AddressSpace) throws(Unreadable) {
    let table = try memory.word(at: structs, in: &space)
    let wanted: Set<String> = [
      "CodeCache", "GrowableArrayBase", "GrowableArray<int>", "CodeHeap", "VirtualSpace", "HeapBlock::Header", "CodeBlob", "CompiledMethod",
      "nmethod",
    ]
    for index in 0..<UInt64(HotSpot.maxFields) {
      let entry = table &+ index &* UInt64(HotSpot.entryBytes)
      let classText = try memory.word(at: entry, in: &space)
      guard classText != 0 else { break }
      let className = try memory.text(at: classText, in: &space)
      guard wanted.contains(className) else { continue }
      let name = "\(className)::\(try memory.text(at: try memory.word(at: entry &+ 8, in: &space), in: &space))"
      if try memory.word(at: entry &+ 24, in: &space) & 0xffff_ffff == 0 {
        fields.offsets[name] = try memory.word(at: entry &+ 32, in: &space)
      } else {
        fields.statics[name] = try memory.word(at: entry &+ 40, in: &space)
      }
    }
    guard fields.statics["CodeCache::_heaps"] != nil,
      ["GrowableArrayBase::_len", "GrowableArray<int>::_data", "CodeHeap::_memory", "CodeHeap::_segmap", "CodeHeap::_log2_segment_size"]
        .allSatisfy({ fields.offsets[$0] != nil }),
      ["VirtualSpace::_low", "VirtualSpace::_high", "HeapBlock::Header::_used", "CodeBlob::_name", "CodeBlob::_frame_size"]
        .allSatisfy({ fields.offsets[$0] != nil })
    else { return nil }
  }

  /// The blob that holds `address`; nil where there is none.
  func blob(at address: UInt64, _ memory: inout RemoteMemory, in space: inout some AddressSpace) throws(Unreadable) -> Blob? {
    guard let list = fields.statics["CodeCache::_heaps"] else { return nil }
    let heaps = try memory.word(at: list, in: &space)
    let count = try memory.word(at: heaps &+ offset("GrowableArrayBase::_len"), in: &space) & 0xffff_ffff
    let array = try memory.word(at: heaps &+ offset("GrowableArray<int>::_data"), in: &space)
    for index in 0..<min(count, HotSpot.maxHeaps) {
      let heap = try memory.word(at: array &+ index &* 8, in: &space)
      let low = try memory.word(at: heap &+ offset("CodeHeap::_memory") &+ offset("VirtualSpace::_low"), in: &space)
      let high = try memory.word(at: heap &+ offset("CodeHeap::_memory") &+ offset("VirtualSpace::_high"), in: &space)
      guard low <= address, address < high else { continue }
      return try blob(at: address, heap, low, &memory, in: &space)
    }
    return nil
  }

  private func blob(
    at address: UInt64, _ heap: UInt64, _ low: UInt64, _ memory: inout RemoteMemory, in space: inout some AddressSpace
  ) throws(Unreadable) -> Blob? {
    let map = try memory.word(at: heap &+ offset("CodeHeap::_segmap") &+ offset("VirtualSpace::_low"), in: &space)
    let shift = try memory.word(at: heap &+ offset("CodeHeap::_log2_segment_size"), in: &space) & 63
    var segment = (address - low) >> shift
    var steps = 0
    while true {
      let back = UInt64(try memory.byte(at: map &+ segment, in: &space))
      if back == 0 { break }
      guard back != 0xff, back <= segment, steps < HotSpot.maxSteps else { return nil }
      segment -= back
      steps += 1
    }
    let used = offset("HeapBlock::Header::_used")
    let block = low &+ segment << shift
    guard try memory.byte(at: block &+ used, in: &space) != 0 else { return nil }
    // The header is as many words as hold its fields (memory/heap.hpp, HeapBlock::_padding).
    return try describe(block &+ (used &+ 8) & ~7, &memory, in: &space)
  }

  private func describe(_ blob: UInt64, _ memory: inout RemoteMemory, in space: inout some AddressSpace) throws(Unreadable) -> Blob {
    let name = try memory.text(at: try memory.word(at: blob &+ offset("CodeBlob::_name"), in: &space), in: &space)
    if name == "Interpreter" { return Blob(kind: .interpreter) }
    let size = try memory.word(at: blob &+ offset("CodeBlob::_frame_size"), in: &space) & 0xffff_ffff
    // In words; 0 where a stub has none, and -1 where it has no fixed one.
    var result = Blob(kind: size == 0 || size >= 1 << 20 ? .framePointer : .sized(size * 8), isSafepoint: name == "SafepointBlob")
    result.isReturnBarrier = name.utf8.starts(with: "StubRoutines (continuation".utf8)
    guard name == "nmethod" else { return result }
    for field in ["CompiledMethod::_deopt_handler_begin", "CompiledMethod::_deopt_mh_handler_begin"] {
      if let at = fields.offsets[field] { result.deoptimisers.append(try memory.word(at: blob &+ at, in: &space)) }
    }
    for field in ["nmethod::_deopt_handler_offset", "nmethod::_deopt_mh_handler_offset", "nmethod::_deopt_handler_entry_offset"] {
      guard let at = fields.offsets[field] else { continue }
      let from = UInt32(truncatingIfNeeded: try memory.word(at: blob &+ at, in: &space))
      result.deoptimisers.append(blob &+ UInt64(bitPattern: Int64(Int32(bitPattern: from))))
    }
    return result
  }

  private func offset(_ field: String) -> UInt64 { fields.offsets[field] ?? 0 }
}

/// The inspected process's memory, kept by pages while one inspection lasts.
struct RemoteMemory {
  private static let pageBytes: UInt64 = 4096
  /// The table of fields, the texts it points to, and what is asked of the code cache.
  private static let maxPages = 2048

  private var pages: [UInt64: [UInt8]] = [:]
  /// The page that was asked last: the next byte is mostly there, too.
  private var last: (start: UInt64, bytes: [UInt8]) = (.max, [])

  mutating func byte(at address: UInt64, in space: inout some AddressSpace) throws(Unreadable) -> UInt8 {
    try load(address & ~(RemoteMemory.pageBytes - 1), in: &space)
    return last.bytes[Int(address & (RemoteMemory.pageBytes - 1))]
  }

  mutating func word(at address: UInt64, in space: inout some AddressSpace) throws(Unreadable) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<UInt64(8) { value |= UInt64(try byte(at: address &+ index, in: &space)) << (8 * index) }
    return value
  }

  /// Makes the page at `start` the last one; it has all its bytes.
  private mutating func load(_ start: UInt64, in space: inout some AddressSpace) throws(Unreadable) {
    if last.start == start { return }
    if let page = pages[start] {
      last = (start, page)
      return
    }
    guard pages.count < RemoteMemory.maxPages else { throw Unreadable() }
    let page = try space.read(at: start, upTo: Int(RemoteMemory.pageBytes))
    guard page.count == Int(RemoteMemory.pageBytes) else { throw Unreadable() }
    pages[start] = page
    last = (start, page)
  }

  /// Up to the NUL, or 48 bytes: the names that are looked for are shorter.
  mutating func text(at address: UInt64, in space: inout some AddressSpace) throws(Unreadable) -> String {
    var bytes: [UInt8] = []
    while bytes.count < 48 {
      let byte = try byte(at: address &+ UInt64(bytes.count), in: &space)
      if byte == 0 { break }
      bytes.append(byte)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
