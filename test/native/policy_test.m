/* What the policy decides for chips that this machine is not, and for the one that it is. */
#include "check.h"
#import "policy.h"

#include <string.h>

enum {
  Everywhere = BM_FEATURE_UNRETAINED_REFERENCES | BM_FEATURE_SHADER_CACHE | BM_FEATURE_THREAD_QOS,
  Unified = Everywhere | BM_FEATURE_CONCURRENT_DISPATCH,
  Newest = Unified | BM_FEATURE_RESIDENCY_SETS | BM_FEATURE_INDIRECT_COMMANDS
};

/* The systems' years: macOS 12, 13, 14 and 15, and what iOS and tvOS had then. */
typedef struct System {
  bool language30, language31, residency;
} System;
static const System of2021 = {0}, of2022 = {true, false, false}, of2023 = {true, true, false}, of2024 = {true, true, true};

typedef struct Chip {
  const char *name;
  PolicyPlatform platform;
  System system;
  uint32_t appleFamily;
  bool mac2, common2, metal3, discrete, cuda, intel, isVirtual, simulated, validated;
  const char *refusal; /* a part of it */
  uint32_t features;
  MTLLanguageVersion language;
  uint32_t constantAlignment;
  bool nonuniform, matrix;
} Chip;

static const Chip chips[] = {
    {.name = "A8, Apple TV HD", .platform = PolicyPlatformTelevision, .system = of2021, .appleFamily = 2,
     .refusal = "family Apple7", .features = Unified, .language = MTLLanguageVersion2_4, .constantAlignment = 16},
    {.name = "A12", .platform = PolicyPlatformPhone, .system = of2022, .appleFamily = 5, .common2 = true,
     .refusal = "family Apple7", .features = Unified, .language = MTLLanguageVersion3_0, .constantAlignment = 16,
     .nonuniform = true},
    {.name = "virtual Mac", .platform = PolicyPlatformMac, .system = of2024, .appleFamily = 5, .common2 = true,
     .isVirtual = true, .refusal = "virtual machine",
     .features = Unified & ~(uint32_t)BM_FEATURE_SHADER_CACHE, .language = MTLLanguageVersion3_1,
     .constantAlignment = 16, .nonuniform = true},
    {.name = "A13", .platform = PolicyPlatformPhone, .system = of2024, .appleFamily = 6, .common2 = true,
     .refusal = "family Apple7", .features = Unified | BM_FEATURE_RESIDENCY_SETS, .language = MTLLanguageVersion3_1,
     .constantAlignment = 16, .nonuniform = true},
    {.name = "A14 on iOS 15", .platform = PolicyPlatformPhone, .system = of2021, .appleFamily = 7, .common2 = true,
     .features = Unified, .language = MTLLanguageVersion2_4, .constantAlignment = 16, .nonuniform = true,
     .matrix = true},
    {.name = "M1", .platform = PolicyPlatformMac, .system = of2022, .appleFamily = 7, .mac2 = true, .common2 = true,
     .metal3 = true, .features = Unified, .language = MTLLanguageVersion3_0, .constantAlignment = 16,
     .nonuniform = true, .matrix = true},
    {.name = "M2", .platform = PolicyPlatformMac, .system = of2024, .appleFamily = 8, .mac2 = true, .common2 = true,
     .metal3 = true, .features = Unified | BM_FEATURE_RESIDENCY_SETS, .language = MTLLanguageVersion3_1,
     .constantAlignment = 16, .nonuniform = true, .matrix = true},
    {.name = "M3 and M4", .platform = PolicyPlatformMac, .system = of2024, .appleFamily = 9, .mac2 = true,
     .common2 = true, .metal3 = true, .features = Newest, .language = MTLLanguageVersion3_1, .constantAlignment = 16,
     .nonuniform = true, .matrix = true},
    {.name = "M3, macOS 14", .platform = PolicyPlatformMac, .system = of2023, .appleFamily = 9, .mac2 = true,
     .common2 = true, .metal3 = true, .features = Newest & ~(uint32_t)BM_FEATURE_RESIDENCY_SETS,
     .language = MTLLanguageVersion3_1, .constantAlignment = 16, .nonuniform = true, .matrix = true},
    {.name = "M3 under shader validation", .platform = PolicyPlatformMac, .system = of2024, .appleFamily = 9,
     .mac2 = true, .common2 = true, .metal3 = true, .validated = true,
     .features = Newest & ~(uint32_t)BM_FEATURE_SHADER_CACHE, .language = MTLLanguageVersion3_1,
     .constantAlignment = 16, .nonuniform = true, .matrix = true},
    {.name = "A15, tvOS", .platform = PolicyPlatformTelevision, .system = of2024, .appleFamily = 8, .common2 = true,
     .metal3 = true, .features = Unified | BM_FEATURE_RESIDENCY_SETS, .language = MTLLanguageVersion3_1,
     .constantAlignment = 16, .nonuniform = true, .matrix = true},
    {.name = "Intel UHD Graphics 630", .platform = PolicyPlatformMac, .system = of2023, .mac2 = true, .common2 = true,
     .metal3 = true, .intel = true, .refusal = "Intel", .features = Unified, .language = MTLLanguageVersion3_1,
     .constantAlignment = 256, .nonuniform = true},
    {.name = "AMD Radeon Pro Vega 56", .platform = PolicyPlatformMac, .system = of2023, .mac2 = true, .common2 = true,
     .metal3 = true, .discrete = true, .features = Everywhere, .language = MTLLanguageVersion3_1,
     .constantAlignment = 256, .nonuniform = true},
    {.name = "NVIDIA H200", .platform = PolicyPlatformLinux, .system = of2024, .appleFamily = 9, .common2 = true,
     .metal3 = true, .discrete = true, .cuda = true, .features = Newest, .language = MTLLanguageVersion3_1,
     .constantAlignment = 16, .nonuniform = true, .matrix = true},
    {.name = "simulator", .platform = PolicyPlatformSimulator, .system = of2024, .appleFamily = 2,
     .refusal = "simulators", .features = Unified, .language = MTLLanguageVersion3_1, .constantAlignment = 16},
    {.name = "simulator by its device's name", .platform = PolicyPlatformPhone, .system = of2024, .appleFamily = 9,
     .simulated = true, .refusal = "simulators", .features = Newest, .language = MTLLanguageVersion3_1,
     .constantAlignment = 16, .nonuniform = true, .matrix = true},
};

static void decisionsAreThoseOfTheTable(void) {
  for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
    const Chip *chip = &chips[i];
    const PolicyFacts facts = {
        .platform = chip->platform,
        .appleFamily = chip->appleFamily,
        .isMac2 = chip->mac2,
        .isCommon2 = chip->common2,
        .isMetal3 = chip->metal3,
        .hasUnifiedMemory = !chip->discrete,
        .isCuda = chip->cuda,
        .isIntel = chip->intel,
        .isVirtual = chip->isVirtual,
        .isSimulated = chip->simulated,
        .hasLanguage30 = chip->system.language30,
        .hasLanguage31 = chip->system.language31,
        .hasIndirectCommands = true,
        .hasResidencySets = chip->system.residency,
        .hasBinaryArchives = true,
        .hasThreadQos = true,
        .validatesShaders = chip->validated,
    };
    PolicyDecisions decided = bridgePolicyDecide(&facts);
    bool isRefused = decided.refusal != NULL;
    bool matches = isRefused == (chip->refusal != NULL) &&
                   (!isRefused || strstr(decided.refusal, chip->refusal) != NULL) &&
                   decided.features == chip->features &&
                   decided.weightStorage == (chip->discrete ? BM_STORAGE_PRIVATE : BM_STORAGE_SHARED) &&
                   decided.language == chip->language && decided.constantAlignment == chip->constantAlignment &&
                   decided.hasNonuniformThreadgroups == chip->nonuniform && decided.hasSimdgroupMatrix == chip->matrix;
    if (!matches)
      printf("%s: refusal \"%s\", features 0x%x instead of 0x%x\n", chip->name,
             isRefused ? decided.refusal : "none", decided.features, chip->features);
    CHECK(matches);
  }
}

static void nothingIsUsedThatTheSystemLacks(void) {
  const PolicyFacts facts = {.platform = PolicyPlatformMac, .appleFamily = 9, .isMac2 = true, .hasUnifiedMemory = true};
  PolicyDecisions decided = bridgePolicyDecide(&facts);
  CHECK_NUMBER(decided.features, BM_FEATURE_UNRETAINED_REFERENCES | BM_FEATURE_CONCURRENT_DISPATCH);
  CHECK(decided.language == MTLLanguageVersion2_4);
}

static void theDeviceHereCanBeUsed(void) {
  @autoreleasepool {
    id<MTLDevice> device = MTLCreateSystemDefaultDevice();
    CHECK(device != nil);
    PolicyFacts facts = bridgePolicyFacts(device);
    PolicyDecisions decided = bridgePolicyDecide(&facts);
    CHECK(decided.refusal == NULL);
    CHECK(facts.appleFamily >= 7 || facts.isMac2);
    CHECK(!facts.isSoftware || facts.platform == PolicyPlatformLinux);
    CHECK(decided.features & BM_FEATURE_CONCURRENT_DISPATCH || !facts.hasUnifiedMemory);
    [device release];
  }
}

int main(void) {
  @autoreleasepool {
    [MTLCreateSystemDefaultDevice() release]; // devices live as long as the process
  }
  RUN_CASE(decisionsAreThoseOfTheTable);
  RUN_CASE(nothingIsUsedThatTheSystemLacks);
  RUN_CASE(theDeviceHereCanBeUsed);
  return finishCases();
}
