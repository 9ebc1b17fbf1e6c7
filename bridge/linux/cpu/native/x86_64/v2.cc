/* v2.cc: x86-64-v2, which all processors since 2009 have: SSE 4.2. */
#if defined(__x86_64__)
#include "../includes.h"

#define NATIVE_LANES 4
#pragma clang attribute push(__attribute__((target("arch=x86-64-v2"))), apply_to = function)
namespace {
#include "../level.h"
}
#pragma clang attribute pop

static bool isThere() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("x86-64-v2");
}

extern "C" const NativeLevel nativeLevel_v2 = {"x86-64-v2", isThere, kernels, sizeof kernels / sizeof *kernels};
#endif
