/* Tells which functions of a program are entered, in the order in which they are entered first.
 *
 *   entered FOLDER SYMBOLS... -- COMMAND...
 *   entered FOLDER SYMBOLS... --attach SECONDS PROCESS...
 *
 * SYMBOLS are files that `nm` wrote of the programs in question, each named as its program is. The command and all that it starts is
 * followed; where one of the programs is executed, a breakpoint is put on each function, and taken away when it is hit. What was hit is
 * written to FOLDER/PROGRAM.entered, the symbols' names one a line. With --attach, the same of processes that run already, for so long.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PROGRAMS = 4, MAX_THREADS = 1024, OPTIONS = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC };

struct function {
  uint64_t address;
  unsigned char first; /* the byte that the breakpoint lies on */
  bool is_entered;
  char *names; /* all of one place, each on its line */
};

static struct program {
  char name[64];
  FILE *out;
  struct function *functions;
  size_t count;
} programs[MAX_PROGRAMS];
static unsigned program_count;

static struct thread {
  pid_t id;
  struct program *program; /* NULL: not one of them */
  uint64_t bias;
} threads[MAX_THREADS];
static unsigned thread_count;

static void die(const char *what) {
  fprintf(stderr, "entered: cannot %s: %s\n", what, strerror(errno));
  exit(1);
}

static int by_address(const void *a, const void *b) {
  uint64_t x = ((const struct function *)a)->address, y = ((const struct function *)b)->address;
  return (x > y) - (x < y);
}

static void read_symbols(const char *path, const char *folder) {
  if (program_count == MAX_PROGRAMS) errno = E2BIG, die("follow so many programs");
  struct program *program = &programs[program_count++];
  const char *slash = strrchr(path, '/');
  snprintf(program->name, sizeof program->name, "%s", slash ? slash + 1 : path);
  char out[PATH_MAX];
  snprintf(out, sizeof out, "%s/%s.entered", folder, program->name);
  FILE *file = fopen(path, "r");
  if (!file || !(program->out = fopen(out, "w"))) die("open the symbols");
  size_t capacity = 0, size = 0;
  char *line = NULL;
  uint64_t address;
  char kind, name[8192];
  while (getline(&line, &size, file) > 0) {
    if (sscanf(line, "%lx %c %8190s", &address, &kind, name) != 3 || !strchr("tTwWV", kind)) continue;
    if (program->count == capacity) {
      capacity = capacity ? 2 * capacity : 1024;
      program->functions = realloc(program->functions, capacity * sizeof *program->functions);
      if (!program->functions) die("remember the symbols");
    }
    strcat(name, "\n");
    program->functions[program->count++] = (struct function){.address = address, .names = strdup(name)};
  }
  free(line);
  fclose(file);
  qsort(program->functions, program->count, sizeof *program->functions, by_address);
  size_t kept = 0;
  for (size_t i = 0; i < program->count; i++) {
    struct function *last = kept ? &program->functions[kept - 1] : NULL;
    if (last && last->address == program->functions[i].address) {
      if (asprintf(&last->names, "%s%s", last->names, program->functions[i].names) < 0) die("remember the symbols");
    } else {
      program->functions[kept++] = program->functions[i];
    }
  }
  program->count = kept;
}

static struct thread *known(pid_t id) {
  for (unsigned i = 0; i < thread_count; i++)
    if (threads[i].id == id) return &threads[i];
  return NULL;
}

static struct thread *remember(pid_t id) {
  struct thread *thread = known(id);
  if (thread) return thread;
  if (thread_count == MAX_THREADS) errno = E2BIG, die("follow so many threads");
  threads[thread_count] = (struct thread){.id = id};
  return &threads[thread_count++];
}

static struct program *program_of(pid_t id) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/%d/exe", id);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return NULL;
  path[length] = 0;
  const char *name = strrchr(path, '/') + 1;
  for (unsigned i = 0; i < program_count; i++)
    if (!strcmp(programs[i].name, name)) return &programs[i];
  return NULL;
}

/* Where the program's first page is mapped. */
static uint64_t bias_of(pid_t id, const char *name) {
  char path[64], *line = NULL;
  snprintf(path, sizeof path, "/proc/%d/maps", id);
  FILE *maps = fopen(path, "r");
  if (!maps) die("read the mappings");
  size_t size = 0;
  uint64_t bias = 0;
  while (!bias && getline(&line, &size, maps) > 0)
    if (strstr(line, name)) bias = strtoull(line, NULL, 16);
  free(line);
  fclose(maps);
  return bias;
}

static int memory_of(pid_t id) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", id);
  int memory = open(path, O_RDWR | O_CLOEXEC);
  if (memory < 0) die("open the memory");
  return memory;
}

static void set_breakpoints(struct thread *thread) {
  struct program *program = thread->program = program_of(thread->id);
  if (!program || !program->count) return;
  thread->bias = bias_of(thread->id, program->name);
  int memory = memory_of(thread->id);
  uint64_t start = program->functions[0].address, length = program->functions[program->count - 1].address + 1 - start;
  unsigned char *code = malloc(length);
  if (!code || pread(memory, code, length, thread->bias + start) != (ssize_t)length) die("read the code");
  for (size_t i = 0; i < program->count; i++) {
    struct function *function = &program->functions[i];
    unsigned char *first = &code[function->address - start];
    if (!function->is_entered) {
      function->first = *first;
      *first = 0xcc;
    }
  }
  if (pwrite(memory, code, length, thread->bias + start) != (ssize_t)length) die("write the code");
  free(code);
  close(memory);
}

/* True if the thread stopped at a breakpoint of ours; it then goes on at the instruction that was there. */
static bool take_breakpoint(struct thread *thread) {
  if (!thread->program) return false;
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, thread->id, 0, &registers)) return false;
  struct function key = {.address = registers.rip - 1 - thread->bias};
  struct function *function =
      bsearch(&key, thread->program->functions, thread->program->count, sizeof key, by_address);
  if (!function) return false;
  int memory = memory_of(thread->id);
  if (pwrite(memory, &function->first, 1, registers.rip - 1) != 1) die("take a breakpoint away");
  close(memory);
  registers.rip--;
  if (ptrace(PTRACE_SETREGS, thread->id, 0, &registers)) die("set the registers");
  if (!function->is_entered) fputs(function->names, thread->program->out);
  function->is_entered = true;
  return true;
}

static void stopped(pid_t id, int status) {
  int signal = WSTOPSIG(status), event = status >> 16;
  struct thread *thread = known(id);
  bool is_new = !thread;
  if (is_new) thread = remember(id);
  if (signal == SIGTRAP && (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE)) {
    unsigned long child;
    ptrace(PTRACE_GETEVENTMSG, id, 0, &child);
    struct program *program = thread->program;
    uint64_t bias = thread->bias;
    thread = remember((pid_t)child);
    thread->program = program;
    thread->bias = bias;
    signal = 0;
  } else if (signal == SIGTRAP && event == PTRACE_EVENT_EXEC) {
    set_breakpoints(thread);
    signal = 0;
  } else if (event == PTRACE_EVENT_STOP) {
    signal = 0;
  } else if (signal == SIGTRAP && take_breakpoint(thread)) {
    signal = 0;
  }
  ptrace(PTRACE_CONT, id, 0, signal);
}

static bool is_over;

static void over(int signal) {
  (void)signal;
  is_over = true;
}

/* Breakpoints that nobody has come to would kill a process that is let go. */
static void let_go(void) {
  for (unsigned i = 0; i < thread_count; i++) {
    struct thread *thread = &threads[i];
    if (ptrace(PTRACE_INTERRUPT, thread->id, 0, 0)) continue;
    int status;
    while (waitpid(thread->id, &status, __WALL) == thread->id && WIFSTOPPED(status) && status >> 16 != PTRACE_EVENT_STOP)
      stopped(thread->id, status);
    int memory = memory_of(thread->id);
    for (size_t k = 0; thread->program && k < thread->program->count; k++) {
      struct function *function = &thread->program->functions[k];
      if (pwrite(memory, &function->first, 1, thread->bias + function->address) != 1) die("take the breakpoints away");
    }
    close(memory);
    ptrace(PTRACE_DETACH, thread->id, 0, 0);
  }
}

/* All threads of the process stop before the first breakpoint is set: one that is not followed would be killed by it. */
static void attach(pid_t process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", process);
  DIR *folder = opendir(path);
  if (!folder) die("list the threads");
  unsigned first = thread_count;
  for (struct dirent *entry; (entry = readdir(folder));) {
    pid_t id = atoi(entry->d_name);
    if (id == 0) continue;
    int status;
    if (ptrace(PTRACE_SEIZE, id, 0, OPTIONS) || ptrace(PTRACE_INTERRUPT, id, 0, 0) || waitpid(id, &status, __WALL) != id) die("attach");
    remember(id);
  }
  closedir(folder);
  set_breakpoints(known(process));
  for (unsigned i = first; i < thread_count; i++) {
    threads[i].program = known(process)->program;
    threads[i].bias = known(process)->bias;
  }
  for (unsigned i = first; i < thread_count; i++) ptrace(PTRACE_CONT, threads[i].id, 0, 0);
}

int main(int count, char **words) {
  int next = 2;
  for (; next < count && words[next][0] != '-'; next++) read_symbols(words[next], words[1]);
  if (next + 1 >= count) {
    fputs("usage: entered FOLDER SYMBOLS... -- COMMAND... | --attach SECONDS PROCESS...\n", stderr);
    return 2;
  }
  bool attaches = !strcmp(words[next], "--attach");
  pid_t command = 0;
  if (attaches) {
    for (int i = next + 2; i < count; i++) {
      attach(atoi(words[i]));
    }
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = over}, NULL);
    alarm((unsigned)atoi(words[next + 1]));
  } else {
    command = fork();
    if (command == 0) {
      raise(SIGSTOP);
      execvp(words[next + 1], words + next + 1);
      _exit(127);
    }
    int status;
    if (waitpid(command, &status, WUNTRACED) != command || ptrace(PTRACE_SEIZE, command, 0, OPTIONS)) die("follow the command");
    kill(command, SIGCONT);
  }
  int result = 0;
  for (;;) {
    int status;
    pid_t id = waitpid(-1, &status, __WALL);
    if (id < 0 && errno == EINTR && is_over) break;
    if (id < 0 && errno == ECHILD) break;
    if (id < 0) continue;
    if (WIFSTOPPED(status)) {
      stopped(id, status);
    } else {
      struct thread *thread = known(id);
      if (thread) *thread = threads[--thread_count];
      if (id == command) result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
  }
  if (attaches) let_go();
  for (unsigned i = 0; i < program_count; i++)
    if (fclose(programs[i].out)) die("write what was entered");
  return result;
}
