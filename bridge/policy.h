/*
 * policy.h: what to do on which device, in one place.
 *
 * Facts of a device go in, decisions come out: a function of its arguments alone, so that a test can hold it against
 * chips that no test machine has.
 */
#ifndef BRIDGE_POLICY_H
#define BRIDGE_POLICY_H

#import <Metal/Metal.h>
#include <stdbool.h>

#include "bun_metal.h"

/** What the library was built for. */
typedef enum PolicyPlatform {
  PolicyPlatformMac,
  PolicyPlatformPhone,      /* iOS and iPadOS */
  PolicyPlatformTelevision, /* tvOS */
  PolicyPlatformSimulator,  /* of either */
  PolicyPlatformLinux       /* Metal's API over the CPU and over CUDA */
} PolicyPlatform;

typedef struct PolicyFacts {
  PolicyPlatform platform;
  uint32_t appleFamily; /* the newest of MTLGPUFamilyApple1.. that is supported, 1 for the first; 0 for none */
  bool isMac2, isCommon2, isMetal3;
  bool hasUnifiedMemory;
  bool isSoftware;      /* the CPU plays the device: what drivers of real ones do wrong does not matter */
  bool isCuda;          /* one of NVIDIA's GPUs, below our own layer for Linux, which orders commands as Metal says */
  bool isIntel;         /* one of Intel's GPUs */
  bool isVirtual;       /* a virtual machine's device, as "Apple Paravirtual device" */
  bool isSimulated;     /* a simulator's device */
  /* What the system knows: */
  bool hasLanguage30;       /* Metal Shading Language 3.0: macOS 13, iOS and tvOS 16 */
  bool hasLanguage31;       /* 3.1: macOS 14, iOS and tvOS 17 */
  bool hasIndirectCommands; /* indirect command buffers for compute: macOS 11, iOS and tvOS 13 */
  bool hasResidencySets;    /* macOS 15, iOS and tvOS 18 */
  bool hasBinaryArchives;   /* macOS 11, iOS and tvOS 14 */
  bool hasThreadQos;
  bool validatesShaders;    /* shader validation is on, which binary archives do not go with */
} PolicyFacts;

typedef struct PolicyDecisions {
  const char *refusal;        /* why the device cannot be used, as the end of a sentence; NULL where it can */
  uint32_t features;          /* BM_FEATURE_... that can be used */
  uint32_t weightStorage;     /* BM_STORAGE_...: shared and mapped, or private and staged */
  MTLLanguageVersion language;/* of the shaders that ship */
  uint32_t constantAlignment; /* bytes: offsets of what is bound to `constant` arguments */
  bool hasNonuniformThreadgroups; /* dispatchThreads: may be used */
  bool hasSimdgroupMatrix;
} PolicyDecisions;

/** Decides. Nothing but `facts` is read. */
PolicyDecisions bridgePolicyDecide(const PolicyFacts *facts);

/** The facts of a device on this system. */
PolicyFacts bridgePolicyFacts(id<MTLDevice> device);

#endif
