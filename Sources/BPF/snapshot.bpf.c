// One run copies what an inspection needs of a thread that is blocked in a trapped syscall: its registers, the words of its stack,
// and what identifies its address space. The thread is not stopped and not touched. It also says which of the facts about the address
// space that earlier findings rest on still hold (`struct fact`).
//
// Request and answer lie in mmapable array maps, so that a run needs no context and no second copy
// (BPF_PROG_TEST_RUN of a BPF_PROG_TYPE_SYSCALL program: kernel/bpf/syscall.c, net/bpf/test_run.c; the kfuncs: kernel/bpf/helpers.c).
// The layout is mirrored by BPFSnapshot.swift and SpaceFacts.swift beside this file.
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define STACK_MAX 32768
#define BELOW 256 // bytes below SP that are copied as well
#define PAGE 4096
#define CANARY 0x28 // tcbhead_t.stack_guard
#define FACTS 64
#define SPACES 32
#define PROCESSES 128
#define NONE 0xffffffff
// The kernel's count of changes has 32 bits. No process gets it around in so many nanoseconds: it takes two thousand million calls.
#define GOOD_FOR 1000000000ull

// Only the members that are read; CO-RE relocates them to the running kernel's offsets.
struct super_block {
  __u32 s_dev;
} __attribute__((preserve_access_index));
struct inode {
  unsigned long i_ino;
  struct super_block *i_sb;
  __s64 i_ctime_sec;
  __u32 i_ctime_nsec;
} __attribute__((preserve_access_index));
struct file {
  struct inode *f_inode;
} __attribute__((preserve_access_index));
struct anon_vma;
struct vm_area_struct {
  unsigned long vm_start, vm_end;
  unsigned long vm_flags;
  unsigned long vm_pgoff;
  struct file *vm_file;
  struct anon_vma *anon_vma;
} __attribute__((preserve_access_index));
struct seqcount {
  unsigned int sequence;
} __attribute__((preserve_access_index));
struct mm_struct {
  unsigned long start_stack;
  struct seqcount mm_lock_seq; // Linux 6.13
  void *pgd;
} __attribute__((preserve_access_index));
struct thread_struct {
  unsigned long fsbase;
} __attribute__((preserve_access_index));
struct completion;
struct thread_info {
  __u32 cpu;
} __attribute__((preserve_access_index));
struct task_struct {
  struct thread_info thread_info;
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
void *bpf_rdonly_cast(const void *object, __u32 type) __ksym;

enum { STATUS_OK = 1, STATUS_NO_TASK = 2 };

// Which part of which file is mapped, and how. The device and the inode are those of the file that the pages come from.
struct identity {
  __u64 offset, flags, inode, device, changed_seconds, changed_nanoseconds;
};

struct exchange {
  // request
  __u32 thread;
  __u32 want;  // stack bytes from SP upward
  __u32 space; // whose facts are asked for, NONE for nobody's
  __u32 slot;  // where what was found of this process is kept
  __u64 need;  // the facts that are asked for, at least
  // Where the kernel has all physical memory mapped (page_offset_base), if memory is to be looked at where it lies: what is not there just
  // now counts as not copied. 0: it is copied.
  __u64 base;
  // answer
  __u32 status;
  __u32 process;
  __u64 start;         // boot time in ns
  __u64 process_start; // that of the process
  __u64 exec;  // counts the execs of the process
  __u64 start_stack;
  __u64 fs_base;
  __u64 borrows; // 1: a vfork child that still runs in its parent's memory
  __u64 forked; // 1: the process has executed nothing since it was forked
  __u64 sequence; // of changes of the mappings; all ones where the kernel does not count them, or is about to change some
  __u64 holds; // of them, and of others that were asked for before, those that hold
  __u64 canary; // the word at fs:0x28
  __u64 table;  // the address space's page tables, where the kernel sees them
  __u32 has_canary;
  __u32 below;  // bytes copied below SP: BELOW or 0
  __u32 copied; // bytes copied from SP upward
  __u32 locate; // of the request, 1: the mapping of the trapped instruction is wanted
  __u64 registers[17]; // DWARF order, then rip
  // A file's code, read only and with no page that the process has copied: all zero where that is not what the instruction lies in.
  __u64 code_start, code_end;
  struct identity code;
  __u64 core; // on which the thread has run last
  __u8 stack[BELOW + STACK_MAX];
};

// Something about an address space that a finding rests on.
enum { TEXT = 1, STACK = 2, NOT_CODE = 3 };
struct fact {
  __u32 kind;
  __u32 is_learnt;
  // TEXT: the mapping is exactly [start, end). STACK: it contains at least that, and neither of `outside`. NOT_CODE: at `start` lies nothing
  // that can be executed.
  __u64 start, end;
  __u64 outside[2];
  struct identity identity; // learnt by the first run after the fact was written; of a stack, the flags only
};

struct space {
  __u32 count;
  __u32 generation; // of the facts' list
  struct fact facts[FACTS];
};

// What was found of a process, good as long as its mappings do not change.
// Of one fact, just now.
struct found {
  __u64 vma, inode;
  __u32 is_there, holds;
};

struct process {
  __u32 process;
  __u32 space;
  __u64 start, exec;
  __u64 sequence;
  __u64 looked; // when, in nanoseconds
  __u64 known; // the facts that were looked up
  __u64 holds;
  __u64 texts; // of those, the ones that are looked at in each run
  __u32 generation;
  __u32 pad;
  struct {
    __u64 vma, inode;
  } places[FACTS];
  struct found found;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct exchange);
} callgate_map SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, SPACES);
  __type(key, __u32);
  __type(value, struct space);
} callgate_spaces SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, PROCESSES);
  __type(key, __u32);
  __type(value, struct process);
} callgate_seen SEC(".maps");

// Without these a mapping's changes cannot be told.
static int knows_changes(void) {
  struct mm_struct *mm = 0;
  struct inode *inode = 0;
  return bpf_core_field_exists(mm->mm_lock_seq) && bpf_core_field_exists(inode->i_ctime_sec);
}

// A file is never asked for the words of a stack: one that user space serves may not answer.
struct extent {
  __u64 start, end;
  __u32 is_found, is_anonymous;
};

static long take_extent(struct task_struct *task, struct vm_area_struct *vma, void *context) {
  struct extent *extent = context;
  extent->start = vma->vm_start;
  extent->end = vma->vm_end;
  extent->is_found = 1;
  extent->is_anonymous = vma->vm_file == 0;
  return 0;
}

struct copy {
  struct task_struct *task;
  __u64 sp;
  __u32 want; // bytes from SP upward
};

// A callback, not a loop, and what it has done so far kept in the map, where the verifier takes it for any number: it then goes through
// this once, and not once for each page.
static long copy_page(__u64 index, void *context) {
  struct copy *copy = context;
  __u32 zero = 0;
  struct exchange *x = bpf_map_lookup_elem(&callgate_map, &zero);
  if (!x) return 1;
  __u32 done = x->copied;
  if (done >= copy->want || done > STACK_MAX - PAGE) return 1;
  __u64 address = copy->sp + done;
  __u32 part = PAGE - (address & (PAGE - 1));
  if (part > copy->want - done) part = copy->want - done;
  if (part == 0 || part > PAGE) return 1;
  if (bpf_copy_from_user_task(x->stack + BELOW + done, part, (void *)address, copy->task, 0) != 0) return 1;
  x->copied = done + part;
  return 0;
}

static void copy_stack(struct exchange *x, struct task_struct *task, __u64 sp, __u64 fs_base) {
  struct extent extent = {};
  bpf_find_vma(task, sp, take_extent, &extent, 0);
  if (!extent.is_found || !extent.is_anonymous || sp < extent.start || sp >= extent.end) return;
  __u64 want = x->want;
  if (want > extent.end - sp) want = extent.end - sp;
  if (want > STACK_MAX) want = STACK_MAX;
  if (want == 0) return;
  // A copy that meets a page that is not there fails whole and zeroes its buffer, so: all at once, else page by page up to there.
  if (sp - extent.start >= BELOW && bpf_copy_from_user_task(x->stack, want + BELOW, (void *)(sp - BELOW), task, 0) == 0) {
    x->below = BELOW;
    x->copied = want;
  } else {
    struct copy copy = {.task = task, .sp = sp, .want = want};
    bpf_loop(STACK_MAX / PAGE + 1, copy_page, &copy, 0);
  }
  __u64 canary = fs_base + CANARY;
  if (canary < extent.start || canary + 8 > extent.end) {
    extent.is_found = 0;
    bpf_find_vma(task, canary, take_extent, &extent, 0);
    if (!extent.is_found || !extent.is_anonymous || canary < extent.start || canary >= extent.end) return;
  }
  x->has_canary = bpf_copy_from_user_task(&x->canary, 8, (void *)canary, task, 0) == 0;
}

// MARK: a glance

// bpf_copy_from_user_task takes the address space's lock and the pages' references, which costs more than everything else here. What is
// only to be compared with words that are known can be had without: by the page tables, from where the kernel has the memory mapped
// (Intel SDM 3A, 4.5). Nothing is held meanwhile: a page that is taken away just then shows something else, which then is not what was
// known. No fault is raised in the process, and the loads from kernel memory cannot fault either (bpf_rdonly_cast,
// bpf_probe_read_kernel).
#define PRESENT_USER 5
#define LARGE 0x80
#define FRAME 0x000ffffffffff000ull

static __u64 word_at(__u64 address) {
  struct pt_regs *words = bpf_rdonly_cast((void *)address, bpf_core_type_id_kernel(struct pt_regs));
  return words->r15; // the first
}

// What the tables say of an address: where the kernel sees it, 0 where there is nothing.
static __u64 seen_at(__u64 table, __u64 address, __u64 base, int has_five_levels) {
  __u64 entry;
  if (has_five_levels) {
    entry = word_at(table + (address >> 48 & 511) * 8);
    if ((entry & PRESENT_USER) != PRESENT_USER) return 0;
    table = base + (entry & FRAME);
  }
  entry = word_at(table + (address >> 39 & 511) * 8);
  if ((entry & PRESENT_USER) != PRESENT_USER) return 0;
  entry = word_at(base + (entry & FRAME) + (address >> 30 & 511) * 8);
  if ((entry & PRESENT_USER) != PRESENT_USER || entry & LARGE) return 0;
  entry = word_at(base + (entry & FRAME) + (address >> 21 & 511) * 8);
  if ((entry & PRESENT_USER) != PRESENT_USER) return 0;
  if (entry & LARGE) return base + (entry & FRAME & ~0x1fffffull) + (address & 0x1fffff);
  entry = word_at(base + (entry & FRAME) + (address >> 12 & 511) * 8);
  if ((entry & PRESENT_USER) != PRESENT_USER) return 0;
  return base + (entry & FRAME) + (address & (PAGE - 1));
}

struct glance {
  __u64 table, base;
  __u64 start; // of the window
  __u32 want;  // bytes of it
  int has_five_levels;
};

static long glance_at_page(__u64 index, void *context) {
  struct glance *glance = context;
  __u32 zero = 0;
  struct exchange *x = bpf_map_lookup_elem(&callgate_map, &zero);
  if (!x) return 1;
  __u32 done = x->copied; // from the window's start
  if (done >= glance->want) return 1;
  __u64 address = glance->start + done;
  __u64 part = PAGE - (address & (PAGE - 1));
  if (part > glance->want - done) part = glance->want - done;
  __u64 place = seen_at(glance->table, address, glance->base, glance->has_five_levels);
  // Nothing was called from here as yet: the page below SP's own is not there.
  if (!place && done == 0 && part <= BELOW) {
    x->below = BELOW - part;
    x->copied = part;
    return 0;
  }
  if (!place || part == 0 || part > PAGE || done > BELOW + STACK_MAX - PAGE) return 1;
  if (bpf_probe_read_kernel(x->stack + done, part, (void *)place) != 0) return 1;
  if (done == 0) x->below = BELOW;
  x->copied = done + part;
  return 0;
}

static void glance_at_stack(struct exchange *x, __u64 sp, __u64 fs_base) {
  if (sp < BELOW) return;
  struct glance glance = {.start = sp - BELOW, .table = x->table, .base = x->base};
  // Only with five levels the kernel's half begins below (Documentation/arch/x86/x86_64/mm.rst).
  glance.has_five_levels = x->table < 0xffff800000000000ull;
  glance.want = x->want > STACK_MAX - PAGE ? BELOW + STACK_MAX - PAGE : BELOW + x->want;
  bpf_loop(STACK_MAX / PAGE + 2, glance_at_page, &glance, 0);
  x->copied = x->copied > BELOW ? x->copied - BELOW : 0;
  if (x->copied == 0) x->below = 0;
  // A word that is aligned lies on one page.
  __u64 canary = fs_base + CANARY;
  __u64 place = canary & 7 ? 0 : seen_at(glance.table, canary, glance.base, glance.has_five_levels);
  if (place) {
    x->canary = word_at(place);
    x->has_canary = 1;
  }
}

// MARK: facts

// VM_READ, VM_WRITE, VM_EXEC, VM_SHARED; linux/mm.h
#define FLAGS 0xf
#define EXECUTABLE 4
#define CODE 5
// I_CTIME_QUERIED, linux/fs.h: that somebody has asked for the time does not change it.
#define QUERIED 0x80000000u

// What is found goes into the map: kept on the stack, the verifier would follow each outcome by itself.
struct search {
  struct fact *fact;
  struct found *found;
};

static void identify(struct identity *identity, struct vm_area_struct *vma, struct inode *inode) {
  identity->offset = vma->vm_pgoff;
  identity->flags = vma->vm_flags & FLAGS;
  identity->inode = inode->i_ino;
  identity->device = inode->i_sb->s_dev;
  identity->changed_seconds = inode->i_ctime_sec;
  identity->changed_nanoseconds = inode->i_ctime_nsec & ~QUERIED;
}

static int is_same(struct identity *a, struct identity *b) {
  return a->offset == b->offset && a->flags == b->flags && a->inode == b->inode && a->device == b->device &&
         a->changed_seconds == b->changed_seconds && a->changed_nanoseconds == b->changed_nanoseconds;
}

static long look(struct task_struct *task, struct vm_area_struct *vma, void *context) {
  // Without the fields, what follows is no code that could be loaded.
  if (!knows_changes()) return 0;
  struct search *search = context;
  struct fact *fact = search->fact;
  struct found *found = search->found;
  found->is_there = 1;
  __u64 start = vma->vm_start, end = vma->vm_end, flags = vma->vm_flags & FLAGS;
  struct file *file = vma->vm_file;
  if (fact->kind == NOT_CODE) {
    found->holds = !(flags & EXECUTABLE);
    return 0;
  }
  if (fact->kind == STACK) {
    if (!fact->is_learnt) {
      fact->identity.flags = flags;
      fact->is_learnt = 1;
    }
    if (start > fact->start || end < fact->end || file || flags != fact->identity.flags) return 0;
    if (fact->outside[0] >= start && fact->outside[0] < end) return 0;
    if (fact->outside[1] >= start && fact->outside[1] < end) return 0;
    found->holds = 1;
    return 0;
  }
  // A page that the process has a copy of for itself is an anonymous one, which makes the mapping have an anon_vma (mm/memory.c,
  // do_cow_fault); it keeps that until it is gone.
  if (start != fact->start || end != fact->end || !file || vma->anon_vma) return 0;
  struct inode *inode = file->f_inode;
  if (!inode) return 0;
  struct identity identity;
  identify(&identity, vma, inode);
  if (!fact->is_learnt) {
    fact->identity = identity;
    fact->is_learnt = 1;
  }
  if (!is_same(&fact->identity, &identity)) return 0;
  found->vma = (__u64)vma;
  found->inode = (__u64)inode;
  found->holds = 1;
  return 0;
}

// The state of one of the loops below: a callback finds everything by its keys.
struct round {
  struct task_struct *task;
  __u64 need, holds, texts;
  __u32 space, slot;
};

static struct space *space_of(__u32 key) { return bpf_map_lookup_elem(&callgate_spaces, &key); }

static struct process *process_at(__u32 key) { return bpf_map_lookup_elem(&callgate_seen, &key); }

static long look_for_one(__u64 i, void *context) {
  struct round *round = context;
  struct space *space = space_of(round->space);
  struct process *process = process_at(round->slot);
  if (!space || !process || i >= FACTS || i >= space->count) return 1;
  if (!(round->need & 1ull << i)) return 0;
  struct fact *fact = &space->facts[i];
  struct found *found = &process->found;
  found->vma = found->inode = 0;
  found->is_there = found->holds = 0;
  struct search search = {.fact = fact, .found = found};
  bpf_find_vma(round->task, fact->start, look, &search, 0);
  if (found->holds || (!found->is_there && fact->kind == NOT_CODE)) round->holds |= 1ull << i;
  if (found->vma) round->texts |= 1ull << i;
  process->places[i].vma = found->vma;
  process->places[i].inode = found->inode;
  return 0;
}

// The mappings are the same. What can have changed without that: a private copy of a page, and the file itself.
static long look_again(__u64 i, void *context) {
  if (!knows_changes()) return 1;
  struct round *round = context;
  __u64 bit = 1ull << (i & 63);
  if (round->need < bit) return 1;
  if (!(round->need & bit)) return 0;
  struct space *space = space_of(round->space);
  struct process *process = process_at(round->slot);
  if (!space || !process || i >= FACTS) return 1;
  struct vm_area_struct *vma =
      bpf_rdonly_cast((void *)process->places[i].vma, bpf_core_type_id_kernel(struct vm_area_struct));
  struct inode *inode = bpf_rdonly_cast((void *)process->places[i].inode, bpf_core_type_id_kernel(struct inode));
  struct fact *fact = &space->facts[i];
  if (!vma->anon_vma && fact->identity.changed_seconds == inode->i_ctime_sec &&
      fact->identity.changed_nanoseconds == (inode->i_ctime_nsec & ~QUERIED))
    round->holds |= bit;
  return 0;
}

static void judge_facts(struct exchange *x, struct task_struct *task) {
  struct space *space = space_of(x->space);
  struct process *process = process_at(x->slot);
  if (x->sequence == ~0ull || !space || !process) return;
  struct round round = {.task = task, .space = x->space, .slot = x->slot};
  __u64 now = bpf_ktime_get_ns();
  if (now - process->looked > GOOD_FOR || process->process != x->process || process->start != x->process_start || process->exec != x->exec || process->sequence != x->sequence ||
      process->space != x->space || process->generation != space->generation) {
    process->process = x->process;
    process->start = x->process_start;
    process->exec = x->exec;
    process->sequence = x->sequence;
    process->looked = now;
    process->space = x->space;
    process->generation = space->generation;
    process->known = process->holds = process->texts = 0;
  }
  round.need = x->need & ~process->known;
  if (round.need) {
    bpf_loop(FACTS, look_for_one, &round, 0);
    process->known |= round.need;
    process->holds |= round.holds;
    process->texts |= round.texts;
  }
  round.holds = process->holds & ~process->texts;
  round.need = process->holds & process->texts & x->need;
  bpf_loop(FACTS, look_again, &round, 0);
  x->holds = round.holds;
}

static long locate(struct task_struct *task, struct vm_area_struct *vma, void *context) {
  if (!knows_changes()) return 0;
  __u32 zero = 0;
  struct exchange *x = bpf_map_lookup_elem(&callgate_map, &zero);
  struct file *file = vma->vm_file;
  if (!x || !file || vma->anon_vma || (vma->vm_flags & FLAGS) != CODE) return 0;
  struct inode *inode = file->f_inode;
  if (!inode) return 0;
  x->code_start = vma->vm_start;
  x->code_end = vma->vm_end;
  identify(&x->code, vma, inode);
  return 0;
}

static __u64 sequence_of(struct task_struct *task) {
  if (!knows_changes()) return ~0ull;
  __u32 sequence = task->mm->mm_lock_seq.sequence;
  // Odd: somebody is changing them just now.
  return sequence & 1 ? ~0ull : sequence;
}

static int fill(struct exchange *x, struct task_struct *task) {
  x->process = task->tgid;
  x->start = task->start_boottime;
  x->process_start = task->group_leader->start_boottime;
  x->exec = task->self_exec_id;
  x->start_stack = task->mm->start_stack;
  x->fs_base = task->thread.fsbase;
  x->forked = (task->group_leader->flags & 0x40) != 0; // PF_FORKNOEXEC, linux/sched.h
  x->borrows = task->vfork_done != 0;
  x->sequence = sequence_of(task);
  x->table = (__u64)task->mm->pgd;
  x->core = bpf_core_field_exists(task->thread_info.cpu) ? task->thread_info.cpu : ~0ull;

  struct pt_regs *r = bpf_rdonly_cast((void *)bpf_task_pt_regs(task), bpf_core_type_id_kernel(struct pt_regs));
  x->registers[0] = r->rax; x->registers[1] = r->rdx; x->registers[2] = r->rcx; x->registers[3] = r->rbx;
  x->registers[4] = r->rsi; x->registers[5] = r->rdi; x->registers[6] = r->rbp; x->registers[7] = r->rsp;
  x->registers[8] = r->r8; x->registers[9] = r->r9; x->registers[10] = r->r10; x->registers[11] = r->r11;
  x->registers[12] = r->r12; x->registers[13] = r->r13; x->registers[14] = r->r14; x->registers[15] = r->r15;
  x->registers[16] = r->rip;
  if (x->base) glance_at_stack(x, r->rsp, x->fs_base);
  else if (x->want > 0) copy_stack(x, task, r->rsp, x->fs_base);
  if (x->space != NONE) judge_facts(x, task);
  x->code_start = 0;
  // The address after the instruction may be the mapping's end.
  if (x->locate) {
    __u32 nothing = 0;
    bpf_find_vma(task, r->rip - 1, locate, &nothing, 0);
  }
  return STATUS_OK;
}

SEC("syscall") int callgate_snapshot(void *context) {
  __u32 zero = 0;
  struct exchange *x = bpf_map_lookup_elem(&callgate_map, &zero);
  if (!x) return 1;
  x->status = 0;
  x->below = 0;
  x->copied = 0;
  x->holds = 0;
  x->has_canary = 0;
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
