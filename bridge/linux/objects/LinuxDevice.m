#import "LinuxDevice.h"

#import "LinuxBuffer.h"
#import "LinuxCommandQueue.h"
#import "LinuxComputePipelineState.h"
#import "LinuxLibrary.h"
#import "Validation.h"
#include <stdlib.h>

@implementation MTLArchitecture

- (instancetype)initWithName:(NSString *)name {
  self = [super init];
  if (self) _name = [name copy];
  return self;
}

- (void)dealloc {
  [_name release];
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [self retain];
}

- (NSString *)name {
  return _name;
}

@end

/* A queue's default; beyond it `commandBuffer` blocks. */
enum { DefaultMaxCommandBufferCount = 64 };

@implementation LinuxDevice

- (instancetype)initWithDriver:(const Driver *)driver index:(uint32_t)index {
  self = [super init];
  if (!self) return nil;
  _driver = driver;
  _index = index;
  driver->properties(index, &_properties);
  _poisonsPrivateBuffers = getenv("BUN_METAL_CPU_CHECK") != NULL;
  return self;
}

- (NSString *)name {
  return [NSString stringWithUTF8String:_properties.name];
}

- (uint64_t)registryID {
  return _properties.registryID;
}

- (MTLArchitecture *)architecture {
  NSString *name = [NSString stringWithUTF8String:_properties.architecture];
  return [[[MTLArchitecture alloc] initWithName:name] autorelease];
}

- (MTLSize)maxThreadsPerThreadgroup {
  const uint32_t *threads = _properties.maxThreadsPerThreadgroup;
  return MTLSizeMake(threads[0], threads[1], threads[2]);
}

- (BOOL)isLowPower {
  return NO;
}

- (BOOL)isHeadless {
  return YES;
}

- (BOOL)isRemovable {
  return NO;
}

- (MTLDeviceLocation)location {
  return MTLDeviceLocationBuiltIn;
}

- (BOOL)hasUnifiedMemory {
  return _properties.unifiedMemory;
}

- (uint64_t)recommendedMaxWorkingSetSize {
  return _properties.recommendedMaxWorkingSetSize;
}

- (NSUInteger)maxBufferLength {
  return _properties.maxBufferLength;
}

- (NSUInteger)maxThreadgroupMemoryLength {
  return _properties.maxThreadgroupMemoryLength;
}

- (NSUInteger)currentAllocatedSize {
  return atomic_load_explicit(&_allocatedSize, memory_order_relaxed);
}

- (MTLArgumentBuffersTier)argumentBuffersSupport {
  return MTLArgumentBuffersTier1;
}

/* Compute as Apple7 (M1) and Mac2 have it: reductions and simdgroup_matrix, but none of the later families' additions. */
- (BOOL)supportsFamily:(MTLGPUFamily)family {
  switch (family) {
    case MTLGPUFamilyMac1:
    case MTLGPUFamilyMac2:
    case MTLGPUFamilyCommon1:
    case MTLGPUFamilyCommon2:
    case MTLGPUFamilyCommon3:
    case MTLGPUFamilyMetal3: return YES;
    default: return family >= MTLGPUFamilyApple1 && family <= MTLGPUFamilyApple7;
  }
}

- (id<MTLCommandQueue>)newCommandQueue {
  return [self newCommandQueueWithMaxCommandBufferCount:DefaultMaxCommandBufferCount];
}

- (id<MTLCommandQueue>)newCommandQueueWithMaxCommandBufferCount:(NSUInteger)maxCommandBufferCount {
  if (maxCommandBufferCount == 0) raiseRule(RuleQueueLength, "the count is 0");
  return [[LinuxCommandQueue alloc] initWithDevice:self maxCommandBufferCount:maxCommandBufferCount];
}

- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
  return [LinuxBuffer newWithDevice:self length:length options:options];
}

- (id<MTLBuffer>)newBufferWithBytes:(const void *)pointer
                             length:(NSUInteger)length
                            options:(MTLResourceOptions)options {
  return [LinuxBuffer newWithDevice:self bytes:pointer length:length options:options];
}

- (id<MTLBuffer>)newBufferWithBytesNoCopy:(void *)pointer
                                   length:(NSUInteger)length
                                  options:(MTLResourceOptions)options
                              deallocator:(void (^)(void *pointer, NSUInteger length))deallocator {
  return [LinuxBuffer newWithDevice:self bytesNoCopy:pointer length:length options:options deallocator:deallocator];
}

- (id<MTLLibrary>)newDefaultLibrary {
  return nil;
}

- (id<MTLLibrary>)newLibraryWithSource:(NSString *)source options:(MTLCompileOptions *)options error:(NSError **)error {
  if (source == nil) raiseRule(RuleNilArgument, "newLibraryWithSource: got no source");
  return [[LinuxLibrary alloc] initWithDevice:self source:source options:options error:error];
}

- (id<MTLLibrary>)newLibraryWithURL:(NSURL *)url error:(NSError **)error {
  if (url == nil) raiseRule(RuleNilArgument, "newLibraryWithURL: got no URL");
  return [[LinuxLibrary alloc] initWithDevice:self url:url error:error];
}

- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)computeFunction
                                                             error:(NSError **)error {
  return [self newComputePipelineStateWithFunction:computeFunction
                                           options:MTLPipelineOptionNone
                                        reflection:NULL
                                             error:error];
}

- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)computeFunction
                                                           options:(MTLPipelineOption)options
                                                        reflection:(MTLAutoreleasedComputePipelineReflection *)reflection
                                                             error:(NSError **)error {
  MTLComputePipelineDescriptor *descriptor = [[[MTLComputePipelineDescriptor alloc] init] autorelease];
  [descriptor setComputeFunction:computeFunction];
  return [self newComputePipelineStateWithDescriptor:descriptor options:options reflection:reflection error:error];
}

- (id<MTLComputePipelineState>)newComputePipelineStateWithDescriptor:(MTLComputePipelineDescriptor *)descriptor
                                                             options:(MTLPipelineOption)options
                                                          reflection:(MTLAutoreleasedComputePipelineReflection *)reflection
                                                               error:(NSError **)error {
  if (descriptor == nil) raiseRule(RuleNilArgument, "newComputePipelineStateWithDescriptor: got no descriptor");
  LinuxComputePipelineState *state =
      [[LinuxComputePipelineState alloc] initWithDevice:self descriptor:descriptor error:error];
  if (state != nil && reflection != NULL && (options & MTLPipelineOptionBindingInfo)) *reflection = [state reflection];
  return state;
}

@end
