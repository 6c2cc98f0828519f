// The rest of the victim: a program that does jobs, by handlers and by starting other programs.
#include "hijack.h"

static volatile unsigned finished, refused;

// Runs `program -c line` in this process's place; it returns only where that cannot be done.
NOINLINE int launch(const char *program, const char *line) {
  execl(program, program, "-c", line, (char *)NULL);
  refused++;
  return -errno;
}

__attribute__((noinline, noclone, optimize("no-omit-frame-pointer"))) int launch_framed(const char *program, const char *line) {
  execl(program, program, "-c", line, (char *)NULL);
  refused += 2;
  return -errno;
}

// No call in it is a tail call, so its frame is there whoever makes the sensitive one.
NOINLINE void work(struct job *job) {
  if (job->program) {
    if (job->framed) launch_framed(job->program, job->line);
    else launch(job->program, job->line);
  }
  if (job->handler) job->handler(job);
  if (job->count) each(job->table, job->count, job->first, job->second, job->third);
  if (job->finish) job->finish(job->first, job->second, job->third);
  finished++;
}

// What the program does when it is told to begin again: it replaces itself by what this variable says.
const char *restart_line = "exit";

NOINLINE void restart(void) {
  launch("/bin/sh", restart_line);
  finished++;
}

NOINLINE void report(const char *text) {
  puts(text);
  finished++;
}

static word after_call_in(void *caller, word target, const char *what) {
  word start, end;
  if (!function_at((word)caller + 1, &start, &end)) impossible("%s: no unwind table", what);
  return need(return_after_call(start, end, target), what);
}

word after_launch_in_work(void) { return after_call_in((void *)work, (word)launch, "a call of launch() in work()"); }
word after_framed_in_work(void) { return after_call_in((void *)work, (word)launch_framed, "a call of launch_framed() in work()"); }

word after_each_in_work(void) { return after_call_in((void *)work, (word)each, "a call of each() in work()"); }

// The only direct call of a launcher's: it may go through the PLT.
word after_execl_in(int (*launcher)(const char *, const char *)) {
  word start, end;
  if (!function_at((word)launcher + 1, &start, &end)) impossible("no unwind table for a launcher");
  for (word at = start; at + 5 <= end; at++)
    if (*(const uint8_t *)at == 0xe8 && is_code(at + 5 + *(const int32_t *)(at + 1))) return at + 5;
  impossible("a launcher calls nothing directly");
}
