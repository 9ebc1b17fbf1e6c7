/* pipeline.h: a compute pipeline, and what its function needs bound. */
#ifndef BRIDGE_PIPELINE_H
#define BRIDGE_PIPELINE_H

#import <Metal/Metal.h>
#include <stdbool.h>

#include "bun_metal.h"
#import "device.h"
#import "shader_cache.h"

/** Metal's argument tables. */
enum { BridgeMostBuffers = 31, BridgeMostThreadgroupMemories = 31 };

/** One argument of the function, as reflection tells it. */
typedef struct PipelineArgument {
  bool isUsed;
  bool isWritable;
  uint64_t alignment; /* bytes; of an offset */
  uint64_t dataSize;  /* bytes of one element: the least that must be bound */
  char name[64];      /* cut where longer; for messages */
} PipelineArgument;

@interface BunMetalPipeline : NSObject {
 @public
  id<MTLComputePipelineState> metal;
  BunMetalDevice *device;
  BunMetalShaderCache *cache; /* that it came from; nil for none */
  NSString *name; /* of the function */
  PipelineArgument buffers[BridgeMostBuffers];
  bool usesThreadgroupMemory[BridgeMostThreadgroupMemories];
}
@end

/** The pipeline of a handle, retained; nil with the error set. */
BunMetalPipeline *bridgePipelineRetain(bm_handle handle);

#endif
