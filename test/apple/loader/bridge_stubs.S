/*
 * bridge_stubs.S: the functions of bun_metal.h as jumps through a table, which bridge_main.m fills with the exports of
 * the Mach-O library: a test program that calls them runs its code.
 *
 * bridge_exports.inc is made from bun_metal.h at build time: a line `EXPORT name` for each function.
 */
.macro EXPORT name
  .section .rodata, "a", @progbits
1:
  .asciz "_\name"
  .data
  .quad 1b
2:
  .quad 0
  .text
  .globl \name
  .type \name, @function
  .p2align 4
\name:
#if defined(__x86_64__)
  jmpq *2b(%rip)
#else
  adrp x16, 2b
  ldr x16, [x16, :lo12:2b]
  br x16
#endif
  .size \name, . - \name
.endm

  .data
  .globl bridgeExports
  .p2align 3
bridgeExports:
  .include "bridge_exports.inc"
  .data
  .quad 0, 0

  .section .note.GNU-stack, "", @progbits
