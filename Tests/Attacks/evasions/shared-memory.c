// Tries again and again: each attempt is made by a child that shares the memory, and the attacker's own process outlives it.
#include "evade.h"
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

// With a return address that no call has pushed: a violation.
__attribute__((noinline)) static int attempt(void *unused) {
  (void)unused;
  void *volatile *frame = __builtin_frame_address(0);
  frame[1] = (void *)attempt;
  long answer;
  __asm__ volatile(SETRESUID_ASM : "=a"(answer) : : "rcx", "r11", "rdi", "rsi", "rdx", "memory");
  _exit(answer == 0 ? 0 : 7);
}

int main(void) {
  for (int number = 1; number <= 3; number++) {
    char *stack = malloc(64 << 10);
    pid_t child = clone(attempt, stack + (64 << 10), CLONE_VM | SIGCHLD, NULL);
    need(child > 0, "clone");
    int status;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) printf("evaded in attempt %d\n", number);
    else if (WIFSIGNALED(status)) printf("attempt %d: killed by %d\n", number, WTERMSIG(status));
    else printf("attempt %d: failed\n", number);
  }
  printf("the process goes on\n");
  return 0;
}
