/* copy.h: what a run reads of the CPU's memory, brought to the device by a kernel: what copy_plan.c and copy.cu both know. */
#ifndef BUN_METAL_CUDA_NATIVE_COPY_H
#define BUN_METAL_CUDA_NATIVE_COPY_H

#include <stdint.h>

enum { CopyMostRanges = 8, CopyThreads = 256, CopyMostBlocks = 64 /* of a range */ };

typedef struct CopyRange {
  uint64_t from, to;
  uint32_t bytes, unused;
} CopyRange;

typedef struct CopyParameters {
  CopyRange ranges[CopyMostRanges];
} CopyParameters;

#endif
