/*
 * approximations.h: the instructions by which GPUs approximate functions, with denormal numbers as zero. The relative error
 * is below 2^-22 unless said otherwise (PTX ISA, floating point instructions).
 */
#ifndef BUN_METAL_APPROXIMATIONS_H
#define BUN_METAL_APPROXIMATIONS_H

#if defined(__NVPTX__)
#define METAL_APPROXIMATION(name, instruction)                  \
  inline float name(float x) {                                  \
    float y;                                                    \
    __asm__(instruction ".f32 %0, %1;" : "=f"(y) : "f"(x));     \
    return y;                                                   \
  }
namespace metal {
namespace detail {
METAL_APPROXIMATION(exp2Approximation, "ex2.approx.ftz")
METAL_APPROXIMATION(log2Approximation, "lg2.approx.ftz") /* absolute error between 1/2 and 2 */
METAL_APPROXIMATION(sineApproximation, "sin.approx.ftz")   /* absolute error, for angles within [-pi, pi] */
METAL_APPROXIMATION(cosineApproximation, "cos.approx.ftz")
METAL_APPROXIMATION(tanhApproximation, "tanh.approx") /* relative error 2^-11 */
METAL_APPROXIMATION(rsqrtApproximation, "rsqrt.approx")
METAL_APPROXIMATION(sqrtApproximation, "sqrt.approx")
} // namespace detail
} // namespace metal
#undef METAL_APPROXIMATION
#endif

#endif
