// Tells the kernel that the process's stack starts elsewhere (prctl(2), PR_SET_MM_MAP, which needs no privilege), and pivots there.
// `moved-start prctl` only asks; without an argument it goes on, whatever the answer was.
#include "copied-stack.h"
#include <linux/prctl.h>
#include <sys/prctl.h>

int main(int argc, char **argv) {
  (void)argv;
  char text[4096] = {0};
  unsigned long long field[64] = {0};
  int file = open("/proc/self/stat", O_RDONLY);
  need(read(file, text, sizeof text - 1) > 0, "/proc/self/stat");
  close(file);
  // Numbered as in proc(5); the first after the name is 3.
  char *at = strrchr(text, ')') + 4;
  for (int number = 4; number < 52; number++) field[number] = strtoull(at, &at, 10);

  size_t size = stack_size() + 8 * PAGE;
  char *there = mmap((void *)0x200000000000, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  need(there != MAP_FAILED, "mmap");
  char *end = (char *)(((uintptr_t)there + size) & -PAGE);
  ptrdiff_t away = end - (char *)(((uintptr_t)__libc_stack_end + PAGE) & -PAGE);
  struct prctl_mm_map map = {
      .start_code = field[26], .end_code = field[27], .start_data = field[45], .end_data = field[46], .start_brk = field[47],
      .brk = (uintptr_t)sbrk(0), .arg_start = field[48], .arg_end = field[49], .env_start = field[50], .env_end = field[51],
      .start_stack = field[28] + away, .exe_fd = -1,
  };
  int answer = prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
  printf("prctl: %s\n", answer == 0 ? "done" : errno == EPERM ? "EPERM" : strerror(errno));
  fflush(stdout);
  if (argc > 1) return 0;
  execute_there(copy_stack(end));
}
