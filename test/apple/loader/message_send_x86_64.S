/*
 * message_send_x86_64.S: objc_msgSend and its kin over GCC's runtime, whose objc_msg_lookup finds the method; the call
 * itself is a jump to it. Whatever may carry an argument is kept: rdi to r9, xmm0 to xmm7, al (the number of vector
 * arguments of a variadic call) and r10.
 */
#if defined(__x86_64__)

  .text

/* Finds the method with a C function of (rdi, rsi) -> rax while the caller's arguments stay. The method is in r11. */
.macro LOOK_UP function, first, second
  pushq %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  movq %rsp, %rbp
  .cfi_def_cfa_register %rbp
  subq $192, %rsp
  movq %rax, -8(%rbp)
  movq %rdi, -16(%rbp)
  movq %rsi, -24(%rbp)
  movq %rdx, -32(%rbp)
  movq %rcx, -40(%rbp)
  movq %r8, -48(%rbp)
  movq %r9, -56(%rbp)
  movq %r10, -64(%rbp)
  movaps %xmm0, -80(%rbp)
  movaps %xmm1, -96(%rbp)
  movaps %xmm2, -112(%rbp)
  movaps %xmm3, -128(%rbp)
  movaps %xmm4, -144(%rbp)
  movaps %xmm5, -160(%rbp)
  movaps %xmm6, -176(%rbp)
  movaps %xmm7, -192(%rbp)
  .ifnc \first, %rdi
  movq \first, %rdi
  .endif
  .ifnc \second, %rsi
  movq \second, %rsi
  .endif
  call \function
  movq %rax, %r11
  movq -8(%rbp), %rax
  movq -16(%rbp), %rdi
  movq -24(%rbp), %rsi
  movq -32(%rbp), %rdx
  movq -40(%rbp), %rcx
  movq -48(%rbp), %r8
  movq -56(%rbp), %r9
  movq -64(%rbp), %r10
  movaps -80(%rbp), %xmm0
  movaps -96(%rbp), %xmm1
  movaps -112(%rbp), %xmm2
  movaps -128(%rbp), %xmm3
  movaps -144(%rbp), %xmm4
  movaps -160(%rbp), %xmm5
  movaps -176(%rbp), %xmm6
  movaps -192(%rbp), %xmm7
  leave
  .cfi_def_cfa %rsp, 8
.endm

.macro FUNCTION name
  .globl \name
  .hidden \name
  .type \name, @function
  .p2align 4
\name:
  .cfi_startproc
.endm

.macro END name
  .cfi_endproc
  .size \name, . - \name
.endm

/* (receiver, selector, ...). A message to nil is zero in all registers that carry results. */
FUNCTION loaderMessageSend
  testq %rdi, %rdi
  jz 1f
  LOOK_UP objc_msg_lookup@PLT, %rdi, %rsi
  jmpq *%r11
1:
  xorl %eax, %eax
  xorl %edx, %edx
  xorps %xmm0, %xmm0
  xorps %xmm1, %xmm1
  retq
END loaderMessageSend

/* (result, receiver, selector, ...) for results in memory. As on Apple, a message to nil leaves them as they were: it
 * is the compiler that clears them. */
FUNCTION loaderMessageSendStret
  testq %rsi, %rsi
  jz 1f
  LOOK_UP objc_msg_lookup@PLT, %rsi, %rdx
  jmpq *%r11
1:
  movq %rdi, %rax
  retq
END loaderMessageSendStret

/* ({receiver, class}, selector, ...): the method of the class above. */
FUNCTION loaderMessageSendSuper
  LOOK_UP loaderLookUpSuper, %rdi, %rsi
  movq (%rdi), %rdi
  jmpq *%r11
END loaderMessageSendSuper

/* (result, {receiver, class}, selector, ...). */
FUNCTION loaderMessageSendSuperStret
  LOOK_UP loaderLookUpSuper, %rsi, %rdx
  movq (%rsi), %rsi
  jmpq *%r11
END loaderMessageSendSuperStret

#endif

  .section .note.GNU-stack, "", @progbits
