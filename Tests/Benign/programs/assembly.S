# Hand-written functions: with CFI, and without any.
  .text

# long with_cfi(void (*f)(void)): a frame of its own size.
  .globl with_cfi
  .type with_cfi, @function
with_cfi:
  .cfi_startproc
  push %r12
  .cfi_def_cfa_offset 16
  .cfi_offset r12, -16
  sub $48, %rsp
  .cfi_def_cfa_offset 64
  mov %rdi, %r12
  call *%r12
  call *%r12
  mov $1, %eax
  add $48, %rsp
  .cfi_def_cfa_offset 16
  pop %r12
  .cfi_def_cfa_offset 8
  ret
  .cfi_endproc
  .size with_cfi, .-with_cfi

# The same with a frame pointer and no word of it in .eh_frame.
  .globl with_frame_pointer
  .type with_frame_pointer, @function
with_frame_pointer:
  push %rbp
  mov %rsp, %rbp
  push %rbx
  sub $24, %rsp
  mov %rdi, %rbx
  call *%rbx
  call *%rbx
  mov -8(%rbp), %rbx
  mov $2, %eax
  leave
  ret
  .size with_frame_pointer, .-with_frame_pointer

# Without either: depth and saved registers only show in the instructions. Two ways out, and a loop.
  .globl without_cfi
  .type without_cfi, @function
without_cfi:
  push %rbx
  push %r12
  push %r13
  mov %rdi, %rbx
  mov $3, %r12d
1:
  call *%rbx
  dec %r12d
  jnz 1b
  test %rbx, %rbx
  jz 2f
  push %rbx
  sub $8, %rsp
  call *%rbx
  add $8, %rsp
  pop %rbx
  mov $3, %eax
  pop %r13
  pop %r12
  pop %rbx
  ret
2:
  xor %eax, %eax
  pop %r13
  pop %r12
  pop %rbx
  ret
  .size without_cfi, .-without_cfi

# A local function without a symbol's size, called by one that has no frame at all but its return address.
  .globl thin
  .type thin, @function
thin:
  sub $8, %rsp
  call inner
  add $8, %rsp
  ret
  .size thin, .-thin
inner:
  push %rdi
  call *%rdi
  pop %rdi
  mov $4, %eax
  ret

# long raw_getppid(void): a system call of its own, in a leaf without CFI.
  .globl raw_getppid
  .type raw_getppid, @function
raw_getppid:
  mov $110, %eax
  syscall
  ret
  .size raw_getppid, .-raw_getppid

# long raw_setfsuid(void): the same with CFI, after a push.
  .globl raw_setfsuid
  .type raw_setfsuid, @function
raw_setfsuid:
  .cfi_startproc
  push %rdi
  .cfi_adjust_cfa_offset 8
  mov $-1, %rdi
  mov $122, %eax
  syscall
  pop %rdi
  .cfi_adjust_cfa_offset -8
  ret
  .cfi_endproc
  .size raw_setfsuid, .-raw_setfsuid

  .section .note.GNU-stack, "", @progbits
