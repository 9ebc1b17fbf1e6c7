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
  *out = (CudaNativeLaunch){
      .kernel = "copy_words",
      .grid = {blocks, count, 1},
      .block = {CopyThreads, 1, 1},
      .parameterBytes = sizeof(CopyParameters),
  };
  memcpy(out->parameters, ranges, count * sizeof *ranges);
}
