/* The same system call, again and again, from stacks of a chosen depth, and what one call takes.
 *
 *   trail repeat|fresh|first [--frames N] [--calls N] [--threads N] [--at SECONDS]
 *
 * repeat   every call comes through the same frames
 * fresh    every call comes through other frames of the same sixteen call sites: a new trail in known code
 * first    every call comes through functions that have not been on a stack before
 *
 * Fewer calls are made than were asked for where there are no more ways or functions.
 *
 * A trail is made of frames N deep, the frame in libc that makes the call and those from main down to the program's entry included. Calls
 * are timed in batches; printed is one JSON object: nanoseconds per call of each batch, by CLOCK_MONOTONIC, and of all threads' calls
 * together. With --at nothing is done until CLOCK_REALTIME says so: programs that are to run at once are given the same time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What lies on the stack besides this program's own recursion: getppid; and run, main, two of libc's, _start. */
enum { FRAMES_AROUND = 6, BATCHES = 20, MAX_THREADS = 256 };

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Keeps a call from becoming a jump, and an array on the stack. */
#define KEEP(value) __asm__ volatile("" : : "r"(value) : "memory")

/* -- repeat and fresh: four functions, each of which calls all four. Two bits of `path` choose at each depth. -- */

typedef long level(uint64_t path, unsigned depth);
static level left, right, upper, lower;

static inline uint64_t rotated(uint64_t path) { return path >> 2 | path << 62; }

#define LEVEL(name, bytes)                                             \
  static __attribute__((noinline)) long name(uint64_t path, unsigned depth) { \
    char room[bytes];                                                  \
    long result;                                                       \
    KEEP(room);                                                        \
    if (depth == 0) {                                                  \
      result = getppid();                                              \
    } else {                                                           \
      switch (path & 3) {                                              \
      case 0: result = left(rotated(path), depth - 1); break;          \
      case 1: result = right(rotated(path), depth - 1); break;         \
      case 2: result = upper(rotated(path), depth - 1); break;         \
      default: result = lower(rotated(path), depth - 1); break;        \
      }                                                                \
    }                                                                  \
    KEEP(room);                                                        \
    return result;                                                     \
  }
LEVEL(left, 8)
LEVEL(right, 24)
LEVEL(upper, 40)
LEVEL(lower, 72)

/* -- first: 4096 functions in a row, each of which calls the next one, or makes the call. -- */

enum { ROW = 4096 };

#define STEP(n, next)                                                    \
  static long step##n(unsigned depth);                                   \
  static __attribute__((noinline, used)) long step##n(unsigned depth) {  \
    char room[8 + (0x##n & 3) * 16];                                     \
    KEEP(room);                                                          \
    long result = depth == 0 ? getppid() : step##next(depth - 1);        \
    KEEP(room);                                                          \
    return result;                                                       \
  }
#define DECLARE(n, next) static long step##n(unsigned depth);
#define NAME(n, next) step##n,

/* Sixteen functions whose numbers begin with the digits `p`; the last one calls the first of those that begin with `q`. */
#define ROW1(X, p, q) \
  X(p##0, p##1) X(p##1, p##2) X(p##2, p##3) X(p##3, p##4) X(p##4, p##5) X(p##5, p##6) X(p##6, p##7) X(p##7, p##8) \
  X(p##8, p##9) X(p##9, p##a) X(p##a, p##b) X(p##b, p##c) X(p##c, p##d) X(p##d, p##e) X(p##e, p##f) X(p##f, q##0)
#define ROW2(X, p, q) \
  ROW1(X, p##0, p##1) ROW1(X, p##1, p##2) ROW1(X, p##2, p##3) ROW1(X, p##3, p##4) ROW1(X, p##4, p##5) ROW1(X, p##5, p##6) \
  ROW1(X, p##6, p##7) ROW1(X, p##7, p##8) ROW1(X, p##8, p##9) ROW1(X, p##9, p##a) ROW1(X, p##a, p##b) ROW1(X, p##b, p##c) \
  ROW1(X, p##c, p##d) ROW1(X, p##d, p##e) ROW1(X, p##e, p##f) ROW1(X, p##f, q##0)
#define ROW3(X) \
  ROW2(X, 0, 1) ROW2(X, 1, 2) ROW2(X, 2, 3) ROW2(X, 3, 4) ROW2(X, 4, 5) ROW2(X, 5, 6) ROW2(X, 6, 7) ROW2(X, 7, 8) \
  ROW2(X, 8, 9) ROW2(X, 9, a) ROW2(X, a, b) ROW2(X, b, c) ROW2(X, c, d) ROW2(X, d, e) ROW2(X, e, f) ROW2(X, f, 0)

ROW3(DECLARE)
ROW3(STEP)
static long (*const row[ROW])(unsigned depth) = {ROW3(NAME)};

/* -- what is measured -- */

enum mode { REPEAT, FRESH, FIRST };

struct work {
  enum mode mode;
  unsigned depth, calls;
  uint64_t seed;
  double batches[BATCHES];
  uint64_t begun, ended;
};

/* Any 2n low bits of the product are others for each of 4^n numbers in a row, so that no way of n steps is gone twice. */
static uint64_t path_of(uint64_t number) { return number * 0x9e3779b97f4a7c15; }

static __attribute__((noinline)) void *run(void *argument) {
  struct work *work = argument;
  unsigned done = 0;
  work->begun = now();
  for (unsigned batch = 0; batch < BATCHES; batch++) {
    unsigned end = (uint64_t)work->calls * (batch + 1) / BATCHES;
    unsigned begin = done;
    uint64_t begun = now();
    for (; done < end; done++) {
      switch (work->mode) {
      case REPEAT: left(path_of(work->seed + 1), work->depth); break;
      case FRESH: left(path_of(work->seed + done), work->depth); break;
      case FIRST: row[done * (work->depth + 1) % ROW](work->depth); break;
      }
    }
    work->batches[batch] = end > begin ? (double)(now() - begun) / (end - begin) : 0;
  }
  work->ended = now();
  return NULL;
}

static unsigned number(const char *word, unsigned least, unsigned most) {
  char *end;
  errno = 0;
  unsigned long value = word ? strtoul(word, &end, 10) : 0;
  if (!word || *end || errno || value < least || value > most) {
    fprintf(stderr, "trail: '%s' is no number from %u to %u\n", word ? word : "", least, most);
    exit(2);
  }
  return value;
}

static void wait_until(unsigned second) {
  struct timespec at = {.tv_sec = second};
  while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL) == EINTR) continue;
}

static bool parse(int count, char **words, struct work *work, unsigned *threads, unsigned *at) {
  static const char *const modes[] = {[REPEAT] = "repeat", [FRESH] = "fresh", [FIRST] = "first"};
  unsigned frames = 15;
  bool known = false;
  for (unsigned mode = 0; count > 1 && mode < 3; mode++) {
    if (strcmp(words[1], modes[mode]) == 0) work->mode = mode, known = true;
  }
  for (int i = 2; i < count; i += 2) {
    if (strcmp(words[i], "--frames") == 0) frames = number(words[i + 1], FRAMES_AROUND + 1, 4000);
    else if (strcmp(words[i], "--calls") == 0) work->calls = number(words[i + 1], 1, 100000000);
    else if (strcmp(words[i], "--threads") == 0) *threads = number(words[i + 1], 1, MAX_THREADS);
    else if (strcmp(words[i], "--at") == 0) *at = number(words[i + 1], 1, UINT32_MAX);
    else return false;
  }
  work->depth = frames - FRAMES_AROUND - 1;
  /* No function of the row may be used twice, and no way through the four. */
  unsigned most = UINT32_MAX;
  if (work->mode == FIRST) most = ROW / (work->depth + 1);
  if (work->mode == FRESH && work->depth < 16) most = 1U << 2 * work->depth;
  if (work->calls > most) work->calls = most;
  return known;
}

int main(int count, char **words) {
  struct work work = {.calls = 10000, .seed = 1};
  unsigned threads = 1, at = 0;
  if (!parse(count, words, &work, &threads, &at)) {
    fputs("usage: trail repeat|fresh|first [--frames N] [--calls N] [--threads N] [--at SECONDS]\n", stderr);
    return 2;
  }
  static struct work works[MAX_THREADS];
  pthread_t ids[MAX_THREADS];
  for (unsigned i = 0; i < threads; i++) works[i] = work, works[i].seed = (uint64_t)(i + 1) << 32;
  if (at) wait_until(at);
  for (unsigned i = 1; i < threads; i++) {
    int error = pthread_create(&ids[i], NULL, run, &works[i]);
    if (error) {
      fprintf(stderr, "trail: cannot start a thread: %s\n", strerror(error));
      return 1;
    }
  }
  run(&works[0]);
  uint64_t begun = works[0].begun, ended = works[0].ended;
  for (unsigned i = 1; i < threads; i++) {
    pthread_join(ids[i], NULL);
    if (works[i].begun < begun) begun = works[i].begun;
    if (works[i].ended > ended) ended = works[i].ended;
  }
  printf("{\"calls\": %u, \"ns\": %.1f, \"batches\": [", work.calls * threads, (double)(ended - begun) / work.calls / threads);
  unsigned printed = 0;
  for (unsigned i = 0; i < BATCHES; i++) {
    if (works[0].batches[i] > 0) printf("%s%.1f", printed++ ? ", " : "", works[0].batches[i]);
  }
  puts("]}");
  return 0;
}
