#ifndef METAL_MTLCOMMANDQUEUE_H
#define METAL_MTLCOMMANDQUEUE_H

#import <Metal/MTLCommandBuffer.h>

/** Command buffers run in the order of enqueue (commit enqueues). Thread-safe. */
@protocol MTLCommandQueue <NSObject>
@property (copy, atomic) NSString *label;
@property (readonly) id<MTLDevice> device;
/* +0. They block while as many command buffers as the queue allows exist that have not completed. */
- (id<MTLCommandBuffer>)commandBuffer;
- (id<MTLCommandBuffer>)commandBufferWithDescriptor:(MTLCommandBufferDescriptor *)descriptor;
/** The caller keeps all resources and pipelines alive until completion. */
- (id<MTLCommandBuffer>)commandBufferWithUnretainedReferences;
/* The sets apply to every command buffer at its commit; at most 32 on a queue. */
- (void)addResidencySet:(id<MTLResidencySet>)residencySet API_AVAILABLE(macos(15.0), ios(18.0));
- (void)addResidencySets:(const id<MTLResidencySet>[])residencySets
                   count:(NSUInteger)count API_AVAILABLE(macos(15.0), ios(18.0));
- (void)removeResidencySet:(id<MTLResidencySet>)residencySet API_AVAILABLE(macos(15.0), ios(18.0));
- (void)removeResidencySets:(const id<MTLResidencySet>[])residencySets
                      count:(NSUInteger)count API_AVAILABLE(macos(15.0), ios(18.0));
@end

#endif
