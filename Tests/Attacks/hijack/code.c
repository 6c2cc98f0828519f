// Code that is not the image's: attack 19. Each time work() calls it through a pointer, with a genuine stack.
#include "hijack.h"
#include <dlfcn.h>

// A static program has neither, and says so.
#pragma weak dlopen
#pragma weak dlsym

static size_t code_size(void) { return (size_t)(execve_code_end - execve_code); }

static void run_code(word code) { corrupt(code, (word)mark_argv[0], (word)mark_argv, 0); }

// Writes where the mapping itself does not allow it: the kernel does it for its own process's mem file.
static void patch(word address, const void *bytes, size_t size) {
  int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  if (memory < 0 || pwrite(memory, bytes, size, (off_t)address) != (ssize_t)size) impossible("/proc/self/mem: %s", strerror(errno));
  close(memory);
}

// A function of the program's own gets other instructions.
static void patched_text(void) {
  patch((word)checksum, execve_code, code_size());
  run_code((word)checksum);
}

// One byte: another call's wrapper makes execve. The syscall instruction is where the file has one.
static void patched_number(void) {
  word wrapper = 0, start, end;
  for (word at = 0; !wrapper && (at = find_after("b8 ?? 00 00 00 0f 05", at)) != 0;)
    if (function_at(at, &start, &end) && start == at && *(const uint8_t *)(at + 1) != SYS_execve) wrapper = at;
  if (!wrapper) wrapper = need(symbol("getpid"), "getpid");
  word number = need(find_in("b8 ?? 00 00 00 0f 05", wrapper, wrapper + 16), "wrapper that begins with its number");
  patch(number + 1, &(uint8_t){SYS_execve}, 1);
  run_code(wrapper);
}

static word map_code(int file, int flags) {
  void *mapped = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, flags, file, 0);
  if (mapped == MAP_FAILED) impossible("no executable mapping: %s", strerror(errno));
  return (word)mapped;
}

static void write_code(int file) {
  if (file < 0 || write(file, execve_code, code_size()) != (ssize_t)code_size()) impossible("no file for code: %s", strerror(errno));
}

static void memory_file(void) {
  int file = (int)syscall(SYS_memfd_create, "libc.so.6", 0);
  write_code(file);
  run_code(map_code(file, MAP_SHARED));
}

// Beside the mark.
static const char *code_path(void) {
  static char path[512];
  snprintf(path, sizeof path, "%s.code", mark_path);
  return path;
}

static int own_file_opened(void) {
  int file = open(code_path(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  write_code(file);
  close(file);
  return open(code_path(), O_RDONLY | O_CLOEXEC);
}

static void deleted_file(void) {
  int file = own_file_opened();
  word code = map_code(file, MAP_PRIVATE);
  unlink(code_path());
  run_code(code);
}

static void own_file(void) { run_code(map_code(own_file_opened(), MAP_PRIVATE)); }

// A page of the program's own file, mapped anew, written while it could be written, and made executable: the file's name stands behind
// code that is not in it.
static void written_mapping(void) {
  int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  if (page == MAP_FAILED) impossible("no mapping of the program's file");
  memcpy(page + 64, execve_code, code_size());
  if (mprotect(page, PAGE, PROT_READ | PROT_EXEC) < 0) impossible("mprotect: %s", strerror(errno));
  run_code((word)page + 64);
}

// A whole library, with symbols and unwind tables, written by the attacker and loaded as libraries are. `run` in it calls execve.
static void own_library(void) {
  char bytes[64 << 10];
  int library = open(attack_arguments[0] ? attack_arguments[0] : "", O_RDONLY | O_CLOEXEC);
  ssize_t size = library < 0 ? 0 : read(library, bytes, sizeof bytes);
  int file = open(code_path(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  if (size <= 0 || write(file, bytes, (size_t)size) != size) impossible("no library to write");
  close(file);
  void *loaded = dlopen ? dlopen(code_path(), RTLD_NOW) : NULL;
  void *run = loaded ? dlsym(loaded, "run") : NULL;
  if (!run) impossible("a library cannot be loaded into this program");
  run_code((word)run);
}

const struct attack code_attacks[] = {
    {"patched-text", patched_text},
    {"patched-number", patched_number},
    {"memory-file", memory_file},
    {"deleted-file", deleted_file},
    {"own-file", own_file},
    {"written-mapping", written_mapping},
    {"own-library", own_library},
    {NULL, NULL},
};
