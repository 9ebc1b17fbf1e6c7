/* device.h: what the other files ask of a device. */
#ifndef BRIDGE_DEVICE_H
#define BRIDGE_DEVICE_H

#import <Metal/Metal.h>
#include <stdbool.h>

/** Whether both are the same device: opening one twice gives two handles, and maybe two objects. */
bool bridgeSameDevice(id<MTLDevice> a, id<MTLDevice> b);

/** Whether simdgroup_matrix, SIMD reductions and all else that family Apple7 brought work here. */
bool bridgeDeviceIsApple7(id<MTLDevice> device);

/** Whether dispatchThreads: may be used: grids that are no multiple of the threadgroup. */
bool bridgeDeviceHasNonuniformThreadgroups(id<MTLDevice> device);

/** How compute encoders should order dispatches here. */
MTLDispatchType bridgeDeviceDispatchType(id<MTLDevice> device);

#endif
