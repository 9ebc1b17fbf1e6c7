/*
 * activation.h: the functions between two products of a feed-forward network.
 */
#ifndef BUN_METAL_ACTIVATION_H
#define BUN_METAL_ACTIVATION_H

#include "common.h"

/** x * sigmoid(y). The exponent is never positive, so nothing overflows on the way. */
inline float times_sigmoid(float x, float y) {
  const float e = precise::exp(-abs(y));
  return x * (y >= 0.0f ? 1.0f : e) / (1.0f + e);
}

inline float silu(float x) { return times_sigmoid(x, x); }

/**
 * x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), the approximation of Hendrycks and Gimpel (2016), by
 * (1 + tanh(u)) / 2 = sigmoid(2 u). Beyond 30 the sigmoid is 0 or 1, and the cube of larger numbers might overflow.
 */
inline float gelu(float x) {
  const float y = clamp(x, -30.0f, 30.0f);
  return times_sigmoid(x, 1.5957691216057308f * (y + 0.044715f * y * y * y)); // 2 sqrt(2/pi)
}

#endif
