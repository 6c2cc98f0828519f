// A call that was made so often, always in the same way, that callgate knows its stack word for word; and then once more, when one
// thing is not as it was. `repeated WHAT [child|depths|deep]`; with `child`, by a fork of the process that made the others; with `depths`, each
// call from another depth of the stack: then callgate has seen the address space often, and no stack twice; with `deep`, all of them from
// pages below the stack's last one.
//
//   return    a return address further out
//   canary    the thread's canary
//   text      a byte of a page that a function of the stack lies in, written through /proc/self/mem
//   memory    that page is anonymous memory with the same bytes
//   file      the file's time of change (for profiles that do not permit written files)
//   nothing   nothing
#include "evade.h"
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HONEST 200
#define GATE __attribute__((section(".gate"), noipa, optimize("no-omit-frame-pointer")))

static const char *what;
static long result = -1;

static void call(void) { __asm__ volatile(SETRESUID_ASM : "=a"(result) : : "rdi", "rsi", "rdx", "rcx", "r11", "memory"); }

// A page of its own, so that it can be replaced; nothing in it is run meanwhile but these.
__attribute__((aligned(4096))) GATE static void makes_the_call(void) {
  call();
  __asm__ volatile("" ::: "memory"); // no tail call
}

GATE static void is_on_the_way(int is_changed) {
  char buffer[64];
  __asm__ volatile("" : : "r"(buffer) : "memory"); // the frame has a canary, where the compiler gives it one
  void *volatile *slot = (void *volatile *)__builtin_frame_address(0) + 1, *was = *slot;
  if (is_changed && !strcmp(what, "return")) *slot = (char *)was - 1;
  unsigned long canary;
  __asm__ volatile("mov %%fs:0x28, %0" : "=r"(canary));
  if (is_changed && !strcmp(what, "canary")) __asm__ volatile("mov %0, %%fs:0x28" : : "r"(canary ^ 0xff00));
  makes_the_call();
  __asm__ volatile("mov %0, %%fs:0x28" : : "r"(canary));
  *slot = was;
}

__attribute__((noipa)) static void begins(int is_changed) {
  is_on_the_way(is_changed);
  __asm__ volatile("" ::: "memory");
}

// `depth` steps of the stack deeper.
__attribute__((noipa)) static void begins_at(int depth, int is_changed) {
  volatile char *room = __builtin_alloca((size_t)depth * 16 + 16);
  for (int byte = depth * 16; byte >= 0; byte -= 16) room[byte] = 0;
  begins(is_changed);
}

GATE static void is_never_run(void) { __asm__ volatile("nop; nop; nop; nop"); }

static void change(void) {
  unsigned char *page = (unsigned char *)((uintptr_t)makes_the_call & -PAGE);
  if (!strcmp(what, "text")) {
    int memory = open("/proc/self/mem", O_RDWR);
    unsigned char other = *(unsigned char *)(uintptr_t)is_never_run ^ 1;
    need(memory >= 0 && pwrite(memory, &other, 1, (off_t)(uintptr_t)is_never_run) == 1, "/proc/self/mem");
  } else if (!strcmp(what, "memory")) {
    unsigned char copy[PAGE];
    memcpy(copy, page, PAGE);
    need(mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page, "mmap");
    memcpy(page, copy, PAGE);
    need(mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
  } else if (!strcmp(what, "file")) {
    need(chmod("/proc/self/exe", 0755) == 0, "chmod");
  }
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  what = argv[1];
  setvbuf(stdout, NULL, _IONBF, 0);
  const char *how = argc > 2 ? argv[2] : "";
  int step = !strcmp(how, "depths"), first = strcmp(how, "deep") ? 0 : 1024;
  for (int round = 0; round < HONEST; round++) begins_at(first + round * step, 0);
  if (result != 0) return 3;
  printf("warm\n");
  result = -1;
  if (!strcmp(how, "child")) {
    pid_t child = fork();
    if (child != 0) {
      int status = 0;
      need(child > 0 && waitpid(child, &status, 0) == child, "fork");
      if (WIFSIGNALED(status)) kill(getpid(), WTERMSIG(status));
      return WEXITSTATUS(status);
    }
  }
  change();
  begins_at(first + HONEST * step, 1);
  if (result == 0) printf("evaded\n");
  return 0;
}
