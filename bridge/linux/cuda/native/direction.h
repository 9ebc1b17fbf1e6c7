/* direction.h: the sine and the cosine of an angle of any size, as precise as in shaders. */
#ifndef BUN_METAL_CUDA_NATIVE_DIRECTION_H
#define BUN_METAL_CUDA_NATIVE_DIRECTION_H

#include "intrinsics.h"

/** 32 bits of 2/pi in binary, from bit 32 (i - 1) behind the point on; those of i = 0 are before it. */
CONSTANT_TABLE u32 twoOverPi[8] = {0,          0xa2f9836e, 0x4e441529, 0xfc2757d1,
                                   0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};

/** Of x from 2^15 on, as reduceLargeAngle of metal/library/exponential.h (Payne and Hanek, 1983). */
DEVICE float reduceLargeAngle(float x, i32 &quadrant) {
  const u32 bits = bitsOf(x);
  const u64 m = (bits & 0x7fffff) | 0x800000;
  const u32 place = (bits >> 23 & 0xff) - 150 - 2 + 32;
  u32 window[3];
  UNROLL for (u32 i = 0; i < 3; i++) {
    const u64 pair = (u64)twoOverPi[place / 32 + i] << 32 | twoOverPi[place / 32 + i + 1];
    window[i] = (u32)(pair << place % 32 >> 32);
  }
  const u64 low = m * window[2], middle = m * window[1] + (low >> 32), high = m * window[0] + (middle >> 32);
  const u64 product = high << 32 | (middle & 0xffffffff);
  const i64 fraction = (i64)(product << 2);
  const i32 whole = (i32)(product >> 62) + (fraction < 0);
  const float part = (float)fraction * (0x1p-64f * 1.57079632679489662f);
  quadrant = bits >> 31 ? -whole : whole;
  return bits >> 31 ? -part : part;
}

/** x - quadrant pi/2 (Cody and Waite, 1980): three parts of pi/2 are exact enough up to 2^15. */
DEVICE float reduceAngle(float x, i32 &quadrant) {
  const float a = __builtin_fabsf(x);
  quadrant = 0;
  if (!(a < __builtin_inff())) return x - x;
  if (a >= 32768.0f) return reduceLargeAngle(x, quadrant);
  quadrant = roundToInt(x * 0.636619772367581343f);
  const float n = (float)quadrant;
  float r = multiplyAdd(n, -1.57079637050628662109375f, x);
  r = multiplyAdd(n, 4.371138828673793e-08f, r);
  return multiplyAdd(n, 1.7151245100058819e-15f, r);
}

struct Direction {
  float cosine, sine;
};

/** Polynomials of the Cephes library (Moshier, 1989). */
DEVICE Direction directionOf(float angle, float magnitude) {
  i32 quadrant;
  const float r = reduceAngle(angle, quadrant), z = r * r;
  float s = multiplyAdd(-1.9515295891e-4f, z, 8.3321608736e-3f);
  s = multiplyAdd(multiplyAdd(s, z, -1.6666654611e-1f) * z, r, r);
  float c = multiplyAdd(2.443315711809948e-5f, z, -1.388731625493765e-3f);
  c = multiplyAdd(multiplyAdd(c, z, 4.166664568298827e-2f) * z, z, multiplyAdd(z, -0.5f, 1.0f));
  const float cosine = quadrant & 1 ? s : c, sine = quadrant & 1 ? c : s;
  return {magnitude * (quadrant + 1 & 2 ? -cosine : cosine), magnitude * (quadrant & 2 ? -sine : sine)};
}

#endif
