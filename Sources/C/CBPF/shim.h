#pragma once
// As in CLinux: the same headers must look the same in both modules.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <bpf/btf.h>
