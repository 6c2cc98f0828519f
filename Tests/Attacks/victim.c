// A small record keeper with two mistakes of the ordinary kind. It is what the attacks attack.
//
// It speaks on standard input and output. A request is one letter, a 16-bit little-endian length and, for S, that many bytes:
//
//   S length bytes   store a record; the answer is its size and checksum
//   E length         echo the last record
//   L 0              list all records, sorted (by sort(1), through popen: this program starts other programs of its own accord)
//   Q 0              say how much was stored, and end
//
// Mistake one: E believes the length it is given (as Heartbleed did), and sends what lies behind the record on the stack.
// Mistake two: S believes it too, and a long record overwrites what lies behind it, up to and beyond the return address.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char shelf[1 << 16]; // every record, one after the other
static size_t shelved;

// What one conversation needs, on the stack of converse().
struct desk {
  char record[64];
  FILE *out;
  char *end; // of the last record
  uint32_t (*checksum)(const char *bytes, size_t count);
};

__attribute__((noinline)) static uint32_t adler32(const char *bytes, size_t count) {
  uint32_t a = 1, b = 0;
  for (size_t i = 0; i < count; i++) {
    a = (a + (unsigned char)bytes[i]) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

static int read_exactly(void *into, size_t count) {
  for (char *at = into; count > 0;) {
    ssize_t n = read(STDIN_FILENO, at, count);
    if (n <= 0) return 0;
    at += n;
    count -= (size_t)n;
  }
  return 1;
}

static void list(FILE *out) {
  fflush(out);
  FILE *sort = popen("sort", "w");
  if (!sort) return;
  fwrite(shelf, 1, shelved, sort);
  pclose(sort);
}

__attribute__((noinline)) static int converse(FILE *out) {
  struct desk desk = {.out = out, .end = desk.record, .checksum = adler32};
  unsigned char request[3];
  int records = 0;
  while (read_exactly(request, sizeof request)) {
    size_t length = request[1] | request[2] << 8;
    switch (request[0]) {
    case 'S':
      if (!read_exactly(desk.record, length)) return records; // length is never compared with sizeof desk.record
      desk.end = desk.record + length;
      records++;
      if (length <= sizeof shelf - shelved) {
        memcpy(shelf + shelved, desk.record, length);
        shelved += length;
      }
      fprintf(desk.out, "stored %zu bytes, checksum %08x\n", length, desk.checksum(desk.record, length));
      break;
    case 'E':
      fwrite(desk.record, 1, length, desk.out); // nor here
      break;
    case 'L':
      list(desk.out);
      break;
    case 'Q':
      return records;
    default:
      fprintf(desk.out, "unknown request %u\n", request[0]);
    }
    fflush(desk.out);
  }
  return records;
}

int main(void) {
  int records = converse(stdout);
  printf("%d records, %zu bytes\n", records, shelved);
  return 0;
}
