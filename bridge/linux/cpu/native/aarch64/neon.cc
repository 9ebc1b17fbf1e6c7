/* neon.cc: ARMv8-A: NEON, which all of its processors have. */
#if defined(__aarch64__)
#include "../includes.h"

#define NATIVE_LANES 4
#define NATIVE_FMA
#define NATIVE_NEON
namespace {
#include "../level.h"
}

static bool isThere() { return true; }

extern "C" const NativeLevel nativeLevel_neon = {"neon", isThere, kernels, sizeof kernels / sizeof *kernels};
#endif
