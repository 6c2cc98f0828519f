// A pivot to the heap for calls that few profiles trap: `pivoted-call connect`, `listen`, `chmod`.
#include "copied-stack.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

static const struct sockaddr_in here = {.sin_family = AF_INET};

// What an attacker's shell does that calls home, that waits for a caller, or that leaves a file for later. Nobody hears the first: its port is
// 0. And the file is not there: it is the call that counts.
enum kind { connects, listens, changes_mode };

__attribute__((noinline)) static int call_there(ptrdiff_t away, enum kind kind, int end) {
  int made;
  __asm__ volatile("add %0, %%rsp" : : "r"(away) : "memory");
  switch (kind) {
  case connects: made = !connect(end, (const struct sockaddr *)&here, sizeof here) || errno == ECONNREFUSED; break;
  case listens: made = !listen(end, 1); break;
  case changes_mode: made = !chmod("no-such-file", 0700) || errno == ENOENT; break;
  default: made = 0;
  }
  __asm__ volatile("sub %0, %%rsp" : : "r"(away) : "memory");
  return made;
}

int main(int argc, char **argv) {
  static const char *const names[] = {"connect", "listen", "chmod"};
  for (enum kind kind = connects; kind <= changes_mode; kind++) {
    if (argc < 2 || strcmp(argv[1], names[kind])) continue;
    int end = socket(AF_INET, SOCK_STREAM, 0);
    need(end >= 0, "a socket");
    size_t size = stack_size() + 4 * PAGE;
    char *memory = malloc(size + PAGE);
    need(memory != NULL, "malloc");
    if (call_there(copy_stack((char *)(((uintptr_t)memory + size) & -PAGE)), kind, end)) puts("evaded");
    return 0;
  }
  return 2;
}
