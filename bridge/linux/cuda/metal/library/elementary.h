/*
 * elementary.h: functions of float that GPUs have no instruction for, scalar by scalar, within 4 ulp. Polynomials are those
 * of the Cephes library (Moshier, 1989).
 */
#ifndef BUN_METAL_ELEMENTARY_H
#define BUN_METAL_ELEMENTARY_H

namespace metal {
namespace detail {

inline float tanOf(float x) {
  int quadrant;
  const float r = reduceScalarAngle(x, quadrant);
  const float s = sinPolynomial(r), c = cosPolynomial(r);
  return quadrant & 1 ? -c / s : s / c;
}

/** asin on [-1/2, 1/2] */
inline float asinPolynomial(float x) {
  const float z = x * x;
  float p = 4.2163199048e-2f;
  p = multiplyAdd(p, z, 2.4181311049e-2f);
  p = multiplyAdd(p, z, 4.5470025998e-2f);
  p = multiplyAdd(p, z, 7.4953002686e-2f);
  p = multiplyAdd(p, z, 1.6666752422e-1f);
  return multiplyAdd(p * z, x, x);
}
/** asin(a) = pi/2 - 2 asin(sqrt((1 - a) / 2)) */
inline float asinOf(float x) {
  const float a = __builtin_fabsf(x);
  if (a <= 0.5f) return asinPolynomial(x);
  return __builtin_copysignf(M_PI_2_F - 2.0f * asinPolynomial(__builtin_sqrtf(0.5f * (1.0f - a))), x);
}
inline float acosOf(float x) {
  if (x > 0.5f) return 2.0f * asinPolynomial(__builtin_sqrtf(0.5f * (1.0f - x)));
  if (x < -0.5f) return M_PI_F - 2.0f * asinPolynomial(__builtin_sqrtf(0.5f * (1.0f + x)));
  return M_PI_2_F - asinPolynomial(x);
}

/** atan(a) = pi/4 + atan((a - 1) / (a + 1)) = pi/2 - atan(1 / a) */
inline float atanOf(float x) {
  const float a = __builtin_fabsf(x);
  float offset = 0.0f, r = a;
  if (a > 2.414213562373095f) {
    offset = M_PI_2_F;
    r = -1.0f / a;
  } else if (a > 0.4142135623730950f) {
    offset = M_PI_4_F;
    r = (a - 1.0f) / (a + 1.0f);
  }
  const float z = r * r;
  float p = 8.05374449538e-2f;
  p = multiplyAdd(p, z, -1.38776856032e-1f);
  p = multiplyAdd(p, z, 1.99777106478e-1f);
  p = multiplyAdd(p, z, -3.33329491539e-1f);
  return __builtin_copysignf(offset + multiplyAdd(p * z, r, r), x);
}
inline float atan2Of(float y, float x) {
  if (x != x || y != y) return x + y;
  const float a = __builtin_fabsf(x), b = __builtin_fabsf(y);
  const float larger = a > b ? a : b, smaller = a > b ? b : a;
  const float ratio = larger == 0.0f ? 0.0f : smaller == INFINITY ? 1.0f : smaller / larger;
  float angle = atanOf(ratio);
  if (b > a) angle = M_PI_2_F - angle;
  if (__builtin_astype(x, int) < 0) angle = M_PI_F - angle;
  return __builtin_copysignf(angle, y);
}

/** e^a / 2, which is finite a little longer than e^a. */
inline float halfExponential(float a) {
  const float root = expOf(0.5f * a);
  return a > 88.0f ? 0.5f * root * root : 0.5f * expOf(a);
}
inline float sinhOf(float x) {
  const float a = __builtin_fabsf(x);
  if (a < 1.0f) {
    const float z = x * x;
    float p = 2.03721912945e-4f;
    p = multiplyAdd(p, z, 8.33028376239e-3f);
    p = multiplyAdd(p, z, 1.66667160211e-1f);
    return multiplyAdd(p * z, x, x);
  }
  const float halved = halfExponential(a);
  return __builtin_copysignf(halved - 0.25f / halved, x);
}
inline float coshOf(float x) {
  const float halved = halfExponential(__builtin_fabsf(x));
  return halved + 0.25f / halved;
}

inline float asinhOf(float x) {
  const float a = __builtin_fabsf(x);
  if (a < 0.5f) {
    const float z = x * x;
    float p = 2.0122003309e-2f;
    p = multiplyAdd(p, z, -4.2699340972e-2f);
    p = multiplyAdd(p, z, 7.4847586088e-2f);
    p = multiplyAdd(p, z, -1.6666288134e-1f);
    return multiplyAdd(p * z, x, x);
  }
  const float result = a > 1500.0f ? logFloat(a) + M_LN2_F : logFloat(a + __builtin_sqrtf(multiplyAdd(a, a, 1.0f)));
  return __builtin_copysignf(result, x);
}
inline float acoshOf(float x) {
  const float z = x - 1.0f;
  if (z < 0.5f) { /* NaN below 1 by the root */
    float p = 1.7596881071e-3f;
    p = multiplyAdd(p, z, -7.5272886713e-3f);
    p = multiplyAdd(p, z, 2.6454905019e-2f);
    p = multiplyAdd(p, z, -1.1784741703e-1f);
    p = multiplyAdd(p, z, 1.4142135263f);
    return p * __builtin_sqrtf(z);
  }
  return x > 1500.0f ? logFloat(x) + M_LN2_F : logFloat(x + __builtin_sqrtf(z * (x + 1.0f)));
}
inline float atanhOf(float x) {
  const float a = __builtin_fabsf(x);
  if (a < 0.5f) {
    const float z = x * x;
    float p = 1.81740078349e-1f;
    p = multiplyAdd(p, z, 8.24370301058e-2f);
    p = multiplyAdd(p, z, 1.46691431730e-1f);
    p = multiplyAdd(p, z, 1.99782164500e-1f);
    p = multiplyAdd(p, z, 3.33337300303e-1f);
    return multiplyAdd(p * z, x, x);
  }
  return __builtin_copysignf(0.5f * logFloat((1.0f + a) / (1.0f - a)), x);
}

inline float log10Of(float x) { return log2Float(x) * 0.30102999566398119521f; }
inline float exp10Of(float x) { return exponentialOf(x, 3.321928024291992f, 7.059537016037032e-8f, 46.0f); }

/**
 * log2(x) for positive finite x, in double: x = m 2^e with m in [sqrt(1/2), sqrt(2)), s = (m - 1) / (m + 1), and
 * log(m) = 2 (s + s^3/3 + s^5/5 + ...).
 */
inline double log2Double(float x) {
  float e;
  const double m = splitExponent(x, e);
  const double one = 1.0f, s = (m - one) / (m + one), z = s * s;
  double p = one / 17;
  for (int k = 15; k > 0; k -= 2) p = p * z + one / k;
  /* 2 / ln(2), in two parts of a float */
  return e + s * p * ((double)2.885390043258667f + (double)3.851925982253235e-8f);
}
/** x^y = 2^(y log2(x)); the exponent's whole and broken parts are taken from a double. */
inline float powOf(float x, float y) {
  if (x == 1.0f || y == 0.0f) return 1.0f;
  if (x != x || y != y) return x + y;
  const float a = __builtin_fabsf(x), magnitude = __builtin_fabsf(y);
  const bool isWhole = __builtin_truncf(y) == y;
  const bool isOdd = isWhole && magnitude < 16777216.0f && ((int)magnitude & 1);
  const float sign = __builtin_astype(x, int) < 0 && isOdd ? -1.0f : 1.0f;
  if (a == 0.0f) return sign * (y < 0.0f ? INFINITY : 0.0f);
  if (a == INFINITY) return sign * (y < 0.0f ? 0.0f : INFINITY);
  if (magnitude == INFINITY) return a == 1.0f ? 1.0f : (a > 1.0f) == (y > 0.0f) ? INFINITY : 0.0f;
  if (x < 0.0f && !isWhole) return NAN;
  const double exponent = y * log2Double(a);
  if (exponent > 129.0f) return sign * INFINITY;
  if (exponent < -151.0f) return sign * 0.0f;
  const double n = __builtin_rint(exponent);
  return sign * scaledExponential((float)(exponent - n), (float)n);
}

/** x 2^n, in steps that do not round before the last one as long as the result is normal. */
inline float ldexpFloat(float x, int n) {
  n = n > 380 ? 380 : n < -378 ? -378 : n;
  for (int i = 0; i < 3; i++) {
    const int step = n > 127 ? 127 : n < -126 ? -126 : n;
    x *= __builtin_astype((step + 127) << 23, float);
    n -= step;
  }
  return x;
}

/** x - y trunc(x / y), exactly: a long division of the significands, 40 bits at a time. */
inline float fmodOf(float x, float y) {
  const uint a = __builtin_astype(x, uint) & 0x7fffffff, b = __builtin_astype(y, uint) & 0x7fffffff;
  if (a >= 0x7f800000 || b > 0x7f800000 || b == 0) return NAN;
  if (a < b) return x;
  const int ea = a >> 23 ? (int)(a >> 23) : 1, eb = b >> 23 ? (int)(b >> 23) : 1;
  const ulong divisor = (b & 0x7fffff) | (b >> 23 ? 0x800000 : 0);
  ulong rest = ((a & 0x7fffff) | (a >> 23 ? 0x800000 : 0)) % divisor;
  for (int places = ea - eb; places > 0; places -= 40) rest = (rest << (places < 40 ? places : 40)) % divisor;
  return __builtin_copysignf(ldexpFloat((float)rest, eb - 150), x);
}

METAL_EACH_1(tanFloat, tanOf(x))
METAL_EACH_1(asinFloat, asinOf(x))
METAL_EACH_1(acosFloat, acosOf(x))
METAL_EACH_1(atanFloat, atanOf(x))
METAL_EACH_1(sinhFloat, sinhOf(x))
METAL_EACH_1(coshFloat, coshOf(x))
METAL_EACH_1(asinhFloat, asinhOf(x))
METAL_EACH_1(acoshFloat, acoshOf(x))
METAL_EACH_1(atanhFloat, atanhOf(x))
METAL_EACH_1(log10Float, log10Of(x))
METAL_EACH_1(exp10Float, exp10Of(x))
METAL_EACH_1(sqrtFloat, __builtin_sqrtf(x))
METAL_EACH_1(rsqrtFloat, rsqrtApproximation(x))
METAL_EACH_2(powFloat, powOf(x, y))
METAL_EACH_2(fmodFloat, fmodOf(x, y))
METAL_EACH_2(atan2Float, atan2Of(x, y))

} // namespace detail
} // namespace metal
#endif
