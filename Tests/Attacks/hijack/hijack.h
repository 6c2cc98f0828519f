// What the parts of `hijack` share.
//
// The program is a victim and its attacker in one: a process whose memory has been corrupted, which knows its own addresses and those of
// its C library, and what callgate looks at. What is attacked are ordinary functions (victim.S, victim.c); what attacks them writes to
// memory that any memory bug could write to, and lets them return, or call what they find there.
#ifndef HIJACK_H
#define HIJACK_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef uint64_t word;

#define PAGE 4096ul
#define NOINLINE __attribute__((noinline, noclone))
#define LENGTH(array) (sizeof(array) / sizeof *(array))

// Ends with a word on what this program, its C library or this kernel lacks: that is no attack, and no defence either.
_Noreturn void impossible(const char *format, ...) __attribute__((format(printf, 1, 2)));
word need(word address, const char *what); // `address`, unless it is 0

// image.c: the loaded files, read as an attacker reads them.
//
// A pattern is bytes in hexadecimal, `??` for any byte: "5b ff e0".
word symbol(const char *name);                 // the function's address, 0 where no file has one
word find(const char *pattern);                // the first place in executable memory, 0 where there is none
word find_after(const char *pattern, word at); // the next one after `at`
word find_in(const char *pattern, word start, word end);
word return_after_call(word start, word end, word target); // from a direct call to `target` between both
word next_call_to(word target, word after);    // a return address from a direct call to `target`; 0 after the last
word program_code(word *end);                  // where the program's own code begins and ends
word program_base(void);                       // what is added to the addresses in the program's file
int is_code(word address);
const uint8_t *section_of(word address, const char *name, size_t *size); // of the file whose code holds `address`; NULL if it has none

// frames.c: what .eh_frame says.
int function_at(word address, word *start, word *end); // of the FDE; 0 where there is none
long frame_size(word return_address); // from rsp behind the call up to the frame's CFA; -1 where that does not depend on rsp alone

// overflow.c: words in the place of a return address.
enum register_name { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

// What vulnerable() returns to; a process makes one attack, so there is one. The registers are those that vulnerable() restores.
extern struct chain {
  word rbx, rbp, r12, r13, r14, r15;
  word words[4096];
  size_t count;
  size_t sled; // where a sled of `ret` bridges what is between the beginning and the end
  word end;    // where the words must end, if what lies there is part of the plan; else 0
  word aligned; // whether the word behind the sled must lie at a multiple of 16, as that of a function does that is entered as by a call
} chain;

void add(word value);
void add_zeros(size_t count);
void load(int count, ...);            // the words that load registers: pairs of a register and a word
void load_unaligned(int count, ...);  // by gadgets that begin inside an instruction
void load_command(void);              // the arguments of an execve that leaves the mark
void load_command_and_rax(word rax);
void load_mprotect(void);             // those of an mprotect that makes `shellcode` executable
word pop_gadget(enum register_name);
void below_work(word last_hop);       // ends so that work(), whose frame is genuine, seems to have called what is entered
word execve_entry(void);
void enter_aligned(word function);    // the next word, so placed that the stack pointer is then what it is at a function's entry
void jump_to_rax(void);               // pop %rbx; jmp *%rax: the dead word that the last hop leaves is whatever was put there
word below(word limit, word like);    // an address below `limit` that is aligned as `like` is, up to 64 bytes
void end_at(word end);                // from here on the words lie so that they end at `end`
size_t lay_out(word slot, word *words, size_t room); // the chain as it is to lie from `slot` on; how many words
_Noreturn void strike(void);
_Noreturn void strike_at(word memory); // the stack pointer is first moved to `memory`, where the words are put

// victim.S, victim.c: what is attacked.
char *vulnerable(const void *record, size_t size);
void each(void (*const *table)(word, word, word), size_t count, word first, word second, word third);
unsigned checksum(unsigned value);
extern const char after_each_call[];
enum { BUFFER = 72, SAVED = 6 };                // bytes of vulnerable()'s buffer, registers behind it
extern uint8_t shellcode[], shellcode_end[];    // writes the mark and ends, without any call that is trapped
extern uint8_t execve_code[], execve_code_end[]; // (path, argv, envp): mov eax, 59; syscall; ret
#define SHELLCODE_PAGES ((word)shellcode & -PAGE)
#define SHELLCODE_SIZE ((((word)execve_code_end + PAGE - 1) & -PAGE) - SHELLCODE_PAGES)
extern char shellcode_path[256], shellcode_text[64];
extern uint8_t shellcode_length[4];             // the immediate operand: bytes of text

struct job {
  void (*handler)(struct job *);                // the attack
  const char *program, *line;                   // run by launch(), called directly, where `program` is set
  int framed;                                   // by launch_framed() instead
  void (*const *table)(word, word, word);       // what each() calls after the handler
  size_t count;
  long (*finish)(word, word, word);             // called last
  word first, second, third;                    // what it and the table's functions are given
};
void work(struct job *job);
void restart(void);
void report(const char *text);
extern const char *restart_line;
int launch(const char *program, const char *line);
int launch_framed(const char *program, const char *line); // the same, with a frame pointer
word after_launch_in_work(void), after_framed_in_work(void), after_each_in_work(void);
word after_execl_in(int (*launcher)(const char *, const char *));

// pointers.c
void corrupt(word target, word first, word second, word third); // what work() calls next, and with what

// main.c
extern const char *attack_name, *mark_path;
extern char *attack_arguments[8];
extern int in_thread;
extern char mark_line[512], *mark_argv[4];      // /bin/sh -c "echo NAME > MARK"
extern struct job *current_job;                 // the one whose handler is the attack: it lies on the stack
extern word joint;                              // where the return address from the attack into work() lies: above it all is genuine

struct attack {
  const char *name;
  void (*make)(void);
};
extern const struct attack rop_attacks[], frame_attacks[], stack_attacks[], signal_attacks[], pointer_attacks[], code_attacks[],
    entry_attacks[], race_attacks[], guard_attacks[], foreign_attacks[];
#endif
