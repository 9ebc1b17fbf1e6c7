/* ranges.c: see ranges.h. */
#include "ranges.h"

#include <stdlib.h>

CudaRange cudaRangeOf(const DriverCommand *command, const DriverArgument *argument) {
  const CudaAddress from = (uintptr_t)command->dispatch.buffers[argument->index];
  return (CudaRange){from, from + command->dispatch.bufferLengths[argument->index]};
}

static int compareRanges(const void *left, const void *right) {
  const CudaRange *a = left, *b = right;
  return a->from < b->from ? -1 : a->from > b->from;
}

uint32_t cudaRangesMerge(CudaRange *ranges, uint32_t count) {
  uint32_t kept = 0;
  qsort(ranges, count, sizeof *ranges, compareRanges);
  for (uint32_t i = 0; i < count; i++) {
    if (kept > 0 && ranges[i].from < ranges[kept - 1].to) {
      if (ranges[i].to > ranges[kept - 1].to) ranges[kept - 1].to = ranges[i].to;
    } else {
      ranges[kept++] = ranges[i];
    }
  }
  return kept;
}

/* A buffer of the device's, and no bytes of the caller's. */
static bool isBuffer(const DriverCommand *command, const DriverArgument *argument) {
  return argument->kind == DriverArgumentBuffer && !driverIsBytes(command, argument);
}

bool cudaWritesCollect(CudaWrites *writes, const DriverCommand *commands, uint32_t count) {
  *writes = (CudaWrites){.ranges = malloc(((size_t)count * DriverMaxBuffers + 1) * sizeof *writes->ranges)};
  if (!writes->ranges) return false;
  for (uint32_t i = 0; i < count; i++) {
    if (commands[i].kind != DriverCommandDispatch) continue;
    const DriverFunction *function = commands[i].dispatch.function;
    for (uint32_t k = 0; k < function->argumentCount; k++)
      if (function->arguments[k].writable && isBuffer(&commands[i], &function->arguments[k]))
        writes->ranges[writes->count++] = cudaRangeOf(&commands[i], &function->arguments[k]);
  }
  writes->count = cudaRangesMerge(writes->ranges, writes->count);
  return true;
}

void cudaWritesFree(CudaWrites *writes) {
  free(writes->ranges);
  *writes = (CudaWrites){0};
}

/* The first of the ranges that ends behind an address; NULL without. */
static const CudaRange *firstBehind(const CudaWrites *writes, CudaAddress from) {
  uint32_t low = 0, high = writes->count;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (writes->ranges[middle].to > from) high = middle;
    else low = middle + 1;
  }
  return low < writes->count ? &writes->ranges[low] : NULL;
}

bool cudaWritesOverlap(const CudaWrites *writes, CudaRange range) {
  const CudaRange *written = firstBehind(writes, range.from);
  return written && cudaRangesOverlap(range, *written);
}

uint32_t cudaWritesSpare(const CudaWrites *writes, const DriverCommand *command) {
  const DriverFunction *function = command->dispatch.function;
  uint32_t spared = 0;
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    const DriverArgument *argument = &function->arguments[i];
    if (!isBuffer(command, argument) || argument->writable) continue;
    if (!cudaWritesOverlap(writes, cudaRangeOf(command, argument))) spared |= 1u << argument->index;
  }
  return spared;
}

bool cudaWritesHave(const CudaWrites *writes, const DriverCommand *command) {
  const DriverFunction *function = command->dispatch.function;
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    const DriverArgument *argument = &function->arguments[i];
    if (!isBuffer(command, argument) || !argument->writable) continue;
    const CudaRange range = cudaRangeOf(command, argument), *written = firstBehind(writes, range.from);
    if (range.from < range.to && (!written || written->from > range.from || written->to < range.to)) return false;
  }
  return true;
}
