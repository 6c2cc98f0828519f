// hijack NAME MARK [--thread] [ARGUMENT...]: makes the attack, which leaves its name in the file MARK if it succeeds.
#include "hijack.h"
#include <pthread.h>

const char *attack_name, *mark_path;
char *attack_arguments[8];
char mark_line[512], *mark_argv[4] = {"/bin/sh", "-c", mark_line, NULL};
word joint;
struct job *current_job;
int in_thread;

static const struct attack *const groups[] = {rop_attacks,     frame_attacks, stack_attacks, signal_attacks, pointer_attacks,
                                              code_attacks,    entry_attacks, race_attacks,  guard_attacks,  foreign_attacks};
static const struct attack *chosen;

// Room enough below the return address into work() for what the attacks write over.
NOINLINE static void make_attack(struct job *job) {
  volatile char room[16 << 10];
  room[0] = (char)job->framed;
  current_job = job;
  joint = (word)__builtin_dwarf_cfa() - 8;
  chosen->make();
  job->framed += room[0];
}

static void *run(void *unused) {
  (void)unused;
  struct job job = {.handler = make_attack};
  work(&job);
  return NULL;
}

static void prepare_shellcode(void) {
  snprintf(shellcode_path, sizeof shellcode_path, "%s", mark_path);
  snprintf(shellcode_text, sizeof shellcode_text, "%s\n", attack_name);
  uint32_t length = (uint32_t)strlen(shellcode_text);
  memcpy(shellcode_length, &length, sizeof length);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc < 3) {
    fprintf(stderr, "hijack NAME MARK [--thread] [ARGUMENT...]\n");
    return 2;
  }
  attack_name = argv[1];
  mark_path = argv[2];
  for (int n = 3, taken = 0; n < argc && taken < (int)LENGTH(attack_arguments) - 1; n++) {
    if (!strcmp(argv[n], "--thread")) in_thread = 1;
    else attack_arguments[taken++] = argv[n];
  }
  for (size_t group = 0; group < LENGTH(groups); group++)
    for (const struct attack *attack = groups[group]; attack->name; attack++)
      if (!strncmp(attack->name, attack_name, strcspn(attack->name, "*") + (strchr(attack->name, '*') == NULL))) chosen = attack;
  if (!chosen) {
    fprintf(stderr, "hijack: no attack is called '%s'\n", attack_name);
    return 2;
  }
  snprintf(mark_line, sizeof mark_line, "echo %s >%s", attack_name, mark_path);
  prepare_shellcode();
  if (!in_thread) {
    run(NULL);
    return 0;
  }
  // A thread that the filter kills does not tell musl that it has ended: nobody waits for it longer than this.
  alarm(8);
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, NULL) != 0) impossible("no thread");
  pthread_join(thread, NULL);
  return 0;
}
