// Calls the functions of assembly.S, and is called back by them.
#include "probe.h"

long with_cfi(void (*)(void)), with_frame_pointer(void (*)(void)), without_cfi(void (*)(void)), thin(void (*)(void));
long raw_getppid(void), raw_setfsuid(void);

static int level;
static void back(void) {
  probe();
  if (level >= 3) return;
  level++;
  without_cfi(back);
  level--;
}

int main(void) {
  long sum = 0;
  for (int i = 0; i < 20; i++) {
    sum += with_cfi(probe) + with_frame_pointer(probe) + without_cfi(probe) + thin(probe);
    sum += raw_getppid() == getppid();
    sum += raw_setfsuid() == 0 || geteuid() != 0;
  }
  with_cfi(back);
  with_frame_pointer(back);
  printf("%ld\n", sum);
  return 0;
}
