/*
 * thread_local_aarch64.S: the same as thread_local_x86_64.S for arm64; see there. The descriptor and the address are in
 * x0; only x16 and x17 may change besides.
 */
#if defined(__aarch64__)

  .text
  .globl loaderThreadLocal
  .hidden loaderThreadLocal
  .type loaderThreadLocal, %function
  .p2align 4
loaderThreadLocal:
  .cfi_startproc
  adrp x16, :gottprel:loaderThreadBlocks
  ldr x16, [x16, :gottprel_lo12:loaderThreadBlocks]
  mrs x17, tpidr_el0
  add x17, x17, x16
  ldr x16, [x0, #8]
  ldr x17, [x17, x16, lsl #3]
  cbz x17, 1f
  ldr x16, [x0, #16]
  add x0, x17, x16
  ret

  /* The first use in this thread: C code makes the block. */
1:
  stp x29, x30, [sp, #-16]!
  .cfi_def_cfa_offset 16
  .cfi_offset x29, -16
  .cfi_offset x30, -8
  mov x29, sp
  .cfi_def_cfa_register x29
  sub sp, sp, #672
  stp x0, x1, [sp, #0]
  stp x2, x3, [sp, #16]
  stp x4, x5, [sp, #32]
  stp x6, x7, [sp, #48]
  stp x8, x9, [sp, #64]
  stp x10, x11, [sp, #80]
  stp x12, x13, [sp, #96]
  stp x14, x15, [sp, #112]
  str x18, [sp, #128]
  stp q0, q1, [sp, #144]
  stp q2, q3, [sp, #176]
  stp q4, q5, [sp, #208]
  stp q6, q7, [sp, #240]
  stp q8, q9, [sp, #272]
  stp q10, q11, [sp, #304]
  stp q12, q13, [sp, #336]
  stp q14, q15, [sp, #368]
  stp q16, q17, [sp, #400]
  stp q18, q19, [sp, #432]
  stp q20, q21, [sp, #464]
  stp q22, q23, [sp, #496]
  stp q24, q25, [sp, #528]
  stp q26, q27, [sp, #560]
  stp q28, q29, [sp, #592]
  stp q30, q31, [sp, #624]
  ldr x0, [x0, #8]
  bl loaderThreadBlock
  mov x17, x0
  ldp x0, x1, [sp, #0]
  ldp x2, x3, [sp, #16]
  ldp x4, x5, [sp, #32]
  ldp x6, x7, [sp, #48]
  ldp x8, x9, [sp, #64]
  ldp x10, x11, [sp, #80]
  ldp x12, x13, [sp, #96]
  ldp x14, x15, [sp, #112]
  ldr x18, [sp, #128]
  ldp q0, q1, [sp, #144]
  ldp q2, q3, [sp, #176]
  ldp q4, q5, [sp, #208]
  ldp q6, q7, [sp, #240]
  ldp q8, q9, [sp, #272]
  ldp q10, q11, [sp, #304]
  ldp q12, q13, [sp, #336]
  ldp q14, q15, [sp, #368]
  ldp q16, q17, [sp, #400]
  ldp q18, q19, [sp, #432]
  ldp q20, q21, [sp, #464]
  ldp q22, q23, [sp, #496]
  ldp q24, q25, [sp, #528]
  ldp q26, q27, [sp, #560]
  ldp q28, q29, [sp, #592]
  ldp q30, q31, [sp, #624]
  ldr x16, [x0, #16]
  add x0, x17, x16
  mov sp, x29
  ldp x29, x30, [sp], #16
  ret
  .cfi_endproc
  .size loaderThreadLocal, . - loaderThreadLocal

#endif

  .section .note.GNU-stack, "", %progbits
