// What Swift cannot import from Linux: variadic calls, ioctl numbers, CMSG macros, structs newer than Debian's headers.
// No logic, no allocation; errno is returned as a negative value. Names: clinux_ + the syscall.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <sys/auxv.h>
