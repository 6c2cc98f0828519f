// System calls by other ways than the one that is watched: `other-entry newer` (one that the libraries of callgate may not know yet),
// `x32`, `int80`, `io_uring`. It says what the kernel answered.
#include "evade.h"

int main(int argc, char **argv) {
  const char *way = argc > 1 ? argv[1] : "";
  long answer;
  if (!strcmp(way, "newer")) {
    answer = syscall(467 /* open_tree_attr, Linux 6.15 */, -1, "", 0, NULL, 0);
  } else if (!strcmp(way, "x32")) {
    answer = syscall(0x40000000 | SYS_getpid);
  } else if (!strcmp(way, "int80")) {
    // getpid of i386.
    __asm__ volatile("int $0x80" : "=a"(answer) : "a"(20) : "memory");
    if (answer < 0) errno = (int)-answer;
  } else if (!strcmp(way, "io_uring")) {
    answer = syscall(SYS_io_uring_setup, 0, NULL);
  } else {
    return 2;
  }
  if (answer >= 0) printf("evaded: %ld\n", answer);
  else printf("answer: %s\n", errno == ENOSYS ? "ENOSYS" : errno == EPERM ? "EPERM" : strerror(errno));
  return 0;
}
