#pragma once
// As in CLinux: the same headers must look the same in every module.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/capability.h>
