/* buffer.h: a Metal buffer, the length that was asked for, and its share in the byte counts. */
#ifndef BRIDGE_BUFFER_H
#define BRIDGE_BUFFER_H

#import <Metal/Metal.h>
#include <stdbool.h>

#include "bun_metal.h"
#import "device.h"

@interface BunMetalBuffer : NSObject {
 @public
  id<MTLBuffer> metal;
  BunMetalDevice *device;
  uint64_t length;   /* as asked for; Metal's own may be larger, rounded up for copies of whole words */
  uint8_t *contents; /* NULL for private storage */
  uint32_t programUses; /* this and the next are residency.m's */
  bool isInSet;
}
@end

/** The buffer of a handle, retained; nil with the error set. */
BunMetalBuffer *bridgeBufferRetain(bm_handle handle);

/** Bytes in live buffers, and the most that were live at once. */
void bridgeBufferBytes(double *live, double *peak);

#endif
