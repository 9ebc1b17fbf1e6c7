#import "policy.h"

#include <stdlib.h>
#include <string.h>

#ifdef __APPLE__
#include <TargetConditionals.h>
#endif

#import "thread.h"

/* What the oldest system lacks is guarded by respondsToSelector: or a weak symbol: @available needs compiler-rt's
 * Darwin part, which a cross build does not have. */
#pragma clang diagnostic ignored "-Wunguarded-availability-new"

/* ---- decisions --------------------------------------------------------------------------------------------------- */

enum {
  /* Offsets of `constant` arguments: 4 bytes on Apple's GPUs, 16 for the vectors in our structs. Others ask for 32 in
   * newer documents and for 256 in older ones and in validation. */
  AppleConstantAlignment = 16,
  OtherConstantAlignment = 256
};

/* NULL where the device can run our shaders: reductions over SIMD groups are what they cannot do without. */
static const char *refusal(const PolicyFacts *facts) {
  if (facts->platform == PolicyPlatformSimulator || facts->isSimulated)
    return "simulators have no SIMD groups: run on a device, or on the Mac itself";
  if (facts->isIntel)
    return "reductions over SIMD groups are wrong on Intel's GPUs: use another GPU of this machine, or the CPU";
  if (facts->appleFamily < 7 && !facts->isMac2 && !facts->isMetal3)
    return facts->isVirtual ? "a virtual machine's GPU has no reductions over SIMD groups: run outside of it"
                            : "it has no reductions over SIMD groups, which came with Apple's A14 and M1 (family Apple7)";
  return NULL;
}

/*
 * Indirect command buffers. Support alone does not do:
 * - before Apple9 (M3, A17 Pro) execution faults unless each pipeline was dispatched before, on the same encoder, with
 *   an empty grid (tinygrad pull request 10366), which validation refuses;
 * - virtual devices do not execute them (tinygrad pull request 10182);
 * - discrete GPUs do not order concurrent dispatches reliably (see below), and commands are ordered the same way.
 */
static bool canEncodeIndirectly(const PolicyFacts *facts) {
  bool isSupported = facts->appleFamily >= 3 || facts->isCommon2 || facts->isMetal3;
  if (!facts->hasIndirectCommands || !isSupported) return false;
  return facts->isSoftware || facts->isCuda || (facts->appleFamily >= 9 && !facts->isVirtual);
}

static uint32_t featuresOf(const PolicyFacts *facts) {
  uint32_t features = BM_FEATURE_UNRETAINED_REFERENCES;
  // Discrete AMD GPUs read stale data after memoryBarrier in a concurrent encoder (llama.cpp 19563).
  if (facts->hasUnifiedMemory || facts->isCuda) features |= BM_FEATURE_CONCURRENT_DISPATCH;
  if (canEncodeIndirectly(facts)) features |= BM_FEATURE_INDIRECT_COMMANDS;
  if (facts->hasResidencySets && facts->appleFamily >= 6 && !facts->isVirtual) features |= BM_FEATURE_RESIDENCY_SETS;
  if (facts->hasBinaryArchives && !facts->validatesShaders && !facts->isVirtual) features |= BM_FEATURE_SHADER_CACHE;
  if (facts->hasThreadQos) features |= BM_FEATURE_THREAD_QOS;
  return features;
}

PolicyDecisions bridgePolicyDecide(const PolicyFacts *facts) {
  return (PolicyDecisions){
      .refusal = refusal(facts),
      .features = featuresOf(facts),
      // Shared memory of a discrete GPU is read over its bus at each use.
      .weightStorage = facts->hasUnifiedMemory ? BM_STORAGE_SHARED : BM_STORAGE_PRIVATE,
      .language = facts->hasLanguage31   ? MTLLanguageVersion3_1
                  : facts->hasLanguage30 ? MTLLanguageVersion3_0
                                         : MTLLanguageVersion2_4,
      .constantAlignment = facts->appleFamily > 0 ? AppleConstantAlignment : OtherConstantAlignment,
      .hasNonuniformThreadgroups = facts->appleFamily >= 4 || facts->isMac2,
      .hasSimdgroupMatrix = facts->appleFamily >= 7,
  };
}

/* ---- facts ------------------------------------------------------------------------------------------------------- */

static PolicyPlatform platformOfBuild(void) {
#if !defined(__APPLE__)
  return PolicyPlatformLinux;
#elif TARGET_OS_SIMULATOR
  return PolicyPlatformSimulator;
#elif TARGET_OS_TV
  return PolicyPlatformTelevision;
#elif TARGET_OS_IPHONE
  return PolicyPlatformPhone;
#else
  return PolicyPlatformMac;
#endif
}

static uint32_t newestAppleFamily(id<MTLDevice> device) {
  // Ten families are known; a later one is as good as the tenth.
  for (uint32_t family = 10; family >= 1; family--)
    if ([device supportsFamily:(MTLGPUFamily)(MTLGPUFamilyApple1 + family - 1)]) return family;
  return 0;
}

static bool nameHas(id<MTLDevice> device, const char *part) {
  const char *name = [[device name] UTF8String];
  return name && strstr(name, part) != NULL;
}

static bool architectureBegins(id<MTLDevice> device, const char *beginning) {
  if (![device respondsToSelector:@selector(architecture)]) return false;
  const char *name = [[[device architecture] name] UTF8String];
  return name && strncmp(name, beginning, strlen(beginning)) == 0;
}

PolicyFacts bridgePolicyFacts(id<MTLDevice> device) {
  const char *validation = getenv("MTL_SHADER_VALIDATION");
  PolicyFacts facts = {
      .platform = platformOfBuild(),
      .appleFamily = newestAppleFamily(device),
      .isMac2 = [device supportsFamily:MTLGPUFamilyMac2] ? true : false,
      .isCommon2 = [device supportsFamily:MTLGPUFamilyCommon2] ? true : false,
      .isMetal3 = [device supportsFamily:MTLGPUFamilyMetal3] ? true : false,
      .hasUnifiedMemory = [device hasUnifiedMemory] ? true : false,
      .isSoftware = architectureBegins(device, "cpu"),
      .isCuda = architectureBegins(device, "cuda"),
      .isVirtual = nameHas(device, "Virtual") || nameHas(device, "virtual"),
      .isSimulated = nameHas(device, "Simulator") || nameHas(device, "simulator"),
      // Both came with what their languages came with, and nothing in the language itself can be asked.
      .hasLanguage30 = [MTLCompileOptions instancesRespondToSelector:@selector(setOptimizationLevel:)] ? true : false,
      .hasLanguage31 = [device respondsToSelector:@selector(architecture)] ? true : false,
      .hasIndirectCommands =
          [device respondsToSelector:@selector(newIndirectCommandBufferWithDescriptor:maxCommandCount:options:)] ? true
                                                                                                                 : false,
      .hasResidencySets =
          [device respondsToSelector:@selector(newResidencySetWithDescriptor:error:)] ? true : false,
      .hasBinaryArchives = [device respondsToSelector:@selector(newBinaryArchiveWithDescriptor:error:)] ? true : false,
      .hasThreadQos = bridgeThreadHasQos(),
      .validatesShaders = validation && *validation && strcmp(validation, "0") != 0,
  };
  // Intel made no GPU of Apple's families; a processor of theirs may play one.
  facts.isIntel = facts.appleFamily == 0 && facts.hasUnifiedMemory && nameHas(device, "Intel");
  return facts;
}
