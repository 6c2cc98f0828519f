// Every way in which C calls, and is called back: each from a place of its own, many times over.
#include "probe.h"

#include <alloca.h>
#include <ftw.h>
#include <pthread.h>
#include <search.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static volatile long sum;

static int compare(const void *a, const void *b) {
  probe();
  return *(const int *)a - *(const int *)b;
}

APART static long deep(int levels) {
  volatile char room[40];
  room[0] = (char)levels;
  if (levels == 0) probe();
  return levels ? deep(levels - 1) + room[0] : 1;
}

APART static void with_array(int count) {
  char bytes[count];
  memset(bytes, 1, (size_t)count);
  probe();
  sum += bytes[count / 2];
}

APART static void with_alloca(int count) {
  for (int n = 1; n < count; n++) {
    char *bytes = alloca((size_t)n * 16);
    bytes[0] = 2;
    probe();
    sum += bytes[0];
  }
}

// The last thing a function does may be a call, whose return address belongs to whatever follows it.
__attribute__((noreturn)) APART static void ends(jmp_buf to) {
  probe();
  longjmp(to, 1);
}
APART static void calls_last(jmp_buf to) {
  sum++;
  ends(to);
}

__attribute__((cold, noreturn, noipa)) void gives_up(jmp_buf to, long n) {
  probe();
  longjmp(to, (int)n);
}
// Split in a hot part and a cold one, which is entered by a jump with the frame that is there, and calls from it.
__attribute__((noipa)) long mostly(long n, long times, jmp_buf to) {
  volatile long room[8] = {n};
  for (long i = 0; i < times; i++) sum += i + room[i % 8];
  if (n == 7) gives_up(to, room[0]);
  return sum;
}

// Sibling calls are jumps: the frames of `first` and `second` are gone when `third` runs.
APART static long third(long a, long b) {
  probe();
  return a + b;
}
APART static long second(long a, long b) { return third(b, a + 1); }
APART static long first(long a) { return second(a, a * 2); }

struct large {
  long values[9];
};
APART static struct large by_value(struct large one, long a, long b, long c, long d, long e, long f, long g, double x) {
  probe();
  one.values[0] += a + b + c + d + e + f + g + (long)x;
  return one;
}

APART static long variadic(int count, ...) {
  va_list list;
  va_start(list, count);
  long total = 0;
  while (count-- > 0) total += va_arg(list, long);
  probe();
  va_end(list);
  return total;
}

APART static void aligned(void) {
  volatile char block[64] __attribute__((aligned(64)));
  block[1] = 3;
  probe();
  if ((uintptr_t)block % 64 != 0) _exit(98);
  sum += block[1];
}

static int seen_file(const char *path, const struct stat *status, int kind, struct FTW *place) {
  (void)path, (void)status, (void)kind;
  if (place->level < 2) probe();
  return 0;
}

static void seen_node(const void *node, VISIT order, int level) {
  (void)node, (void)level;
  if (order == leaf || order == postorder) probe();
}

static ssize_t cookie_write(void *cookie, const char *bytes, size_t count) {
  probe();
  *(size_t *)cookie += count;
  (void)bytes;
  return (ssize_t)count;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void at_once(void) { probe(); }
static void at_exit(void) {
  probe();
  write(1, "at exit\n", 8);
}
__attribute__((constructor)) static void before_main(void) { probe(); }
__attribute__((destructor)) static void after_main(void) {
  probe();
  write(1, "destructor\n", 11);
}

int main(int count, char **arguments) {
  int rounds = count > 1 ? atoi(arguments[1]) : 1;
  atexit(at_exit);
  long (*volatile indirect)(long) = first;
  for (int round = 0; round < rounds; round++) {
    int numbers[] = {5, 3, 8, 1, 9, 2, 7};
    qsort(numbers, 7, sizeof *numbers, compare);
    sum += *(int *)bsearch(&numbers[2], numbers, 7, sizeof *numbers, compare);
    sum += deep(200);
    with_array(100 + 1000 * (round % 5));
    with_alloca(4);
    jmp_buf back;
    if (!setjmp(back)) calls_last(back);
    if (!setjmp(back)) mostly(7, 10, back);
    sum += indirect(round);
    struct large one = {{round}};
    sum += by_value(one, 1, 2, 3, 4, 5, 6, 7, 8.5).values[0];
    sum += variadic(8, 1l, 2l, 3l, 4l, 5l, 6l, 7l, 8l);
    aligned();
    pthread_once(&once, at_once);
    nftw("/etc/ssl", seen_file, 8, FTW_PHYS);
    void *tree = NULL;
    for (int i = 0; i < 4; i++) tsearch(&numbers[i], &tree, compare);
    twalk(tree, seen_node);
    while (tree) tdelete(*(void **)tree, &tree, compare);
    size_t written = 0;
    FILE *file = fopencookie(&written, "w", (cookie_io_functions_t){.write = cookie_write});
    fprintf(file, "%d rounds", round);
    fclose(file);
    sum += (long)written;
  }
  printf("%ld\n", sum);
  return 3;
}
