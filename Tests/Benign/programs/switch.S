# A coroutine library's own switch, as boost.context and others have it, with CFI.
  .text

# void *switch_to(void **save, void *to, void *value): the other side's value.
  .globl switch_to
  .type switch_to, @function
switch_to:
  .cfi_startproc
  push %rbp
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset rbp, 0
  push %rbx
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset rbx, 0
  push %r12
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset r12, 0
  push %r13
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset r13, 0
  push %r14
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset r14, 0
  push %r15
  .cfi_adjust_cfa_offset 8
  .cfi_rel_offset r15, 0
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  mov %rdx, %rax
  pop %r15
  .cfi_adjust_cfa_offset -8
  .cfi_restore r15
  pop %r14
  .cfi_adjust_cfa_offset -8
  .cfi_restore r14
  pop %r13
  .cfi_adjust_cfa_offset -8
  .cfi_restore r13
  pop %r12
  .cfi_adjust_cfa_offset -8
  .cfi_restore r12
  pop %rbx
  .cfi_adjust_cfa_offset -8
  .cfi_restore rbx
  pop %rbp
  .cfi_adjust_cfa_offset -8
  .cfi_restore rbp
  ret
  .cfi_endproc
  .size switch_to, .-switch_to

# Where a new coroutine starts: the function in rbx, its argument in rax. There is no caller.
  .globl coroutine_start
  .type coroutine_start, @function
coroutine_start:
  .cfi_startproc
  .cfi_undefined rip
  mov %rax, %rdi
  call *%rbx
  ud2
  .cfi_endproc
  .size coroutine_start, .-coroutine_start

  .section .note.GNU-stack, "", @progbits
