#ifndef METAL_MTLINDIRECTCOMMANDENCODER_H
#define METAL_MTLINDIRECTCOMMANDENCODER_H

#import <Metal/MTLTypes.h>

/** One command of an indirect command buffer. Set or clear the barrier before the dispatch call. */
API_AVAILABLE(macos(11.0), ios(13.0)) @protocol MTLIndirectComputeCommand <NSObject>
/** The pipeline's descriptor must have had supportIndirectCommandBuffers. */
- (void)setComputePipelineState:(id<MTLComputePipelineState>)pipelineState;
- (void)setKernelBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index;
- (void)concurrentDispatchThreadgroups:(MTLSize)threadgroupsPerGrid threadsPerThreadgroup:(MTLSize)threadsPerThreadgroup;
- (void)concurrentDispatchThreads:(MTLSize)threadsPerGrid threadsPerThreadgroup:(MTLSize)threadsPerThreadgroup;
/** The command waits for all before it; without a barrier commands may overlap. */
- (void)setBarrier;
- (void)clearBarrier;
- (void)setThreadgroupMemoryLength:(NSUInteger)length atIndex:(NSUInteger)index;
/** Back to an empty command, which does nothing. */
- (void)reset;
@end

#endif
