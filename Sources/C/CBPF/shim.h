#pragma once
// As in CLinux, and for the same reason.
#include <sys/select.h>
#undef _FEATURES_H
#undef _GNU_SOURCE
#define _GNU_SOURCE
#include <features.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <bpf/btf.h>

/// Runs a program of type BPF_PROG_TYPE_SYSCALL once, without a context; 0 or -errno. bpf(2), BPF_PROG_TEST_RUN.
static inline int cbpf_run(int program) {
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.test.prog_fd = (unsigned)program;
  return syscall(__NR_bpf, BPF_PROG_TEST_RUN, &attributes, sizeof attributes) < 0 ? -errno : 0;
}
