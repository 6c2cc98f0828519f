// gcc -fsplit-stack: a function that needs more stack than there is left goes on on a new piece (__morestack).
#include "probe.h"

#include <pthread.h>
#include <string.h>

APART static long deep(int levels) {
  volatile char room[3000];
  memset((char *)room, levels & 1, sizeof room);
  if (levels % 50 == 0) probe();
  return levels ? deep(levels - 1) + room[100] : 0;
}

static void *thread(void *unused) {
  (void)unused;
  return (void *)deep(400);
}

int main(void) {
  pthread_t other;
  void *result;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  for (int i = 0; i < 3; i++) {
    pthread_create(&other, &small, thread, NULL);
    pthread_join(other, &result);
    printf("%ld %ld\n", deep(300), (long)result);
  }
  return 0;
}
