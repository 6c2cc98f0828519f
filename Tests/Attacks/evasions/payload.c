// The code of `vanished-file` and of `silent-server code`: a shared library with faultless unwind tables, written by the attacker.
#include <sys/syscall.h>

long payload(const char *path, char *const arguments[], char *const variables[]) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_execve), "D"(path), "S"(arguments), "d"(variables) : "rcx", "r11", "memory");
  return result;
}
