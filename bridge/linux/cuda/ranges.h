/*
 * ranges.h: ranges of addresses, and what of them the commands of a graph write.
 */
#ifndef BUN_METAL_CUDA_RANGES_H
#define BUN_METAL_CUDA_RANGES_H

#include "../driver.h"
#include "api.h"

typedef struct CudaRange {
  CudaAddress from, to;
} CudaRange;

static inline bool cudaRangesOverlap(CudaRange a, CudaRange b) { return a.from < b.to && b.from < a.to; }

/** What is bound to an argument, to the end of its buffer. */
CudaRange cudaRangeOf(const DriverCommand *command, const DriverArgument *argument);

/** Makes one of those that overlap; those that only touch stay two. Returns how many are left, sorted. */
uint32_t cudaRangesMerge(CudaRange *ranges, uint32_t count);

/** All that some commands write, sorted. */
typedef struct CudaWrites {
  CudaRange *ranges;
  uint32_t count;
} CudaWrites;

/** Collects what dispatches among `commands` write. False when out of memory. */
bool cudaWritesCollect(CudaWrites *writes, const DriverCommand *commands, uint32_t count);
void cudaWritesFree(CudaWrites *writes);

/** Whether any of them writes into a range. */
bool cudaWritesOverlap(const CudaWrites *writes, CudaRange range);
/** Bit i: what a dispatch has bound to buffer i is something that none of them writes. */
uint32_t cudaWritesSpare(const CudaWrites *writes, const DriverCommand *command);
/** Whether all that a dispatch writes is among what was collected. */
bool cudaWritesHave(const CudaWrites *writes, const DriverCommand *command);

#endif
