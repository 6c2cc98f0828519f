// One run copies what an inspection needs of a thread that is blocked in a trapped syscall: its registers, the words of its stack,
// and what identifies its address space. The thread is not stopped and not touched.
//
// Request and answer lie in one mmapable array map, so that a run needs no context and no second copy
// (BPF_PROG_TEST_RUN of a BPF_PROG_TYPE_SYSCALL program: kernel/bpf/syscall.c, net/bpf/test_run.c; the kfuncs: kernel/bpf/helpers.c).
// The layout is mirrored by BPFSnapshot.swift beside this file.
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define STACK_MAX 16384
#define PAGE 4096

// Only the members that are read; CO-RE relocates them to the running kernel's offsets.
struct mm_struct {
  unsigned long start_stack;
} __attribute__((preserve_access_index));
struct thread_struct {
  unsigned long fsbase;
} __attribute__((preserve_access_index));
struct completion;
struct task_struct {
  int pid, tgid;
  unsigned int flags;
  __u64 start_boottime;
  __u64 self_exec_id;
  struct mm_struct *mm;
  struct task_struct *real_parent;
  struct completion *vfork_done;
  struct task_struct *group_leader;
  struct thread_struct thread;
} __attribute__((preserve_access_index));

struct task_struct *bpf_task_from_pid(int pid) __ksym;
void bpf_task_release(struct task_struct *task) __ksym;

enum { STATUS_OK = 1, STATUS_NO_TASK = 2, STATUS_NO_REGISTERS = 3 };

struct exchange {
  // request
  __u32 thread;
  __u32 want; // stack bytes, at most STACK_MAX
  // answer
  __u32 status;
  __u32 process;
  __u64 start; // boot time in ns
  __u64 exec;  // counts the execs of the process
  __u64 start_stack;
  __u64 fs_base;
  __u64 borrows; // 1: a vfork child that still runs in its parent's memory
  __u64 forked; // 1: the process has executed nothing since it was forked
  __u64 registers[17]; // DWARF order, then rip
  __u32 copied; // stack bytes copied from SP upward
  __u32 pad;
  __u8 stack[STACK_MAX];
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct exchange);
} callgate_map SEC(".maps");

static int fill(struct exchange *x, struct task_struct *task) {
  x->process = BPF_CORE_READ(task, tgid);
  x->start = BPF_CORE_READ(task, start_boottime);
  x->exec = BPF_CORE_READ(task, self_exec_id);
  x->start_stack = BPF_CORE_READ(task, mm, start_stack);
  x->fs_base = BPF_CORE_READ(task, thread.fsbase);
  x->forked = (BPF_CORE_READ(task, group_leader, flags) & 0x40) != 0; // PF_FORKNOEXEC, linux/sched.h
  x->borrows = BPF_CORE_READ(task, vfork_done) != 0;

  struct pt_regs *user = (struct pt_regs *)bpf_task_pt_regs(task);
  struct pt_regs r;
  if (bpf_probe_read_kernel(&r, sizeof r, user) != 0) return STATUS_NO_REGISTERS;
  x->registers[0] = r.rax; x->registers[1] = r.rdx; x->registers[2] = r.rcx; x->registers[3] = r.rbx;
  x->registers[4] = r.rsi; x->registers[5] = r.rdi; x->registers[6] = r.rbp; x->registers[7] = r.rsp;
  x->registers[8] = r.r8; x->registers[9] = r.r9; x->registers[10] = r.r10; x->registers[11] = r.r11;
  x->registers[12] = r.r12; x->registers[13] = r.r13; x->registers[14] = r.r14; x->registers[15] = r.r15;
  x->registers[16] = r.rip;

  // A copy that crosses the end of the mapping fails whole and zeroes its buffer, so: all at once, else page by page up to the
  // first page that is not there.
  __u32 want = x->want;
  if (want > STACK_MAX) want = STACK_MAX;
  if (want == 0) return STATUS_OK;
  if (bpf_copy_from_user_task(x->stack, want, (void *)r.rsp, task, 0) == 0) {
    x->copied = want;
    return STATUS_OK;
  }
  __u32 done = 0;
  __u32 part = PAGE - (r.rsp & (PAGE - 1));
  for (int i = 0; i < STACK_MAX / PAGE + 1; i++) {
    if (done >= want) break;
    if (part > want - done) part = want - done;
    if (part == 0 || part > PAGE || done > STACK_MAX - PAGE) break;
    if (bpf_copy_from_user_task(x->stack + done, part, (void *)(r.rsp + done), task, 0) != 0) break;
    done += part;
    part = PAGE;
  }
  x->copied = done;
  return STATUS_OK;
}

SEC("syscall") int callgate_snapshot(void *context) {
  __u32 zero = 0;
  struct exchange *x = bpf_map_lookup_elem(&callgate_map, &zero);
  if (!x) return 1;
  x->status = 0;
  x->copied = 0;
  struct task_struct *task = bpf_task_from_pid(x->thread);
  if (!task) {
    x->status = STATUS_NO_TASK;
    return 0;
  }
  x->status = fill(x, task);
  bpf_task_release(task);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
