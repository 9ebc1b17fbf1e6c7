/*
 * statistics.m: the counts that leak tests live on. Nothing here sends a message or makes an object, so that looking
 * does not change what is seen.
 */
#import "buffer.h"
#import "error.h"
#import "handle.h"
#import "queue.h"
#import "shader_cache.h"

#include <math.h>

/* Our Foundation for Linux counts objects and defines these three strongly; Apple's does not, and these stand in. */
extern double NSLiveObjectCount(void);
extern double NSObjectsWithoutPool(void);
extern uint32_t NSDescribeLiveObjects(char *out, uint32_t capacity);

__attribute__((weak)) double NSLiveObjectCount(void) {
  return NAN;
}

__attribute__((weak)) double NSObjectsWithoutPool(void) {
  return NAN;
}

__attribute__((weak)) uint32_t NSDescribeLiveObjects(char *out, uint32_t capacity) {
  return bridgeCopyText("", 0, out, capacity);
}

uint32_t bm_live_handles(double *counts, uint32_t capacity) {
  for (uint32_t kind = 0; counts && kind < capacity && kind < BM_KIND_COUNT; kind++)
    counts[kind] = bridgeHandleCount(kind);
  return BM_KIND_COUNT;
}

uint32_t bm_statistics(double *numbers, uint32_t capacity) {
  double all[BM_STATISTIC_COUNT];
  bridgeBufferBytes(&all[BM_STATISTIC_BUFFER_BYTES], &all[BM_STATISTIC_PEAK_BUFFER_BYTES]);
  all[BM_STATISTIC_IN_FLIGHT] = bridgeQueueInFlight();
  all[BM_STATISTIC_OBJECTS] = NSLiveObjectCount();
  all[BM_STATISTIC_OBJECTS_WITHOUT_POOL] = NSObjectsWithoutPool();
  bridgeShaderCacheCounts(&all[BM_STATISTIC_SHADER_CACHE_HITS], &all[BM_STATISTIC_SHADER_CACHE_MISSES],
                          &all[BM_STATISTIC_SHADER_CACHE_FAILURES]);
  for (uint32_t i = 0; numbers && i < capacity && i < BM_STATISTIC_COUNT; i++) numbers[i] = all[i];
  return BM_STATISTIC_COUNT;
}

uint32_t bm_live_objects(char *out, uint32_t capacity) {
  return NSDescribeLiveObjects(out, out ? capacity : 0);
}
