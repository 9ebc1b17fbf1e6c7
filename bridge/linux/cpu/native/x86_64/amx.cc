/*
 * amx.cc: avx512vnni and tiles, matrices in registers, with products of bytes and of BF16: Sapphire Rapids and later.
 *
 * Such processors have more instructions that would be of no use here, and that a virtual machine may lack: the target is what
 * isThere() asks for.
 */
#if defined(__x86_64__)
#include "../includes.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NATIVE_LANES 16
#define NATIVE_FMA
#define NATIVE_AVX2
#define NATIVE_AVX512VNNI
#define NATIVE_AMX
#ifdef NATIVE_AMX_EMULATED // a test's
#define LEVEL nativeLevel_amx_emulated
#define LEVEL_NAME "amx-emulated"
#define TARGET "arch=cascadelake"
#else
#define LEVEL nativeLevel_amx
#define LEVEL_NAME "amx"
#define TARGET "arch=cascadelake,avx512bf16,amx-tile,amx-int8,amx-bf16"
#endif
#pragma clang attribute push(__attribute__((target(TARGET))), apply_to = function)
namespace {
#include "../level.h"
}
#pragma clang attribute pop

#ifdef NATIVE_AMX_EMULATED
static bool hasTiles() { return true; }
#else
/** A process has to ask Linux for tiles once, for all its threads: they make what a switch of threads saves much larger. */
static bool hasTiles() {
  uint32_t a, b, c, d;
  constexpr uint32_t bf16 = 1u << 22, tiles = 1u << 24, bytes = 1u << 25;
  if (!__builtin_cpu_supports("avx512bf16") || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  if ((d & bf16) == 0 || (d & tiles) == 0 || (d & bytes) == 0) return false;
  constexpr long requestPermission = 0x1023, tileData = 18; // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}
#endif

static bool isThere() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512vnni") && hasTiles();
}

extern "C" const NativeLevel LEVEL = {LEVEL_NAME, isThere, kernels, sizeof kernels / sizeof *kernels};
#endif
