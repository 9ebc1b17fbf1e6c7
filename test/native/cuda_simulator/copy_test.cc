/* The kernel that brings words to the device: ranges of any length and place. */
#include "run.h"

#include "cuda/native/copy.cu"
#include "cuda/native/copy_plan.h"

#include <time.h>

static const SimulatedKernel kernels[] = {SIMULATED(copy_words)};
static Random numbers;

static void copiesRanges() {
  const u32 lengths[] = {1, 3, 4, 16, 4096, 4097, 5000, 20000};
  for (u32 count = 1; count <= CopyMostRanges; count++) {
    unsigned char *from[CopyMostRanges], *to[CopyMostRanges];
    u32 offsets[CopyMostRanges];
    CopyRange ranges[CopyMostRanges];
    for (u32 i = 0; i < count; i++) {
      const u32 bytes = lengths[(i + count) % 8];
      offsets[i] = numbers.below(3) == 0 ? numbers.below(16) : numbers.below(4) * 4 % 16;
      from[i] = simulatedAllocate(bytes + offsets[i]);
      to[i] = simulatedAllocate(bytes + 16);
      for (u32 k = 0; k < bytes + offsets[i]; k++) from[i][k] = (u8)numbers.below(255);
      ranges[i] = {(u64)(uintptr_t)(from[i] + offsets[i]), (u64)(uintptr_t)to[i], bytes, 0};
    }
    CudaNativeLaunch launch;
    cudaCopyPlan(ranges, count, &launch);
    simulateLaunch(&launch, kernels, 1, numbers.next());
    for (u32 i = 0; i < count; i++) {
      const u32 bytes = ranges[i].bytes;
      CHECK(memcmp(to[i], from[i] + offsets[i], bytes) == 0);
      for (u32 k = bytes; k < bytes + 16; k++) CHECK_NUMBER(to[i][k], 0xff); /* nothing behind it */
      simulatedFree(from[i], bytes + offsets[i]);
      simulatedFree(to[i], bytes + 16);
    }
  }
}

static void longRangesHaveFewBlocks() {
  CopyRange range = {16, 16, 0xffffffff, 0};
  CudaNativeLaunch launch;
  cudaCopyPlan(&range, 1, &launch);
  CHECK_NUMBER(launch.grid[0], CopyMostBlocks);
}

int main(int count, char **arguments) {
  numbers.state = seedOf(count, arguments, (u64)time(nullptr));
  RUN_CASE(copiesRanges);
  RUN_CASE(longRangesHaveFewBlocks);
  return finishCases();
}
