/* library.h: a shader library, and the device that it was made for. */
#ifndef BRIDGE_LIBRARY_H
#define BRIDGE_LIBRARY_H

#import <Metal/Metal.h>

#include "bun_metal.h"
#import "device.h"
#import "shader_cache.h"

@interface BunMetalLibrary : NSObject {
 @public
  id<MTLLibrary> metal;
  BunMetalDevice *device;
  BunMetalShaderCache *cache; /* of its pipelines; nil for none */
}
@end

/** The library of a handle, retained; nil with the error set. */
BunMetalLibrary *bridgeLibraryRetain(bm_handle handle);

/** A handle for `library`, whose reference it takes over, as that of `cache`, which may be nil. 0 with the error set. */
bm_handle bridgeLibraryHandle(BunMetalDevice *device, id<MTLLibrary> library, BunMetalShaderCache *cache);

/** Options for strict arithmetic: Metal's default fast math makes NaN and infinity undefined, and softmax needs both.
 *  +1. */
MTLCompileOptions *bridgeStrictCompileOptions(void);

/** The status of a library's error; `otherwise` for one that is none of Metal's own. */
bm_status bridgeLibraryStatus(NSError *error, bm_status otherwise);

#endif
