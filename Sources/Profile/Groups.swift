/// A name for system calls that belong together: what it stands for is a decision of this file, not of each profile.
package struct Group: Sendable {
  package let name: String
  /// What it traps and why, for `callgatectl profile groups`.
  package let sentence: String
  package let traps: [Trap]
  /// Names that cannot be judged and have a fallback that can: see `Profile.absent`.
  package let absent: [String]

  init(_ name: String, _ sentence: String, _ traps: [Trap], absent: [String] = []) {
    self.name = name
    self.sentence = sentence
    self.traps = traps
    self.absent = absent
  }
}

/// PROT_EXEC of mman.h.
private let executable = Condition(argument: 2, mask: 0x4, relation: .anySet)

extension Group {
  package static let all: [Group] = [
    Group(
      "@exec",
      """
      Replacing the program, what injected code does first: execve, execveat, and clone with CLONE_VFORK, by which posix_spawn, system and \
      popen start the child that will execute a program on a stack of its own, where its caller cannot be seen any more. clone3 does not \
      exist under this group (see @namespace): by it that child would be started unseen.
      """,
      [
        Trap("execve"), Trap("execveat"),
        // CLONE_VFORK of linux/sched.h.
        Trap("clone", where: Condition(argument: 0, mask: 0x4000, relation: .anySet)),
      ],
      absent: ["clone3"]),
    Group(
      "@exec-memory",
      """
      Making memory executable: mmap, mprotect and pkey_mprotect with PROT_EXEC, mremap (it moves code and data over one another), \
      shmat with SHM_EXEC, and personality with READ_IMPLIES_EXEC, after which every readable mapping is executable without asking.
      """,
      [
        Trap("mmap", where: executable), Trap("mprotect", where: executable), Trap("pkey_mprotect", where: executable),
        Trap("mremap"),
        // SHM_EXEC of sys/shm.h.
        Trap("shmat", where: Condition(argument: 2, mask: 0o100000, relation: .anySet)),
        // READ_IMPLIES_EXEC of linux/personality.h. The query, 0xffffffff, has the bit too and is judged like the rest: it is rare.
        Trap("personality", where: Condition(argument: 0, mask: 0x0040_0000, relation: .anySet)),
      ]),
    Group(
      "@credentials", "Becoming another user or gaining capabilities.",
      [
        Trap("setuid"), Trap("setgid"), Trap("setreuid"), Trap("setregid"), Trap("setresuid"), Trap("setresgid"),
        Trap("setfsuid"), Trap("setfsgid"), Trap("setgroups"), Trap("capset"),
      ]),
    Group(
      "@namespace",
      """
      Leaving or making namespaces and changing the mount tree: unshare, setns, clone with a CLONE_NEW flag, and the old and new mount \
      calls. clone3 does not exist under this group (ENOSYS): its flags lie in memory, where a filter cannot see them and another thread \
      can change them after the verdict. glibc, musl, Go and Rust then call clone, whose flags are an argument; the filters of docker and \
      containerd do the same for containers without CAP_SYS_ADMIN. A profile that traps clone3 by name has it judged at every thread's start.
      """,
      [
        Trap("unshare"), Trap("setns"),
        // CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET of linux/sched.h. CLONE_NEWTIME (0x80) is part of the
        // exit signal for clone, and reaches the kernel by unshare and clone3 only.
        Trap("clone", where: Condition(argument: 0, mask: 0x7E02_0000, relation: .anySet)),
        Trap("mount"), Trap("umount2"), Trap("pivot_root"), Trap("chroot"), Trap("open_tree"), Trap("move_mount"), Trap("fsopen"),
        Trap("fsconfig"), Trap("fsmount"), Trap("fspick"), Trap("mount_setattr"),
      ],
      absent: ["clone3"]),
    Group(
      "@inject",
      """
      Reaching into another process: ptrace, reading and writing its memory, and taking its descriptors. What the same user writes to \
      /proc/PID/mem goes through write, which no profile can trap: a base that refuses ptrace does not refuse that.
      """,
      [Trap("ptrace"), Trap("process_vm_readv"), Trap("process_vm_writev"), Trap("pidfd_getfd")]),
    Group(
      "@network",
      """
      The ends of connections, by which a hijacked program calls home or waits to be called: socket, connect, bind, listen, accept and \
      accept4. What goes through an end that is open (read, write, sendmsg and their like) no profile can trap, as the low-level runtime \
      needs it before anybody can answer; nor is there more to learn, since every end was made by one of these, or was handed over by \
      somebody. socketpair has no end outside the program. In a server they are made for every caller, so few profiles trap all of them.
      """,
      [Trap("socket"), Trap("connect"), Trap("bind"), Trap("listen"), Trap("accept"), Trap("accept4")]),
  ]

  package static func named(_ name: String) -> Group? { all.first { $0.name == name } }
}

/// Names that no profile can trap: the low-level runtime calls them between installing the filter and handing the listener over, when
/// nobody can answer, so every start would hang. Seen with crun 1.8.1 and runc 1.1.5; what the Go scheduler of runc may call at any
/// time is among them.
package let untrappable: Set<String> = [
  // The listener itself travels by these: crun sends it, runc tells its parent its number and waits for the answer.
  "sendmsg", "sendto", "recvmsg", "recvfrom", "read", "write", "readv", "writev", "close", "fcntl", "poll", "ppoll", "select",
  "pselect6",
  // The scheduler, the collector and the signals of Go.
  "sched_yield", "nanosleep", "clock_nanosleep", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2",
  "pipe2",
  "madvise", "munmap", "brk", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "tgkill", "getpid", "gettid",
  "restart_syscall", "timer_settime", "setitimer", "sched_getaffinity", "rseq", "set_robust_list", "membarrier",
  // The end.
  "exit", "exit_group",
  // Itself.
  "seccomp",
]

/// These are called at such a moment too, but without the bits that matter: they can be trapped under a condition only. The futex calls of
/// runc's Go are FUTEX_WAIT and FUTEX_WAKE, with FUTEX_PRIVATE_FLAG; glibc's waits have the bit of FUTEX_WAIT_BITSET, 0x8.
package let trappableWithCondition: Set<String> = ["mmap", "mprotect", "clone", "prctl", "futex"]
