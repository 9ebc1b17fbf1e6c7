#ifndef METAL_MTLINDIRECTCOMMANDBUFFER_H
#define METAL_MTLINDIRECTCOMMANDBUFFER_H

#import <Metal/MTLIndirectCommandEncoder.h>
#import <Metal/MTLResource.h>

typedef NS_OPTIONS(NSUInteger, MTLIndirectCommandType) {
  MTLIndirectCommandTypeDraw = 1,
  MTLIndirectCommandTypeDrawIndexed = 2,
  MTLIndirectCommandTypeDrawPatches = 4,
  MTLIndirectCommandTypeDrawIndexedPatches = 8,
  MTLIndirectCommandTypeConcurrentDispatch = 32,
  MTLIndirectCommandTypeConcurrentDispatchThreads = 64,
  MTLIndirectCommandTypeDrawMeshThreadgroups = 128,
  MTLIndirectCommandTypeDrawMeshThreads = 256,
};

typedef struct {
  uint32_t location;
  uint32_t length;
} MTLIndirectCommandBufferExecutionRange;

@interface MTLIndirectCommandBufferDescriptor : NSObject <NSCopying> {
  MTLIndirectCommandType _commandTypes;
  BOOL _inheritPipelineState;
  BOOL _inheritBuffers;
  NSUInteger _maxVertexBufferBindCount;
  NSUInteger _maxFragmentBufferBindCount;
  NSUInteger _maxKernelBufferBindCount;
  NSUInteger _maxKernelThreadgroupMemoryBindCount;
}
@property (readwrite, nonatomic) MTLIndirectCommandType commandTypes;
/** Commands run with the pipeline of the encoder that executes them. */
@property (readwrite, nonatomic) BOOL inheritPipelineState API_AVAILABLE(macos(10.14), ios(13.0));
/** Commands run with the buffers of the encoder that executes them. */
@property (readwrite, nonatomic) BOOL inheritBuffers;
@property (readwrite, nonatomic) NSUInteger maxVertexBufferBindCount;
@property (readwrite, nonatomic) NSUInteger maxFragmentBufferBindCount;
@property (readwrite, nonatomic) NSUInteger maxKernelBufferBindCount API_AVAILABLE(macos(11.0), ios(13.0));
/** 31 unless set. */
@property (readwrite, nonatomic) NSUInteger maxKernelThreadgroupMemoryBindCount API_AVAILABLE(macos(14.0), ios(17.0));
@end

/**
 * Commands that are encoded once and executed often. It retains nothing that its commands use, and does not make it
 * resident. Executing takes no copy: a command must not change while an execution is in flight.
 */
@protocol MTLIndirectCommandBuffer <MTLResource>
/** Commands that it has room for. */
@property (readonly) NSUInteger size;
@property (readonly) MTLResourceID gpuResourceID API_AVAILABLE(macos(13.0), ios(16.0));
- (void)resetWithRange:(NSRange)range;
/** +0. */
- (id<MTLIndirectComputeCommand>)indirectComputeCommandAtIndex:(NSUInteger)commandIndex
    API_AVAILABLE(macos(11.0), ios(13.0));
@end

#endif
