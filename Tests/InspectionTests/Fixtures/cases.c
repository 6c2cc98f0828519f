// One program, many ways to make the same syscall: getppid(2), through libc's syscall(2).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
extern char **environ;
static volatile int sink;
static const char *name;

NOINLINE static long trap(void) { long r = syscall(SYS_getppid); sink++; return r; }

NOINLINE static long inline_trap(void) {
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "0"(SYS_getppid) : "rcx", "r11", "memory");
  return r;
}

static int compare(const void *a, const void *b) { trap(); return *(int *)a - *(int *)b; }
NOINLINE static long deep(int n) { volatile char pad[40]; pad[0] = n; return n ? deep(n - 1) + pad[0] : trap(); }
NOINLINE static void vla(int n) { char b[n]; memset(b, 1, n); trap(); sink += b[n / 2]; }
__attribute__((noreturn)) NOINLINE static void last(void) { trap(); exit(0); }
NOINLINE static void calls_last(void) { sink++; last(); }
NOINLINE __attribute__((cold)) static void cold(int n) { trap(); sink += n; }
static void handler(int s) { trap(); sink += s; }
static void handler3(int s, siginfo_t *i, void *u) { trap(); sink += s + !!i + !!u; }
static void *thread(void *a) { trap(); sink += !!a; return 0; }
static void *thread_raise(void *a) { raise(SIGUSR1); sink += !!a; return 0; }
static void *thread_fork(void *a) { if (!fork()) { trap(); execl("/bin/true", "true", (char *)0); } wait(0); sink += !!a; return 0; }
static void *thread_system(void *a) { sink += system("exit 0") + !!a; return 0; }
static void *thread_sleep(void *a) { for (;;) pause(); return a; }
static void at_exit(void) { trap(); }
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void key_end(void *v) { trap(); sink += !!v; }

#ifdef IFUNC
static long target_impl(void) { return 1; }
static void *resolve_target(void) {
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "0"(SYS_getppid) : "rcx", "r11", "memory");
  return (void *)target_impl;
}
long target(void) __attribute__((ifunc("resolve_target")));
#endif

// musl hands no arguments to constructors.
__attribute__((constructor)) static void early(int argc, char **argv) {
#ifdef MUSL
  if (getenv("CONSTRUCTOR")) trap();
#else
  if (argc > 1 && !strcmp(argv[1], "constructor")) trap();
#endif
}

#ifndef MUSL
static ucontext_t main_context, other_context;
static void coroutine(void) { trap(); }
static void coroutine_of_many(int a, int b, int c, int d, int e, int f, int g, int h, int i) { if (a + i == 10 && f + g + h == 21) trap(); sink += b + c + d + e; }
#endif

static void on_altstack(void *memory, size_t size) {
  stack_t s = {.ss_sp = memory, .ss_size = size};
  sigaltstack(&s, 0);
  struct sigaction a = {.sa_sigaction = handler3, .sa_flags = SA_ONSTACK | SA_SIGINFO};
  sigaction(SIGUSR1, &a, 0);
  raise(SIGUSR1);
}

static char static_altstack[1 << 16];

// Signals in the middle of anything, handler traps.
static void busy_signals(void) {
  struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &a, 0);
  char text[64];
  double d = 1;
  int armed = -1;
  for (int rounds = 0; sink < 300 && rounds < 20000000; rounds++) {
    if (armed != sink) {  // one at a time: while a handler is being looked at the next signal would already wait
      armed = sink;
      struct itimerval t = {{0, 0}, {0, 300 + sink}};
      setitimer(ITIMER_REAL, &t, 0);
    }
    snprintf(text, sizeof text, "%d %g", sink, d *= 1.1);
    d += strtod(text, 0) + strlen(text);
    char *m = malloc(100 + sink);
    memset(m, 1, 100);
    free(m);
  }
}

static int clone_child(void *a) { trap(); sink += !!a; return 0; }

int main(int argc, char **argv) {
  name = argc > 1 ? argv[1] : "direct";
#define CASE(n) else if (!strcmp(name, n))
  if (!strcmp(name, "constructor")) return 0;
  CASE("direct") trap();
  CASE("inline") inline_trap();
  CASE("qsort") { int v[4] = {3, 1, 2, 0}; qsort(v, 4, sizeof *v, compare); sink += v[0]; }
  CASE("deep") deep(900);
  CASE("vla") vla(5000 + argc);
  CASE("noreturn") calls_last();
  CASE("cold") cold(argc);
  CASE("signal") { signal(SIGUSR1, handler); raise(SIGUSR1); }
  CASE("signals-nested") { signal(SIGUSR1, handler); signal(SIGUSR2, handler); raise(SIGUSR1); raise(SIGUSR2); }
  CASE("signal-busy") busy_signals();
  CASE("altstack-heap") on_altstack(malloc(1 << 16), 1 << 16);
  CASE("altstack-static") on_altstack(static_altstack, sizeof static_altstack);
  CASE("altstack-mmap") on_altstack(mmap(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1 << 16);
  CASE("altstack-local") { char local[1 << 16]; on_altstack(local, sizeof local); sink += local[0]; }
  CASE("thread") { pthread_t t; pthread_create(&t, 0, thread, 0); pthread_join(t, 0); }
  CASE("thread-small") {
    pthread_t t; pthread_attr_t a; pthread_attr_init(&a); pthread_attr_setstacksize(&a, 32768);
    pthread_create(&t, &a, thread, 0); pthread_join(t, 0);
  }
  CASE("thread-own-stack") {
    pthread_t t; pthread_attr_t a; pthread_attr_init(&a);
    pthread_attr_setstack(&a, mmap(0, 1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1 << 18);
    pthread_create(&t, &a, thread, 0); pthread_join(t, 0);
  }
  CASE("thread-signal") { pthread_t t; signal(SIGUSR1, handler); pthread_create(&t, 0, thread_raise, 0); pthread_join(t, 0); }
  CASE("thread-fork") { pthread_t t; pthread_create(&t, 0, thread_fork, 0); pthread_join(t, 0); }
  CASE("thread-system") { pthread_t t; pthread_create(&t, 0, thread_system, 0); pthread_join(t, 0); }
  CASE("thread-key") {
    pthread_t t; pthread_key_t k; pthread_key_create(&k, key_end); pthread_setspecific(k, "x");
    pthread_create(&t, 0, (void *(*)(void *))thread, 0); pthread_join(t, 0);
  }
  CASE("setuid") { pthread_t t; for (int i = 0; i < 3; i++) pthread_create(&t, 0, thread_sleep, 0); usleep(1000); sink += setuid(getuid()); }
  CASE("once") pthread_once(&once, at_exit);
  CASE("atexit") atexit(at_exit);
  CASE("system") sink += system("exit 0");
  CASE("popen") { FILE *f = popen("exit 0", "r"); sink += pclose(f); }
  CASE("posix_spawn") { pid_t p; char *v[] = {"true", 0}; posix_spawn(&p, "/bin/true", 0, 0, v, environ); wait(0); }
  CASE("vfork") { pid_t p = vfork(); if (!p) { execl("/bin/true", "true", (char *)0); _exit(1); } wait(0); }
  CASE("fork") { if (!fork()) { trap(); execlp("true", "true", (char *)0); } wait(0); }
  CASE("longjmp") { jmp_buf b; if (!setjmp(b)) { trap(); longjmp(b, 1); } trap(); }
#ifdef IFUNC
  CASE("ifunc") sink += target();
#endif
#ifdef SO
  CASE("dlopen") { void *h = dlopen(SO, RTLD_LAZY); void (*f)(void) = (void (*)(void))dlsym(h, "so_call"); f(); dlclose(h); }
#endif
#ifndef MUSL
  CASE("coroutine") {
    getcontext(&other_context);
    other_context.uc_stack.ss_sp = malloc(1 << 16);
    other_context.uc_stack.ss_size = 1 << 16;
    other_context.uc_link = &main_context;
    makecontext(&other_context, coroutine, 0);
    swapcontext(&main_context, &other_context);
  }
  CASE("coroutine-static") {
    getcontext(&other_context);
    other_context.uc_stack.ss_sp = static_altstack;
    other_context.uc_stack.ss_size = sizeof static_altstack;
    other_context.uc_link = 0;
    makecontext(&other_context, (void (*)(void))coroutine_of_many, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    swapcontext(&main_context, &other_context);
  }
#endif
  CASE("clone-vm") {
    char *m = mmap(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    clone(clone_child, m + (1 << 16), CLONE_VM | SIGCHLD, 0); wait(0);
  }
  CASE("clone-static-stack") { clone(clone_child, static_altstack + sizeof static_altstack, SIGCHLD, 0); wait(0); }
  CASE("clone-own-stack") { clone(clone_child, (char *)malloc(1 << 16) + (1 << 16), SIGCHLD, 0); wait(0); }
  else return 9;
  return 0;
}
