// A function that would make the call if it were told to, and one byte of its code: the condition of its jump. Every frame of the call is
// the program's own; with `call` the function's, too, with `jump` it is left before the call is made. `changed-text call memory` writes the byte through /proc/self/mem; `changed-text call mapping` maps the file again, privately and
// writable, writes it there, and then makes the memory executable.
#include "evade.h"

// A page of its own each, which the others need not run from meanwhile.
#define GATE __attribute__((section(".gate"), aligned(4096), noipa)) static int

GATE gate_that_calls(int is_open) {
  int result = 0;
  if (is_open) result = execve("/bin/echo", evaded, environ);
  __asm__ volatile("" ::: "memory"); // no tail call
  return result;
}

GATE gate_that_jumps(int is_open) {
  if (is_open) return execve("/bin/echo", evaded, environ);
  return 0;
}

// The byte of `test %edi, %edi; je` (or jne) that says which.
static unsigned char *condition(unsigned char *code) {
  for (int i = 0; i < 32; i++) {
    if (code[i] != 0x85 || code[i + 1] != 0xff) continue;
    if ((code[i + 2] & 0xfe) == 0x74) return code + i + 2;
    if (code[i + 2] == 0x0f && (code[i + 3] & 0xfe) == 0x84) return code + i + 3;
  }
  return NULL;
}

static void write_through_mem(unsigned char *place) {
  unsigned char other = *place ^ 1;
  int memory = open("/proc/self/mem", O_RDWR);
  need(memory >= 0 && pwrite(memory, &other, 1, (off_t)(uintptr_t)place) == 1, "/proc/self/mem");
}

static void map_again(unsigned char *code, unsigned char *place) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[4352], path[4096];
  uintptr_t start, end, at = (uintptr_t)code;
  unsigned long offset;
  for (;;) {
    need(maps != NULL && fgets(line, sizeof line, maps) != NULL, "the mapping of this file");
    if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %4095s", &start, &end, &offset, path) == 4 && start <= at && at < end) break;
  }
  int file = open(path, O_RDONLY);
  void *there = mmap(code, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, (off_t)(offset + (at - start)));
  need(file >= 0 && there == code, "mmap");
  *place ^= 1;
  need(mprotect(code, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int (*gate)(int) = !strcmp(argv[1], "jump") ? gate_that_jumps : gate_that_calls;
  unsigned char *code = (unsigned char *)(uintptr_t)gate, *place = condition(code);
  need(place != NULL, "a condition");
  if (!strcmp(argv[2], "mapping")) map_again(code, place);
  else write_through_mem(place);
  printf("gate: %d\n", !strcmp(argv[1], "jump") ? gate_that_jumps(0) : gate_that_calls(0));
  return 1;
}
