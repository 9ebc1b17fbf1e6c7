/*
 * exponential.h: exp and exp2 of float, and the reduction of angles, without branches, so that loops over threads become
 * vector code. Results below the least normal number may be 0, as on a GPU.
 */
#ifndef BUN_METAL_EXPONENTIAL_H
#define BUN_METAL_EXPONENTIAL_H

namespace metal {
namespace detail {

/** 2^n for integers n in [-127, 128]: 0 for -127, infinity for 128. */
template <typename F, typename I> inline F powerOfTwo(I n) { return __builtin_astype((I)((n + 127) << 23), F); }

/** e^r on [-ln2/2, ln2/2] (Taylor's series, the last terms shifted to spread the error). */
template <typename F> inline F expPolynomial(F r) {
  F p = (F)(1.9875691500e-4f);
  p = multiplyAdd(p, r, (F)(1.3981999507e-3f));
  p = multiplyAdd(p, r, (F)(8.3334519073e-3f));
  p = multiplyAdd(p, r, (F)(4.1665795894e-2f));
  p = multiplyAdd(p, r, (F)(1.6666665459e-1f));
  p = multiplyAdd(p, r, (F)(5.0000001201e-1f));
  return multiplyAdd(multiplyAdd(p, r, (F)(1.0f)), r, (F)(1.0f));
}

/** e^r * 2^n, in two steps so that neither factor overflows before the product does. */
template <typename F> inline F scaleByPower(F p, F n) {
  typedef With<F, int> I;
  const I whole = convert<I>(n);
  const I first = whole >> 1;
  return p * powerOfTwo<F>(first) * powerOfTwo<F>((I)(whole - first));
}

template <typename F> inline F expFloat(F x) {
#pragma clang fp reassociate(off)
  const F bounded = choose(x > (F)(89.0f), (F)(89.0f), choose(x < (F)(-104.0f), (F)(-104.0f), x));
  const F n = __builtin_elementwise_rint(bounded * (F)(1.44269504088896341f));
  F r = multiplyAdd(n, (F)(-0.693359375f), bounded);
  r = multiplyAdd(n, (F)(2.12194440e-4f), r);
  return scaleByPower(expPolynomial(r), choose(x != x, (F)(0.0f), n));
}

template <typename F> inline F exp2Float(F x) {
#pragma clang fp reassociate(off)
  const F bounded = choose(x > (F)(129.0f), (F)(129.0f), choose(x < (F)(-150.0f), (F)(-150.0f), x));
  const F n = __builtin_elementwise_rint(bounded);
  const F r = (bounded - n) * (F)(0.693147180559945309f);
  return scaleByPower(expPolynomial(r), choose(x != x, (F)(0.0f), n));
}

/** x - n*pi/2 with n the nearest integer, in double: exact enough up to 1.6e9. Angles beyond count as 0. */
template <typename F> inline F reduceAngle(F x, thread With<F, int> &quadrant) {
#pragma clang fp reassociate(off)
  typedef With<F, double> D;
  const double twoOverPi = __builtin_astype(0x3fe45f306dc9c883ul, double);
  const double high = __builtin_astype(0x3ff921fb50000000ul, double);
  const double low = __builtin_astype(0x3e5110b4611a6263ul, double);
  const D wide = convert<D>(x);
  const D n = __builtin_elementwise_rint(wide * (D)(twoOverPi));
  const D inReach = choose(__builtin_elementwise_abs(n) < (D)(1073741824.0f), n, (D)(0.0f));
  quadrant = convert<With<F, int>>(inReach);
  const F r = convert<F>((wide - inReach * (D)(high)) - inReach * (D)(low));
  return choose(__builtin_elementwise_abs(x) < (F)(1.6e9f), r, x - x); /* 0, or NaN for infinity and NaN */
}

} // namespace detail
} // namespace metal
#endif
