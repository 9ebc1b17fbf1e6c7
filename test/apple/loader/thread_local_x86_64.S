/*
 * thread_local_x86_64.S: what an image's thread-local variable calls to find its address in this thread.
 *
 * A variable is a descriptor {function, key, offset}; code calls the function with the descriptor in rdi and expects
 * the address in rax and every other register, vectors included, as it was.
 */
#if defined(__x86_64__)

  .text
  .globl loaderThreadLocal
  .hidden loaderThreadLocal
  .type loaderThreadLocal, @function
  .p2align 4
loaderThreadLocal:
  .cfi_startproc
  movq 8(%rdi), %rax
  pushq %rcx
  .cfi_adjust_cfa_offset 8
  movq loaderThreadBlocks@gottpoff(%rip), %rcx
  leaq (%rcx, %rax, 8), %rcx
  movq %fs:(%rcx), %rax
  popq %rcx
  .cfi_adjust_cfa_offset -8
  testq %rax, %rax
  jz 1f
  addq 16(%rdi), %rax
  retq

  /* The first use in this thread: C code makes the block. It may use whichever register a call may, so all of those are
   * saved, the vectors at their full width. */
1:
  pushq %rbp
  .cfi_adjust_cfa_offset 8
  .cfi_offset %rbp, -16
  movq %rsp, %rbp
  .cfi_def_cfa_register %rbp
  pushq %rdi
  pushq %rsi
  pushq %rdx
  pushq %rcx
  pushq %r8
  pushq %r9
  pushq %r10
  pushq %r11
  subq $4096, %rsp
  andq $-64, %rsp
  /* xsave wants the header of its area zero: 64 bytes behind the first 512. */
  .irp word, 0, 8, 16, 24, 32, 40, 48, 56
  movq $0, 512+\word(%rsp)
  .endr
  movl $0xE7, %eax /* x87, SSE, AVX, AVX-512: at most 2,688 bytes */
  xorl %edx, %edx
  xsave (%rsp)
  movq 8(%rdi), %rdi
  call loaderThreadBlock
  movq %rax, -72(%rbp)
  movl $0xE7, %eax
  xorl %edx, %edx
  xrstor (%rsp)
  leaq -72(%rbp), %rsp
  popq %rax
  popq %r11
  popq %r10
  popq %r9
  popq %r8
  popq %rcx
  popq %rdx
  popq %rsi
  popq %rdi
  leave
  .cfi_def_cfa %rsp, 8
  addq 16(%rdi), %rax
  retq
  .cfi_endproc
  .size loaderThreadLocal, . - loaderThreadLocal

#endif

  .section .note.GNU-stack, "", @progbits
