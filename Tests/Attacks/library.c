// What an attacker brings along as a library: it is whole, and makes its call as any library would.
#include <unistd.h>

int run(const char *program, char *const *argv, char *const *environment) { return execve(program, argv, environment) - 1; }
