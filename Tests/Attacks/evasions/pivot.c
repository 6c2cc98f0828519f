// A pivot to memory of the process's own: `pivot heap`, `pivot bss`, `pivot mapping`, `pivot beside-tls`.
#include "copied-stack.h"

static char bss[64 << 10] __attribute__((aligned(4096)));

// The kernel joins an anonymous mapping to an equal one beside it: memory next to the thread's TLS becomes the same mapping as that.
static char *beside_tls(size_t size) {
  uintptr_t tls;
  __asm__("mov %%fs:0, %0" : "=r"(tls));
  uintptr_t at = (tls & -PAGE) - size;
  for (int tries = 0; tries < 256; tries++, at -= PAGE) {
    char *got = mmap((void *)at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == (char *)at) return got + size;
  }
  return NULL;
}

int main(int argc, char **argv) {
  const char *to = argc > 1 ? argv[1] : "";
  size_t size = stack_size() + 4 * PAGE;
  char *end = NULL;
  need(size < sizeof bss, "a stack that is small enough");
  if (!strcmp(to, "heap")) {
    // Small enough for brk: what malloc maps is a mapping like any other.
    char *memory = malloc(size + PAGE);
    need(memory != NULL, "malloc");
    end = (char *)(((uintptr_t)memory + size) & -PAGE);
  } else if (!strcmp(to, "bss")) {
    end = bss + sizeof bss;
  } else if (!strcmp(to, "mapping")) {
    // Far from everything else: nothing to be joined to.
    char *memory = mmap((void *)0x200000000000, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(memory != MAP_FAILED, "mmap");
    end = (char *)(((uintptr_t)memory + size) & -PAGE);
  } else if (!strcmp(to, "beside-tls")) {
    end = beside_tls(size);
    need(end != NULL, "a place beside the TLS");
  } else {
    return 2;
  }
  execute_there(copy_stack(end));
}
