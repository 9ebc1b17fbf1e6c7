/* native_fixture.h: what tests and benchmarks of the CPU device's own kernels make commands with. */
#ifndef BUN_METAL_NATIVE_FIXTURE_H
#define BUN_METAL_NATIVE_FIXTURE_H

#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/** SEED, or another one each time; it is printed. */
static inline uint64_t takeSeed(void) {
  const char *given = getenv("SEED");
  const uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)getpid() * 2654435761u + 1;
  printf("SEED=%llu\n", (unsigned long long)seed);
  return seed;
}

static inline void bindBuffer(DriverCommand *command, uint32_t index, const void *bytes, uint64_t length) {
  command->dispatch.buffers[index] = (void *)(uintptr_t)bytes;
  command->dispatch.bufferLengths[index] = length;
}

#endif
