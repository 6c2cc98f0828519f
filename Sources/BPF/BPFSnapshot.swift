internal import CBPF
internal import Glibc
package import Kernel

/// Copies a blocked thread's registers, stack words and identity in one run of a BPF program (snapshot.bpf.c beside this file), which
/// needs CAP_BPF and CAP_PERFMON, Linux 6.10 and its BTF. Whoever lacks them uses /proc instead.
///
/// A run's answer stays where the program wrote it until the next run: what is read of it here is read in place.
// The pointers are private, made and ended here, and every access is bounded by the map that they point to.
@safe package struct BPFSnapshot: ~Copyable {
  /// Mirrors `struct exchange`; offsets in bytes.
  private enum Field {
    static let thread = 0
    static let want = 4
    static let space = 8
    static let slot = 12
    static let need = 16
    static let base = 24
    static let status = 32
    static let process = 36
    static let start = 40
    static let startStack = 64
    static let threadPointer = 72
    static let borrows = 80
    static let forked = 88
    static let sequence = 96
    static let holds = 104
    static let canary = 112
    static let table = 120
    static let hasCanary = 128
    static let below = 132
    static let copied = 136
    static let locate = 140
    static let registers = 144
    static let codeStart = 280
    static let codeEnd = 288
    static let code = 296
    static let core = 344
    static let stack = 352
    static let size = stack + belowBytes + stackLimit
  }
  /// STACK_MAX of the program.
  package static let stackLimit = 32768
  /// BELOW of the program: bytes below SP that are copied as well, or none where they lie on another mapping.
  package static let belowBytes = 256

  /// What a run is to be told of the process's address space.
  package struct Question: Sendable {
    /// Whose facts: an index below `SpaceFacts.maxSpaces`.
    package var space: UInt32
    /// Where what is found of the process is kept, below `SpaceFacts.maxProcesses`. Processes that share one only take longer.
    package var slot: UInt32
    /// The facts in question, by their bits.
    package var need: UInt64

    package init(space: UInt32, slot: UInt32, need: UInt64) {
      self.space = space
      self.slot = slot
      self.need = need
    }
  }

  private let object: OpaquePointer
  private let program: CInt
  private let exchange: UnsafeMutableRawPointer
  /// Where the kernel has all physical memory mapped; 0 where that was not found: then a glance is a copy.
  private var base: UInt64 = 0
  /// The facts that later runs are asked about.
  package let facts: SpaceFacts

  // SAFETY: the one caller hands over an object and mappings that nobody else ends.
  @unsafe private init(object: OpaquePointer, program: CInt, exchange: UnsafeMutableRawPointer, facts: consuming SpaceFacts) {
    unsafe self.object = object
    self.program = program
    unsafe self.exchange = exchange
    self.facts = facts
  }

  /// Loads the program from the object file at `path` and proves on this process that it reads what it says.
  package static func loaded(from path: String) throws(SyscallError) -> BPFSnapshot {
    unsafe libbpf_set_print(nil)
    guard let object = unsafe bpf_object__open_file(path, nil) else {
      throw SyscallError("open the BPF object", errno: errno, subject: path)
    }
    let failure = unsafe bpf_object__load(object)
    guard failure == 0 else {
      unsafe bpf_object__close(object)
      throw SyscallError("load the BPF program", errno: -failure, subject: path)
    }
    let program = unsafe bpf_program__fd(bpf_object__find_program_by_name(object, "callgate_snapshot"))
    let exchange: UnsafeMutableRawPointer
    let spaces: UnsafeMutableRawPointer
    do throws(SyscallError) {
      unsafe exchange = try mapped(bpf_object__find_map_fd_by_name(object, "callgate_map"), Field.size)
      unsafe spaces = try mapped(bpf_object__find_map_fd_by_name(object, "callgate_spaces"), SpaceFacts.size)
    } catch {
      unsafe bpf_object__close(object)
      throw error
    }
    var result = unsafe BPFSnapshot(object: object, program: program, exchange: exchange, facts: SpaceFacts(spaces))
    try result.prove()
    try result.findBase()
    return result
  }

  /// In a pid namespace of our own the kernel's pids are not ours, and the program would copy a stranger.
  private borrowing func prove() throws(SyscallError) {
    try run(UInt32(gettid()), want: 0)
    var marker: UInt64 = 0
    let here = unsafe withUnsafeMutablePointer(to: &marker) { UInt64(UInt(bitPattern: $0)) }
    // This thread runs on the stack that the program says it has: within a megabyte of a variable of this function.
    let distance = stackPointer > here ? stackPointer - here : here - stackPointer
    guard process == UInt32(getpid()), distance < 1 << 20 else {
      throw SyscallError("trust the BPF snapshot of this process", errno: ESRCH)
    }
  }

  /// Finds out where the kernel has physical memory mapped, by trying: that place is a multiple of 1 GiB (arch/x86/mm/kaslr.c), and this
  /// process's page tables lie above it. It is the right one if a glance shows this process's own canary.
  ///
  /// From above downward, so that nothing but that mapping is ever looked at.
  private mutating func findBase() throws(SyscallError) {
    let own = UInt32(gettid())
    try run(own, want: 1024)
    guard let canary, canary != 0 else { return }
    let tables = tables
    for step in 0..<Self.maxGibibytes {
      base = (tables & ~0x3fff_ffff) &- step << 30
      try run(own, want: 1024, isGlance: true)
      if self.canary == canary, below > 0, copied == 1024 { return }
    }
    base = 0
  }

  /// Of physical memory.
  private static let maxGibibytes: UInt64 = 8192

  deinit {
    unsafe munmap(exchange, roundedToPages(Field.size))
    unsafe bpf_object__close(object)
  }

  /// Copies at most `want` stack bytes from SP upward; fewer where the mapping ends, none where a file is mapped there: nobody is waited
  /// for. ESRCH where the thread is gone.
  ///
  /// A glance costs less, and may show less, or what is wrong: pages are looked at through the page tables while others may change them. It
  /// is good for comparing with words that are known, and for nothing else.
  package borrowing func run(
    _ thread: UInt32, want: Int, _ question: Question? = nil, isGlance: Bool = false, isLocating: Bool = false
  ) throws(SyscallError) {
    unsafe exchange.storeBytes(of: isLocating ? 1 : 0, toByteOffset: Field.locate, as: UInt32.self)
    unsafe exchange.storeBytes(of: isGlance ? base : 0, toByteOffset: Field.base, as: UInt64.self)
    unsafe exchange.storeBytes(of: thread, toByteOffset: Field.thread, as: UInt32.self)
    unsafe exchange.storeBytes(of: UInt32(min(max(0, want), Self.stackLimit)), toByteOffset: Field.want, as: UInt32.self)
    unsafe exchange.storeBytes(of: question?.space ?? .max, toByteOffset: Field.space, as: UInt32.self)
    unsafe exchange.storeBytes(of: question?.slot ?? 0, toByteOffset: Field.slot, as: UInt32.self)
    unsafe exchange.storeBytes(of: question?.need ?? 0, toByteOffset: Field.need, as: UInt64.self)
    let result = cbpf_run(program)
    guard result == 0 else { throw SyscallError("run the BPF program", errno: -result) }
    guard load(Field.status, UInt32.self) == 1 else { throw SyscallError("copy the thread", errno: ESRCH, subject: "\(thread)") }
  }

  // MARK: The last run's answer

  package var process: UInt32 { load(Field.process, UInt32.self) }
  /// When the thread was made, in nanoseconds since boot.
  package var made: UInt64 { load(Field.start, UInt64.self) }
  package var startStack: UInt64 { load(Field.startStack, UInt64.self) }
  package var threadPointer: UInt64 { load(Field.threadPointer, UInt64.self) }
  package var borrowsMemory: Bool { load(Field.borrows, UInt64.self) != 0 }
  package var hasExecuted: Bool { load(Field.forked, UInt64.self) == 0 }
  /// Where the kernel sees the address space's page tables: no other has the same place as long as this one is there.
  package var tables: UInt64 { load(Field.table, UInt64.self) }
  /// Changes whenever the address space's mappings do; nil where the kernel does not tell, or changes them just now.
  package var sequence: UInt64? {
    let found = load(Field.sequence, UInt64.self)
    return found == .max ? nil : found
  }
  /// Of the facts in question, those that hold.
  package var holds: UInt64 { load(Field.holds, UInt64.self) }
  /// The word at fs:0x28; nil where it was not copied.
  package var canary: UInt64? { load(Field.hasCanary, UInt32.self) != 0 ? load(Field.canary, UInt64.self) : nil }
  /// On which the thread has run last; nil where the kernel does not tell.
  package var core: CInt? { CInt(exactly: load(Field.core, UInt64.self)) }
  package var stackPointer: UInt64 { register(7) }
  /// Bytes copied below SP, and from SP upward.
  package var below: Int { min(Int(load(Field.below, UInt32.self)), Self.belowBytes) }
  package var copied: Int { min(Int(load(Field.copied, UInt32.self)), Self.stackLimit) }

  /// The mapping of the trapped instruction, where that was asked for and it is a file's code, mapped privately and read only, of which the
  /// process has copied no page.
  package var code: (start: UInt64, end: UInt64, identity: CodeIdentity)? {
    let start = load(Field.codeStart, UInt64.self)
    guard start != 0 else { return nil }
    return (start, load(Field.codeEnd, UInt64.self), load(Field.code, CodeIdentity.self))
  }

  /// By DWARF number; 16 is rip.
  package func register(_ number: Int) -> UInt64 {
    precondition(number >= 0 && number < 17)
    return load(Field.registers + 8 * number, UInt64.self)
  }

  /// The bytes from SP upward that were copied.
  package var stack: [UInt8] {
    // SAFETY: the map holds stackLimit bytes from there, and `copied` is at most that.
    unsafe [UInt8](UnsafeRawBufferPointer(start: exchange + Field.stack + Self.belowBytes, count: copied))
  }

  /// The bytes just below SP that were copied.
  package var stackBelow: [UInt8] {
    let count = below
    // SAFETY: the map holds belowBytes bytes there, and `below` is at most that.
    return unsafe [UInt8](UnsafeRawBufferPointer(start: exchange + Field.stack + Self.belowBytes - count, count: count))
  }

  /// The word so many bytes above SP, or below it where that is negative; nil where that was not copied.
  package func word(at distance: Int) -> UInt64? {
    guard distance >= -below, distance <= copied - 8 else { return nil }
    return load(Field.stack + Self.belowBytes + distance, UInt64.self)
  }

  /// The registers, sixteen words in DWARF order, and the bytes from SP - belowBytes upward. Those that were not copied mean nothing.
  package func withAnswer(_ body: (_ registers: RawSpan, _ window: RawSpan) -> Bool) -> Bool {
    // SAFETY: both lie within the map's value, which stays mapped until deinit.
    let registers = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(exchange + Field.registers), byteCount: 16 * 8)
    let window = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(exchange + Field.stack), byteCount: Self.belowBytes + copied)
    return body(registers, window)
  }

  private func load<Value: BitwiseCopyable>(_ offset: Int, _: Value.Type) -> Value {
    // SAFETY: every field lies within the map's value, which stays mapped until deinit.
    unsafe exchange.loadUnaligned(fromByteOffset: offset, as: Value.self)
  }
}

/// Which part of which file is mapped, and how: mirrors `struct identity`.
package struct CodeIdentity: BitwiseCopyable, Hashable, Sendable {
  /// In pages.
  package var offset: UInt64
  /// VM_READ, VM_WRITE, VM_EXEC and VM_SHARED of linux/mm.h.
  package var flags: UInt64
  package var inode: UInt64
  package var device: UInt64
  package var seconds: Int64
  package var nanoseconds: UInt64

  package init(offset: UInt64, flags: UInt64, inode: UInt64, device: UInt64, seconds: Int64, nanoseconds: UInt64) {
    self.offset = offset
    self.flags = flags
    self.inode = inode
    self.device = device
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// When the file was changed last, in nanoseconds since 1970.
  package var changed: Int64 { seconds &* 1_000_000_000 &+ Int64(truncatingIfNeeded: nanoseconds) }
}

/// The kernel rounds a map's memory up to whole pages, and so must a mapping of it.
private func roundedToPages(_ bytes: Int) -> Int { (bytes + 4095) & ~4095 }

private func mapped(_ map: CInt, _ bytes: Int) throws(SyscallError) -> UnsafeMutableRawPointer {
  let memory = unsafe mmap(nil, roundedToPages(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0)
  let code = errno
  guard let memory = unsafe memory, unsafe memory != MAP_FAILED else { throw SyscallError("map the BPF map", errno: code) }
  return unsafe memory
}

/// What findings rest on of address spaces, where the BPF program reads it, and where it writes what it learns of it.
///
/// A fact is written without the file's identity, offset and times, which the first run of the program that is asked about it adds: from then
/// on it holds where they are the same.
@safe package struct SpaceFacts: ~Copyable {
  package static let maxSpaces = 32
  package static let maxProcesses = 128
  /// FACTS of the program, a bit of a word each.
  package static let maxFacts = 64

  package enum Kind: UInt32, Sendable { case text = 1, stack, notCode }

  /// Mirrors `struct space` and `struct fact`.
  private enum Field {
    static let count = 0
    static let generation = 4
    static let facts = 8
    static let factBytes = 88
    static let spaceBytes = facts + maxFacts * factBytes
    static let kind = 0
    static let isLearnt = 4
    static let start = 8
    static let end = 16
    static let outside = 24
    static let identity = 40
  }

  fileprivate static let size = maxSpaces * Field.spaceBytes

  private let memory: UnsafeMutableRawPointer

  fileprivate init(_ memory: UnsafeMutableRawPointer) { unsafe self.memory = memory }

  deinit { unsafe munmap(memory, roundedToPages(Self.size)) }

  /// Writes one fact, of which nothing is learnt yet. `outside`: zero means none.
  package func write(
    _ kind: Kind, start: UInt64, end: UInt64, outside: (UInt64, UInt64) = (0, 0), at index: Int, of space: UInt32
  ) {
    let place = place(of: index, in: space)
    store(kind.rawValue, place + Field.kind)
    store(UInt32(0), place + Field.isLearnt)
    store(start, place + Field.start)
    store(end, place + Field.end)
    store(outside.0, place + Field.outside)
    store(outside.1, place + Field.outside + 8)
  }

  /// The list has `count` facts now, and is not what it was: what was found of processes is to be found anew.
  package func publish(count: Int, generation: UInt32, of space: UInt32) {
    precondition(count <= Self.maxFacts)
    store(UInt32(count), offset(of: space) + Field.count)
    store(generation, offset(of: space) + Field.generation)
  }

  /// What was learnt of the mapping; of a stack, only the flags. nil where nobody has learnt it yet.
  package func identity(at index: Int, of space: UInt32) -> CodeIdentity? {
    let place = place(of: index, in: space)
    guard load(place + Field.isLearnt, UInt32.self) != 0 else { return nil }
    return load(place + Field.identity, CodeIdentity.self)
  }

  private func offset(of space: UInt32) -> Int {
    precondition(space < Self.maxSpaces)
    return Int(space) * Field.spaceBytes
  }

  private func place(of index: Int, in space: UInt32) -> Int {
    precondition(index >= 0 && index < Self.maxFacts)
    return offset(of: space) + Field.facts + index * Field.factBytes
  }

  private func store<Value: BitwiseCopyable>(_ value: Value, _ offset: Int) {
    // SAFETY: the places are within the map's values, which stay mapped until deinit.
    unsafe memory.storeBytes(of: value, toByteOffset: offset, as: Value.self)
  }

  private func load<Value: BitwiseCopyable>(_ offset: Int, _: Value.Type) -> Value {
    unsafe memory.loadUnaligned(fromByteOffset: offset, as: Value.self)
  }
}
