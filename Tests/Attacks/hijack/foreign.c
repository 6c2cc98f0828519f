// A frame in a file that the attacker made (hostile.py): attack 22. Its code lies in its second page and takes the arguments of execve,
// the third being where execve's address lies.
#include "hijack.h"

static word function_pointer[1];

static void call_foreign(void) {
  int file = open(attack_arguments[0] ? attack_arguments[0] : "", O_RDONLY | O_CLOEXEC);
  off_t size = file < 0 ? 0 : lseek(file, 0, SEEK_END);
  if (size <= (off_t)PAGE) impossible("no file to map");
  // As ld.so maps a library, except that the headers are not asked.
  size_t pages = ((size_t)size + PAGE - 1) & -PAGE;
  char *base = mmap(NULL, pages, PROT_READ, MAP_PRIVATE, file, 0);
  if (base == MAP_FAILED) impossible("the file cannot be mapped");
  void *code = mmap(base + PAGE, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file, PAGE);
  if (code == MAP_FAILED) impossible("its code cannot be mapped");
  function_pointer[0] = execve_entry();
  corrupt((word)base + PAGE, (word)mark_argv[0], (word)mark_argv, (word)function_pointer);
}

const struct attack foreign_attacks[] = {{"hostile-*", call_foreign}, {NULL, NULL}};
