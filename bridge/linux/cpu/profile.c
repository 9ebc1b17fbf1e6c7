/* profile.c: see profile.h. */
#include "profile.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Profile {
  const char *name; /* also behind the device's name */
  const uint16_t *families;
  bool unifiedMemory;
  uint64_t maxBufferLength; /* at most; 0: what the machine has */
  uint32_t maxThreadgroupMemoryLength;
  uint32_t maxThreads;
  uint32_t constantAlignment;
  uint32_t maxConstantBuffers;
  bool nonuniformThreadgroups;
  bool indirectCommands;
  bool hasDeviceList;
  const char *const *missing;
} Profile;

/* MTLGPUFamily: Apple1.. 1001.., Mac2 2002, Common1.. 3001.., Metal3 5001. */
static const uint16_t apple9[] = {1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 3001, 3002, 3003, 5001, 0};
static const uint16_t apple7[] = {1001, 1002, 1003, 1004, 1005, 1006, 1007, 3001, 3002, 3003, 5001, 0};
static const uint16_t apple7Before16[] = {1001, 1002, 1003, 1004, 1005, 1006, 1007, 3001, 3002, 3003, 0};
static const uint16_t mac2[] = {2002, 3001, 3002, 3003, 0};
static const uint16_t apple2[] = {1001, 1002, 3001, 0};

static const char *const nothing[] = {NULL};
/* iOS 15. */
static const char *const since16[] = {"architecture",
                                      "recommendedMaxWorkingSetSize",
                                      "gpuAddress",
                                      "gpuResourceID",
                                      "bindings",
                                      "optimizationLevel",
                                      "setOptimizationLevel:",
                                      "mathMode",
                                      "setMathMode:",
                                      "mathFloatingPointFunctions",
                                      "setMathFloatingPointFunctions:",
                                      "newResidencySetWithDescriptor:error:",
                                      "addResidencySet:",
                                      "addResidencySets:count:",
                                      "removeResidencySet:",
                                      "removeResidencySets:count:",
                                      "useResidencySet:",
                                      "useResidencySets:count:",
                                      NULL};
/* macOS 13. */
static const char *const since14[] = {"architecture",
                                      "mathMode",
                                      "setMathMode:",
                                      "mathFloatingPointFunctions",
                                      "setMathFloatingPointFunctions:",
                                      "newResidencySetWithDescriptor:error:",
                                      "addResidencySet:",
                                      "addResidencySets:count:",
                                      "removeResidencySet:",
                                      "removeResidencySets:count:",
                                      "useResidencySet:",
                                      "useResidencySets:count:",
                                      NULL};

#define MiB ((uint64_t)1 << 20)

/* name, families, unified, buffer, threadgroup memory, threads, alignment, constants, nonuniform, indirect, list, missing */
static const Profile profiles[] = {
    {"", apple9, true, 0, 32768, 1024, 4, 31, true, true, true, nothing}, /* all that this layer implements */
    {"apple9", apple9, true, 0, 32768, 1024, 4, 31, true, true, true, nothing},
    {"apple7", apple7, true, 0, 32768, 1024, 4, 31, true, true, true, nothing},
    {"intel-discrete", mac2, false, 3584 * MiB, 32768, 1024, 256, 14, true, true, true, since14},
    {"old-ios", apple7Before16, true, 256 * MiB, 32768, 1024, 4, 31, true, true, false, since16},
    {"simulator", apple2, true, 256 * MiB, 16352, 512, 256, 14, false, false, true, nothing},
};

static const Profile *chosen = &profiles[0];
static uint64_t bufferBytes, workingSetBytes; /* 0: not set */
static uint32_t refused;
static char problem[512];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void complain(const char *name, const char *value, const char *known) {
  if (!*problem) snprintf(problem, sizeof problem, "%s is \"%.100s\", which it cannot be: %s", name, value, known);
}

static uint64_t readBytes(const char *name) {
  const char *text = getenv(name);
  if (!text || !*text) return 0;
  char *end = NULL;
  errno = 0;
  const unsigned long long bytes = strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end || errno != 0 || bytes < 4096 || bytes > 1ull << 46)
    complain(name, text, "a number of bytes, 4096 to 2^46");
  return bytes;
}

static void readProfile(void) {
  const char *text = getenv("BUN_METAL_CPU_PROFILE");
  if (!text || !*text) return;
  for (size_t i = 1; i < sizeof profiles / sizeof *profiles; i++) {
    if (strcmp(profiles[i].name, text) != 0) continue;
    chosen = &profiles[i];
    return;
  }
  complain("BUN_METAL_CPU_PROFILE", text, "apple7, apple9, intel-discrete, old-ios or simulator");
}

static void readRefused(void) {
  static const struct {
    const char *name;
    uint32_t bit;
  } known[] = {{"nocopy", DriverRefuseNoCopy},
               {"icb", DriverRefuseIndirectCommands},
               {"residency", DriverRefuseResidencySets},
               {"archive", DriverRefuseBinaryArchives}};
  const char *text = getenv("BUN_METAL_CPU_REFUSE");
  for (const char *from = text; from && *from;) {
    const size_t length = strcspn(from, ",");
    uint32_t bit = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
      if (strlen(known[i].name) == length && memcmp(known[i].name, from, length) == 0) bit = known[i].bit;
    if (!bit) complain("BUN_METAL_CPU_REFUSE", text, "some of nocopy, icb, residency and archive, with commas between");
    refused |= bit;
    from += length + (from[length] == ',');
  }
}

static void readEnvironment(void) {
  readProfile();
  bufferBytes = readBytes("BUN_METAL_CPU_MAX_BUFFER");
  workingSetBytes = readBytes("BUN_METAL_CPU_WORKING_SET");
  readRefused();
}

const char *cpuProfileProblem(void) {
  pthread_once(&once, readEnvironment);
  return *problem ? problem : NULL;
}

void cpuProfileApply(DriverProperties *properties) {
  pthread_once(&once, readEnvironment);
  const Profile *profile = chosen;
  static char name[160];
  if (*profile->name) {
    snprintf(name, sizeof name, "%s (%s)", properties->name, profile->name);
    properties->name = name;
  }
  properties->families = profile->families;
  properties->unifiedMemory = profile->unifiedMemory;
  if (profile->maxBufferLength && profile->maxBufferLength < properties->maxBufferLength)
    properties->maxBufferLength = profile->maxBufferLength;
  properties->maxThreadgroupMemoryLength = profile->maxThreadgroupMemoryLength;
  for (int i = 0; i < 3; i++) properties->maxThreadsPerThreadgroup[i] = profile->maxThreads;
  properties->maxTotalThreadsPerThreadgroup = profile->maxThreads;
  properties->constantAlignment = profile->constantAlignment;
  properties->maxConstantBuffers = profile->maxConstantBuffers;
  properties->nonuniformThreadgroups = profile->nonuniformThreadgroups;
  properties->indirectCommands = profile->indirectCommands;
  properties->hasDeviceList = profile->hasDeviceList;
  properties->missing = profile->missing;
  if (bufferBytes) properties->maxBufferLength = bufferBytes;
  if (workingSetBytes) properties->recommendedMaxWorkingSetSize = workingSetBytes;
  properties->refused = refused;
}
