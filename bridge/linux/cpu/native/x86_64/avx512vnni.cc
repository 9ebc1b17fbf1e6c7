/* avx512vnni.cc: x86-64-v4 with VNNI, products of 8 and 16 bits with sums of 32: Cascade Lake, Zen 4 and later. */
#if defined(__x86_64__)
#include "../includes.h"

#define NATIVE_LANES 16
#define NATIVE_FMA
#define NATIVE_AVX2
#define NATIVE_AVX512VNNI
#pragma clang attribute push(__attribute__((target("arch=cascadelake"))), apply_to = function)
namespace {
#include "../level.h"
}
#pragma clang attribute pop

static bool isThere() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512vnni");
}

extern "C" const NativeLevel nativeLevel_avx512vnni = {"avx512vnni", isThere, kernels, sizeof kernels / sizeof *kernels};
#endif
