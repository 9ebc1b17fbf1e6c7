/* activation.h: what the plan and the kernels of activations times another factor have in common. */
#ifndef BUN_METAL_CUDA_NATIVE_ACTIVATION_H
#define BUN_METAL_CUDA_NATIVE_ACTIVATION_H

#include <stdint.h>

typedef struct ActivationParameters {
  uint64_t gate, up, out; /* addresses of f32 [4 * fours] */
  uint64_t fours;
} ActivationParameters;

enum { ActivationThreads = 256, ActivationFours = 4 /* of a thread */ };

#endif
