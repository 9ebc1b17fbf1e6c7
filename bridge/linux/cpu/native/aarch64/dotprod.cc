/* dotprod.cc: NEON with products of bytes with sums of 32 bits (SDOT), which ARMv8.2-A may have and ARMv8.4-A has. */
#if defined(__aarch64__)
#include "../includes.h"

#define NATIVE_LANES 4
#define NATIVE_FMA
#define NATIVE_NEON
#define NATIVE_DOTPROD
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
namespace {
#include "../level.h"
}
#pragma clang attribute pop

static bool isThere() { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }

extern "C" const NativeLevel nativeLevel_dotprod = {"dotprod", isThere, kernels, sizeof kernels / sizeof *kernels};
#endif
