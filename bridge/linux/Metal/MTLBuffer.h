#ifndef METAL_MTLBUFFER_H
#define METAL_MTLBUFFER_H

#import <Metal/MTLResource.h>

@protocol MTLBuffer <MTLResource>
@property (readonly) NSUInteger length;
/** Where the CPU sees the bytes, valid while the buffer lives; NULL for private storage. The device's writes are
 *  there after completion of the command buffer that made them. */
- (void *)contents;
@property (readonly) uint64_t gpuAddress API_AVAILABLE(macos(13.0), ios(16.0));
- (void)addDebugMarker:(NSString *)marker range:(NSRange)range;
- (void)removeAllDebugMarkers;
@end

#endif
