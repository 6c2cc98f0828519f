// stops NR[,NR...] PROGRAM ARG...
// Runs PROGRAM and stops each of its threads, and its children's, at each of the syscalls (seccomp's RET_TRACE: the registers are
// those a user notification would see). At a stop it prints one line and goes on when it reads one byte:
//   tid tgid nr (borrows + 2 * forked and not executed since) start_stack fs_base rip rax rdx rcx rbx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static long field(int pid, const char *key) {
  char path[64], line[512];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *f = fopen(path, "r");
  long value = -1;
  while (f && fgets(line, sizeof line, f))
    if (!strncmp(line, key, strlen(key))) value = atol(line + strlen(key));
  if (f) fclose(f);
  return value;
}

static unsigned long stat_field(int pid, int number) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int f = open(path, O_RDONLY);
  long n = read(f, text, sizeof text - 1);
  close(f);
  if (n <= 0) return 0;
  text[n] = 0;
  char *p = strrchr(text, ')') + 2;  // field 3
  for (int i = 3; i < number; i++) p = strchr(p, ' ') + 1;
  return strtoul(p, 0, 10);
}

static void install(char *list) {
  struct sock_filter code[128];
  int n = 0;
  code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
  for (char *p = strtok(list, ","); p && n < 120; p = strtok(0, ",")) {
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, atoi(p), 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
  }
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {n, code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) { perror("seccomp"); _exit(126); }
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int child = fork();
  if (!child) {
    int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 0);
    dup2(nothing, 1);
    if (!getenv("STOPS_STDERR")) dup2(nothing, 2);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);  // whoever runs the tests may block signals, and that is inherited
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    install(argv[1]);
    execvp(argv[2], argv + 2);
    _exit(127);
  }
  int status;
  waitpid(child, &status, 0);
  ptrace(PTRACE_SETOPTIONS, child, 0,
         PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
  ptrace(PTRACE_CONT, child, 0, 0);
  for (;;) {
    int tid = waitpid(-1, &status, __WALL);
    if (tid < 0) break;
    if (!WIFSTOPPED(status)) continue;
    int sig = WSTOPSIG(status), event = status >> 16;
    if (event == PTRACE_EVENT_SECCOMP) {
      struct user_regs_struct r;
      if (!ptrace(PTRACE_GETREGS, tid, 0, &r)) {
        int tgid = field(tid, "Tgid:"), parent = field(tid, "PPid:");
        int borrows = syscall(SYS_kcmp, tgid, parent, KCMP_VM, 0, 0) == 0;
        if (stat_field(tgid, 9) & 0x40) borrows |= 2;  // PF_FORKNOEXEC
        printf("%d %d %lld %d %lu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu %llu\n", tid, tgid,
               r.orig_rax, borrows, stat_field(tgid, 28), r.fs_base, r.rip, r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp,
               r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15);
        fflush(stdout);
        char go;
        if (read(0, &go, 1) != 1) exit(1);
      }
      sig = 0;
    } else if (event || sig == SIGSTOP || sig == SIGTRAP) {
      sig = 0;
    }
    ptrace(PTRACE_CONT, tid, 0, sig);
  }
  printf("end %d\n", status);
  return 0;
}
