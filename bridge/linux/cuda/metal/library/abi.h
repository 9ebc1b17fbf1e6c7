/*
 * abi.h: what the CUDA device and the code that clang makes of MSL have in common.
 *
 * Read by two compilers: as C11 by the device (../../dispatch.c) and as C++ for OpenCL in front of every shader. A kernel
 * is `.visible .entry NAME(.param .align 16 .b8 [sizeof(CudaLaunch)])`: one struct, by value.
 */
#ifndef BUN_METAL_CUDA_ABI_H
#define BUN_METAL_CUDA_ABI_H

/** Rises with every change of this file or of what compiled code does with it. */
#define CUDA_ABI_VERSION 1

#ifdef __OPENCL_CPP_VERSION__
typedef unsigned int CudaU32;
typedef unsigned long CudaU64;
#else
#include <stdint.h>
typedef uint32_t CudaU32;
typedef uint64_t CudaU64;
#endif

enum {
  CudaSimdWidth = 32,
  CudaBufferCount = 31,
  CudaMaxArguments = 64,
  CudaConstantBytes = 256, /* of small constants that travel with a launch */
  CudaConstantLargest = 128,
  CudaConstantAlignment = 16,
  CudaNoOffset = 0xffffffff
};

/**
 * One dispatch. The launch's blocks are `requested` threads, in the same three dimensions, and its grid has as many blocks
 * as it takes to cover `grid`; threads outside of that leave at once, and the others take their places so that those of a
 * SIMD group are neighbours, as in Metal.
 *
 * Dynamic shared memory holds, from its first byte on, the variables that the kernel declares in threadgroup memory
 * (DriverFunction.staticThreadgroupMemoryLength bytes), and behind them the arguments with [[threadgroup(n)]], at offsets
 * that are multiples of 16. Kernels have no static shared memory.
 */
typedef struct CudaLaunch {
  CudaU64 buffers[CudaBufferCount];           /* device addresses; 0 where unbound */
  CudaU32 threadgroupMemory[CudaBufferCount]; /* offsets in dynamic shared memory */
  CudaU32 padding;
  CudaU32 grid[3];      /* threads in the whole grid */
  CudaU32 requested[3]; /* threads per threadgroup, as dispatched */
  /** Position of the launch's first threadgroup. CUDA's grids have at most 65535 blocks in y and z: larger ones are
   * several launches. */
  CudaU32 origin[3];
  /** Bit i: what is bound to buffer i is in `constants`, at its argument's place, and buffers[i] is not read. For arguments
   * `constant T &` with such a place, whose bytes are known before the launch (setBytes). It saves every thread a wait for
   * memory before it can begin. */
  CudaU32 inlined;
  unsigned char constants[CudaConstantBytes] __attribute__((aligned(16)));
} CudaLaunch;

#ifndef __OPENCL_CPP_VERSION__
_Static_assert(sizeof(CudaLaunch) == 672, "the size is part of every entry's signature");
#endif

/** Kinds of arguments, as in DriverArgumentKind; a value is none of them. */
enum { CudaArgumentBuffer = 0, CudaArgumentThreadgroup = 1, CudaArgumentValue = 2 };

/** What clang knows of an argument. The compiler makes tables of it (ptx.h), which no kernel reads. */
typedef struct CudaArgument {
  CudaU32 kind;
  CudaU32 index;
  CudaU32 writable;
  CudaU32 constantSpace;
  CudaU32 reference;
  CudaU32 dataSize;
  CudaU32 alignment;
  CudaU32 constantOffset; /* in CudaLaunch.constants; CudaNoOffset where it has no place there */
} CudaArgument;

typedef struct CudaKernelInfo {
  CudaU32 argumentCount;
  CudaU32 maxThreads; /* 0: not limited by the kernel */
  CudaU32 staticMemory;
  CudaArgument arguments[CudaMaxArguments];
} CudaKernelInfo;

#endif
