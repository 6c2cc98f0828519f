// Forged frames: attacks 8 and 10, and those that leave nothing but true edges.
#include "hijack.h"

// MARK: Frames from the unwind tables

// A real call's return address in a function whose frame has a known size of a middling kind, somewhere behind `from`.
static word some_return_address(word from) {
  for (word at = from; (at = find_after("e8", at)) != 0;) {
    word start, end, target = at + 5 + (word)(int64_t)*(const int32_t *)(at + 1);
    if (!is_code(at + 5) || !is_code(target) || !function_at(target, &start, &end) || start != target) continue;
    long size = frame_size(at + 5);
    if (size >= 16 && size <= 256) return at + 5;
  }
  return 0;
}

static void random_functions(void) {
  static const char *const anchors[] = {"getenv", "qsort", "fopen", "printf", "strtol", "malloc"};
  word end, address = program_code(&end);
  load_command();
  end_at(joint);
  add(execve_entry());
  for (size_t frame = 0; frame < 12; frame++) {
    // Every other one from the C library, if it has unwind tables.
    word anchor = symbol(anchors[frame / 2]), found = frame % 2 && anchor ? some_return_address(anchor) : 0;
    if (!found) found = address = need(some_return_address(address), "calls in functions whose frames are of known size");
    add(found);
    add_zeros((size_t)frame_size(found) / 8 - 1);
  }
  strike();
}

// execve, execl, launch, work: each return address follows a real call of exactly the function below, and work()'s frame is genuine.
// `filling` is what execl's frame is filled with.
_Noreturn static void forge_edges(word filling) {
  word execl_start, execl_end, in_launch = after_execl_in(launch);
  if (!function_at(need(symbol("execl"), "execl"), &execl_start, &execl_end)) impossible("no unwind table for execl");
  word in_execl = need(return_after_call(execl_start, execl_end, execve_entry()), "a direct call of execve in execl");
  long launch_frame = frame_size(in_launch);
  if (launch_frame < 8) impossible("the frame of launch() is of unknown size");
  enum { EXECL_FRAME = 32 }; // words: execl takes as much as its arguments need, and counts from rbp
  word return_to_launch = joint - (word)launch_frame;
  load(5, RAX, execve_entry(), RDI, (word)mark_argv[0], RSI, (word)mark_argv, RDX, (word)0, RBP, return_to_launch - 8);
  end_at(joint + 8);
  jump_to_rax();
  add(in_execl);
  for (int n = 0; n < EXECL_FRAME; n++) add(filling);
  add(in_launch);
  add_zeros((size_t)launch_frame / 8 - 1);
  add(after_launch_in_work());
  strike();
}

static void forged_edges(void) { forge_edges(0); }

static void forged_edges_canary(void) {
  word canary;
  __asm__("mov %%fs:0x28, %0" : "=r"(canary));
  forge_edges(canary);
}

// MARK: Frames that were real
//
// The program once fails to start another, of its own accord. What that leaves below the stack pointer is every word of real frames.

static word kept[512]; // from execve's return address up to the one into work()
static size_t kept_count, launcher_at; // the place of the return address into launch() among them
static word kept_from;

static int returns_from_execve(word value) {
  if (!is_code(value) || !is_code(value - 5) || *(const uint8_t *)(value - 5) != 0xe8) return 0;
  word target = value + (word)(int64_t)*(const int32_t *)(value - 4);
  return target == symbol("execve") || target == symbol("execv");
}

static NOINLINE void keep_frames(int framed) {
  static word dead[2048], outer, inner, start, end; // static: not among the words that are looked through
  outer = framed ? after_framed_in_work() : after_launch_in_work();
  inner = after_execl_in(framed ? launch_framed : launch);
  function_at(inner, &start, &end);
  errno = 0; // bound now, so that binding it does not overwrite what is to be kept
  struct job job = {.program = "/nonexistent", .line = "", .framed = framed};
  work(&job);
  const volatile word *here = (const volatile word *)__builtin_frame_address(0);
  for (size_t n = 0; n < LENGTH(dead); n++) dead[n] = here[-(ptrdiff_t)n]; // before any call overwrites it
  size_t top = 0, bottom = 0, launcher = 0;
  for (size_t n = 0; n < LENGTH(dead) && !bottom; n++) {
    if (dead[n] == outer) top = n;
    else if (top && !launcher && start <= dead[n] && dead[n] < end) launcher = n; // it has made another call since
    else if (launcher && returns_from_execve(dead[n])) bottom = n;
  }
  if (!bottom) impossible("no frames of the call that failed");
  kept_count = bottom - top + 1;
  launcher_at = bottom - launcher;
  kept_from = (word)(here - bottom);
  if (kept_count > LENGTH(kept)) impossible("the frames are too large");
  for (size_t n = 0; n < kept_count; n++) kept[n] = dead[bottom - n];
  kept[launcher_at] = inner;
}

// The frames again, ending at `joint`, with `gap` words between launch_framed()'s callee and its own frame's end; pointers into them
// are moved as they are.
static void add_kept(size_t gap, word outermost) {
  word away = joint - (kept_from + 8 * (kept_count - 1)), below_gap = away - 8 * gap;
  for (size_t n = 0; n < kept_count; n++) {
    word value = kept[n], place = (value - kept_from) / 8;
    if (value >= kept_from && place < kept_count) value += place > launcher_at ? away : below_gap;
    add(n == kept_count - 1 ? outermost : value);
    if (n == launcher_at)
      for (size_t filler = 0; filler < gap; filler++) add(0x4141414141414141);
  }
}

enum hop { RETURN, JUMP };

_Noreturn static void replay(enum hop hop, int framed, size_t gap, word outermost) {
  keep_frames(framed);
  word return_to_launch = joint - 8 * (kept_count - 1 - launcher_at + gap);
  load(5, RAX, execve_entry(), RDI, (word)mark_argv[0], RSI, (word)mark_argv, RDX, (word)0, RBP, return_to_launch - 8);
  end_at(joint + 8);
  if (hop == RETURN) add(execve_entry());
  else jump_to_rax();
  add_kept(gap, outermost);
  strike();
}

static void replayed(void) { replay(RETURN, 0, 0, after_launch_in_work()); }

static void replayed_clean(void) { replay(JUMP, 0, 0, after_launch_in_work()); }

// Two real chains: what launch() called, and what called the handler, by a pointer that could be launch's.
static void joined_indirect(void) { replay(JUMP, 0, 0, *(word *)joint); }

static void frame_pointer_hop(void) { replay(JUMP, 1, 64, after_framed_in_work()); }

// launch() itself, entered past its prologue: everything below is what it really calls. Its frame is the attacker's only forgery.
static void into_launcher(void) {
  word start, end, in_launch = after_execl_in(launch);
  if (!function_at(in_launch - 1, &start, &end)) impossible("no unwind table for launch()");
  long size = frame_size(in_launch);
  word entry = 0;
  // The first instruction behind the last of the prologue: sub $n, %rsp, or one push.
  for (word at = start; at < start + 24 && !entry; at++)
    if (*(const uint8_t *)at == 0x48 && *(const uint8_t *)(at + 1) == 0x83 && *(const uint8_t *)(at + 2) == 0xec) entry = at + 4;
    else if (*(const uint8_t *)at == 0x53 || *(const uint8_t *)at == 0x55) entry = at + 1;
  if (size < 8 || frame_size(need(entry, "prologue of launch()") + 1) != size) impossible("the prologue of launch() is of another kind");
  load(2, RDI, (word)mark_argv[0], RSI, (word)mark_line);
  end_at(joint + 8);
  add(entry);
  add_zeros((size_t)size / 8 - 1);
  add(after_launch_in_work());
  strike();
}

const struct attack frame_attacks[] = {
    {"random-functions", random_functions},
    {"forged-edges", forged_edges},
    {"forged-edges-canary", forged_edges_canary},
    {"replayed", replayed},
    {"replayed-clean", replayed_clean},
    {"joined-indirect", joined_indirect},
    {"frame-pointer-hop", frame_pointer_hop},
    {"into-launcher", into_launcher},
    {NULL, NULL},
};
