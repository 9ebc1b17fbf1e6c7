/* native.c: see native.h. */
#include "native.h"
#include "levels.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const NativeLevel *chosen;
static char problem[256];

static void choose(void) {
  const char *wanted = getenv("BUN_METAL_CPU_NATIVE");
  if (wanted && strcmp(wanted, "msl") == 0) return;
  char known[128] = "msl";
  for (uint32_t i = 0; nativeLevels[i]; i++) {
    const NativeLevel *level = nativeLevels[i];
    const size_t used = strlen(known);
    snprintf(known + used, sizeof known - used, ", %s", level->name);
    const bool isNamed = wanted && strcmp(wanted, level->name) == 0;
    if ((isNamed || !wanted || !*wanted) && level->isThere()) chosen = level;
    if (isNamed && !chosen)
      snprintf(problem, sizeof problem, "BUN_METAL_CPU_NATIVE is '%s', whose instructions this machine lacks", wanted);
    if (isNamed) return;
  }
  if (wanted && *wanted)
    snprintf(problem, sizeof problem, "BUN_METAL_CPU_NATIVE is '%.64s', which is none of: %s", wanted, known);
}

const char *nativeProblem(void) {
  pthread_once(&once, choose);
  return *problem ? problem : NULL;
}

const char *nativeLevelName(void) {
  pthread_once(&once, choose);
  return chosen ? chosen->name : NULL;
}

void nativeFind(const char *name, const NativeKernel *found[NativeMaxKernels]) {
  pthread_once(&once, choose);
  uint32_t count = 0;
  for (uint32_t i = 0; chosen && i < chosen->count && count < NativeMaxKernels; i++)
    if (strcmp(chosen->kernels[i].name, name) == 0) found[count++] = &chosen->kernels[i];
  while (count < NativeMaxKernels) found[count++] = NULL;
}
