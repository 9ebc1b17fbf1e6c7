/* target.c: see target.h. */
#include "target.h"
#include "../cpu/metal/library/abi.h"
#include "../cuda/metal/library/abi.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

/* Of one kind, the lowest first. */
static const MslTarget targets[] = {
    {"x86-64-v2", MslDeviceCpu, "x86_64-linux-gnu", "x86-64-v2", CPU_ABI_VERSION},
    {"x86-64-v3", MslDeviceCpu, "x86_64-linux-gnu", "x86-64-v3", CPU_ABI_VERSION},
    {"x86-64-v4", MslDeviceCpu, "x86_64-linux-gnu", "x86-64-v4", CPU_ABI_VERSION},
    {"armv8-a", MslDeviceCpu, "aarch64-linux-gnu", "armv8-a", CPU_ABI_VERSION},
    {"nvptx64-sm_80", MslDeviceCuda, "nvptx64-nvidia-cuda", "sm_80", CUDA_ABI_VERSION}};
enum { TargetCount = sizeof targets / sizeof *targets };

/** Those of this machine's kind. */
#if defined(__x86_64__)
enum { FirstOwn = 0, LastOwn = 2 };
static bool runs(int index) {
  __builtin_cpu_init();
  if (index == 0) return __builtin_cpu_supports("x86-64-v2");
  if (index == 1) return __builtin_cpu_supports("x86-64-v3");
  return __builtin_cpu_supports("x86-64-v4");
}
#else
enum { FirstOwn = 3, LastOwn = 3 };
static bool runs(int index) { return index == FirstOwn; }
#endif

const MslTarget *mslTargetNamed(const char *name) {
  for (int i = 0; i < TargetCount; i++)
    if (strcmp(targets[i].name, name) == 0) return &targets[i];
  return NULL;
}

const char *mslTargetNames(void) { return "x86-64-v2, x86-64-v3, x86-64-v4, armv8-a and nvptx64-sm_80"; }

int mslTargetRank(const MslTarget *target) {
  const int index = (int)(target - targets);
  return index >= FirstOwn && index <= LastOwn && runs(index) ? 1 + index - FirstOwn : 0;
}

const MslTarget *mslTargetOfMachine(char **message) {
  const char *wanted = getenv("BUN_METAL_CPU_LEVEL");
  if (wanted && *wanted) {
    for (int i = FirstOwn; i <= LastOwn; i++)
      if (strcmp(targets[i].name, wanted) == 0) return &targets[i];
    if (message)
      *message =
          mslFormat("error: BUN_METAL_CPU_LEVEL is '%s', which is no level of this machine's kind (%s to %s)\n",
                    wanted, targets[FirstOwn].name, targets[LastOwn].name);
    return NULL;
  }
  for (int i = LastOwn; i >= FirstOwn; i--)
    if (runs(i)) return &targets[i];
  if (message)
    *message =
        mslFormat("error: this machine lacks %s, the least that the CPU device needs\n", targets[FirstOwn].name);
  return NULL;
}
