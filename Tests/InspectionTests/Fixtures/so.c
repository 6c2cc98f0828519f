// What dlopen brings: a constructor, a destructor, and a symbol bound lazily to an IFUNC.
#include <sys/syscall.h>
#include <unistd.h>
static long impl(void) { return syscall(SYS_getppid); }
static void *resolve(void) { syscall(SYS_getppid); return (void *)impl; }
long so_target(void) __attribute__((ifunc("resolve")));
__attribute__((constructor)) static void begin(void) { syscall(SYS_getppid); }
__attribute__((destructor)) static void end(void) { syscall(SYS_getppid); }
void so_call(void) { so_target(); syscall(SYS_getppid); }
