// Starts programs and makes memory executable, in every way an ordinary program does. Compiled and run by compiler.bash.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void *thread(void *unused) {
  system("echo from a thread");
  return unused;
}

static int compare(const void *a, const void *b) {
  static int once;
  if (!once++) system("echo from a comparison");
  return *(const int *)a - *(const int *)b;
}

__attribute__((constructor)) static void early(void) { system("echo from a constructor"); }
static void late(void) { system("echo from atexit"); }

static jmp_buf back;
static void deep(int levels) {
  volatile char room[256];
  memset((char *)room, levels, sizeof room);
  if (levels > 0) deep(levels - 1);
  else system("echo from far down");
  if (room[0] == 0) longjmp(back, 1);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  atexit(late);
  system("echo from system");

  char line[64] = "";
  FILE *pipe = popen("echo from popen", "r");
  if (fgets(line, sizeof line, pipe)) fputs(line, stdout);
  pclose(pipe);

  pid_t id;
  int status;
  char *arguments[] = {"echo", "from posix_spawn", NULL};
  posix_spawnp(&id, "echo", NULL, NULL, arguments, environ);
  waitpid(id, &status, 0);
  if (!vfork()) {
    execlp("echo", "echo", "from vfork", NULL);
    _exit(9);
  }
  wait(&status);
  if (!fork()) {
    execlp("echo", "echo", "from fork", NULL);
    _exit(9);
  }
  wait(&status);

  pthread_t other;
  pthread_create(&other, NULL, thread, NULL);
  pthread_join(other, NULL);

  int numbers[] = {3, 1, 2};
  qsort(numbers, 3, sizeof *numbers, compare);
  printf("%d %d %d\n", numbers[0], numbers[1], numbers[2]);
  if (!setjmp(back)) deep(50);
  system("echo after longjmp");

  unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *code = 0xc3;
  printf("mprotect %d\n", mprotect(code, 4096, PROT_READ | PROT_EXEC));
  ((void (*)(void))code)();
  printf("execl %d\n", execl("/does/not/exist", "x", NULL));
  return 5;
}
