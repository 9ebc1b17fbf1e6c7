/* variadic_aarch64.S: hands the place of the variable arguments, which is the caller's stack, to the functions of
 * variadic.m. */
#if defined(__aarch64__)

.macro FORWARD name, function, register
  .globl \name
  .hidden \name
  .type \name, %function
  .p2align 2
\name:
  mov \register, sp
  b \function
  .size \name, . - \name
.endm

  .text
FORWARD variadicPrint, variadicPrintList, x3
FORWARD variadicOpen, variadicOpenFrom, x2
FORWARD variadicString, variadicStringFrom, x3
FORWARD variadicRaise, variadicRaiseFrom, x4

#endif

  .section .note.GNU-stack, "", %progbits
