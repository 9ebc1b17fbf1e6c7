/* avx2.cc: x86-64-v3: AVX2, FMA and F16C. */
#if defined(__x86_64__)
#include "../includes.h"

#define NATIVE_LANES 8
#define NATIVE_FMA
#define NATIVE_AVX2
#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)
namespace {
#include "../level.h"
}
#pragma clang attribute pop

static bool isThere() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("x86-64-v3");
}

extern "C" const NativeLevel nativeLevel_avx2 = {"avx2", isThere, kernels, sizeof kernels / sizeof *kernels};
#endif
