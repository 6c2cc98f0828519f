/* The price of a notification when nothing is done about it.
 *
 *   floor [--notify NUMBER] COMMAND [ARGUMENT]...
 *
 * Runs the command under a filter that raises a notification for one system call (getppid, if no other is named) and allows all else, and
 * answers each notification at once: the call may go on. Nothing is read of the caller, nothing is checked, nothing is written down; wake-ups
 * are synchronous. What such a call takes in the command is what no supervisor of this kind can be faster than. Ends as the command ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Linux 6.6; Debian 12's headers are older. */
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP 1UL
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

static pid_t child;

static void die(const char *what) {
  fprintf(stderr, "floor: cannot %s: %s\n", what, strerror(errno));
  exit(125);
}

static void end_with_child(int signal) {
  (void)signal;
  int status;
  if (waitpid(child, &status, WNOHANG) == child) _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static int install_filter(unsigned number) {
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -1;
  return syscall(
    SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
}

int main(int count, char **words) {
  unsigned number = SYS_getppid;
  if (count > 2 && !strcmp(words[1], "--notify")) {
    number = (unsigned)atoi(words[2]);
    words += 2;
    count -= 2;
  }
  if (count < 2) {
    fputs("usage: floor [--notify NUMBER] COMMAND [ARGUMENT]...\n", stderr);
    return 2;
  }
  int ready[2];
  if (pipe(ready)) die("make a pipe");
  sigset_t ending, before;
  sigemptyset(&ending);
  sigaddset(&ending, SIGCHLD);
  sigprocmask(SIG_BLOCK, &ending, &before);
  if (signal(SIGCHLD, end_with_child) == SIG_ERR) die("catch SIGCHLD");

  /* The child's descriptors are the parent's until it executes the command: so the parent has the listener without being sent it. */
  child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
  if (child < 0) die("start a process");
  if (child == 0) {
    sigprocmask(SIG_SETMASK, &before, NULL);
    int listener = install_filter(number);
    if (listener < 0) die("install the filter");
    if (write(ready[1], &listener, sizeof listener) != sizeof listener) die("say which descriptor it is");
    execvp(words[1], words + 1);
    die(words[1]);
  }
  int listener;
  if (read(ready[0], &listener, sizeof listener) != sizeof listener) die("learn of the listener");
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)) die("ask for synchronous wake-ups");
  sigprocmask(SIG_SETMASK, &before, NULL);

  for (;;) {
    struct seccomp_notif notification = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification)) {
      /* ENOENT: the call was withdrawn, or the command has ended, which SIGCHLD will say. */
      if (errno == EINTR || errno == ENOENT) continue;
      die("receive a notification");
    }
    struct seccomp_notif_resp answer = {.id = notification.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) && errno != ENOENT) die("answer a notification");
  }
}
