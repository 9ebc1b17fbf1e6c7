/*
 * exponential.h: exp and exp2 of float by the approximation of 2^x that GPUs have, and the reduction of angles.
 */
#ifndef BUN_METAL_EXPONENTIAL_H
#define BUN_METAL_EXPONENTIAL_H

#include "approximations.h"

namespace metal {
namespace detail {

/**
 * e^x = 2^n 2^r, n = round(x log2(e)) as a number times 2^r for r in [-1/2, 1/2], where ex2.approx is good to 2^-22.5.
 * log2(e) in two parts keeps r exact. What overflows or vanishes does so in the scaling, by two factors.
 */
inline float scaledExponential(float r, float n) {
  const int whole = (int)n, first = whole >> 1;
  return exp2Approximation(r) * __builtin_astype((first + 127) << 23, float) *
         __builtin_astype((whole - first + 127) << 23, float);
}

/** base^x by log2(base) in two parts, for x in [-most, most]. */
inline float exponentialOf(float x, float log2Base, float log2BaseRest, float most) {
#pragma clang fp reassociate(off)
  /* The bounds let n fit in an exponent; NaN passes, and makes r NaN. */
  const float bounded = x > most ? most : x < -most ? -most : x;
  const float n = __builtin_rintf(bounded * log2Base);
  const float r = __builtin_fmaf(bounded, log2BaseRest, __builtin_fmaf(bounded, log2Base, -n));
  return scaledExponential(r, n);
}
inline float expOf(float x) { return exponentialOf(x, 1.4426950216293335f, 1.9259629911266175e-8f, 105.0f); }
inline float exp2Of(float x) {
#pragma clang fp reassociate(off)
  const float bounded = x > 129.0f ? 129.0f : x < -150.0f ? -150.0f : x;
  const float n = __builtin_rintf(bounded);
  return scaledExponential(bounded - n, n);
}
METAL_EACH_1(expFloat, expOf(x))
METAL_EACH_1(exp2Float, exp2Of(x))

/** 32 bits of 2/pi in binary, from bit 32 (i - 1) behind the point on; those of i = 0 are before it. */
inline uint twoOverPiWord(uint i) {
  switch (i) {
    case 1: return 0xa2f9836e;
    case 2: return 0x4e441529;
    case 3: return 0xfc2757d1;
    case 4: return 0xf534ddc0;
    case 5: return 0xdb629599;
    case 6: return 0x3c439041;
    case 7: return 0xfe5163ab;
  }
  return 0;
}

/**
 * x - n pi/2 for large x (Payne and Hanek, 1983). Of x = m 2^e, m an integer of 24 bits, only those bits of 2/pi matter
 * whose product with x is less than 4 and not negligible: 96 bits, from the (e - 2)th on. The product modulo 2^96 has n in
 * its two upper bits, and the fraction of a quadrant behind them.
 */
inline float reduceLargeAngle(float x, thread int &quadrant) {
  const uint bits = __builtin_astype(x, uint);
  const ulong m = (bits & 0x7fffff) | 0x800000;
  const uint place = (bits >> 23 & 0xff) - 150 - 2 + 32; /* 22 or more, as x is 2^15 or more */
  uint window[3];
  for (uint i = 0; i < 3; i++) {
    const ulong pair = (ulong)twoOverPiWord(place / 32 + i) << 32 | twoOverPiWord(place / 32 + i + 1);
    window[i] = (uint)(pair << place % 32 >> 32);
  }
  const ulong low = m * window[2], middle = m * window[1] + (low >> 32), high = m * window[0] + (middle >> 32);
  const ulong product = high << 32 | (middle & 0xffffffff); /* the upper 64 bits */
  /* The nearest quadrant: a fraction of a half or more counts as negative. */
  const long fraction = (long)(product << 2);
  const int whole = (int)(product >> 62) + (fraction < 0);
  const float part = (float)fraction * (0x1p-64f * 1.57079632679489662f);
  const bool negative = bits >> 31 != 0;
  quadrant = negative ? -whole : whole;
  return negative ? -part : part;
}

/** x - n pi/2 with n the nearest integer (Cody and Waite, 1980): three parts of pi/2 are exact enough up to 2^15. */
inline float reduceScalarAngle(float x, thread int &quadrant) {
#pragma clang fp reassociate(off)
  const float a = __builtin_fabsf(x);
  if (a < 32768.0f) {
    const float n = __builtin_rintf(x * 0.636619772367581343f);
    quadrant = (int)n;
    float r = __builtin_fmaf(n, -1.57079637050628662109375f, x);
    r = __builtin_fmaf(n, 4.371138828673793e-08f, r);
    return __builtin_fmaf(n, 1.7151245100058819e-15f, r);
  }
  if (a < __builtin_inff()) return reduceLargeAngle(x, quadrant);
  quadrant = 0;
  return x - x;
}

template <typename F> inline F reduceAngle(F x, thread With<F, int> &quadrant) {
  if constexpr (Shape<F>::count == 1) {
    return reduceScalarAngle(x, quadrant);
  } else {
    F r;
    for (int i = 0; i < Shape<F>::count; i++) {
      int q;
      r[i] = reduceScalarAngle(x[i], q);
      quadrant[i] = q;
    }
    return r;
  }
}

} // namespace detail
} // namespace metal
#endif
