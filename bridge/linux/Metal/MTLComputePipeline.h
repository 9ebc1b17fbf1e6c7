#ifndef METAL_MTLCOMPUTEPIPELINE_H
#define METAL_MTLCOMPUTEPIPELINE_H

#import <Metal/MTLArgument.h>
#import <Metal/MTLBinaryArchive.h>
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
@property (readonly) NSArray<id<MTLBinding>> *bindings API_AVAILABLE(macos(13.0), ios(16.0));
@end

typedef MTLComputePipelineReflection *MTLAutoreleasedComputePipelineReflection;

@interface MTLComputePipelineDescriptor : NSObject <NSCopying> {
  NSString *_label;
  id<MTLFunction> _computeFunction;
  BOOL _threadGroupSizeIsMultipleOfThreadExecutionWidth;
  NSUInteger _maxTotalThreadsPerThreadgroup;
  BOOL _supportIndirectCommandBuffers;
  NSArray *_binaryArchives;
}
@property (copy, nonatomic) NSString *label;
@property (readwrite, retain, nonatomic) id<MTLFunction> computeFunction;
@property (readwrite, nonatomic) BOOL threadGroupSizeIsMultipleOfThreadExecutionWidth;
/** 0: not set. */
@property (readwrite, nonatomic) NSUInteger maxTotalThreadsPerThreadgroup;
@property (readwrite, nonatomic) BOOL supportIndirectCommandBuffers API_AVAILABLE(macos(11.0), ios(13.0));
/** Where the pipeline's code is looked for before it is compiled. */
@property (readwrite, copy, nonatomic) NSArray<id<MTLBinaryArchive>> *binaryArchives API_AVAILABLE(macos(11.0), ios(14.0));
- (void)reset;
@end

@protocol MTLComputePipelineState <MTLAllocation>
@property (readonly) NSString *label;
@property (readonly) id<MTLDevice> device;
/** Of the compiled kernel; may be below the device's limit. */
@property (readonly) NSUInteger maxTotalThreadsPerThreadgroup;
@property (readonly) NSUInteger threadExecutionWidth;
@property (readonly) NSUInteger staticThreadgroupMemoryLength;
@property (readonly) BOOL supportIndirectCommandBuffers API_AVAILABLE(macos(11.0), ios(13.0));
@end

#endif
