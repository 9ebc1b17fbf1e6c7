/*
 * fiber_aarch64.S: the same as fiber_x86_64.S for AArch64; see there. The waiting functions are ordinary ones here: a
 * lane that waits has x19 to x30 and d8 to d15 on its stack.
 */
#if defined(__aarch64__) && defined(__linux__)

#define RUNNABLE 0
#define PRESENT 4
#define FRESH 8
#define FINISHED 12
#define STACK_POINTERS 64
#define STACK_SHIFT 15
#define GROUP_MASK 0xfffff
#define STAGGER_SHIFT 7
#define THREAD_BYTES 32
#define FRAME 160

.macro FUNCTION name
    .globl \name
    .hidden \name
    .type \name, %function
    .p2align 5
\name:
.endm

.macro SAVE
    sub sp, sp, #FRAME
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
.endm

.macro RESTORE
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #FRAME
.endm

/* Takes the lowest bit of the mask in w9: its number is left in w10. */
.macro TAKE_LOWEST offset
    rbit w10, w9
    clz w10, w10
    sub w11, w9, #1
    and w9, w9, w11
    str w9, [x0, #\offset]
.endm

/* Goes on with the lowest lane of the mask in w9, which is `runnable` of the group in x0. */
.macro RESUME_LOWEST
    TAKE_LOWEST RUNNABLE
    add x12, x0, #STACK_POINTERS
    ldr x13, [x12, w10, uxtw #3]
    mov sp, x13
    mov w0, #0
    RESTORE
    ret
.endm

/* x0 is a stack pointer and x1 what the wait returns; or x0 is 0 and x1 a group of which a lane starts. */
.macro RESUME_TARGET
    cbz x0, 9f
    mov sp, x0
    mov w0, w1
    RESTORE
    ret
9:  mov x0, x1
    ldr w9, [x0, #FRESH]
    b cpuStartLane
.endm

.macro SAVE_LANE
    SAVE
    add x12, x0, #STACK_POINTERS
    mov x13, sp
    str x13, [x12, w1, uxtw #3]
.endm

    .text

/* Starts the lowest lane of the mask in w9, which is `fresh` of the group in x0. */
    .type cpuStartLane, %function
    .p2align 5
cpuStartLane:
    TAKE_LOWEST FRESH
    add w11, w10, #1
    lsl x11, x11, #STACK_SHIFT
    mov w12, w10
    sub x11, x11, x12, lsl #STAGGER_SHIFT
    sub x11, x11, #THREAD_BYTES
    add x11, x0, x11
    mov sp, x11
    mov w1, w10
    mov x2, x11
    mov x29, #0
    bl cpuRunLane
    mov x13, sp
    and x0, x13, #~GROUP_MASK
    ubfx x1, x13, #STACK_SHIFT, #5
    mov w12, #1
    lsl w12, w12, w1
    ldr w9, [x0, #PRESENT]
    bic w9, w9, w12
    str w9, [x0, #PRESENT]
    ldr w9, [x0, #FINISHED]
    orr w9, w9, w12
    str w9, [x0, #FINISHED]
    ldr w9, [x0, #RUNNABLE]
    cbz w9, 1f
    RESUME_LOWEST
1:  ldr w9, [x0, #FRESH]
    cbnz w9, cpuStartLane
    bl cpuGroupIdle
    RESUME_TARGET
    .size cpuStartLane, .-cpuStartLane

FUNCTION cpuArrive
    ldr w9, [x0, #RUNNABLE]
    SAVE_LANE
    cbz w9, 1f
    RESUME_LOWEST
1:  ldr w9, [x0, #FRESH]
    cbnz w9, cpuStartLane
    bl cpuArriveLast
    RESUME_TARGET
    .size cpuArrive, .-cpuArrive

FUNCTION cpuBarrier
    ldr w9, [x0, #PRESENT]
    mov w10, #1
    lsl w10, w10, w1
    bic w9, w9, w10
    str w9, [x0, #PRESENT]
    ldr w9, [x0, #RUNNABLE]
    SAVE_LANE
    cbz w9, 1f
    RESUME_LOWEST
1:  ldr w9, [x0, #FRESH]
    cbnz w9, cpuStartLane
    bl cpuGroupIdle
    RESUME_TARGET
    .size cpuBarrier, .-cpuBarrier

FUNCTION cpuEnter
    SAVE
    mov x9, sp
    str x9, [x1]
    ldr w9, [x0, #FRESH]
    b cpuStartLane
    .size cpuEnter, .-cpuEnter

    .section .note.GNU-stack,"",%progbits
#endif
