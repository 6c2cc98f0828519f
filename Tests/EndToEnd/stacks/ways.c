#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

// Ways to stand still, one a run: what callgatectl stack is to show.

static int deep(int n) {
  if (n == 0) { puts("ready"); pause(); return 1; }
  return deep(n - 1) + n % 3;
}

static void handler(int number) {
  (void)number;
  puts("ready");
  pause();
}

static void *waiting(void *unused) {
  (void)unused;
  pthread_setname_np(pthread_self(), "waiting");
  int poller = epoll_create1(0);
  struct epoll_event event;
  epoll_wait(poller, &event, 1, -1);
  return NULL;
}

static void *spinning(void *unused) {
  (void)unused;
  pthread_setname_np(pthread_self(), "spinning");
  for (volatile unsigned long i = 0;; i++) {}
}

int main(int count, char **arguments) {
  setvbuf(stdout, NULL, _IONBF, 0);
  const char *way = count > 1 ? arguments[1] : "";
  if (!strcmp(way, "deep")) return deep(count > 2 ? atoi(arguments[2]) : 1000);
  if (!strcmp(way, "handler") || !strcmp(way, "other-stack")) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    if (!strcmp(way, "other-stack")) {
      stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
      sigaltstack(&stack, NULL);
    }
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    return 0;
  }
  if (!strcmp(way, "threads")) {
    pthread_t one, two;
    pthread_create(&one, NULL, waiting, NULL);
    pthread_create(&two, NULL, spinning, NULL);
    usleep(100000);
    puts("ready");
    pthread_join(one, NULL);
    return 0;
  }
  if (!strcmp(way, "loop")) {
    puts("ready");
    for (volatile unsigned long i = 0;; i++) {}
  }
  if (!strcmp(way, "vfork-wait")) {
    if (vfork() == 0) { write(1, "ready\n", 6); pause(); _exit(0); }
    return 0;
  }
  return 2;
}
