/* i8mm.cc: dotprod with products of matrices of bytes (SMMLA), which ARMv8.2-A may have and ARMv8.6-A has. */
#if defined(__aarch64__)
#include "../includes.h"

#define NATIVE_LANES 4
#define NATIVE_FMA
#define NATIVE_NEON
#define NATIVE_DOTPROD
#define NATIVE_I8MM
#pragma clang attribute push(__attribute__((target("dotprod,i8mm"))), apply_to = function)
namespace {
#include "../level.h"
}
#pragma clang attribute pop

static bool isThere() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) && (getauxval(AT_HWCAP2) & HWCAP2_I8MM); }

extern "C" const NativeLevel nativeLevel_i8mm = {"i8mm", isThere, kernels, sizeof kernels / sizeof *kernels};
#endif
