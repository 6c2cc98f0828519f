// A stack pivot with faultless frames: the true stack, copied elsewhere word for word. Nothing in it is wrong but where it lies.
#include "evade.h"

// What the kernel calls start_stack: where argc lies. Kept by the dynamic linker.
extern void *__libc_stack_end;

// Bytes of stack to copy: from well below the caller's frame up to argc, in whole pages. It asks for no frame pointer: a frame that is
// found through one would lie in the true stack.
static inline size_t stack_size(void) {
  uintptr_t here;
  __asm__ volatile("mov %%rsp, %0" : "=r"(here));
  return (((uintptr_t)__libc_stack_end + PAGE) & -PAGE) - ((here - 2 * PAGE) & -PAGE);
}

// Copies the stack so that it ends at `end` (a page boundary); the distance from the true stack to the copy.
static inline ptrdiff_t copy_stack(char *end) {
  char *true_end = (char *)(((uintptr_t)__libc_stack_end + PAGE) & -PAGE);
  size_t size = stack_size();
  memcpy(end - size, true_end - size, size);
  return end - true_end;
}

// Moves the stack pointer into the copy, and executes a program from there. The frames of its callers are those of the copy.
__attribute__((noinline, unused)) static void execute_there(ptrdiff_t away) {
  __asm__ volatile("add %0, %%rsp" : : "r"(away) : "memory");
  execve("/bin/echo", evaded, environ);
  _exit(1);
}
