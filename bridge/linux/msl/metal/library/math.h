/*
 * math.h: the mathematical functions of namespace metal, for scalars and vectors of float and half.
 *
 * Within 2 ulp of the true value for float, those of elementary.h aside, which a device may have less exact. Half arguments
 * are computed as float.
 */
#ifndef BUN_METAL_MATH_H
#define BUN_METAL_MATH_H

namespace metal {
namespace detail {

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
    return (T)detail::ldexpFloat((float)x, e);
  } else {
    T r;
    for (int i = 0; i < detail::Shape<T>::count; i++) r[i] = detail::ldexpFloat((float)x[i], e[i]);
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
