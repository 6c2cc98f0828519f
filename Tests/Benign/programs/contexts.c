// Coroutines of getcontext(3), makecontext(3) and swapcontext(3), on stacks from everywhere.
#include "probe.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

static ucontext_t main_context, even, odd, inner;
static int value, rounds;

APART static void produce(int number) {
  value = number;
  probe();
}

static void evens(int first, int step) {
  for (int i = first; rounds > 0; i += step) {
    produce(i);
    swapcontext(&even, &odd);
  }
}

static void within(void) {
  probe();
  swapcontext(&inner, &odd);
  probe();
}

static void handler(int number) {
  (void)number;
  probe();
}

static void odds(void) {
  char own[1 << 15];
  getcontext(&inner);
  inner.uc_stack.ss_sp = own;
  inner.uc_stack.ss_size = sizeof own;
  inner.uc_link = &odd;
  makecontext(&inner, within, 0);
  swapcontext(&odd, &inner);
  probe();
  for (int i = 1; rounds > 0; i += 2) {
    produce(i);
    if (rounds % 10 == 0) raise(SIGUSR1);
    swapcontext(&odd, &main_context);
    if (rounds > 0) swapcontext(&odd, &even);
  }
}

static void prepare(ucontext_t *context, void *stack, size_t size) {
  getcontext(context);
  context->uc_stack.ss_sp = stack;
  context->uc_stack.ss_size = size;
  context->uc_link = &main_context;
}

int main(void) {
  static char in_data[1 << 16];
  size_t size = 1 << 16;
  void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  void *stacks[] = {malloc(size), mapped, in_data};
  signal(SIGUSR1, handler);
  for (int kind = 0; kind < 3; kind++) {
    rounds = 100;
    long sum = 0;
    prepare(&even, stacks[kind], size);
    makecontext(&even, (void (*)(void))evens, 2, 0, 2);
    prepare(&odd, stacks[(kind + 1) % 3], size);
    makecontext(&odd, odds, 0);
    for (; rounds > 0; rounds--) {
      swapcontext(&main_context, &odd);
      sum += value;
      probe();
    }
    printf("%ld\n", sum);
  }
  return 0;
}
