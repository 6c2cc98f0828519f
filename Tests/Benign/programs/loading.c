// What the dynamic linker does: PREINIT, constructors, IFUNCs, calls bound late, libraries that come and go.
#include "probe.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>

static int before;
static void preinit(int count, char **arguments, char **environment) {
  (void)arguments, (void)environment;
  probe();
  before += count > 0;
}
__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(int, char **, char **) = preinit;

static long quick(void) {
  probe();
  return 2;
}
static void *resolve(void) {
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "0"(110l) : "rcx", "r11", "memory");
  return r >= 0 ? (void *)quick : NULL;
}
long target(void) __attribute__((ifunc("resolve")));

__attribute__((constructor)) static void construct(void) {
  probe();
  before++;
}

long in_program(long n) {
  probe();
  return n;
}

int main(int count, char **arguments) {
  if (count < 2) return 9;
  long sum = target();
  for (int i = 0; i < 20; i++) {
    void *module = dlopen(arguments[1], i % 2 ? RTLD_NOW : RTLD_LAZY);
    if (!module) {
      puts(dlerror());
      return 8;
    }
    long (*call)(long) = (long (*)(long))dlsym(module, "in_module");
    sum += call(i);
    sum += call(i);
    dlclose(module);
  }
  // Libraries of others, with all that they load and set up.
  for (int i = 0; i < 3; i++) {
    void *library = dlopen("libstdc++.so.6", RTLD_NOW);
    sum += library != NULL;
    dlclose(library);
  }
  printf("%d %ld\n", before, sum);
  return dlopen("/does/not/exist.so", RTLD_NOW) == NULL ? 4 : 5;
}
