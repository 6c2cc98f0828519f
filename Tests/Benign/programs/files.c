// Does with files, directories, pipes and sockets what programs do all day; the directory it starts in must be its own.
#include "probe.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static void must(int ok, const char *what) {
  if (ok) return;
  perror(what);
  exit(1);
}

static long with_files(int round) {
  char name[64], path[4096], bytes[8192];
  snprintf(name, sizeof name, "d%d", round);
  must(mkdir(name, 0755) == 0 && chdir(name) == 0, "mkdir");
  must(getcwd(path, sizeof path) != NULL, "getcwd");
  FILE *file = fopen("f", "w+");
  for (int i = 0; i < 300; i++) fprintf(file, "line %d of %d\n", i, round);
  fseek(file, 0, SEEK_SET);
  probe();
  long lines = 0;
  while (fgets(bytes, sizeof bytes, file)) lines++;
  must(fsync(fileno(file)) == 0 && ftruncate(fileno(file), 10) == 0 && fchmod(fileno(file), 0600) == 0, "file");
  fclose(file);
  struct timeval times[2] = {{1, 0}, {2, 0}};
  must(utimes("f", times) == 0 && chmod("f", 0640) == 0 && rename("f", "g") == 0 && link("g", "h") == 0, "names");
  must(symlink("g", "s") == 0 && readlink("s", bytes, sizeof bytes) == 1, "symlink");
  struct stat status;
  must(stat("s", &status) == 0 && lstat("s", &status) == 0 && access("g", R_OK) == 0, "stat");
  DIR *directory = opendir(".");
  while (readdir(directory)) lines++;
  closedir(directory);
  must(unlink("g") == 0 && unlink("h") == 0 && unlink("s") == 0 && chdir("..") == 0 && rmdir(name) == 0, "remove");
  return lines;
}

static long with_sockets(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int server = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  must(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "setsockopt");
  must(bind(server, (struct sockaddr *)&address, size) == 0 && listen(server, 5) == 0, "listen");
  must(getsockname(server, (struct sockaddr *)&address, &size) == 0, "getsockname");
  pid_t id = fork();
  if (id == 0) {
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&address, size) != 0) _exit(1);
    _exit(write(client, "hello", 5) == 5 ? 0 : 1);
  }
  char bytes[16];
  int status, caller = accept(server, NULL, NULL);
  ssize_t count = recv(caller, bytes, sizeof bytes, MSG_WAITALL);
  waitpid(id, &status, 0);
  close(caller), close(server);
  return count + status;
}

static long about_itself(void) {
  struct utsname name;
  struct sysinfo host;
  struct rusage usage;
  struct rlimit limit;
  struct tms ticks;
  char random[32];
  must(uname(&name) == 0 && sysinfo(&host) == 0 && getrusage(RUSAGE_SELF, &usage) == 0, "uname");
  must(getrlimit(RLIMIT_STACK, &limit) == 0 && times(&ticks) != (clock_t)-1 && getentropy(random, sizeof random) == 0, "getrlimit");
  int ends[2];
  must(pipe(ends) == 0 && dup2(ends[0], 60) == 60 && dup(ends[1]) > 0, "pipe");
  close(ends[0]), close(ends[1]), close(60), close(ends[1] + 1);
  umask(umask(022));
  return (getuid() == geteuid()) + (getgid() == getegid()) + (kill(getpid(), 0) == 0);
}

int main(int count, char **arguments) {
  int rounds = count > 1 ? atoi(arguments[1]) : 1;
  long sum = 0;
  for (int round = 0; round < rounds; round++) sum += with_files(round) + with_sockets() + about_itself();
  printf("%ld\n", sum);
  return 0;
}
