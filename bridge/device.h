/* device.h: what a device handle means, and what the other files ask of a device. */
#ifndef BRIDGE_DEVICE_H
#define BRIDGE_DEVICE_H

#import <Metal/Metal.h>
#include <stdbool.h>

#include "bun_metal.h"
#import "policy.h"
#import "residency.h"

/** A Metal device as one bm_device_open has opened it. Never changes, so that every thread may read it. */
@interface BunMetalDevice : NSObject {
 @public
  id<MTLDevice> metal;
  PolicyDecisions policy;
  BunMetalResidency *residency; /* nil without BM_FEATURE_RESIDENCY_SETS */
  uint32_t features; /* BM_FEATURE_... that are in use: those of the policy that the caller did not leave out */
}
@end

/** The device of a handle, retained; nil with the error set. */
BunMetalDevice *bridgeDeviceRetain(bm_handle handle);

/** Whether both are the same device of Metal: opening one twice gives two handles, and maybe two objects of Metal. */
bool bridgeSameDevice(const BunMetalDevice *a, const BunMetalDevice *b);

/** Whether the feature, one bit, is in use. */
static inline bool bridgeUses(const BunMetalDevice *device, uint32_t feature) {
  return (device->features & feature) != 0;
}

#endif
