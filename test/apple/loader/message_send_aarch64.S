/*
 * message_send_aarch64.S: the same as message_send_x86_64.S for arm64; see there. Arguments are in x0 to x8 and v0 to
 * v7. A result in memory goes where x8 says, and needs no function of its own.
 */
#if defined(__aarch64__)

/* Finds the method with a C function of (x0, x1) while the caller's arguments stay. The method is in x16. */
.macro LOOK_UP function
  stp x29, x30, [sp, #-16]!
  .cfi_def_cfa_offset 16
  .cfi_offset x29, -16
  .cfi_offset x30, -8
  mov x29, sp
  .cfi_def_cfa_register x29
  sub sp, sp, #208
  stp x0, x1, [sp, #0]
  stp x2, x3, [sp, #16]
  stp x4, x5, [sp, #32]
  stp x6, x7, [sp, #48]
  str x8, [sp, #64]
  stp q0, q1, [sp, #80]
  stp q2, q3, [sp, #112]
  stp q4, q5, [sp, #144]
  stp q6, q7, [sp, #176]
  bl \function
  mov x16, x0
  ldp x0, x1, [sp, #0]
  ldp x2, x3, [sp, #16]
  ldp x4, x5, [sp, #32]
  ldp x6, x7, [sp, #48]
  ldr x8, [sp, #64]
  ldp q0, q1, [sp, #80]
  ldp q2, q3, [sp, #112]
  ldp q4, q5, [sp, #144]
  ldp q6, q7, [sp, #176]
  mov sp, x29
  .cfi_def_cfa_register sp
  ldp x29, x30, [sp], #16
  .cfi_def_cfa_offset 0
  .cfi_restore x29
  .cfi_restore x30
.endm

.macro FUNCTION name
  .globl \name
  .hidden \name
  .type \name, %function
  .p2align 4
\name:
  .cfi_startproc
.endm

.macro END name
  .cfi_endproc
  .size \name, . - \name
.endm

  .text

/* (receiver, selector, ...). A message to nil is zero in all registers that carry results. */
FUNCTION loaderMessageSend
  cbz x0, 1f
  LOOK_UP loaderLookUp
  br x16
1:
  mov x1, #0
  movi v0.2d, #0
  movi v1.2d, #0
  movi v2.2d, #0
  movi v3.2d, #0
  ret
END loaderMessageSend

/* ({receiver, class}, selector, ...): the method of the class above. */
FUNCTION loaderMessageSendSuper
  LOOK_UP loaderLookUpSuper
  ldr x0, [x0]
  br x16
END loaderMessageSendSuper

#endif

  .section .note.GNU-stack, "", %progbits
