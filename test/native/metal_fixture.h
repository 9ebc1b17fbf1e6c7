/*
 * metal_fixture.h: a device, a queue and kernels for tests of the Metal layer.
 */
#ifndef TEST_NATIVE_METAL_FIXTURE_H
#define TEST_NATIVE_METAL_FIXTURE_H

#import <Metal/Metal.h>
#import <Foundation/NSStatistics.h>
#import <Metal/LinuxChecks.h>

#import "check.h"

#include <semaphore.h>

static NSString *const source =
    @"#include <metal_stdlib>\n"
    @"using namespace metal;\n"
    @"kernel void add_one(device uint *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] += 1; }\n"
    @"kernel void twice(device uint *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] *= 2; }\n"
    @"kernel void offset(device uint *x [[buffer(0)]], constant uint &by [[buffer(1)]],\n"
    @"                   uint i [[thread_position_in_grid]]) { x[i] += by; }\n"
    @"kernel void slow(device uint *x [[buffer(0)]]) {\n"
    @"  uint v = x[0];\n"
    @"  for (uint i = 0; i < 50000000; i++) v = v * 1664525u + 1013904223u;\n"
    @"  x[0] = v | 1;\n"
    @"}\n"
    @"kernel void staged(device uint *x [[buffer(0)]], threadgroup uint *memory [[threadgroup(0)]],\n"
    @"                   uint i [[thread_index_in_threadgroup]]) {\n"
    @"  memory[i] = x[i];\n"
    @"  threadgroup_barrier(mem_flags::mem_threadgroup);\n"
    @"  x[i] = memory[31 - i];\n"
    @"}\n";

static id<MTLDevice> device;
static id<MTLLibrary> library;
static id<MTLCommandQueue> queue;

/* A pipeline that supports indirect commands, or not. */
static inline id<MTLComputePipelineState> newPipelineFor(NSString *name, BOOL isIndirect) {
  id<MTLFunction> function = [library newFunctionWithName:name];
  MTLComputePipelineDescriptor *descriptor = [[MTLComputePipelineDescriptor alloc] init];
  [descriptor setLabel:name];
  [descriptor setComputeFunction:function];
  [descriptor setSupportIndirectCommandBuffers:isIndirect];
  id<MTLComputePipelineState> pipeline = [device newComputePipelineStateWithDescriptor:descriptor
                                                                               options:MTLPipelineOptionNone
                                                                            reflection:NULL
                                                                                 error:NULL];
  [descriptor release];
  [function release];
  return pipeline;
}

static inline id<MTLBuffer> newBuffer(NSUInteger length) {
  return [device newBufferWithLength:length options:MTLResourceStorageModeShared];
}

static inline uint32_t numberIn(id<MTLBuffer> buffer, NSUInteger index) {
  return ((const uint32_t *)[buffer contents])[index];
}

static inline bool openFixture(void) {
  device = MTLCreateSystemDefaultDevice();
  NSError *error = nil;
  library = [device newLibraryWithSource:source options:nil error:&error];
  if (!library) printf("cannot compile: %s\n", [[error localizedDescription] UTF8String]);
  queue = [device newCommandQueue];
  return library != nil;
}

static inline void closeFixture(void) {
  [queue release];
  [library release];
  [device release];
}

/* Keeps a command buffer in flight from its commit until letRun: whatever is checked between has all the time it needs. */
static sem_t mayRun;

static inline void holdInFlight(id<MTLCommandBuffer> commands) {
  sem_init(&mayRun, 0, 0);
  [commands addScheduledHandler:^(id<MTLCommandBuffer> scheduled) {
    (void)scheduled;
    sem_wait(&mayRun);
  }];
}

static inline void letRun(void) {
  sem_post(&mayRun);
}

#endif
