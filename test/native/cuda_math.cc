/*
 * cuda_math.cc: the mathematical functions that CUDA devices have from this layer (bridge/linux/cuda/metal/library), as code
 * of the host. What GPUs approximate is computed exactly here.
 */
#define thread
#define __builtin_astype(value, type) __builtin_bit_cast(type, value)
#define __NVPTX__ 1 /* which has fused multiply-add */
#define BUN_METAL_APPROXIMATIONS_H

typedef unsigned int uint;
typedef unsigned long ulong;

namespace metal {
namespace detail {
template <typename T> struct Shape {
  enum { count = 1 };
};
template <typename T, typename E> struct WithElement {
  typedef E type;
};
template <typename T, typename E> using With = typename WithElement<T, E>::type;
inline float exp2Approximation(float x) { return (float)__builtin_exp2((double)x); }
inline float rsqrtApproximation(float x) { return (float)(1.0 / __builtin_sqrt((double)x)); }
} // namespace detail
} // namespace metal

#include "../../bridge/linux/msl/metal/library/numbers.h"
#include "../../bridge/linux/cuda/metal/library/exponential.h"
#include "../../bridge/linux/msl/metal/library/polynomials.h"
#include "../../bridge/linux/cuda/metal/library/elementary.h"

#define ONE(name) \
  extern "C" float cuda_##name(float x) { return metal::detail::name##Float(x); }
#define TWO(name) \
  extern "C" float cuda_##name(float x, float y) { return metal::detail::name##Float(x, y); }
ONE(exp) ONE(exp2) ONE(exp10) ONE(log) ONE(log2) ONE(log10) ONE(sqrt) ONE(sin) ONE(cos) ONE(tan) ONE(asin) ONE(acos)
ONE(atan) ONE(sinh) ONE(cosh) ONE(tanh) ONE(asinh) ONE(acosh) ONE(atanh)
TWO(pow) TWO(fmod) TWO(atan2)
extern "C" float cuda_ldexp(float x, int n) { return metal::detail::ldexpFloat(x, n); }
