// A trapped call that cannot be judged without an answer which does not come. `silent-server stack FILE`: the stack pointer lies in
// memory that FILE backs, of a file system whose server is silent (see fuse-server.c). `silent-server code FILE`: the call is made by
// code of FILE, a library. `silent-server fault -`: the stack is the true one, but its pages are gone, and somebody has promised to
// bring them when they are needed (userfaultfd(2)). The call is made by a child; half a second later this process executes /bin/echo, which has nothing to do with it.
#include "evade.h"
#include <dlfcn.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

static char *file_memory(const char *path) {
  int file = open(path, O_RDONLY);
  need(file >= 0, path);
  char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  need(memory != MAP_FAILED, "mmap");
  return memory;
}

static void call_on(char *memory) {
  // Nothing is pushed: touching the memory would make this process wait, and not the one that judges it.
  __asm__ volatile("mov %0, %%rsp; " SETRESUID_ASM "; mov $231, %%eax; xor %%edi, %%edi; syscall"
                   : : "r"(memory + (1 << 19)) : "rax", "rcx", "r11", "rdi", "rsi", "rdx", "memory");
  __builtin_unreachable();
}

// Where argc lies. Kept by the dynamic linker.
extern void *__libc_stack_end;

static void call_without_stack(void) {
  int faults = syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = {.api = UFFD_API};
  need(faults >= 0 && ioctl(faults, UFFDIO_API, &api) == 0, "userfaultfd");
  uintptr_t low;
  __asm__ volatile("mov %%rsp, %0" : "=r"(low));
  low &= -PAGE;
  size_t size = (((uintptr_t)__libc_stack_end + PAGE) & -PAGE) - low;
  struct uffdio_register promise = {.range = {low, size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  need(ioctl(faults, UFFDIO_REGISTER, &promise) == 0, "UFFDIO_REGISTER");
  // madvise(low, size, MADV_DONTNEED), and from here on nothing of the stack is touched.
  __asm__ volatile("mov $28, %%eax; syscall; " SETRESUID_ASM "; mov $231, %%eax; xor %%edi, %%edi; syscall"
                   : : "D"(low), "S"(size), "d"(4) : "rax", "rcx", "r11", "memory");
  __builtin_unreachable();
}

static void call_from(const char *path) {
  void *library = dlopen(path, RTLD_NOW);
  need(library != NULL, "dlopen");
  long (*payload)(const char *, char *const[], char *const[]) = (long (*)(const char *, char *const[], char *const[]))dlsym(library, "payload");
  need(payload != NULL, "dlsym");
  payload("/bin/echo", evaded, environ);
  _exit(1);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  pid_t child = fork();
  if (child == 0) {
    if (!strcmp(argv[1], "code")) call_from(argv[2]);
    if (!strcmp(argv[1], "stack")) call_on(file_memory(argv[2]));
    call_without_stack();
  }
  printf("child %d\n", child);
  fflush(stdout);
  usleep(500000);
  execl("/bin/echo", "echo", "answered", (char *)NULL);
  printf("not answered: %s\n", strerror(errno));
  return 1;
}
