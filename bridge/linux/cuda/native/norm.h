/* norm.h: what the plan and the kernels of RMS normalisation have in common. */
#ifndef BUN_METAL_CUDA_NATIVE_NORM_H
#define BUN_METAL_CUDA_NATIVE_NORM_H

#include <stdint.h>

typedef struct NormParameters {
  uint64_t x, added, weight, sum, out; /* addresses; `added` and `sum` 0 without a residual */
  uint32_t rows, fours;                /* a row is so many times four floats */
  float eps;
  uint32_t readsEarly; /* nothing before this launch writes the weights */
} NormParameters;

enum { NormThreads = 256 };

/**
 * All kernels: LINE(threads of a row, fours of a thread, or fewer). A row stays in registers from when it is read to when it is
 * written.
 */
#define NORM_KERNELS(LINE) \
  LINE(32, 1)              \
  LINE(32, 4)              \
  LINE(256, 1)             \
  LINE(256, 2)             \
  LINE(256, 4)             \
  LINE(256, 8)

#endif
