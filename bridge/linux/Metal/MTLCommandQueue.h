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
@end

#endif
