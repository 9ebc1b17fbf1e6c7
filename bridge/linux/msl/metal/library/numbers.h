/*
 * numbers.h: constants, and what mathematical functions over scalars and vectors are written with.
 */
#ifndef BUN_METAL_NUMBERS_H
#define BUN_METAL_NUMBERS_H

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

namespace metal {
namespace detail {

/** a * b + c: one rounding where the machine can, which the reductions below rely on but do not need. */
template <typename T> inline T multiplyAdd(T a, T b, T c) {
#if defined(__FMA__) || defined(__aarch64__) || defined(__NVPTX__)
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

/** A function of scalars, applied to each element of vectors. */
#define METAL_EACH_1(name, expression)                                    \
  template <typename F> inline F name(F x) {                              \
    if constexpr (Shape<F>::count == 1) {                                 \
      return expression;                                                  \
    } else {                                                              \
      F r;                                                                \
      for (int i = 0; i < Shape<F>::count; i++) r[i] = name((float)x[i]); \
      return r;                                                           \
    }                                                                     \
  }
#define METAL_EACH_2(name, expression)                                                 \
  template <typename F> inline F name(F x, F y) {                                      \
    if constexpr (Shape<F>::count == 1) {                                              \
      return expression;                                                               \
    } else {                                                                           \
      F r;                                                                             \
      for (int i = 0; i < Shape<F>::count; i++) r[i] = name((float)x[i], (float)y[i]); \
      return r;                                                                        \
    }                                                                                  \
  }

} // namespace detail
} // namespace metal
#endif
