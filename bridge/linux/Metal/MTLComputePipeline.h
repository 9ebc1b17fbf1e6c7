#ifndef METAL_MTLCOMPUTEPIPELINE_H
#define METAL_MTLCOMPUTEPIPELINE_H

#import <Metal/MTLArgument.h>
#import <Metal/MTLResource.h>

typedef NS_OPTIONS(NSUInteger, MTLPipelineOption) {
  MTLPipelineOptionNone = 0,
  MTLPipelineOptionBindingInfo = 1,
  MTLPipelineOptionArgumentInfo = 1,
  MTLPipelineOptionBufferTypeInfo = 2,
  MTLPipelineOptionFailOnBinaryArchiveMiss = 4,
};

@interface MTLComputePipelineReflection : NSObject {
  NSArray *_bindings;
}
@property (readonly) NSArray<id<MTLBinding>> *bindings;
@end

typedef MTLComputePipelineReflection *MTLAutoreleasedComputePipelineReflection;

@interface MTLComputePipelineDescriptor : NSObject <NSCopying> {
  NSString *_label;
  id<MTLFunction> _computeFunction;
  BOOL _threadGroupSizeIsMultipleOfThreadExecutionWidth;
  NSUInteger _maxTotalThreadsPerThreadgroup;
}
@property (copy, nonatomic) NSString *label;
@property (readwrite, retain, nonatomic) id<MTLFunction> computeFunction;
@property (readwrite, nonatomic) BOOL threadGroupSizeIsMultipleOfThreadExecutionWidth;
/** 0: not set. */
@property (readwrite, nonatomic) NSUInteger maxTotalThreadsPerThreadgroup;
- (void)reset;
@end

@protocol MTLComputePipelineState <MTLAllocation>
@property (readonly) NSString *label;
@property (readonly) id<MTLDevice> device;
/** Of the compiled kernel; may be below the device's limit. */
@property (readonly) NSUInteger maxTotalThreadsPerThreadgroup;
@property (readonly) NSUInteger threadExecutionWidth;
@property (readonly) NSUInteger staticThreadgroupMemoryLength;
@property (readonly) BOOL supportIndirectCommandBuffers;
@end

#endif
