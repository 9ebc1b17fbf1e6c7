/*
 * math.h: the mathematical functions of namespace metal, for scalars and vectors of float and half.
 *
 * exp, log, sin, cos and tanh are polynomials of our own, without branches, so that loops over threads become vector
 * code. Within 2 ulp of the true value for float; results below the least normal number may be 0, as on a GPU. Half
 * arguments are computed as float. The rest is the C library's, element by element.
 */
#ifndef BUN_METAL_MATH_H
#define BUN_METAL_MATH_H

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define HUGE_VALF __builtin_inff()
#define HUGE_VALH ((half)__builtin_inff())
#define MAXFLOAT 0x1.fffffep127f
#define MAXHALF 65504.0h
#define M_E_F 2.71828182845904523536f
#define M_LOG2E_F 1.44269504088896340736f
#define M_LOG10E_F 0.43429448190325182765f
#define M_LN2_F 0.69314718055994530942f
#define M_LN10_F 2.30258509299404568402f
#define M_PI_F 3.14159265358979323846f
#define M_PI_2_F 1.57079632679489661923f
#define M_PI_4_F 0.78539816339744830962f
#define M_1_PI_F 0.31830988618379067154f
#define M_2_PI_F 0.63661977236758134308f
#define M_2_SQRTPI_F 1.12837916709551257390f
#define M_SQRT2_F 1.41421356237309504880f
#define M_SQRT1_2_F 0.70710678118654752440f
#define M_E_H 2.71828h
#define M_LOG2E_H 1.44270h
#define M_LN2_H 0.693147h
#define M_PI_H 3.14159265h
#define M_PI_2_H 1.57079633h
#define M_1_PI_H 0.318309886h
#define M_2_PI_H 0.636619772h
#define M_SQRT2_H 1.41421356h
#define M_SQRT1_2_H 0.70710678h

extern "C" {
float powf(float, float);
float fmodf(float, float);
float tanf(float);
float asinf(float);
float acosf(float);
float atanf(float);
float atan2f(float, float);
float sinhf(float);
float coshf(float);
float asinhf(float);
float acoshf(float);
float atanhf(float);
float ldexpf(float, int);
float log10f(float);
float exp10f(float);
}

namespace metal {
namespace detail {

/** a * b + c: one rounding where the machine can, which the reductions below rely on but do not need. */
template <typename T> inline T multiplyAdd(T a, T b, T c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_elementwise_fma(a, b, c);
#else
#pragma clang fp reassociate(off) contract(off)
  return a * b + c;
#endif
}

template <typename To, typename T> inline To convert(T v) {
  if constexpr (Shape<T>::count == 1)
    return (To)v;
  else
    return __builtin_convertvector(v, To);
}

/** condition ? a : b, element by element; a condition is what a comparison of T gives. */
template <typename C, typename T> inline T choose(C condition, T a, T b) { return condition ? a : b; }

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

/** Applies a function of the C library to each element. */
#define METAL_EACH(name, expression)                                      \
  template <typename F> inline F name(F x) {                              \
    if constexpr (Shape<F>::count == 1) {                                 \
      return expression;                                                  \
    } else {                                                              \
      F r;                                                                \
      for (int i = 0; i < Shape<F>::count; i++) r[i] = name((float)x[i]); \
      return r;                                                           \
    }                                                                     \
  }
METAL_EACH(tanFloat, tanf(x))
METAL_EACH(asinFloat, asinf(x))
METAL_EACH(acosFloat, acosf(x))
METAL_EACH(atanFloat, atanf(x))
METAL_EACH(sinhFloat, sinhf(x))
METAL_EACH(coshFloat, coshf(x))
METAL_EACH(asinhFloat, asinhf(x))
METAL_EACH(acoshFloat, acoshf(x))
METAL_EACH(atanhFloat, atanhf(x))
METAL_EACH(log10Float, log10f(x))
METAL_EACH(exp10Float, exp10f(x))
#undef METAL_EACH
#define METAL_EACH(name, expression)                                                   \
  template <typename F> inline F name(F x, F y) {                                      \
    if constexpr (Shape<F>::count == 1) {                                              \
      return expression;                                                               \
    } else {                                                                           \
      F r;                                                                             \
      for (int i = 0; i < Shape<F>::count; i++) r[i] = name((float)x[i], (float)y[i]); \
      return r;                                                                        \
    }                                                                                  \
  }
METAL_EACH(powFloat, powf(x, y))
METAL_EACH(fmodFloat, fmodf(x, y))
METAL_EACH(atan2Float, atan2f(x, y))
#undef METAL_EACH

template <typename F> inline F sqrtFloat(F x) { return __builtin_elementwise_sqrt(x); }
template <typename F> inline F rsqrtFloat(F x) { return (F)(1.0f) / __builtin_elementwise_sqrt(x); }
template <typename F> inline F fractFloat(F x) {
  return __builtin_elementwise_min(x - __builtin_elementwise_floor(x), (F)(0x1.fffffep-1f));
}
template <typename F> inline F sinpiFloat(F x) {
  return sinFloat((x - 2.0f * __builtin_elementwise_rint(x * 0.5f)) * M_PI_F);
}
template <typename F> inline F cospiFloat(F x) {
  return cosFloat((x - 2.0f * __builtin_elementwise_rint(x * 0.5f)) * M_PI_F);
}
template <typename F> inline F tanpiFloat(F x) { return sinpiFloat(x) / cospiFloat(x); }

/** Floating types only: without it `exp(1)` would be an integer. Packed vectors are computed as vectors. */
template <typename T> using IfFloating = enable_if_t<isFloating<T>, VectorOf<T>>;

/** Computes in float what was given as half. */
#define METAL_FLOATING_1(name, implementation)                                                          \
  template <typename T> inline detail::IfFloating<T> name(T x) {                                        \
    typedef detail::VectorOf<T> V;                                                                      \
    if constexpr (is_same_v<detail::Element<T>, half>)                                                  \
      return detail::convert<V>(detail::implementation(detail::convert<detail::With<T, float>>((V)x))); \
    else                                                                                                \
      return detail::implementation((V)x);                                                              \
  }
#define METAL_FLOATING_2(name, implementation)                                                               \
  template <typename T> inline detail::IfFloating<T> name(T x, T y) {                                        \
    typedef detail::VectorOf<T> V;                                                                           \
    typedef detail::With<T, float> W;                                                                        \
    if constexpr (is_same_v<detail::Element<T>, half>)                                                       \
      return detail::convert<V>(detail::implementation(detail::convert<W>((V)x), detail::convert<W>((V)y))); \
    else                                                                                                     \
      return detail::implementation((V)x, (V)y);                                                             \
  }

} // namespace detail

METAL_FLOATING_1(exp, expFloat)
METAL_FLOATING_1(exp2, exp2Float)
METAL_FLOATING_1(exp10, exp10Float)
METAL_FLOATING_1(log, logFloat)
METAL_FLOATING_1(log2, log2Float)
METAL_FLOATING_1(log10, log10Float)
METAL_FLOATING_1(sqrt, sqrtFloat)
METAL_FLOATING_1(rsqrt, rsqrtFloat)
METAL_FLOATING_1(sin, sinFloat)
METAL_FLOATING_1(cos, cosFloat)
METAL_FLOATING_1(tan, tanFloat)
METAL_FLOATING_1(asin, asinFloat)
METAL_FLOATING_1(acos, acosFloat)
METAL_FLOATING_1(atan, atanFloat)
METAL_FLOATING_1(sinh, sinhFloat)
METAL_FLOATING_1(cosh, coshFloat)
METAL_FLOATING_1(tanh, tanhFloat)
METAL_FLOATING_1(asinh, asinhFloat)
METAL_FLOATING_1(acosh, acoshFloat)
METAL_FLOATING_1(atanh, atanhFloat)
METAL_FLOATING_1(sinpi, sinpiFloat)
METAL_FLOATING_1(cospi, cospiFloat)
METAL_FLOATING_1(tanpi, tanpiFloat)
METAL_FLOATING_1(fract, fractFloat)
METAL_FLOATING_2(pow, powFloat)
METAL_FLOATING_2(powr, powFloat)
METAL_FLOATING_2(fmod, fmodFloat)
METAL_FLOATING_2(atan2, atan2Float)

#define METAL_ROUNDING(name, builtin) \
  template <typename T> inline detail::IfFloating<T> name(T x) { return builtin((detail::VectorOf<T>)x); }
METAL_ROUNDING(floor, __builtin_elementwise_floor)
METAL_ROUNDING(ceil, __builtin_elementwise_ceil)
METAL_ROUNDING(trunc, __builtin_elementwise_trunc)
METAL_ROUNDING(rint, __builtin_elementwise_rint)
METAL_ROUNDING(round, __builtin_elementwise_round)
METAL_ROUNDING(fabs, __builtin_elementwise_abs)
#undef METAL_ROUNDING

template <typename T> inline detail::IfFloating<T> fma(T a, T b, T c) { return __builtin_elementwise_fma(a, b, c); }
template <typename T> inline detail::IfFloating<T> copysign(T a, T b) { return __builtin_elementwise_copysign(a, b); }
template <typename T> inline detail::IfFloating<T> fmin(T a, T b) { return __builtin_elementwise_min(a, b); }
template <typename T> inline detail::IfFloating<T> fmax(T a, T b) { return __builtin_elementwise_max(a, b); }
template <typename T> inline detail::IfFloating<T> fdim(T a, T b) { return detail::choose(a > b, a - b, (T)(0)); }
template <typename T> inline detail::IfFloating<T> divide(T a, T b) { return a / b; }
template <typename T> inline detail::IfFloating<T> ldexp(T x, detail::With<T, int> e) {
  if constexpr (detail::Shape<T>::count == 1) {
    return (T)ldexpf((float)x, e);
  } else {
    T r;
    for (int i = 0; i < detail::Shape<T>::count; i++) r[i] = ldexpf((float)x[i], e[i]);
    return r;
  }
}
template <typename T> inline detail::IfFloating<T> sincos(T x, thread T &cosine) {
  cosine = cos(x);
  return sin(x);
}
template <typename T> inline detail::IfFloating<T> modf(T x, thread T &whole) {
  whole = trunc(x);
  return x - whole;
}
template <typename T> inline detail::IfFloating<T> frexp(T x, thread detail::With<T, int> &exponent) {
  static_assert(is_same_v<T, float>, "frexp is for float here");
  if (x == 0.0f || x - x != 0.0f) {
    exponent = 0;
    return x;
  }
  const bool tiny = fabs(x) < 0x1p-126f;
  const int bits = as_type<int>(tiny ? x * 0x1p25f : x);
  exponent = ((bits >> 23) & 0xff) - 126 - (tiny ? 25 : 0);
  return as_type<float>((bits & 0x807fffff) | 0x3f000000);
}

#define METAL_BOTH_WAYS(use)                                                                                       \
  use(exp) use(exp2) use(exp10) use(log) use(log2) use(log10) use(sqrt) use(rsqrt) use(sin) use(cos) use(tan)      \
      use(asin) use(acos) use(atan) use(sinh) use(cosh) use(tanh) use(asinh) use(acosh) use(atanh) use(sinpi)      \
          use(cospi) use(tanpi) use(fract) use(pow) use(powr) use(fmod) use(atan2) use(floor) use(ceil) use(trunc) \
              use(rint) use(round) use(fabs) use(fma) use(copysign) use(fmin) use(fmax) use(fdim) use(divide)      \
                  use(ldexp) use(sincos) use(modf) use(frexp)
#define METAL_USE(name) using metal::name;
/** There is one implementation, precise enough for both. */
namespace precise {
METAL_BOTH_WAYS(METAL_USE)
}
namespace fast {
METAL_BOTH_WAYS(METAL_USE)
}
#undef METAL_USE

} // namespace metal
#endif
