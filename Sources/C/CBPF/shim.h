#pragma once
// As in CLinux, and for the same reason.
#include <sys/select.h>
#undef _FEATURES_H
#undef _GNU_SOURCE
#define _GNU_SOURCE
#include <features.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <bpf/btf.h>
