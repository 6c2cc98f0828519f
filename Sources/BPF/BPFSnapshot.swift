internal import CBPF
internal import Glibc
package import Kernel

/// Copies a blocked thread's registers, stack words and identity in one run of a BPF program (snapshot.bpf.c beside this file), which
/// needs CAP_BPF and CAP_PERFMON, Linux 6.10 and its BTF. Whoever lacks them uses /proc instead.
// The pointers are private, made and ended here, and every access is bounded by the map that they point to.
@safe package struct BPFSnapshot: ~Copyable {
  /// Mirrors `struct exchange`; offsets in bytes.
  private enum Field {
    static let thread = 0
    static let want = 4
    static let status = 8
    static let process = 12
    static let start = 16
    static let exec = 24
    static let startStack = 32
    static let threadPointer = 40
    static let borrows = 48
    static let forked = 56
    static let registers = 64
    static let copied = 200
    static let stack = 208
    static let size = 208 + stackLimit
  }
  /// STACK_MAX of the program.
  package static let stackLimit = 16384

  private enum Registers { static let stackPointer = 7 }

  package struct Copy: Sendable {
    package var process: UInt32
    /// Nanoseconds since boot.
    package var made: UInt64
    package var startStack: UInt64
    package var threadPointer: UInt64
    package var borrowsMemory: Bool
    package var hasExecuted: Bool
    /// DWARF order, then rip.
    package var registers: [17 of UInt64]
    package var stack: [UInt8]
  }

  private let object: OpaquePointer
  private let program: CInt
  private let exchange: UnsafeMutableRawPointer
  private let length: Int

  // SAFETY: the one caller hands over an object and a mapping of `length` bytes that nobody else ends.
  @unsafe private init(object: OpaquePointer, program: CInt, exchange: UnsafeMutableRawPointer, length: Int) {
    unsafe self.object = object
    self.program = program
    unsafe self.exchange = exchange
    self.length = length
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
    let map = unsafe bpf_object__find_map_fd_by_name(object, "callgate_map")
    // The kernel rounds the map's memory up to whole pages, and so must the mapping.
    let length = (Field.size + 4095) & ~4095
    let memory = unsafe mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0)
    let code = errno
    guard let memory = unsafe memory, unsafe memory != MAP_FAILED else {
      unsafe bpf_object__close(object)
      throw SyscallError("map the BPF map", errno: code)
    }
    let result = unsafe BPFSnapshot(object: object, program: program, exchange: memory, length: length)
    try result.prove()
    return result
  }

  /// In a pid namespace of our own the kernel's pids are not ours, and the program would copy a stranger.
  private borrowing func prove() throws(SyscallError) {
    let own = try copy(of: UInt32(getpid()), want: 0)
    var marker: UInt64 = 0
    let here = unsafe withUnsafeMutablePointer(to: &marker) { UInt64(UInt(bitPattern: $0)) }
    // This thread runs on the stack that the program says it has: within a megabyte of a variable of this function.
    let stackPointer = own.registers[Registers.stackPointer]
    let distance = stackPointer > here ? stackPointer - here : here - stackPointer
    guard own.process == UInt32(getpid()), distance < 1 << 20 else {
      throw SyscallError("trust the BPF snapshot of this process", errno: ESRCH)
    }
  }

  deinit {
    unsafe munmap(exchange, length)
    unsafe bpf_object__close(object)
  }

  /// At most `want` stack bytes from SP upward; fewer where the mapping ends. ESRCH where the thread is gone.
  package borrowing func copy(of thread: UInt32, want: Int) throws(SyscallError) -> Copy {
    unsafe exchange.storeBytes(of: thread, toByteOffset: Field.thread, as: UInt32.self)
    unsafe exchange.storeBytes(of: UInt32(min(want, Self.stackLimit)), toByteOffset: Field.want, as: UInt32.self)
    var options = unsafe bpf_test_run_opts()
    unsafe options.sz = MemoryLayout<bpf_test_run_opts>.size
    let result = unsafe bpf_prog_test_run_opts(program, &options)
    guard result == 0 else { throw SyscallError("run the BPF program", errno: -result) }
    guard unsafe load(Field.status, UInt32.self) == 1 else { throw SyscallError("copy the thread", errno: ESRCH, subject: "\(thread)") }
    var registers: [17 of UInt64] = .init(repeating: 0)
    for index in 0..<17 { unsafe registers[index] = load(Field.registers + 8 * index, UInt64.self) }
    let copied = unsafe min(Int(load(Field.copied, UInt32.self)), Self.stackLimit)
    // SAFETY: the map holds stackLimit bytes from there, and `copied` is at most that.
    let stack = unsafe [UInt8](UnsafeRawBufferPointer(start: exchange + Field.stack, count: copied))
    return unsafe Copy(
      process: load(Field.process, UInt32.self), made: load(Field.start, UInt64.self),
      startStack: load(Field.startStack, UInt64.self),
      threadPointer: load(Field.threadPointer, UInt64.self), borrowsMemory: load(Field.borrows, UInt64.self) != 0,
      hasExecuted: load(Field.forked, UInt64.self) == 0, registers: registers, stack: stack)
  }

  // SAFETY: every field lies within the map's value, which stays mapped until deinit.
  @unsafe private borrowing func load<Value: BitwiseCopyable>(_ offset: Int, _: Value.Type) -> Value {
    unsafe exchange.loadUnaligned(fromByteOffset: offset, as: Value.self)
  }
}
