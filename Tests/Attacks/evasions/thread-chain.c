// A thread's true stack, copied to memory that the kernel has joined to the first thread's TLS, and used by the first thread:
// `thread-chain beside-tls`; or copied to memory far from everything: `thread-chain mapping`. The chain ends as a thread's does, and lies where
// a thread's may: below the thread pointer, in the same mapping.
//
// The same in a second thread, whose stack is its own: `deeper`, at another place of it; `other`, on the stack of a third thread that lives;
// `ended`, on that of one that has ended. It moves its thread pointer there, too.
#include "evade.h"
#include <asm/prctl.h>
#include <pthread.h>

enum { SIZE = 64 << 10 };

static char copy[SIZE];
static uintptr_t copied_from, stopped_at;

__attribute__((noinline)) static void execute_here(uintptr_t stack_pointer) {
  // In the thread: keep what is on the stack, and where. In the first thread: go on with it.
  uintptr_t now;
  __asm__ volatile("mov %%rsp, %0" : "=r"(now));
  if (stack_pointer == 0) {
    pthread_attr_t attributes;
    void *low;
    size_t size;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &low, &size);
    stopped_at = now;
    copied_from = now & -PAGE;
    uintptr_t end = (uintptr_t)low + size;
    need(end - copied_from <= SIZE, "a thread's stack that is small enough");
    memcpy(copy, (char *)copied_from, end - copied_from);
    return;
  }
  __asm__ volatile("mov %0, %%rsp" : : "r"(stack_pointer) : "memory");
  execve("/bin/echo", evaded, environ);
  _exit(1);
}

static void *thread(void *unused) {
  (void)unused;
  execute_here(0);
  __asm__ volatile("" ::: "memory"); // no tail call
  return NULL;
}

static enum { DEEPER, OTHER, ENDED } way;
static uintptr_t thread_pointer;
static volatile int is_there, is_ready;

// A system call that is judged, so that the place is known to be this thread's. It changes nothing.
__attribute__((noinline)) static void be_seen(void) {
  setresuid(-1, -1, -1);
  __asm__ volatile("" ::: "memory");
}

static void *victim(void *unused) {
  be_seen();
  execute_here(0);
  __asm__("mov %%fs:0, %0" : "=r"(thread_pointer));
  is_there = 1;
  while (way == OTHER) __asm__ volatile("pause" ::: "memory");
  return unused;
}

static void *attacker(void *unused) {
  if (way == DEEPER) {
    execute_here(0);
    memcpy((char *)copied_from - SIZE, copy, SIZE);
    execute_here(stopped_at - SIZE);
  }
  is_ready = 1;
  while (!is_there) __asm__ volatile("pause" ::: "memory");
  if (way == ENDED) usleep(100000);
  uintptr_t end = (thread_pointer + PAGE) & -PAGE;
  memcpy((char *)copied_from, copy, end - copied_from);
  need(syscall(SYS_arch_prctl, ARCH_SET_FS, thread_pointer) == 0, "arch_prctl");
  execute_here(stopped_at);
  return unused;
}

static int in_threads(void) {
  pthread_t one, other;
  need(pthread_create(&one, NULL, attacker, NULL) == 0, "a thread");
  if (way != DEEPER) {
    while (!is_ready) usleep(1000);
    need(pthread_create(&other, NULL, victim, NULL) == 0, "a thread");
    pthread_detach(other);
  }
  pthread_join(one, NULL);
  return 1;
}

static char *beside_tls(void) {
  uintptr_t tls;
  __asm__("mov %%fs:0, %0" : "=r"(tls));
  uintptr_t at = (tls & -PAGE) - SIZE;
  for (int tries = 0; tries < 256; tries++, at -= PAGE) {
    char *got = mmap((void *)at, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == (char *)at) return got;
  }
  return NULL;
}

int main(int argc, char **argv) {
  const char *to = argc > 1 ? argv[1] : "";
  char *there;
  const char *const names[] = {"deeper", "other", "ended"};
  for (int i = 0; i < 3; i++) {
    way = i;
    if (!strcmp(to, names[i])) return in_threads();
  }
  if (!strcmp(to, "beside-tls")) {
    there = beside_tls();
    need(there != NULL, "a place beside the TLS");
  } else {
    there = mmap((void *)0x200000000000, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(there != MAP_FAILED, "mmap");
  }
  pthread_t id;
  need(pthread_create(&id, NULL, thread, NULL) == 0, "a thread");
  pthread_join(id, NULL);
  memcpy(there, copy, SIZE);
  execute_here((uintptr_t)there + (stopped_at - copied_from));
}
