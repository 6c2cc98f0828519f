// Stacks that are not the thread's own: attacks 4 and 9.
#include "hijack.h"
#include <pthread.h>

// MARK: Places

static char bss[256 << 10] __attribute__((aligned(4096)));

static word heap(void) {
  size_t size = 96 << 10; // small enough for brk: what malloc maps is a mapping like any other
  char *memory = malloc(size);
  return need((word)memory, "memory") + size;
}

static word static_data(void) { return (word)bss + sizeof bss; }

// Far from everything else, so that the kernel joins it to nothing.
static word mapping(void) {
  size_t size = 256 << 10;
  char *memory = mmap((void *)0x200000000000, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) impossible("no memory");
  return (word)memory + size;
}

// Another thread, which waits. What it returns to, and all above, is its live stack; `room` below is free.
static volatile word waiting_at, room_end;
static int never[2];

static NOINLINE void wait_for_ever(void) {
  char byte, room[64 << 10];
  room_end = (word)room + sizeof room;
  __asm__ volatile("" : : "r"(room) : "memory");
  waiting_at = (word)__builtin_dwarf_cfa() - 8;
  while (read(never[0], &byte, 1) != 0) continue;
  bss[0] = byte;
}

static void *waiter(void *unused) {
  (void)unused;
  wait_for_ever();
  bss[1] = 0; // no tail call
  return NULL;
}

static word other_thread(void) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 << 10); // musl's threads have 128 KiB otherwise
  if (pipe(never) < 0 || pthread_create(&thread, &attributes, waiter, NULL) != 0) impossible("no thread");
  while (!waiting_at) usleep(1000);
  usleep(1000);
  return room_end;
}

// The end of the mapping that holds `address`.
static word end_of_mapping(word address) {
  FILE *maps = fopen("/proc/self/maps", "r");
  unsigned long start, end;
  char line[512];
  while (maps && fgets(line, sizeof line, maps))
    if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start <= address && address < end) {
      fclose(maps);
      return end;
    }
  impossible("no mapping of the stack");
}

// MARK: A short chain elsewhere

_Noreturn static void pivot(word end) {
  load_command();
  enter_aligned(execve_entry());
  add((word)after_each_call);
  add_zeros(5 + 2);
  strike_at(end - 8192);
}

static void pivot_heap(void) { pivot(heap()); }
static void pivot_bss(void) { pivot(static_data()); }
static void pivot_mapping(void) { pivot(mapping()); }
static void pivot_thread(void) { pivot(other_thread()); }

// MARK: A whole stack elsewhere
//
// The thread's own, word for word. Nothing in the copy is wrong but where it lies.

_Noreturn static void copy_to(word end) {
  word stack_end = end_of_mapping(joint), size = stack_end - joint;
  if (size > 64 << 10) impossible("a stack of %lu bytes", (unsigned long)size);
  word copy = below(end - size, joint);
  memcpy((void *)copy, (void *)joint, size);
  load_command();
  add(execve_entry());
  strike_at(copy - 8 * chain.count);
}

static void copied_heap(void) { copy_to(heap()); }
static void copied_bss(void) { copy_to(static_data()); }
static void copied_mapping(void) { copy_to(mapping()); }
static void copied_to_thread(void) { copy_to(other_thread()); }

// callgate has seen this thread's stack before, by a call of the program's own that failed.
static void copied_later(void) {
  launch("/nonexistent", "");
  copy_to(mapping());
}

// MARK: Another thread's live stack, down to where it started

// Above where it started lies nothing that is unwound.
static size_t words_of_other(void) {
  size_t words = (end_of_mapping(waiting_at) - waiting_at) / 8;
  return words < 1400 ? words : 1400;
}

// In the middle of one's own.
static void copied_from_thread(void) {
  other_thread();
  size_t words = words_of_other();
  load_command();
  end_at(below(joint, waiting_at + 8 * words));
  add(execve_entry());
  for (size_t n = 0; n < words; n++) add(((const word *)waiting_at)[n]);
  strike();
}

// In memory that is nobody's stack. A static musl program has its first thread's TLS there, too, as threads have on their stacks.
_Noreturn static void copy_other_to(word end) {
  other_thread();
  size_t words = words_of_other();
  word copy = below(end - 8 * words, waiting_at);
  memcpy((void *)copy, (const void *)waiting_at, 8 * words);
  load_command();
  add(execve_entry());
  strike_at(copy - 8 * chain.count);
}

static void thread_in_heap(void) { copy_other_to(heap()); }
static void thread_in_bss(void) { copy_other_to(static_data()); }

const struct attack stack_attacks[] = {
    {"pivot-heap", pivot_heap},
    {"pivot-bss", pivot_bss},
    {"pivot-mapping", pivot_mapping},
    {"pivot-thread", pivot_thread},
    {"copied-heap", copied_heap},
    {"copied-bss", copied_bss},
    {"copied-mapping", copied_mapping},
    {"copied-later", copied_later},
    {"copied-to-thread", copied_to_thread},
    {"copied-from-thread", copied_from_thread},
    {"thread-in-heap", thread_in_heap},
    {"thread-in-bss", thread_in_bss},
    {NULL, NULL},
};
