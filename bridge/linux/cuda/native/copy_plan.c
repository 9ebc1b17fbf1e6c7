/* copy_plan.c: see copy_plan.h. */
#include "copy_plan.h"

#include <string.h>

void cudaCopyPlan(const CopyRange *ranges, uint32_t count, CudaNativeLaunch *out) {
  enum { BlockBytes = CopyThreads * 16 };
  uint32_t blocks = 1;
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t wanted = ranges[i].bytes / BlockBytes + (ranges[i].bytes % BlockBytes != 0);
    if (wanted > blocks) blocks = wanted < CopyMostBlocks ? wanted : CopyMostBlocks;
  }
  memset(out, 0, sizeof *out);
  out->kernel = "copy_words";
  out->grid[0] = blocks, out->grid[1] = count, out->grid[2] = 1;
  out->block[0] = CopyThreads, out->block[1] = out->block[2] = 1;
  out->parameterBytes = sizeof(CopyParameters);
  memcpy(out->parameters, ranges, count * sizeof *ranges);
}
