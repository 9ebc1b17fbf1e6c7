/*
 * polynomials.h: logarithms, sine, cosine and tanh of float, by polynomials and without branches. exponential.h has what
 * they take from the device.
 */
#ifndef BUN_METAL_POLYNOMIALS_H
#define BUN_METAL_POLYNOMIALS_H

namespace metal {
namespace detail {

/** Splits x into m * 2^e with m in [sqrt(1/2), sqrt(2)). */
template <typename F> inline F splitExponent(F x, thread F &exponent) {
  typedef With<F, int> I;
  const F normal = choose(x < (F)(0x1p-126f), x * (F)(0x1p25f), x);
  I bits = __builtin_astype(normal, I);
  const I shifted = bits - 0x3f3504f3;
  const I e = shifted >> 23;
  exponent = convert<F>(e) - choose(x < (F)(0x1p-126f), (F)(25.0f), (F)(0.0f));
  return __builtin_astype((I)((shifted & 0x7fffff) + 0x3f3504f3), F);
}

/** log(1 + f) - f + f*f/2 for 1 + f in [sqrt(1/2), sqrt(2)), the minimax polynomial of the Cephes library. */
template <typename F> inline F logTail(F f) {
  F p = (F)(7.0376836292e-2f);
  p = multiplyAdd(p, f, (F)(-1.1514610310e-1f));
  p = multiplyAdd(p, f, (F)(1.1676998740e-1f));
  p = multiplyAdd(p, f, (F)(-1.2420140846e-1f));
  p = multiplyAdd(p, f, (F)(1.4249322787e-1f));
  p = multiplyAdd(p, f, (F)(-1.6668057665e-1f));
  p = multiplyAdd(p, f, (F)(2.0000714765e-1f));
  p = multiplyAdd(p, f, (F)(-2.4999993993e-1f));
  p = multiplyAdd(p, f, (F)(3.3333331174e-1f));
  return p * f * f * f;
}

/** The values of a logarithm outside the positive finite numbers. */
template <typename F> inline F logSpecial(F x, F result) {
  result = choose(x == (F)(INFINITY), x, result);
  result = choose(x == (F)(0.0f), (F)(-INFINITY), result);
  return choose(x >= (F)(0.0f), result, (F)(NAN));
}

template <typename F> inline F logFloat(F x) {
#pragma clang fp reassociate(off)
  F e;
  const F f = splitExponent(x, e) - (F)(1.0f);
  F tail = logTail(f);
  tail = multiplyAdd(e, (F)(-2.12194440e-4f), tail);
  tail = multiplyAdd(f * f, (F)(-0.5f), tail);
  return logSpecial(x, multiplyAdd(e, (F)(0.693359375f), f + tail));
}

template <typename F> inline F log2Float(F x) {
#pragma clang fp reassociate(off)
  F e;
  const F f = splitExponent(x, e) - (F)(1.0f);
  const F tail = multiplyAdd(f * f, (F)(-0.5f), logTail(f));
  /* log2(e) = 1 + 0.442695...: the part 1 * f is exact. */
  F result = tail * (F)(0.44269504088896340736f);
  result = multiplyAdd(f, (F)(0.44269504088896340736f), result);
  return logSpecial(x, result + tail + f + e);
}

template <typename F> inline F sinPolynomial(F r) {
  const F z = r * r;
  F p = multiplyAdd((F)(-1.9515295891e-4f), z, (F)(8.3321608736e-3f));
  p = multiplyAdd(p, z, (F)(-1.6666654611e-1f));
  return multiplyAdd(p * z, r, r);
}

template <typename F> inline F cosPolynomial(F r) {
  const F z = r * r;
  F p = multiplyAdd((F)(2.443315711809948e-5f), z, (F)(-1.388731625493765e-3f));
  p = multiplyAdd(p, z, (F)(4.166664568298827e-2f));
  return multiplyAdd(p * z, z, multiplyAdd(z, (F)(-0.5f), (F)(1.0f)));
}

template <typename F> inline F sinOfQuadrant(F r, With<F, int> quadrant) {
  const F v = choose((quadrant & 1) != 0, cosPolynomial(r), sinPolynomial(r));
  return choose((quadrant & 2) != 0, -v, v);
}

template <typename F> inline F sinFloat(F x) {
  With<F, int> quadrant;
  const F r = reduceAngle(x, quadrant);
  return sinOfQuadrant(r, quadrant);
}

template <typename F> inline F cosFloat(F x) {
  With<F, int> quadrant;
  const F r = reduceAngle(x, quadrant);
  return sinOfQuadrant(r, quadrant + 1);
}

template <typename F> inline F tanhFloat(F x) {
  const F z = x * x;
  F p = multiplyAdd((F)(-5.70498872745e-3f), z, (F)(2.06390887954e-2f));
  p = multiplyAdd(p, z, (F)(-5.37397155531e-2f));
  p = multiplyAdd(p, z, (F)(1.33314422036e-1f));
  p = multiplyAdd(p, z, (F)(-3.33332819422e-1f));
  const F small = multiplyAdd(p * z, x, x);
  const F a = __builtin_elementwise_abs(x);
  const F large = __builtin_elementwise_copysign((F)(1.0f) - (F)(2.0f) / (expFloat(a + a) + (F)(1.0f)), x);
  return choose(a < (F)(0.625f), small, choose(x != x, x, large));
}

} // namespace detail
} // namespace metal
#endif
