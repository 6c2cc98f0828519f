// clone(2) onto stacks of the program's own: from the heap, from mappings, with the memory shared and not.
#include "probe.h"

#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

static const size_t size = 1 << 17;
static int shared;

static int child(void *argument) {
  for (int i = 0; i < 5; i++) probe();
  shared += (int)(intptr_t)argument;
  return (int)(intptr_t)argument;
}

static int executes(void *argument) {
  execlp("echo", "echo", (char *)argument, (char *)NULL);
  return 9;
}

static int outcome(int (*body)(void *), char *stack, int flags, void *argument) {
  int status = -1;
  pid_t id = clone(body, stack + size, flags | SIGCHLD, argument);
  if (id < 0 || waitpid(id, &status, 0) != id) return -1;
  return WEXITSTATUS(status);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  static char in_data[1 << 17] __attribute__((aligned(16)));
  void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  char *stacks[] = {malloc(size), mapped, in_data};
  for (int i = 0; i < 3; i++) {
    printf("%d", outcome(child, stacks[i], 0, (void *)1));
    printf(" %d", outcome(child, stacks[i], CLONE_VM | CLONE_FS | CLONE_FILES, (void *)2));
    printf(" %d", outcome(child, stacks[i], CLONE_VM | CLONE_VFORK, (void *)3));
    printf(" %d\n", shared);
    outcome(executes, stacks[i], 0, "own memory");
    outcome(executes, stacks[i], CLONE_VM | CLONE_VFORK, "shared memory");
  }
  return 0;
}
