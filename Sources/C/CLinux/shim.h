// What Swift cannot import from Linux: variadic calls, ioctl numbers, CMSG macros, structs newer than Debian 12's headers.
// No logic, no allocation; a failure is returned as -errno. Names: clinux_ + the syscall.
#pragma once
// Swift's own Glibc module is made without _GNU_SOURCE, and fd_set then looks different. Two modules that disagree on a type are an error,
// or none, by the order in which the files happen to be compiled. So that header comes first, as Swift sees it, and GNU's after it.
#include <sys/select.h>
#undef _FEATURES_H
#undef _GNU_SOURCE
#define _GNU_SOURCE
#include <features.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLINUX_RESULT(call) ({ long r_ = (call); r_ < 0 ? -(long)errno : r_; })

_Static_assert(sizeof(struct seccomp_notif) == 80, "struct seccomp_notif, linux/seccomp.h");
_Static_assert(sizeof(struct seccomp_notif_resp) == 24, "struct seccomp_notif_resp, linux/seccomp.h");

// linux/seccomp.h, Linux 5.19 and 6.6.
#define CLINUX_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#define CLINUX_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#define CLINUX_IOCTL_NOTIF_SET_FLAGS _IOW('!', 4, uint64_t)

/// seccomp(2), SECCOMP_SET_MODE_FILTER; the listener's descriptor with NEW_LISTENER, else 0.
static inline long clinux_seccomp_filter(unsigned long flags, const struct sock_filter *_Nonnull filter, unsigned short count) {
  struct sock_fprog program = {.len = count, .filter = (struct sock_filter *)filter};
  return CLINUX_RESULT(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

/// ioctl(2), SECCOMP_IOCTL_NOTIF_RECV into a zeroed struct; seccomp_unotify(2).
static inline long clinux_notif_recv(int fd, struct seccomp_notif *_Nonnull notification) {
  memset(notification, 0, sizeof *notification);
  return CLINUX_RESULT(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, notification));
}
static inline long clinux_notif_send(int fd, uint64_t id, int32_t error, uint32_t flags) {
  struct seccomp_notif_resp response = {.id = id, .val = 0, .error = error, .flags = flags};
  return CLINUX_RESULT(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response));
}
static inline long clinux_notif_id_valid(int fd, uint64_t id) {
  return CLINUX_RESULT(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id));
}
static inline long clinux_notif_set_flags(int fd, uint64_t flags) {
  return CLINUX_RESULT(ioctl(fd, CLINUX_IOCTL_NOTIF_SET_FLAGS, flags));
}

/// pidfd_open(2), pidfd_send_signal(2).
static inline long clinux_pidfd_open(int pid) { return CLINUX_RESULT(syscall(SYS_pidfd_open, pid, 0)); }
static inline long clinux_pidfd_send_signal(int fd, int signal) {
  return CLINUX_RESULT(syscall(SYS_pidfd_send_signal, fd, signal, (void *)0, 0));
}

/// kcmp(2), KCMP_VM: 0 where both tasks share one address space.
static inline long clinux_kcmp_vm(int a, int b) { return CLINUX_RESULT(syscall(SYS_kcmp, a, b, 1, 0, 0)); }

// linux/fs.h, Linux 6.11: PROCMAP_QUERY.
struct clinux_procmap_query {
  uint64_t size, query_flags, query_addr;
  uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
  uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
  uint64_t vma_name_addr, build_id_addr;
};
_Static_assert(sizeof(struct clinux_procmap_query) == 104, "struct procmap_query, linux/fs.h");
#define CLINUX_PROCMAP_QUERY _IOWR('f', 17, struct clinux_procmap_query)
#define CLINUX_PROCMAP_READABLE 0x01
#define CLINUX_PROCMAP_WRITABLE 0x02
#define CLINUX_PROCMAP_EXECUTABLE 0x04
#define CLINUX_PROCMAP_SHARED 0x08
static inline long clinux_procmap_query(int fd, struct clinux_procmap_query *_Nonnull query) {
  return CLINUX_RESULT(ioctl(fd, CLINUX_PROCMAP_QUERY, query));
}
static inline unsigned long clinux_procmap_query_request(void) { return CLINUX_PROCMAP_QUERY; }

/// prctl(2).
static inline long clinux_prctl(int option, unsigned long a, unsigned long b, unsigned long c) {
  return CLINUX_RESULT(prctl(option, a, b, c, 0));
}

/// unshare(2), pivot_root(2), mount(2), umount2(2), setresuid(2), setresgid(2), setgroups(2) for this thread alone.
static inline long clinux_unshare(int flags) { return CLINUX_RESULT(unshare(flags)); }
static inline long clinux_pivot_root(const char *_Nonnull to, const char *_Nonnull old) {
  return CLINUX_RESULT(syscall(SYS_pivot_root, to, old));
}

/// close_range(2).
static inline long clinux_close_range(unsigned first, unsigned last) {
  return CLINUX_RESULT(syscall(SYS_close_range, first, last, 0));
}

#define CLINUX_MAX_DESCRIPTORS 4

/// sendmsg(2) of one buffer with `count` descriptors (SCM_RIGHTS, unix(7)).
static inline long clinux_send(int socket, const void *_Nullable bytes, size_t length, const int *_Nullable fds, int count,
                               int nonblocking) {
  union { char room[CMSG_SPACE(sizeof(int) * CLINUX_MAX_DESCRIPTORS)]; struct cmsghdr align; } control;
  struct iovec part = {(void *)bytes, length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > CLINUX_MAX_DESCRIPTORS) return -EINVAL;
  if (count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.room;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
  }
  return CLINUX_RESULT(sendmsg(socket, &message, MSG_NOSIGNAL | (nonblocking ? MSG_DONTWAIT : 0)));
}

/// recvmsg(2) into one buffer and at most CLINUX_MAX_DESCRIPTORS close-on-exec descriptors; `*count` says how many came,
/// `*flags` is msg_flags (MSG_TRUNC, MSG_CTRUNC). A kernel that truncated the descriptors closed the rest itself.
static inline long clinux_receive(int socket, void *_Nonnull bytes, size_t length, int *_Nonnull fds, int *_Nonnull count,
                                  int *_Nonnull flags, int nonblocking) {
  union { char room[CMSG_SPACE(sizeof(int) * CLINUX_MAX_DESCRIPTORS)]; struct cmsghdr align; } control;
  struct iovec part = {bytes, length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
  *count = 0;
  long r = CLINUX_RESULT(recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (nonblocking ? MSG_DONTWAIT : 0)));
  *flags = r < 0 ? 0 : message.msg_flags;
  if (r < 0) return r;
  for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    int n = (int)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < n && *count < CLINUX_MAX_DESCRIPTORS; i++) memcpy(&fds[(*count)++], CMSG_DATA(h) + i * sizeof(int), sizeof(int));
  }
  return r;
}

/// bind(2) or connect(2) of a stream socket to a path; ENAMETOOLONG where unix(7)'s 108 bytes do not hold it.
static inline long clinux_unix_address(int socket, const char *_Nonnull path, int listening) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
  strcpy(address.sun_path, path);
  return CLINUX_RESULT(listening ? bind(socket, (struct sockaddr *)&address, sizeof address)
                                 : connect(socket, (struct sockaddr *)&address, sizeof address));
}

/// getsockopt(2), SO_PEERCRED: the peer's pid as this pid namespace numbers it, 0 if it has none here.
static inline long clinux_peer(int socket) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  return CLINUX_RESULT(getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size)) < 0 ? -errno : peer.pid;
}

/// sched_getaffinity(2) and sched_setaffinity(2), with sets of cores as sched.h has them.
static inline long clinux_affinity(int thread, cpu_set_t *_Nonnull set, size_t size) {
  return CLINUX_RESULT(syscall(SYS_sched_getaffinity, thread, size, set));
}
static inline long clinux_bind(int thread, const cpu_set_t *_Nonnull set, size_t size) {
  return CLINUX_RESULT(syscall(SYS_sched_setaffinity, thread, size, set));
}
/// CPU_ISSET, and CPU_SET in an empty set.
static inline int clinux_take_core(cpu_set_t of, int core, cpu_set_t *_Nonnull one) {
  if (core < 0 || core >= CPU_SETSIZE || !CPU_ISSET(core, &of)) return 0;
  CPU_ZERO(one);
  CPU_SET(core, one);
  return 1;
}

/// wait status macros, wait(2).
static inline int clinux_exited(int status) { return WIFEXITED(status); }
static inline int clinux_exit_status(int status) { return WEXITSTATUS(status); }
static inline int clinux_termination_signal(int status) { return WTERMSIG(status); }

// Constants whose macros Swift does not see.
static inline uint32_t clinux_seccomp_ret_allow(void) { return SECCOMP_RET_ALLOW; }
static inline uint32_t clinux_seccomp_ret_kill_process(void) { return SECCOMP_RET_KILL_PROCESS; }
static inline uint32_t clinux_seccomp_ret_errno(uint16_t code) { return SECCOMP_RET_ERRNO | code; }

/// epoll_ctl(2), EPOLL_CTL_ADD for reading, and epoll_wait(2): tokens and event masks of what is ready (struct epoll_event is packed
/// and holds a union with pointers, which Swift's strict memory safety rightly dislikes).
static inline long clinux_epoll_add(int poller, int fd, uint64_t token) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = token};
  return CLINUX_RESULT(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event));
}
/// malloc_trim(3), whose header Swift's Glibc leaves out.
static inline int clinux_malloc_trim(void) { return malloc_trim(0); }

/// tgkill(2).
static inline long clinux_tgkill(int process, int thread, int signal) { return CLINUX_RESULT(syscall(SYS_tgkill, process, thread, signal)); }

#define CLINUX_EPOLL_BATCH 64
static inline long clinux_epoll_wait(int poller, uint64_t *_Nonnull tokens, uint32_t *_Nonnull masks, int milliseconds) {
  struct epoll_event events[CLINUX_EPOLL_BATCH];
  long count = CLINUX_RESULT(epoll_wait(poller, events, CLINUX_EPOLL_BATCH, milliseconds));
  for (long i = 0; i < count; i++) { tokens[i] = events[i].data.u64; masks[i] = events[i].events; }
  return count;
}

/// accept4(2) without the peer's address.
static inline long clinux_accept(int socket) { return CLINUX_RESULT(accept4(socket, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK)); }
/// recvmsg(2): the message or its descriptors did not fit.
static inline int clinux_is_truncated(int flags) { return (flags & (MSG_TRUNC | MSG_CTRUNC)) != 0; }

/// clone(2) as fork(2) with namespace flags: 0 in the child. No atfork handlers run: the caller has one thread.
static inline long clinux_clone(unsigned long flags) { return CLINUX_RESULT(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0)); }
/// execveat(2) of the descriptor itself: no path needs to be reachable.
static inline long clinux_execute_descriptor(int fd, char *const _Nullable *_Nonnull arguments, char *const _Nullable *_Nonnull environment) {
  return CLINUX_RESULT(syscall(SYS_execveat, fd, "", arguments, environment, AT_EMPTY_PATH));
}
static inline uint32_t clinux_audit_arch(void) { return AUDIT_ARCH_X86_64; }
/// prlimit(2) of this process, soft and hard alike; resource numbers of asm-generic/resource.h.
enum { CLINUX_RLIMIT_FSIZE = 1, CLINUX_RLIMIT_CORE = 4, CLINUX_RLIMIT_NPROC = 6, CLINUX_RLIMIT_NOFILE = 7, CLINUX_RLIMIT_MEMLOCK = 8, CLINUX_RLIMIT_AS = 9 };
static inline long clinux_limit(int resource, uint64_t value) {
  uint64_t pair[2] = {value, value};
  return CLINUX_RESULT(syscall(SYS_prlimit64, 0, resource, pair, 0));
}
/// _exit(2), not marked as never returning: Swift 6.3 refuses to end noncopyable values behind a call that does not.
static inline void clinux_exit(int status) { _exit(status); }
/// strerrorname_np(3), which string.h only shows to GNU sources.
extern const char *_Nullable strerrorname_np(int error);
static inline const char *_Nullable clinux_errno_name(int error) { return strerrorname_np(error); }

/// ptrace(2). Requests and options as linux/ptrace.h numbers them; registers in the order of struct user_regs_struct (sys/user.h).
#define CLINUX_USER_REGISTERS 27
static inline long clinux_ptrace_seize(int tid) { return CLINUX_RESULT(syscall(SYS_ptrace, 0x4206, tid, 0, 0)); }
static inline long clinux_ptrace_interrupt(int tid) { return CLINUX_RESULT(syscall(SYS_ptrace, 0x4207, tid, 0, 0)); }
static inline long clinux_ptrace_detach(int tid, int signal) { return CLINUX_RESULT(syscall(SYS_ptrace, 17, tid, 0, signal)); }
static inline long clinux_ptrace_registers(int tid, uint64_t *_Nonnull values) {
  struct { void *base; size_t length; } part = {values, CLINUX_USER_REGISTERS * sizeof *values};
  long r = CLINUX_RESULT(syscall(SYS_ptrace, 0x4204, tid, 1 /* NT_PRSTATUS */, &part));
  return r < 0 ? r : (long)part.length;
}
/// waitpid(2) with __WALL and WNOHANG: 1 where the thread has stopped, and how; 0 while it has not.
static inline long clinux_wait_stopped(int tid, int *_Nonnull status) {
  long r = CLINUX_RESULT(waitpid(tid, status, 0x40000000 | WNOHANG));
  return r <= 0 ? r : 1;
}
/// The stop was PTRACE_EVENT_STOP, i.e. our interruption and no signal's delivery.
static inline int clinux_is_event_stop(int status) { return WIFSTOPPED(status) && status >> 16 == 128; }
static inline int clinux_is_stopped(int status) { return WIFSTOPPED(status); }
static inline int clinux_stop_signal(int status) { return WSTOPSIG(status); }

/// openat2(2) with RESOLVE_IN_ROOT, for reading; the descriptor, close-on-exec.
static inline long clinux_open_in_root(int directory, const char *_Nonnull path) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  return CLINUX_RESULT(syscall(SYS_openat2, directory, path, &how, sizeof how));
}
