/*
 * fiber_x86_64.S: switches between the lanes of a threadgroup. See fiber.c for who waits for whom.
 *
 * A lane that waits has rbp, rbx and its return address on top of its own stack, and its stack pointer in
 * CpuGroup.stackPointers. The waiting functions are called from inline assembly that declares all other registers
 * changed (metal/library/simdgroup.h): the compiler keeps what is alive, and nothing else is stored.
 *
 * Speed rests on the processor's prediction of returns: a lane's call and the next lane's return are a pair, so `ret`
 * is always right while lanes go the same way. That is why lanes that have not started are jumped to, not returned to.
 */
#if defined(__x86_64__) && defined(__linux__)

/* Offsets in CpuGroup, and sizes, as in metal/library/abi.h and fiber.c, which asserts them. */
#define RUNNABLE 0
#define PRESENT 4
#define FRESH 8
#define FINISHED 12
#define STACK_POINTERS 64
#define STACK_SHIFT 15
#define GROUP_MASK 0xfffff
#define STAGGER_SHIFT 7
#define THREAD_BYTES 32

.macro FUNCTION name
    .globl \name
    .hidden \name
    .type \name, @function
    .p2align 5
\name:
.endm

/* Goes on with a lane of the mask in eax, which is not 0 and `runnable` of the group in rdi: with the one after lane
   esi if it can be. Where that one's stack is follows from esi alone, so that a chain of switches does not wait for the
   mask to go through memory. */
.macro RESUME_NEXT
    incl %esi
    andl $31, %esi
    btrl %esi, %eax
    jnc 8f
7:  movl %eax, RUNNABLE(%rdi)
    movq STACK_POINTERS(%rdi,%rsi,8), %rsp
    xorl %eax, %eax
    popq %rbx
    popq %rbp
    ret
8:  bsfl %eax, %esi
    btrl %esi, %eax
    jmp 7b
.endm

/* Goes on as a function of fiber.c says: rax is a stack pointer and rdx what the lane's wait returns; or rax is 0 and
   rdx the group of which a lane starts. */
.macro RESUME_TARGET
    testq %rax, %rax
    jz 9f
    movq %rax, %rsp
    movl %edx, %eax
    movq %rsp, %rdi
    movq %rsp, %rsi
    andq $~GROUP_MASK, %rdi
    shrq $STACK_SHIFT, %rsi
    andl $31, %esi
    popq %rbx
    popq %rbp
    ret
9:  movq %rdx, %rdi
    movl FRESH(%rdi), %eax
    jmp cpuStartLane
.endm

    .text

/* Starts the lowest lane of the mask in eax, which is `fresh` of the group in rdi. */
    .type cpuStartLane, @function
    .p2align 5
cpuStartLane:
    bsfl %eax, %esi
    leal -1(%rax), %edx
    andl %edx, %eax
    movl %eax, FRESH(%rdi)
    /* stack pointer: the end of the lane's stack, less its stagger, less its CpuThread */
    leal 1(%rsi), %eax
    shlq $STACK_SHIFT, %rax
    movl %esi, %edx
    shll $STAGGER_SHIFT, %edx
    subq %rdx, %rax
    leaq -THREAD_BYTES(%rdi,%rax), %rsp
    movq %rsp, %rdx
    call cpuRunLane
    movq %rsp, %rdi
    movq %rsp, %rsi
    andq $~GROUP_MASK, %rdi
    shrq $STACK_SHIFT, %rsi
    andl $31, %esi
    movl PRESENT(%rdi), %edx
    movl FINISHED(%rdi), %ecx
    btrl %esi, %edx
    btsl %esi, %ecx
    movl %edx, PRESENT(%rdi)
    movl %ecx, FINISHED(%rdi)
    movl RUNNABLE(%rdi), %eax
    testl %eax, %eax
    jz 1f
    RESUME_NEXT
1:  movl FRESH(%rdi), %eax
    testl %eax, %eax
    jnz cpuStartLane
    call cpuGroupIdle
    RESUME_TARGET
    .size cpuStartLane, .-cpuStartLane

/* CpuGroup *rdi, lane esi; returns a mask in eax and keeps rdi, esi: waits for the SIMD group. */
FUNCTION cpuArrive
    movl RUNNABLE(%rdi), %eax
    movl %esi, %esi
    pushq %rbp
    pushq %rbx
    movq %rsp, STACK_POINTERS(%rdi,%rsi,8)
    testl %eax, %eax
    jz 1f
    RESUME_NEXT
1:  movl FRESH(%rdi), %eax
    testl %eax, %eax
    jnz cpuStartLane
    andq $-16, %rsp
    call cpuArriveLast
    RESUME_TARGET
    .size cpuArrive, .-cpuArrive

/* CpuGroup *rdi, lane esi; keeps rdi, esi: waits for the threadgroup. */
FUNCTION cpuBarrier
    movl PRESENT(%rdi), %edx
    movl RUNNABLE(%rdi), %eax
    movl %esi, %esi
    btrl %esi, %edx
    movl %edx, PRESENT(%rdi)
    pushq %rbp
    pushq %rbx
    movq %rsp, STACK_POINTERS(%rdi,%rsi,8)
    testl %eax, %eax
    jz 1f
    RESUME_NEXT
1:  movl FRESH(%rdi), %eax
    testl %eax, %eax
    jnz cpuStartLane
    andq $-16, %rsp
    call cpuGroupIdle
    RESUME_TARGET
    .size cpuBarrier, .-cpuBarrier

/* void cpuEnter(CpuGroup *group, void **save): leaves the worker's own stack, kept in *save, for the group's first
   lane. Returns when the save is resumed. */
FUNCTION cpuEnter
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    call 1f
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    ret
1:  pushq %rbp
    pushq %rbx
    movq %rsp, (%rsi)
    movl FRESH(%rdi), %eax
    jmp cpuStartLane
    .size cpuEnter, .-cpuEnter

    .section .note.GNU-stack,"",@progbits
#endif
