// Stackful coroutines with a switch in assembly (switch.S), on the heap and on mappings of their own.
#include "probe.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

void *switch_to(void **save, void *to, void *value);
void coroutine_start(void);

static void *scheduler, *coroutines[4];

APART static void step(long which, int depth) {
  if (depth > 0) {
    step(which, depth - 1);
    __asm__ volatile("");
    return;
  }
  probe();
  switch_to(&coroutines[which], scheduler, (void *)(which + 1));
  probe();
}

static void body(void *argument) {
  long which = (long)argument;
  for (;;) step(which, (int)which * 3);
}

static void *prepared(void *memory, size_t size) {
  uintptr_t *top = (uintptr_t *)(((uintptr_t)memory + size) & ~(uintptr_t)15);
  *--top = (uintptr_t)coroutine_start;
  *--top = 0;                // rbp
  *--top = (uintptr_t)body;  // rbx
  top -= 4;                  // r12 to r15
  top[0] = top[1] = top[2] = top[3] = 0;
  return top;
}

int main(void) {
  const size_t size = 1 << 16;
  for (int i = 0; i < 4; i++) {
    void *stack = i % 2 ? malloc(size) : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    coroutines[i] = prepared(stack, size);
  }
  long sum = 0;
  for (long round = 0; round < 200; round++) {
    long which = round % 4;
    sum += (long)switch_to(&scheduler, coroutines[which], (void *)which);
    probe();
  }
  printf("%ld\n", sum);
  return 0;
}
