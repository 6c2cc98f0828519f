// Calls a library made by Go from its first thread and from others.
#include <pthread.h>
#include <unistd.h>

int work(int);
static void *body(void *unused) {
  work(0);
  getppid();
  return unused;
}

int main(void) {
  work(1);
  pthread_t t[2];
  for (int i = 0; i < 2; i++) pthread_create(&t[i], 0, body, 0);
  for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
  return 0;
}
