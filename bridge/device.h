/* device.h: what a device handle means, and what the other files ask of a device. */
#ifndef BRIDGE_DEVICE_H
#define BRIDGE_DEVICE_H

#import <Metal/Metal.h>
#include <stdbool.h>

#include "bun_metal.h"

/** A Metal device as one bm_device_open has opened it. Never changes, so that every thread may read it. */
@interface BunMetalDevice : NSObject {
 @public
  id<MTLDevice> metal;
  uint32_t features; /* BM_FEATURE_... that are in use */
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

/** Whether simdgroup_matrix, SIMD reductions and all else that family Apple7 brought work here. */
bool bridgeDeviceIsApple7(id<MTLDevice> device);

/** Whether dispatchThreads: may be used: grids that are no multiple of the threadgroup. */
bool bridgeDeviceHasNonuniformThreadgroups(id<MTLDevice> device);

#endif
