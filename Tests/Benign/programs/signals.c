// Handlers that make system calls: on the same stack, on stacks of their own, nested, amid a leaf, in threads, and left by longjmp.
#include "probe.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile sig_atomic_t seen, ticks;
static sigjmp_buf back;
static char *volatile nowhere = (char *)8;

static void plain(int number) {
  (void)number;
  probe();
  seen++;
}
static void with_information(int number, siginfo_t *information, void *context) {
  (void)number;
  probe();
  seen += information->si_signo != 0 && context != NULL;
}
static void nested(int number) {
  (void)number;
  probe();
  raise(SIGUSR1);
  probe();
}
static void leaves(int number) {
  (void)number;
  probe();
  siglongjmp(back, 1);
}
static void tick(int number) {
  (void)number;
  ticks++;
  probe();
}

static void handle(int number, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  sigaction(number, &action, NULL);
}

APART static void on_stack(void *memory, size_t size) {
  stack_t own = {.ss_sp = memory, .ss_size = size}, none = {.ss_flags = SS_DISABLE};
  sigaltstack(&own, NULL);
  struct sigaction action = {.sa_sigaction = with_information, .sa_flags = SA_ONSTACK | SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  handle(SIGUSR2, nested, SA_ONSTACK);
  raise(SIGUSR1);
  raise(SIGUSR2);
  sigaltstack(&none, NULL);
  handle(SIGUSR1, plain, 0);
}

static char in_data[1 << 16];
static void on_all_stacks(void) {
  char local[1 << 16];
  char *heap = malloc(1 << 16);
  void *mapped = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  on_stack(heap, 1 << 16);
  on_stack(mapped, 1 << 16);
  on_stack(in_data, sizeof in_data);
  on_stack(local, sizeof local);
  free(heap);
  munmap(mapped, 1 << 16);
}

APART static unsigned leaf(unsigned n) {
  for (int i = 0; i < 2000; i++) n = n * 1664525u + 1013904223u;
  return n;
}

// One signal at a time: where looking at a handler takes longer than the interval the next one would already wait.
static void amid_work(int wanted) {
  handle(SIGALRM, tick, SA_RESTART);
  char text[64];
  unsigned n = 1;
  for (int armed = -1; ticks < wanted;) {
    if (armed != ticks) {
      armed = ticks;
      struct itimerval soon = {{0, 0}, {0, 200 + 13 * (armed % 50)}};
      setitimer(ITIMER_REAL, &soon, NULL);
    }
    n = leaf(n);
    // In the kernel's own page of code, too.
    struct timespec now;
    for (int i = 0; i < 500; i++) clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "%u %g", n, (double)n);
    n += (unsigned)strtod(text, NULL) + (unsigned)strlen(text);
    char *memory = malloc(100 + n % 1000);
    memset(memory, 1, 100);
    free(memory);
  }
}

static void *thread(void *unused) {
  for (int i = 0; i < 5; i++) raise(SIGUSR1);
  on_all_stacks();
  return unused;
}

int main(void) {
  handle(SIGUSR1, plain, 0);
  handle(SIGUSR2, nested, SA_NODEFER);
  for (int i = 0; i < 20; i++) {
    raise(SIGUSR1);
    raise(SIGUSR2);
    kill(getpid(), SIGUSR1);
    on_all_stacks();
  }
  handle(SIGUSR2, leaves, 0);
  for (int i = 0; i < 20; i++) {
    if (!sigsetjmp(back, 1)) raise(SIGUSR2);
    probe();
  }
  handle(SIGSEGV, leaves, 0);
  if (!sigsetjmp(back, 1)) *(volatile char *)nowhere = 1;
  puts("went on after a fault");

  handle(SIGUSR1, plain, 0);
  pthread_t other;
  pthread_create(&other, NULL, thread, NULL);
  pthread_join(other, NULL);

  // A call that waits is interrupted.
  handle(SIGALRM, tick, 0);
  int pipes[2];
  char byte;
  if (pipe(pipes) != 0) return 1;
  ualarm(20000, 20000);
  ssize_t got = read(pipes[0], &byte, 1);
  printf("read: %zd %s\n", got, got < 0 ? strerror(errno) : "");
  ualarm(0, 0);
  ticks = 0;

  amid_work(150);
  printf("%d handled, %d ticks\n", (int)seen, (int)ticks);
  return 0;
}
