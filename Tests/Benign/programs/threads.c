// Threads of every kind, what they wait for, and a change of identity that every one of them has to make in a signal's handler.
#include "probe.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_key_t key;
static sem_t semaphore;
static int turn, finished, destroyed;

static void destroy(void *value) {
  probe();
  __sync_fetch_and_add(&destroyed, value != NULL);
}
static void cleanup(void *value) {
  probe();
  (void)value;
}

static void *takes_turns(void *argument) {
  int own = (int)(long)argument;
  pthread_setspecific(key, &key);
  for (int i = 0; i < 30; i++) {
    pthread_mutex_lock(&mutex);
    while (turn % 4 != own) pthread_cond_wait(&condition, &mutex);
    probe();
    turn++;
    pthread_cond_broadcast(&condition);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

static void *is_cancelled(void *argument) {
  pthread_cleanup_push(cleanup, argument);
  probe();
  for (;;) sem_wait(&semaphore);
  pthread_cleanup_pop(0);
  return NULL;
}

static void *waits(void *argument) {
  pthread_mutex_lock(&mutex);
  while (!finished) pthread_cond_wait(&condition, &mutex);
  pthread_mutex_unlock(&mutex);
  return argument;
}

static void *forks(void *argument) {
  fflush(stdout);
  pid_t id = fork();
  if (id == 0) {
    probe();
    execlp("true", "true", (char *)NULL);
    _exit(9);
  }
  int status;
  waitpid(id, &status, 0);
  if (system("exit 3") != 3 << 8) _exit(97);
  return status == 0 ? argument : NULL;
}

static void *timed(void *argument) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  now.tv_nsec += 2000000;
  if (now.tv_nsec >= 1000000000) now.tv_sec++, now.tv_nsec -= 1000000000;
  return sem_timedwait(&semaphore, &now) < 0 && errno == ETIMEDOUT ? argument : NULL;
}

static long joined(pthread_t thread) {
  void *result;
  pthread_join(thread, &result);
  return result == PTHREAD_CANCELED ? -1 : (long)result;
}

int main(void) {
  pthread_key_create(&key, destroy);
  sem_init(&semaphore, 0, 0);
  pthread_t threads[8];
  for (long i = 0; i < 4; i++) pthread_create(&threads[i], NULL, takes_turns, (void *)i);
  for (int i = 0; i < 4; i++) joined(threads[i]);
  printf("%d turns, %d destroyed\n", turn, destroyed);

  pthread_create(&threads[0], NULL, is_cancelled, NULL);
  pthread_cancel(threads[0]);
  printf("cancelled: %ld\n", joined(threads[0]));

  pthread_attr_t small, own[2];
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  for (int i = 0; i < 2; i++) {
    pthread_attr_init(&own[i]);
    pthread_attr_setstack(&own[i], mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1 << 18);
  }
  pthread_create(&threads[0], &small, timed, (void *)1);
  pthread_create(&threads[1], &own[0], timed, (void *)2);
  pthread_create(&threads[2], &own[1], forks, (void *)3);
  printf("%ld", joined(threads[0]));
  printf(" %ld", joined(threads[1]));
  printf(" %ld\n", joined(threads[2]));

  // The C library makes all threads do it.
  for (long i = 0; i < 6; i++) pthread_create(&threads[i], NULL, waits, (void *)i);
  for (int i = 0; i < 5; i++) {
    if (setuid(getuid()) || setgid(getgid()) || setresuid(-1, -1, -1)) perror("setuid");
    usleep(1000);
  }
  pthread_mutex_lock(&mutex);
  finished = 1;
  pthread_cond_broadcast(&condition);
  pthread_mutex_unlock(&mutex);
  long sum = 0;
  for (int i = 0; i < 6; i++) sum += joined(threads[i]);
  printf("%ld\n", sum);
  return 0;
}
