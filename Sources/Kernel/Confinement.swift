internal import CCap
internal import CLinux
internal import Glibc

/// Starts `program` in user, mount, pid, network, ipc and uts namespaces of its own, as a user that owns nothing outside
/// (user_namespaces(7)): root's child is mapped to nobody, a user's child to that user. `descriptors` become its 3, 4, ….
///
/// The program is executed by descriptor, so that the way to it need not be open to nobody.
package func startConfined(_ program: String, descriptors: [CInt]) throws(SyscallError) -> CInt {
  let executable = try open(program, O_RDONLY)
  let gate = try Pipe()
  let isRoot = geteuid() == 0
  let (outerUser, outerGroup) = isRoot ? (UInt32(65534), UInt32(65534)) : (geteuid(), getegid())
  let namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
  let arguments = CStringVector([program])
  let nothing = CStringVector([])

  let child = try check("start in namespaces of its own", clinux_clone(UInt(namespaces)), subject: program)
  if child == 0 {
    // Nothing here may return or throw: this is the supervisor's own code in another process.
    clinux_exit(
      runConfined(
        executable: executable.raw, gate: gate.reading.raw, descriptors: descriptors, dropGroups: isRoot, arguments: arguments,
        environment: nothing))
  }
  let pid = CInt(child)
  do throws(SyscallError) {
    if !isRoot { try writeText("deny", to: "/proc/\(pid)/setgroups") }
    try writeText("0 \(outerGroup) 1\n", to: "/proc/\(pid)/gid_map")
    try writeText("0 \(outerUser) 1\n", to: "/proc/\(pid)/uid_map")
    try writeAll([1], to: gate.writing)
  } catch {
    _ = kill(pid, SIGKILL)
    throw error
  }
  return pid
}

private func writeText(_ text: String, to path: String) throws(SyscallError) {
  try writeAll(Array(text.utf8), to: open(path, O_WRONLY), subject: path)
}

/// The way from clone to exec in the child; returns the exit status that names the step which failed.
private func runConfined(
  executable: CInt, gate: CInt, descriptors: [CInt], dropGroups: Bool, arguments: borrowing CStringVector,
  environment: borrowing CStringVector
) -> CInt {
  // The parent's death before it opened the gate is our end, and so is its death later.
  _ = clinux_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL), 0, 0)
  var byte: UInt8 = 0
  guard unsafe read(gate, &byte, 1) == 1 else { return 111 }
  if dropGroups, setgroups(0, nil) != 0 { return 112 }
  guard setresgid(0, 0, 0) == 0, setresuid(0, 0, 0) == 0 else { return 113 }
  // Above every target first, then into place: the numbers may overlap.
  let floor = CInt(64)
  let held = fcntl(executable, F_DUPFD, floor)
  var moved: [CInt] = []
  for raw in descriptors { moved.append(fcntl(raw, F_DUPFD, floor)) }
  for (index, raw) in moved.enumerated() {
    guard raw >= 0, dup2(raw, CInt(3 + index)) >= 0 else { return 114 }
  }
  guard held >= 0, dup2(held, CInt(3 + moved.count)) >= 0 else { return 115 }
  let program = CInt(3 + moved.count)
  _ = clinux_close_range(UInt32(program) + 1, UInt32.max)
  guard fcntl(program, F_SETFD, FD_CLOEXEC) == 0 else { return 116 }
  // The death signal does not survive a change of user ids; ask again.
  _ = clinux_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL), 0, 0)
  unsafe arguments.withPointer { arguments in
    unsafe environment.withPointer { environment in
      _ = unsafe clinux_execute_descriptor(program, arguments, environment)
    }
  }
  return 117
}

/// What a confined program gives up before it meets the first hostile byte.
package struct Seal: Sendable {
  /// Bytes of address space (RLIMIT_AS).
  package var memory: UInt64
  /// Open files (RLIMIT_NOFILE).
  package var files: UInt64

  package init(memory: UInt64, files: UInt64) {
    self.memory = memory
    self.files = files
  }

  /// An empty read-only root, limits, no capabilities, no new privileges, and the allow-list below; from here on a system call
  /// that is not on it kills this process. There is no way back.
  package func apply() throws(SyscallError) {
    try check("ask to die with the parent", clinux_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL), 0, 0))
    try emptyRoot()
    try limit(CLINUX_RLIMIT_AS, memory)
    try limit(CLINUX_RLIMIT_NOFILE, files)
    try limit(CLINUX_RLIMIT_CORE, 0)
    try limit(CLINUX_RLIMIT_FSIZE, 0)
    try limit(CLINUX_RLIMIT_NPROC, 0)
    try limit(CLINUX_RLIMIT_MEMLOCK, 0)
    try dropCapabilities()
    try check("set no_new_privs", clinux_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0))
    let filter = Self.filter
    try check("install the seccomp filter", unsafe clinux_seccomp_filter(0, filter, UInt16(filter.count)))
  }

  private func limit(_ resource: Int, _ value: UInt64) throws(SyscallError) {
    try check("set a resource limit", clinux_limit(CInt(resource), value))
  }
}

private func emptyRoot() throws(SyscallError) {
  // /proc is the one directory that is sure to be there; the tmpfs hides it in this mount namespace only.
  let place = "/proc"
  _ = try retrying("make the mounts private") { unsafe Int(mount(nil, "/", nil, UInt(MS_REC | MS_PRIVATE), nil)) }
  _ = try retrying("mount an empty root") {
    unsafe Int(mount("none", place, "tmpfs", UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC), "size=4k,mode=000"))
  }
  _ = try retrying("enter the empty root") { unsafe Int(chdir(place)) }
  try check("change the root", unsafe clinux_pivot_root(".", "."))
  _ = try retrying("leave the old root") { unsafe Int(umount2(".", CInt(MNT_DETACH))) }
  _ = try retrying("make the empty root read-only") {
    unsafe Int(mount(nil, "/", nil, UInt(MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC), nil))
  }
}

private func dropCapabilities() throws(SyscallError) {
  // The bounding set first: dropping from it needs CAP_SETPCAP.
  for capability in 0..<64 where cap_get_bound(cap_value_t(capability)) == 1 {
    _ = try retrying("drop a capability") { Int(cap_drop_bound(cap_value_t(capability))) }
  }
  guard let none = unsafe cap_init() else { throw SyscallError("drop the capabilities", errno: errno) }
  defer { _ = unsafe cap_free(UnsafeMutableRawPointer(none)) }
  _ = try retrying("drop the capabilities") { unsafe Int(cap_set_proc(none)) }
}

extension Seal {
  /// Memory for the heap, the given descriptors, and the way out; proved sufficient by the end-to-end tests. `ioctl` only asks about
  /// mappings, `mmap` never makes anything executable.
  private static var filter: [sock_filter] {
    let plain = [
      SYS_read, SYS_pread64, SYS_recvmsg, SYS_sendmsg, SYS_close, SYS_fstat, SYS_newfstatat, SYS_lseek, SYS_brk, SYS_munmap,
      SYS_mremap, SYS_madvise, SYS_futex, SYS_poll, SYS_getrandom, SYS_clock_gettime, SYS_rt_sigreturn, SYS_exit, SYS_exit_group,
      // By which the kernel goes on with a poll that a debugger or SIGSTOP has interrupted.
      SYS_restart_syscall,
    ]
    let allow = give(clinux_seccomp_ret_allow())
    let kill = give(clinux_seccomp_ret_kill_process())
    var program = [load(Offset.architecture), equal(clinux_audit_arch(), then: 1, else: 0), kill, load(Offset.number)]
    for number in plain { program += [equal(UInt32(number), then: 0, else: 1), allow] }
    program += [
      equal(UInt32(SYS_ioctl), then: 0, else: 4), load(Offset.argument(1)),
      equal(UInt32(truncatingIfNeeded: clinux_procmap_query_request()), then: 0, else: 1), allow, kill,
      equal(UInt32(SYS_mmap), then: 0, else: 4), load(Offset.argument(2)), anyBit(UInt32(PROT_EXEC), then: 1, else: 0), allow, kill,
      kill,
    ]
    return program
  }

  /// Offsets in struct seccomp_data; arguments are eight bytes, the lower half first.
  private enum Offset {
    static let number: UInt32 = 0
    static let architecture: UInt32 = 4
    static func argument(_ index: UInt32) -> UInt32 { 16 + 8 * index }
  }

  private static func load(_ offset: UInt32) -> sock_filter {
    sock_filter(code: UInt16(BPF_LD | BPF_W | BPF_ABS), jt: 0, jf: 0, k: offset)
  }
  private static func equal(_ value: UInt32, then: UInt8, else other: UInt8) -> sock_filter {
    sock_filter(code: UInt16(BPF_JMP | BPF_JEQ | BPF_K), jt: then, jf: other, k: value)
  }
  private static func anyBit(_ bits: UInt32, then: UInt8, else other: UInt8) -> sock_filter {
    sock_filter(code: UInt16(BPF_JMP | BPF_JSET | BPF_K), jt: then, jf: other, k: bits)
  }
  private static func give(_ action: UInt32) -> sock_filter {
    sock_filter(code: UInt16(BPF_RET | BPF_K), jt: 0, jf: 0, k: action)
  }
}
