/*
 * abi.h: what the CPU device and the code that clang makes of MSL have in common.
 *
 * Read by two compilers: as C11 by the device (../../fiber.c, ../../library.c) and as C++ for OpenCL in front of
 * every shader. Only fixed-size integers; addresses are 64-bit integers, so that both see the same layout.
 */
#ifndef BUN_METAL_CPU_ABI_H
#define BUN_METAL_CPU_ABI_H

/** Rises with every change of this file or of what compiled code does with it. */
#define CPU_ABI_VERSION 3

#ifdef __OPENCL_CPP_VERSION__
typedef unsigned int CpuU32;
typedef unsigned long CpuU64;
#else
#include <stdint.h>
typedef uint32_t CpuU32;
typedef uint64_t CpuU64;
#endif

enum {
  CpuSimdWidth = 32,
  CpuBufferCount = 31,
  /* A lane's stack is 1 << CpuStackShift bytes, aligned to that; the stacks of a SIMD group are neighbours and
   * aligned together. Code finds its lane and its SIMD group by masking its stack pointer: nothing to pass, nothing
   * to load. */
  CpuStackShift = 15,
  CpuGroupShift = CpuStackShift + 5,
  CpuStackStagger = 128, /* see fiber.c */
  CpuSlotBytes = 32,     /* widest operand of a SIMD function */
  CpuMaxArguments = 64
};

/** One threadgroup of a dispatch, as its threads see it. */
typedef struct CpuLaunch {
  CpuU64 buffers[CpuBufferCount];
  CpuU64 threadgroupMemory[CpuBufferCount]; /* of the arguments with [[threadgroup(n)]] */
  CpuU64 arena;                             /* of the variables that the kernel declares in threadgroup memory */
  CpuU32 grid[3];                           /* threads in the whole grid */
  CpuU32 groups[3];                         /* threadgroups in it */
  CpuU32 requested[3];                      /* threads per threadgroup, as dispatched */
  CpuU32 position[3];                       /* of this threadgroup */
  CpuU32 size[3];                           /* threads in this threadgroup: fewer at the edge of a grid */
} CpuLaunch;

/** One thread of a threadgroup. */
typedef struct CpuThread {
  CpuU32 position[3]; /* in the threadgroup */
  CpuU32 index;       /* in the threadgroup */
} CpuThread;

/**
 * A SIMD group, at the low end of its block of stacks.
 *
 * At any time one lane of it runs. Each other one is either `fresh` (has not started), `runnable` (can be resumed),
 * only `present` (waits at a SIMD function), or in no mask (waits at a threadgroup barrier) but `finished`. The
 * offsets up to stackPointers are known to fiber_*.S.
 */
typedef struct CpuGroup {
  CpuU32 runnable;
  CpuU32 present;
  CpuU32 fresh;
  CpuU32 finished;
  /** Waits for the lanes that take part. One of them gets their mask and computes for all; the others get 0,
   * later. */
  CpuU64 arrive; /* CpuU32 (*)(CpuGroup *, CpuU32 lane) */
  /** Waits for all threads of the threadgroup. */
  CpuU64 barrier; /* void (*)(CpuGroup *, CpuU32 lane) */
  CpuU64 launch;  /* const CpuLaunch * */
  CpuU64 worker;  /* the device's own */
  CpuU32 index;   /* of this SIMD group in its threadgroup */
  CpuU32 all;     /* lanes that exist */
  CpuU64 padding;
  CpuU64 stackPointers[CpuSimdWidth]; /* of the lanes that wait */
  CpuU64 result;                      /* of an operation that has one result for all lanes */
  CpuU64 leader;                      /* address of a value of the computing lane */
  unsigned char in[CpuSimdWidth * CpuSlotBytes] __attribute__((aligned(64)));
  unsigned char out[CpuSimdWidth * CpuSlotBytes] __attribute__((aligned(64)));
} CpuGroup;

enum { CpuArgumentBuffer = 0, CpuArgumentThreadgroup = 1, CpuArgumentValue = 2 };

/** An argument of a kernel, filled in by the compiled library when it is loaded. */
typedef struct CpuArgument {
  CpuU64 name; /* const char * */
  CpuU32 kind;
  CpuU32 index;
  CpuU32 writable;
  CpuU32 constantSpace;
  CpuU32 reference;
  CpuU32 dataSize;
  CpuU32 alignment;
  CpuU32 padding;
} CpuArgument;

typedef struct CpuKernelInfo {
  CpuU32 argumentCount;
  CpuU32 maxThreads; /* 0: not limited by the kernel */
  CpuU32 staticMemory;
  CpuU32 padding;
  CpuArgument arguments[CpuMaxArguments];
} CpuKernelInfo;

/** A kernel in the library's table, in section "bun_metal_kernels". */
typedef struct CpuKernel {
  CpuU64 name;      /* const char * */
  CpuU64 describe;  /* void (*)(CpuKernelInfo *) */
  CpuU64 entry;     /* perThread: void (*)(const CpuLaunch *, const CpuThread *); else void (*)(const CpuLaunch *) */
  CpuU64 perThread; /* 1: uses barriers or SIMD functions, its threads run as fibers */
} CpuKernel;

#endif
