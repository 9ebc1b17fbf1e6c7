/*
 * approximations.h: the instructions by which GPUs approximate functions. The relative error is below 2^-22 (PTX ISA,
 * floating point instructions); ex2 takes and gives no denormal numbers.
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
METAL_APPROXIMATION(rsqrtApproximation, "rsqrt.approx")
} // namespace detail
} // namespace metal
#undef METAL_APPROXIMATION
#endif

#endif
