/* library.h: a shader library, and the device that it was made for. */
#ifndef BRIDGE_LIBRARY_H
#define BRIDGE_LIBRARY_H

#import <Metal/Metal.h>

#include "bun_metal.h"
#import "device.h"

@interface BunMetalLibrary : NSObject {
 @public
  id<MTLLibrary> metal;
  BunMetalDevice *device;
}
@end

/** The library of a handle, retained; nil with the error set. */
BunMetalLibrary *bridgeLibraryRetain(bm_handle handle);

#endif
