// memfd_create(2), which Swift's Glibc does not show.
#pragma once
#include <errno.h>
#include <linux/memfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/// A descriptor, close-on-exec; -errno on failure.
static inline int clinux_memfd_create(const char *_Nonnull name) {
  long r = syscall(SYS_memfd_create, name, MFD_CLOEXEC); return r < 0 ? -errno : (int)r; }
