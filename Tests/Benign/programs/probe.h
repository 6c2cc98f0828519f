// What every program here does at the places that its stacks are to be seen from.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <sys/fsuid.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))

// Changes nothing. setfsuid is trapped by the default profile, the others by profiles that trap what is ordinary. Marked used: a program
// that only probes from assembly has it, too.
APART __attribute__((unused)) static void probe(void) {
  setfsuid(-1);
  if (getppid() < 0 || access("/", R_OK) != 0) _exit(99);
  __asm__ volatile("" ::: "memory");
}
