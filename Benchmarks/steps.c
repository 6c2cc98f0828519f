/* Counts what processes execute in user space for each notification, one instruction at a time.
 *
 *   steps NOTIFICATIONS PROCESS...
 *
 * The first process is the one that answers notifications (SECCOMP_IOCTL_NOTIF_SEND); each answer ends a count, the others' included. It
 * needs no counter of the processor, and what is counted does not depend on what else the machine does. A repeated string instruction
 * counts as one, as a processor's counter would have it, and so does a system call.
 *
 * Prints a JSON object for each process: its instructions and its system calls by notification, the numbers of these calls, and the
 * addresses that were executed, with how often. The processes go on as they were.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_PROCESSES = 4, SLOTS = 1 << 18, MAX_CALL = 512 };

/* An address and how often it was executed since counting began. */
struct place {
  uint64_t address, count;
  bool is_syscall;
  /* Of a repeated string instruction; 0 for all others. */
  unsigned char string_length;
};

struct process {
  pid_t id;
  bool is_stopped, at_breakpoint;
  uint64_t instructions;
  uint64_t *by_notification, *calls_by_notification;
  uint64_t calls, kernel[MAX_CALL];
  struct place *places;
};

static struct process processes[MAX_PROCESSES];
static unsigned process_count;

static void die(const char *what) {
  fprintf(stderr, "steps: cannot %s: %s\n", what, strerror(errno));
  exit(1);
}

/* The length of what begins with these bytes, where it is rep and movs, cmps, stos, lods or scas, with or without REX.W. */
static unsigned char repeated_string(uint64_t bytes) {
  if ((bytes & 0xff) != 0xf3 && (bytes & 0xff) != 0xf2) return 0;
  bool is_wide = (bytes >> 8 & 0xff) == 0x48;
  uint64_t operation = bytes >> (is_wide ? 16 : 8) & 0xff;
  bool is_string = (operation >= 0xa4 && operation <= 0xa7) || (operation >= 0xaa && operation <= 0xaf);
  return is_string ? 2 + is_wide : 0;
}

static struct place *place_of(struct process *process, uint64_t address) {
  uint64_t slot = address * 0x9e3779b97f4a7c15 >> 46;
  for (unsigned tries = 0; tries < SLOTS; tries++, slot = (slot + 1) % SLOTS) {
    struct place *place = &process->places[slot];
    if (place->address == address) return place;
    if (place->address) continue;
    errno = 0;
    long bytes = ptrace(PTRACE_PEEKTEXT, process->id, (void *)address, NULL);
    if (errno) die("read code");
    place->address = address;
    place->is_syscall = (bytes & 0xffff) == 0x050f;
    place->string_length = repeated_string(bytes);
    return place;
  }
  fputs("steps: more addresses than there is room for\n", stderr);
  exit(1);
}

/* Lets the process go until it is at the address, or takes that back: DR0, and its enabling bit in DR7. */
static void break_at(struct process *process, uint64_t address) {
  size_t registers = offsetof(struct user, u_debugreg);
  if (ptrace(PTRACE_POKEUSER, process->id, (void *)registers, (void *)address)
      || ptrace(PTRACE_POKEUSER, process->id, (void *)(registers + 7 * sizeof(long)), (void *)(address ? 1L : 0L))) {
    die("set a breakpoint");
  }
}

/* What the process is about to execute. True where that is the answer to a notification. */
static bool count_next(struct process *process) {
  if (process->at_breakpoint) break_at(process, 0);
  process->at_breakpoint = false;
  errno = 0;
  uint64_t address = ptrace(PTRACE_PEEKUSER, process->id, (void *)offsetof(struct user_regs_struct, rip), NULL);
  if (errno) die("read registers");
  struct place *place = place_of(process, address);
  place->count++;
  process->instructions++;
  if (place->string_length) {
    /* A step would be one repetition. */
    break_at(process, address + place->string_length);
    process->at_breakpoint = true;
  }
  if (!place->is_syscall) return false;
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, process->id, NULL, &registers)) die("read registers");
  process->calls++;
  if (registers.rax < MAX_CALL) process->kernel[registers.rax]++;
  return registers.rax == SYS_ioctl && registers.rsi == SECCOMP_IOCTL_NOTIF_SEND;
}

static struct process *process_with(pid_t id) {
  for (unsigned i = 0; i < process_count; i++) {
    if (processes[i].id == id) return &processes[i];
  }
  return NULL;
}

static void forget(struct process *process) {
  process->instructions = process->calls = 0;
  memset(process->kernel, 0, sizeof process->kernel);
  for (unsigned i = 0; i < SLOTS; i++) process->places[i].count = 0;
}

/* A process that is let go before it has stopped would be killed by the step that it has not taken yet. */
static void let_go(struct process *process) {
  if (!process->is_stopped) {
    ptrace(PTRACE_INTERRUPT, process->id, NULL, NULL);
    waitpid(process->id, NULL, __WALL);
  }
  if (process->at_breakpoint) break_at(process, 0);
  ptrace(PTRACE_DETACH, process->id, NULL, NULL);
}

static void print(const struct process *process, unsigned notifications) {
  printf("{\"instructions\": [");
  for (unsigned i = 0; i < notifications; i++) printf("%s%lu", i ? ", " : "", process->by_notification[i]);
  printf("], \"calls\": [");
  for (unsigned i = 0; i < notifications; i++) printf("%s%lu", i ? ", " : "", process->calls_by_notification[i]);
  printf("], \"kernel\": {");
  for (unsigned call = 0, printed = 0; call < MAX_CALL; call++) {
    if (process->kernel[call]) printf("%s\"%u\": %lu", printed++ ? ", " : "", call, process->kernel[call]);
  }
  printf("}, \"places\": [");
  for (unsigned i = 0, printed = 0; i < SLOTS; i++) {
    const struct place *place = &process->places[i];
    if (place->count) printf("%s[%lu, %lu]", printed++ ? ", " : "", place->address, place->count);
  }
  printf("]}");
}

int main(int count, char **words) {
  unsigned notifications = count > 2 ? strtoul(words[1], NULL, 10) : 0;
  if (notifications == 0 || count > 2 + MAX_PROCESSES) {
    fputs("usage: steps NOTIFICATIONS PROCESS...\n", stderr);
    return 2;
  }
  /* All on one core: to wake another one takes ten times as long as a step. */
  cpu_set_t core;
  CPU_ZERO(&core);
  CPU_SET(sched_getcpu(), &core);
  sched_setaffinity(0, sizeof core, &core);
  for (int i = 2; i < count; i++) {
    struct process *process = &processes[process_count++];
    process->id = atoi(words[i]);
    sched_setaffinity(process->id, sizeof core, &core);
    process->by_notification = calloc(notifications, sizeof(uint64_t));
    process->calls_by_notification = calloc(notifications, sizeof(uint64_t));
    process->places = calloc(SLOTS, sizeof(struct place));
    if (!process->by_notification || !process->calls_by_notification || !process->places) die("get memory");
    if (ptrace(PTRACE_SEIZE, process->id, NULL, NULL) || ptrace(PTRACE_INTERRUPT, process->id, NULL, NULL)) die("stop the process");
  }

  /* Nothing counts until the first answer: what came before it may be half a notification's. */
  int answered = -1;
  bool answering = false;
  while (answered < (int)notifications) {
    int status;
    pid_t id = waitpid(-1, &status, __WALL);
    struct process *process = process_with(id);
    if (id < 0 || !process) die("wait for the processes");
    if (!WIFSTOPPED(status)) {
      fprintf(stderr, "steps: process %d has ended\n", id);
      return 1;
    }
    if (process == &processes[0] && answering) {
      answering = false;
      for (unsigned i = 0; i < process_count; i++) {
        struct process *each = &processes[i];
        if (answered < 0) {
          forget(each);
        } else {
          each->by_notification[answered] = each->instructions;
          each->calls_by_notification[answered] = each->calls;
          each->instructions = each->calls = 0;
        }
      }
      answered++;
    }
    process->is_stopped = true;
    if (answered == (int)notifications) break;
    int stop = WSTOPSIG(status);
    bool is_event = status >> 16 != 0;
    if (!is_event && stop == SIGTRAP) {
      if (count_next(process) && process == &processes[0]) answering = true;
      stop = 0;
    }
    if (ptrace(process->at_breakpoint ? PTRACE_CONT : PTRACE_SINGLESTEP, id, NULL, (void *)(long)(is_event ? 0 : stop))) die("go on");
    process->is_stopped = false;
  }
  for (unsigned i = 0; i < process_count; i++) let_go(&processes[i]);

  printf("[");
  for (unsigned i = 0; i < process_count; i++) {
    if (i) printf(",\n ");
    print(&processes[i], notifications);
  }
  puts("]");
  return 0;
}
