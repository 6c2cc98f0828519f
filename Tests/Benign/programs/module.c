// What loading.c loads: constructors, a destructor, an IFUNC, and a call back into the program, bound when it is first made.
#include "probe.h"

static long fast(void) {
  probe();
  return 40;
}
static void *resolve(void) {
  // A resolver runs before its own file is relocated: no call through the PLT.
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "0"(110l) : "rcx", "r11", "memory");
  return r >= 0 ? (void *)fast : NULL;
}
long chosen(void) __attribute__((ifunc("resolve")));

__attribute__((constructor(200))) static void one(void) { probe(); }
__attribute__((constructor)) static void two(void) { probe(); }
__attribute__((destructor)) static void end(void) { probe(); }

long in_program(long);
long in_module(long n) {
  probe();
  return in_program(n) + chosen();
}
