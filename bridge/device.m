#import "device.h"

#import "export.h"
#import "handle.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

/* What the oldest system lacks is guarded by respondsToSelector: or a weak symbol: @available needs compiler-rt's
 * Darwin part, which a cross build does not have. */
#pragma clang diagnostic ignored "-Wunguarded-availability-new"

/* Our layer for Linux can tell, and defines this strongly. */
extern void MTLMemoryOfDevice(const void *device, double *available, double *total);

__attribute__((weak)) void MTLMemoryOfDevice(const void *device, double *available, double *total) {
  (void)device;
  *available = *total = NAN;
}

/* iOS and tvOS have it from 18 only; a weak reference is NULL before. */
extern NSArray<id<MTLDevice>> *MTLCopyAllDevices(void) __attribute__((weak));

static bool isSameMetalDevice(id<MTLDevice> a, id<MTLDevice> b) {
  if (a == b) return true;
  return a && b && [a registryID] == [b registryID];
}

/* The default device first, then the others. Some sessions list devices but have no default, others the reverse, so
 * both are asked. +1. */
static NSMutableArray *copyDevices(void) {
  NSMutableArray *devices = [[NSMutableArray alloc] init];
  id<MTLDevice> preferred = MTLCreateSystemDefaultDevice();
  if (preferred) [devices addObject:preferred];
  NSArray *all = MTLCopyAllDevices ? MTLCopyAllDevices() : nil;
  for (NSUInteger i = 0; i < [all count]; i++) {
    id<MTLDevice> device = [all objectAtIndex:i];
    if (!isSameMetalDevice(device, preferred)) [devices addObject:device];
  }
  [all release];
  [preferred release];
  return devices;
}

bool bridgeSameDevice(const BunMetalDevice *a, const BunMetalDevice *b) {
  return a == b || isSameMetalDevice(a->metal, b->metal);
}

BunMetalDevice *bridgeDeviceRetain(bm_handle handle) {
  return bridgeHandleRetain(handle, BM_KIND_DEVICE);
}

@implementation BunMetalDevice

- (id)initWithDevice:(id<MTLDevice>)device policy:(PolicyDecisions)decisions without:(uint32_t)disabled {
  self = [super init];
  if (!self) return nil;
  metal = [device retain];
  policy = decisions;
  features = policy.features & ~disabled;
  if (bridgeUses(self, BM_FEATURE_RESIDENCY_SETS)) residency = bridgeResidencyNew(device);
  if (!residency) features &= ~(uint32_t)BM_FEATURE_RESIDENCY_SETS;
  return self;
}

- (void)dealloc {
  [residency release];
  [metal release];
  [super dealloc];
}

@end

bm_status bm_device_count(uint32_t *count) {
  BRIDGE_ENTER
  if (!count) return bridgeFail(BM_ERROR_ARGUMENT, "Devices cannot be counted into NULL");
  BRIDGE_PINNED(NSMutableArray) devices = copyDevices();
  *count = (uint32_t)[devices count];
  return BM_OK;
  BRIDGE_LEAVE(status)
}

bm_handle bm_device_open(uint32_t index, uint32_t disabled) {
  BRIDGE_ENTER
  if (disabled & ~(uint32_t)BM_FEATURE_ALL) {
    bridgeFail(BM_ERROR_ARGUMENT, "Features \"0x%x\" cannot be left out: there are \"0x%x\"", disabled, BM_FEATURE_ALL);
    return 0;
  }
  BRIDGE_PINNED(NSMutableArray) devices = copyDevices();
  if (index >= [devices count]) {
    bridgeFail(BM_ERROR_NOT_FOUND, "There is no device \"%u\": there are \"%u\"", index, (uint32_t)[devices count]);
    return 0;
  }
  id<MTLDevice> metal = [devices objectAtIndex:index];
  PolicyFacts facts = bridgePolicyFacts(metal);
  PolicyDecisions policy = bridgePolicyDecide(&facts);
  if (policy.refusal) {
    bridgeFail(BM_ERROR_UNSUPPORTED, "Device \"%s\" cannot be used: %s", [[metal name] UTF8String], policy.refusal);
    return 0;
  }
  BunMetalDevice *device = [[BunMetalDevice alloc] initWithDevice:metal policy:policy without:disabled];
  if (!device) {
    bridgeFail(BM_ERROR_MEMORY, "There is no memory left for a device object");
    return 0;
  }
  return bridgeHandleNew(device, BM_KIND_DEVICE);
  BRIDGE_LEAVE(0)
}

/* Apple's architecture name where the system has one (macOS 14); else the newest family. */
static NSString *architectureOf(id<MTLDevice> device) {
  if ([device respondsToSelector:@selector(architecture)]) {
    NSString *name = [[device architecture] name];
    if (name) return name;
  }
  static const struct {
    MTLGPUFamily family;
    NSString *const name;
  } families[] = {{MTLGPUFamilyApple9, @"apple9"}, {MTLGPUFamilyApple8, @"apple8"}, {MTLGPUFamilyApple7, @"apple7"},
                  {MTLGPUFamilyApple6, @"apple6"}, {MTLGPUFamilyApple5, @"apple5"}, {MTLGPUFamilyMac2, @"mac2"}};
  for (size_t i = 0; i < sizeof families / sizeof *families; i++)
    if ([device supportsFamily:families[i].family]) return families[i].name;
  return @"unknown";
}

uint32_t bm_device_text(bm_handle handle, uint32_t text, char *out, uint32_t capacity) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalDevice) device = bridgeDeviceRetain(handle);
  if (!device) return 0;
  if (text != BM_DEVICE_NAME && text != BM_DEVICE_ARCHITECTURE) {
    bridgeFail(BM_ERROR_ARGUMENT, "A device has no text \"%u\"", text);
    return 0;
  }
  const char *utf8 = [(text == BM_DEVICE_NAME ? [device->metal name] : architectureOf(device->metal)) UTF8String];
  if (!utf8) utf8 = "";
  return bridgeCopyText(utf8, strlen(utf8), out, capacity);
  BRIDGE_LEAVE(0)
}

bm_status bm_device_numbers(bm_handle handle, double *numbers, uint32_t capacity) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalDevice) opened = bridgeDeviceRetain(handle);
  if (!opened) return bm_error_code();
  if (!numbers) return bridgeFail(BM_ERROR_ARGUMENT, "The numbers of a device cannot be written to NULL");
  id<MTLDevice> device = opened->metal;
  MTLSize threads = [device maxThreadsPerThreadgroup];
  // iOS 15 lacks the recommendation; the largest buffer is the nearest thing it tells.
  double workingSet = [device respondsToSelector:@selector(recommendedMaxWorkingSetSize)]
                          ? (double)[device recommendedMaxWorkingSetSize]
                          : (double)[device maxBufferLength];
  double availableMemory, totalMemory;
  MTLMemoryOfDevice(device, &availableMemory, &totalMemory);
  const double all[BM_DEVICE_NUMBER_COUNT] = {
      [BM_DEVICE_UNIFIED_MEMORY] = [device hasUnifiedMemory] ? 1 : 0,
      [BM_DEVICE_MAX_BUFFER_LENGTH] = (double)[device maxBufferLength],
      [BM_DEVICE_WORKING_SET] = workingSet,
      [BM_DEVICE_MAX_THREADGROUP_MEMORY] = (double)[device maxThreadgroupMemoryLength],
      [BM_DEVICE_MAX_THREADS_X] = (double)threads.width,
      [BM_DEVICE_MAX_THREADS_Y] = (double)threads.height,
      [BM_DEVICE_MAX_THREADS_Z] = (double)threads.depth,
      [BM_DEVICE_ALLOCATED] = (double)[device currentAllocatedSize],
      [BM_DEVICE_SIMDGROUP_MATRIX] = opened->policy.hasSimdgroupMatrix ? 1 : 0,
      [BM_DEVICE_PAGE_SIZE] = (double)getpagesize(),
      [BM_DEVICE_FEATURES] = opened->features,
      [BM_DEVICE_WEIGHT_STORAGE] = opened->policy.weightStorage,
      [BM_DEVICE_NONUNIFORM_THREADGROUPS] = opened->policy.hasNonuniformThreadgroups ? 1 : 0,
      [BM_DEVICE_AVAILABLE_MEMORY] = availableMemory,
      [BM_DEVICE_TOTAL_MEMORY] = totalMemory,
  };
  for (uint32_t i = 0; i < capacity && i < BM_DEVICE_NUMBER_COUNT; i++) numbers[i] = all[i];
  return BM_OK;
  BRIDGE_LEAVE(status)
}
