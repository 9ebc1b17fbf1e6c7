/*
 * elementary.h: functions of float that the C library has for the CPU device, and those that it has instructions for.
 */
#ifndef BUN_METAL_ELEMENTARY_H
#define BUN_METAL_ELEMENTARY_H

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

METAL_EACH_1(tanFloat, tanf(x))
METAL_EACH_1(asinFloat, asinf(x))
METAL_EACH_1(acosFloat, acosf(x))
METAL_EACH_1(atanFloat, atanf(x))
METAL_EACH_1(sinhFloat, sinhf(x))
METAL_EACH_1(coshFloat, coshf(x))
METAL_EACH_1(asinhFloat, asinhf(x))
METAL_EACH_1(acoshFloat, acoshf(x))
METAL_EACH_1(atanhFloat, atanhf(x))
METAL_EACH_1(log10Float, log10f(x))
METAL_EACH_1(exp10Float, exp10f(x))
METAL_EACH_2(powFloat, powf(x, y))
METAL_EACH_2(fmodFloat, fmodf(x, y))
METAL_EACH_2(atan2Float, atan2f(x, y))
inline float ldexpFloat(float x, int exponent) { return ldexpf(x, exponent); }

template <typename F> inline F sqrtFloat(F x) { return __builtin_elementwise_sqrt(x); }
template <typename F> inline F rsqrtFloat(F x) { return (F)(1.0f) / __builtin_elementwise_sqrt(x); }

} // namespace detail
} // namespace metal
#endif
