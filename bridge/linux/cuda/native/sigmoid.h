/* sigmoid.h: what activations are made of, as in shaders/activation.h. */
#ifndef BUN_METAL_CUDA_NATIVE_SIGMOID_H
#define BUN_METAL_CUDA_NATIVE_SIGMOID_H

#include "intrinsics.h"

/** x * sigmoid(y) */
DEVICE float timesSigmoid(float x, float y) {
  const float e = fastExp2(-absolute(y) * Log2OfE);
  return fastDivide(x * (y >= 0.0f ? 1.0f : e), 1.0f + e);
}

#endif
