/* sigmoid.h: activations, as in shaders/activation.h. */
#ifndef BUN_METAL_CUDA_NATIVE_SIGMOID_H
#define BUN_METAL_CUDA_NATIVE_SIGMOID_H

#include "intrinsics.h"

/** x * sigmoid(y) */
DEVICE float timesSigmoid(float x, float y) {
  const float e = fastExp2(-absolute(y) * Log2OfE);
  return fastDivide(x * (y >= 0.0f ? 1.0f : e), 1.0f + e);
}

DEVICE float silu(float x) { return timesSigmoid(x, x); }
DEVICE float gelu(float x) {
  const float y = maximum(-30.0f, minimum(30.0f, x));
  return timesSigmoid(x, 1.5957691216057308f * (y + 0.044715f * y * y * y)); // 2 sqrt(2/pi)
}

#endif
