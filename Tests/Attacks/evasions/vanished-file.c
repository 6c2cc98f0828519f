// Code of a file that is not there any more, with unwind tables of its own: `vanished-file memfd LIBRARY NAME` puts a copy of LIBRARY
// into a memfd of that name; `vanished-file deleted LIBRARY NAME` into a file of that name in the present directory, which it deletes.
//
// The kernel says so in /proc/PID/maps by words around the name ("/memfd:NAME (deleted)"), and the name may hold characters that join
// to them: U+0301 to the colon before it, the space after it to U+0600.
#include "evade.h"
#include <dlfcn.h>

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int is_memory = !strcmp(argv[1], "memfd");
  char path[4096];
  snprintf(path, sizeof path, "./%s", argv[3]);
  int from = open(argv[2], O_RDONLY);
  int to = is_memory ? memfd_create(argv[3], 0) : open(path, O_RDWR | O_CREAT | O_TRUNC, 0755);
  need(from >= 0 && to >= 0, "a file");
  char part[65536];
  for (ssize_t count; (count = read(from, part, sizeof part)) > 0;) need(write(to, part, count) == count, "write");
  if (is_memory) snprintf(path, sizeof path, "/proc/self/fd/%d", to);
  else close(to); // nobody may have it open for writing
  void *library = dlopen(path, RTLD_NOW);
  need(library != NULL, "dlopen");
  if (!is_memory) need(unlink(path) == 0, "unlink");
  long (*payload)(const char *, char *const[], char *const[]) = (long (*)(const char *, char *const[], char *const[]))dlsym(library, "payload");
  need(payload != NULL, "dlsym");
  printf("payload: %ld\n", payload("/bin/echo", evaded, environ));
  return 1;
}
