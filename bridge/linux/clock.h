/* clock.h: the time that passes, whatever the date is set to. */
#ifndef BUN_METAL_CLOCK_H
#define BUN_METAL_CLOCK_H

#include <stdint.h>
#include <time.h>

/** Nanoseconds since some moment, the same one for all of the process. */
static inline uint64_t clockNanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
