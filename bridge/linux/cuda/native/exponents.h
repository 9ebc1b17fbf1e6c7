/* exponents.h: powers of two of floats. */
#ifndef BUN_METAL_CUDA_NATIVE_EXPONENTS_H
#define BUN_METAL_CUDA_NATIVE_EXPONENTS_H

#include "intrinsics.h"

DEVICE float magnitude(float x) { return floatOf(bitsOf(x) & 0x7fffffff); }
/** |x|, and 0 of what is no finite number. */
DEVICE float finiteMagnitude(float x) {
  const u32 bits = bitsOf(x) & 0x7fffffff;
  return bits < 0x7f800000 ? floatOf(bits) : 0.0f;
}
/** floor(log2(x)) of a normal number that is not negative; -127 of 0, 128 of infinity. */
DEVICE i32 exponentOf(float x) { return (i32)(bitsOf(x) >> 23) - 127; }
/** 2^exponent, -126 to 127. */
DEVICE float powerOfTwo(i32 exponent) { return floatOf((u32)(exponent + 127) << 23); }

#endif
