#import "pipeline.h"

#import "export.h"
#import "handle.h"
#import "library.h"

#include <stdio.h>

/* What the oldest system lacks is guarded by respondsToSelector: or a weak symbol: @available needs compiler-rt's
 * Darwin part, which a cross build does not have. */
#pragma clang diagnostic ignored "-Wunguarded-availability-new"

@implementation BunMetalPipeline

- (id)initWithPipeline:(id<MTLComputePipelineState>)pipeline
            reflection:(MTLComputePipelineReflection *)reflection
              function:(NSString *)functionName
                device:(BunMetalDevice *)owner {
  self = [super init];
  if (!self) return nil;
  metal = [pipeline retain];
  device = [owner retain];
  name = [functionName copy];
  // Before macOS 13 and iOS 16 there are no bindings: then nothing is known, and Metal alone does the checking.
  @try {
    if ([reflection respondsToSelector:@selector(bindings)]) [self readBindings:[reflection bindings]];
  } @catch (...) {
    [self release];
    @throw;
  }
  return self;
}

- (void)readBindings:(NSArray<id<MTLBinding>> *)bindings {
  for (NSUInteger i = 0; i < [bindings count]; i++) {
    id<MTLBinding> binding = [bindings objectAtIndex:i];
    if (![binding isUsed]) continue;
    NSUInteger index = [binding index];
    if ([binding type] == MTLBindingTypeThreadgroupMemory && index < BridgeMostThreadgroupMemories) {
      usesThreadgroupMemory[index] = true;
    } else if ([binding type] == MTLBindingTypeBuffer && index < BridgeMostBuffers) {
      id<MTLBufferBinding> buffer = (id<MTLBufferBinding>)binding;
      PipelineArgument *argument = &buffers[index];
      const char *text = [[binding name] UTF8String];
      argument->isUsed = true;
      argument->isWritable = [binding access] != MTLBindingAccessReadOnly;
      argument->alignment = [buffer bufferAlignment];
      argument->dataSize = [buffer bufferDataSize];
      snprintf(argument->name, sizeof argument->name, "%s", text ? text : "");
    }
  }
}

- (void)dealloc {
  [cache release];
  [metal release];
  [device release];
  [name release];
  [super dealloc];
}

@end

BunMetalPipeline *bridgePipelineRetain(bm_handle handle) {
  return bridgeHandleRetain(handle, BM_KIND_PIPELINE);
}

/* The descriptor of a function's pipeline. +1. */
static MTLComputePipelineDescriptor *newDescriptor(id<MTLFunction> function, bool isIndirect) {
  MTLComputePipelineDescriptor *descriptor = [[MTLComputePipelineDescriptor alloc] init];
  [descriptor setComputeFunction:function];
  [descriptor setLabel:[function name]];
  if (isIndirect) [descriptor setSupportIndirectCommandBuffers:YES];
  return descriptor;
}

/* nil with Metal's error. +1. */
static id<MTLComputePipelineState> newState(const BunMetalLibrary *library, MTLComputePipelineDescriptor *descriptor,
                                            MTLComputePipelineReflection **reflection, NSError **error) {
  id<MTLDevice> device = library->device->metal;
  MTLPipelineOption options = MTLPipelineOptionBindingInfo | MTLPipelineOptionBufferTypeInfo;
  if (library->cache) return bridgeShaderCachePipeline(library->cache, device, descriptor, options, reflection, error);
  return [device newComputePipelineStateWithDescriptor:descriptor options:options reflection:reflection error:error];
}

/* The function's pipeline object; nil with the error set. +1. */
static BunMetalPipeline *newPipeline(BunMetalLibrary *library, id<MTLFunction> function, NSString *name) {
  MTLComputePipelineReflection *reflection = nil;
  NSError *error = nil;
  bool isIndirect = bridgeUses(library->device, BM_FEATURE_INDIRECT_COMMANDS);
  BRIDGE_PINNED(MTLComputePipelineDescriptor) descriptor = newDescriptor(function, isIndirect);
  id<MTLComputePipelineState> pipeline = newState(library, descriptor, &reflection, &error);
  if (!pipeline && isIndirect) {
    // Some kernels cannot be indirect commands; programs with them are encoded each time.
    BRIDGE_PINNED(MTLComputePipelineDescriptor) direct = newDescriptor(function, false);
    pipeline = newState(library, direct, &reflection, &error);
  }
  if (!pipeline) {
    bridgeFail(BM_ERROR_UNSUPPORTED, "Function \"%s\" cannot run on this device: %s", [name UTF8String],
               bridgeErrorText(error));
    return nil;
  }
  BRIDGE_PINNED(NSObject<MTLComputePipelineState>) pinned = (NSObject<MTLComputePipelineState> *)pipeline;
  if ([pinned maxTotalThreadsPerThreadgroup] == 0) {
    bridgeFail(BM_ERROR_UNSUPPORTED, "Function \"%s\" cannot run on this device: it fits no thread", [name UTF8String]);
    return nil;
  }
  BunMetalPipeline *object = [[BunMetalPipeline alloc] initWithPipeline:pipeline
                                                             reflection:reflection
                                                               function:name
                                                                 device:library->device];
  if (!object) bridgeFail(BM_ERROR_MEMORY, "There is no memory left for a pipeline object");
  if (object) object->cache = [library->cache retain];
  return object;
}

bm_handle bm_pipeline_new(bm_handle handle, const char *functionName) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalLibrary) library = bridgeLibraryRetain(handle);
  if (!library) return 0;
  NSString *name = functionName ? [NSString stringWithUTF8String:functionName] : nil;
  if (!name) {
    bridgeFail(BM_ERROR_ARGUMENT, "The name of a function is %s", functionName ? "not UTF-8" : "NULL");
    return 0;
  }
  BRIDGE_PINNED(NSObject<MTLFunction>) function = (NSObject<MTLFunction> *)[library->metal newFunctionWithName:name];
  if (!function) {
    bridgeFail(BM_ERROR_NOT_FOUND, "The library has no function \"%s\": it has \"%u\" others", functionName,
               (uint32_t)[[library->metal functionNames] count]);
    return 0;
  }
  if ([function functionType] != MTLFunctionTypeKernel) {
    bridgeFail(BM_ERROR_UNSUPPORTED, "Function \"%s\" is not a kernel", functionName);
    return 0;
  }
  BunMetalPipeline *pipeline = newPipeline(library, function, name);
  return pipeline ? bridgeHandleNew(pipeline, BM_KIND_PIPELINE) : 0;
  BRIDGE_LEAVE(0)
}

bm_status bm_pipeline_numbers(bm_handle handle, double *numbers, uint32_t capacity) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalPipeline) pipeline = bridgePipelineRetain(handle);
  if (!pipeline) return bm_error_code();
  if (!numbers) return bridgeFail(BM_ERROR_ARGUMENT, "The numbers of a pipeline cannot be written to NULL");
  const double all[BM_PIPELINE_NUMBER_COUNT] = {
      [BM_PIPELINE_MAX_THREADS] = (double)[pipeline->metal maxTotalThreadsPerThreadgroup],
      [BM_PIPELINE_EXECUTION_WIDTH] = (double)[pipeline->metal threadExecutionWidth],
      [BM_PIPELINE_THREADGROUP_MEMORY] = (double)[pipeline->metal staticThreadgroupMemoryLength],
  };
  for (uint32_t i = 0; i < capacity && i < BM_PIPELINE_NUMBER_COUNT; i++) numbers[i] = all[i];
  return BM_OK;
  BRIDGE_LEAVE(status)
}
