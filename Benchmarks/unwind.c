/* What other unwinders take for the same stacks.
 *
 *   unwind libunwind|libdwfl REPEATS COMMAND [ARGUMENT]...
 *
 * Runs the command until its first getppid and stops it there, then unwinds its stack again and again.
 *
 * libunwind   from a copy of registers and stack, with everything that libunwind can remember remembered: the bare, warm unwind
 * libdwfl     from the stopped process, as if for the first time each time: what was learned of its files is forgotten in between. Finding
 *             out which files are mapped is not counted; looking into them is
 *
 * Nothing is verified by either. Prints one JSON object: the frames, and nanoseconds per unwind (the median of all).
 */
#define _GNU_SOURCE
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <libunwind-ptrace.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what) {
  fprintf(stderr, "unwind: cannot %s: %s\n", what, errno ? strerror(errno) : "no reason is known");
  exit(1);
}

/* The command at its first getppid, before the kernel has begun with it. */
static pid_t stopped_at_getppid(char **command) {
  pid_t process = fork();
  if (process == 0) {
    int null = open("/dev/null", O_WRONLY);
    if (null < 0 || dup2(null, 1) < 0 || ptrace(PTRACE_TRACEME, 0, NULL, NULL)) die("prepare the command");
    raise(SIGSTOP);
    execvp(command[0], command);
    die(command[0]);
  }
  int status;
  if (process < 0 || waitpid(process, &status, 0) != process) die("start the command");
  if (ptrace(PTRACE_SETOPTIONS, process, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) die("trace the command");
  for (;;) {
    if (ptrace(PTRACE_SYSCALL, process, NULL, NULL) || waitpid(process, &status, 0) != process) die("continue the command");
    if (!WIFSTOPPED(status)) die("see a getppid: the command ended");
    struct user_regs_struct registers;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    if (ptrace(PTRACE_GETREGS, process, NULL, &registers)) die("read registers");
    if (registers.orig_rax == SYS_getppid) return process;
  }
}

/* -- libunwind -- */

static struct {
  struct user_regs_struct registers;
  uint64_t bytes;
  uint64_t words[1 << 16];
  void *process;
} snapshot;

static int find_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t *info, int wanted, void *unused) {
  (void)unused;
  return _UPT_find_proc_info(space, ip, info, wanted, snapshot.process);
}

static void put_unwind_info(unw_addr_space_t space, unw_proc_info_t *info, void *unused) {
  (void)unused;
  _UPT_put_unwind_info(space, info, snapshot.process);
}

static int get_dyn_info_list_addr(unw_addr_space_t space, unw_word_t *address, void *unused) {
  (void)unused;
  return _UPT_get_dyn_info_list_addr(space, address, snapshot.process);
}

static int access_mem(unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write, void *unused) {
  (void)unused;
  uint64_t offset = address - snapshot.registers.rsp;
  if (write || offset >= snapshot.bytes) return _UPT_access_mem(space, address, value, write, snapshot.process);
  memcpy(value, (char *)snapshot.words + offset, sizeof *value);
  return 0;
}

static int access_reg(unw_addr_space_t space, unw_regnum_t number, unw_word_t *value, int write, void *unused) {
  (void)space, (void)unused;
  const struct user_regs_struct *r = &snapshot.registers;
  const unw_word_t values[] = {r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8, r->r9,
                               r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip};
  if (write || number < 0 || (size_t)number >= sizeof values / sizeof *values) return -UNW_EBADREG;
  *value = values[number];
  return 0;
}

static int access_fpreg(unw_addr_space_t space, unw_regnum_t number, unw_fpreg_t *value, int write, void *unused) {
  (void)space, (void)number, (void)value, (void)write, (void)unused;
  return -UNW_EBADREG;
}

static int resume(unw_addr_space_t space, unw_cursor_t *cursor, void *unused) {
  (void)space, (void)cursor, (void)unused;
  return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t space, unw_word_t ip, char *name, size_t size, unw_word_t *offset, void *unused) {
  (void)space, (void)ip, (void)name, (void)size, (void)offset, (void)unused;
  return -UNW_ENOINFO;
}

static unw_addr_space_t prepare_libunwind(pid_t process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", process);
  int memory = open(path, O_RDONLY);
  if (memory < 0 || ptrace(PTRACE_GETREGS, process, NULL, &snapshot.registers)) die("read the process");
  ssize_t bytes = pread(memory, snapshot.words, sizeof snapshot.words, snapshot.registers.rsp);
  if (bytes <= 0) die("copy the stack");
  snapshot.bytes = bytes & ~7;
  close(memory);
  static unw_accessors_t accessors = {
    find_proc_info, put_unwind_info, get_dyn_info_list_addr, access_mem, access_reg, access_fpreg, resume, get_proc_name};
  unw_addr_space_t space = unw_create_addr_space(&accessors, 0);
  snapshot.process = _UPT_create(process);
  if (!space || !snapshot.process || unw_set_caching_policy(space, UNW_CACHE_GLOBAL)) die("prepare libunwind");
  return space;
}

static unsigned by_libunwind(unw_addr_space_t space, uint64_t *took) {
  uint64_t begun = now();
  unw_cursor_t cursor;
  if (unw_init_remote(&cursor, space, NULL)) die("begin to unwind");
  unsigned frames = 1;
  while (unw_step(&cursor) > 0) frames++;
  *took = now() - begun;
  return frames;
}

/* -- libdwfl -- */

static int count_frame(Dwfl_Frame *frame, void *count) {
  Dwarf_Addr address;
  bool is_activation;
  if (!dwfl_frame_pc(frame, &address, &is_activation)) return DWARF_CB_ABORT;
  ++*(unsigned *)count;
  return DWARF_CB_OK;
}

static unsigned by_libdwfl(pid_t process, uint64_t *took) {
  static const Dwfl_Callbacks callbacks = {.find_elf = dwfl_linux_proc_find_elf, .find_debuginfo = dwfl_standard_find_debuginfo};
  Dwfl *dwfl = dwfl_begin(&callbacks);
  if (!dwfl || dwfl_linux_proc_report(dwfl, process) || dwfl_report_end(dwfl, NULL, NULL) || dwfl_linux_proc_attach(dwfl, process, true)) {
    die("prepare libdwfl");
  }
  unsigned frames = 0;
  uint64_t begun = now();
  dwfl_getthread_frames(dwfl, process, count_frame, &frames);
  *took = now() - begun;
  dwfl_end(dwfl);
  return frames;
}

static int by_size(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

int main(int count, char **words) {
  bool libunwind = count > 1 && strcmp(words[1], "libunwind") == 0;
  unsigned repeats = count > 2 ? strtoul(words[2], NULL, 10) : 0;
  if (count < 4 || repeats == 0 || (!libunwind && strcmp(words[1], "libdwfl") != 0)) {
    fputs("usage: unwind libunwind|libdwfl REPEATS COMMAND [ARGUMENT]...\n", stderr);
    return 2;
  }
  pid_t process = stopped_at_getppid(words + 3);
  uint64_t *took = calloc(repeats, sizeof *took), unused;
  if (!took) die("get memory");
  unw_addr_space_t space = NULL;
  if (libunwind) {
    space = prepare_libunwind(process);
    by_libunwind(space, &unused);
  }
  unsigned frames = 0;
  for (unsigned i = 0; i < repeats; i++) frames = libunwind ? by_libunwind(space, &took[i]) : by_libdwfl(process, &took[i]);
  qsort(took, repeats, sizeof *took, by_size);
  printf("{\"frames\": %u, \"ns\": %lu}\n", frames, took[repeats / 2]);
  kill(process, SIGKILL);
  return 0;
}
