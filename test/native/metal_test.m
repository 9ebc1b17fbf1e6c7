/*
 * Metal for Linux against Apple's documentation (values_test.m has the numbers): ownership, validation rules, command
 * buffers and handlers.
 * What each rule is named for is in metal's documentation; here each must raise, and the device must work afterwards.
 */
#import <Metal/Metal.h>
#import <Foundation/NSStatistics.h>

#include <stdatomic.h>
#include <unistd.h>

#import "check.h"

static NSString *const source =
    @"#include <metal_stdlib>\n"
    @"using namespace metal;\n"
    @"kernel void add_one(device uint *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] += 1; }\n"
    @"kernel void scale(device float *x [[buffer(0)]], constant float4 &by [[buffer(1)]],\n"
    @"                  uint i [[thread_position_in_grid]]) { x[i] *= by.x; }\n"
    @"kernel void staged(device uint *x [[buffer(0)]], threadgroup uint *memory [[threadgroup(0)]],\n"
    @"                   uint i [[thread_index_in_threadgroup]]) {\n"
    @"  memory[i] = x[i];\n"
    @"  threadgroup_barrier(mem_flags::mem_threadgroup);\n"
    @"  x[i] = memory[31 - i];\n"
    @"}\n"
    @"[[max_total_threads_per_threadgroup(64)]] kernel void narrow(device uint *x [[buffer(0)]]) { x[0] = 1; }\n";

static id<MTLDevice> device;
static id<MTLLibrary> library;
static id<MTLCommandQueue> queue;

static id<MTLComputePipelineState> newPipeline(NSString *name) {
  id<MTLFunction> function = [library newFunctionWithName:name];
  NSError *error = nil;
  id<MTLComputePipelineState> pipeline = [device newComputePipelineStateWithFunction:function error:&error];
  [function release];
  return pipeline;
}

static id<MTLBuffer> newBuffer(NSUInteger length) {
  return [device newBufferWithLength:length options:MTLResourceStorageModeShared];
}

static void devicesAreListed(void) {
  NSArray *all = MTLCopyAllDevices();
  CHECK([all count] >= 1);
  CHECK([[device name] length] > 0);
  CHECK([[[device architecture] name] length] > 0);
  CHECK([device supportsFamily:MTLGPUFamilyApple7]);
  CHECK(![device supportsFamily:MTLGPUFamilyMac2]);
  CHECK([device maxThreadgroupMemoryLength] >= 32768 && [device maxThreadgroupMemoryLength] % 16 == 0);
  CHECK_NUMBER([device maxThreadsPerThreadgroup].width, 1024);
  [all release];
}

static void buffersKeepTheirRules(void) {
  id<MTLBuffer> shared = newBuffer(1000);
  const unsigned char *bytes = [shared contents];
  bool isZero = true;
  for (int i = 0; i < 1000; i++) isZero = isZero && bytes[i] == 0;
  CHECK(isZero);
  CHECK_NUMBER([shared length], 1000);
  CHECK_NUMBER([shared hazardTrackingMode], MTLHazardTrackingModeTracked);
  id<MTLBuffer> private = [device newBufferWithLength:16 options:MTLResourceStorageModePrivate];
  CHECK([private contents] == NULL);
  CHECK_NUMBER([private storageMode], MTLStorageModePrivate);
  CHECK([device currentAllocatedSize] >= 1016);
  [private release];
  [shared release];
  CHECK_RAISES("MTLBufferLength", newBuffer(0));
  CHECK_RAISES("MTLBufferLength", newBuffer([device maxBufferLength] + 1));
  CHECK_RAISES("MTLBufferBytes", [device newBufferWithBytes:NULL length:4 options:0]);
  CHECK_RAISES("MTLStorageMode", [device newBufferWithBytes:"bytes" length:4 options:MTLResourceStorageModePrivate]);
  CHECK_RAISES("MTLStorageMode", [device newBufferWithLength:4 options:MTLResourceStorageModeManaged]);
  CHECK_RAISES("MTLStorageMode", [device newBufferWithLength:4 options:MTLResourceStorageModeMemoryless]);
}

static void memoryOfTheCallerIsNotCopied(void) {
  NSUInteger page = (NSUInteger)getpagesize();
  void *memory = NULL;
  CHECK_NUMBER(posix_memalign(&memory, page, 2 * page), 0);
  __block int calls = 0;
  id<MTLBuffer> buffer = [device newBufferWithBytesNoCopy:memory
                                                   length:2 * page
                                                  options:MTLResourceStorageModeShared
                                              deallocator:^(void *pointer, NSUInteger length) {
                                                calls += pointer == memory && length == 2 * page ? 1 : 100;
                                              }];
  CHECK([buffer contents] == memory);
  [buffer retain];
  [buffer release];
  CHECK_NUMBER(calls, 0);
  [buffer release];
  CHECK_NUMBER(calls, 1);
  CHECK_RAISES("MTLBufferNoCopy", [device newBufferWithBytesNoCopy:(char *)memory + 16 length:page options:0 deallocator:nil]);
  CHECK_RAISES("MTLBufferNoCopy", [device newBufferWithBytesNoCopy:memory length:page + 4 options:0 deallocator:nil]);
  CHECK_RAISES("MTLBufferNoCopy", [device newBufferWithBytesNoCopy:memory
                                                            length:page
                                                           options:MTLResourceStorageModePrivate
                                                       deallocator:nil]);
  free(memory);
}

static void librariesSayWhatIsWrong(void) {
  NSError *error = nil;
  id<MTLLibrary> wrong = [device newLibraryWithSource:@"kernel void f(device float *x [[buffer(0)]]) { y = 1; }"
                                              options:nil
                                                error:&error];
  CHECK(wrong == nil);
  CHECK([[error domain] isEqualToString:MTLLibraryErrorDomain]);
  CHECK_NUMBER([error code], MTLLibraryErrorCompileFailure);
  CHECK(strstr([[error localizedDescription] UTF8String], ":1:") != NULL);
  error = nil;
  CHECK([device newLibraryWithURL:[NSURL fileURLWithPath:@"/nowhere/at.all"] error:&error] == nil);
  CHECK_NUMBER([error code], MTLLibraryErrorFileNotFound);
  CHECK([library newFunctionWithName:@"absent"] == nil);
  CHECK_NUMBER([[library functionNames] count], 4);
  CHECK_RAISES("MTLLibrarySource", [device newLibraryWithSource:nil options:nil error:NULL]);
  CHECK_RAISES("MTLPipelineFunction", [device newComputePipelineStateWithFunction:nil error:NULL]);
}

static void reflectionNamesTheArguments(void) {
  id<MTLFunction> function = [library newFunctionWithName:@"scale"];
  MTLComputePipelineReflection *reflection = nil;
  id<MTLComputePipelineState> pipeline = [device newComputePipelineStateWithFunction:function
                                                                             options:MTLPipelineOptionBindingInfo
                                                                          reflection:&reflection
                                                                               error:NULL];
  CHECK_NUMBER([[reflection bindings] count], 2);
  id<MTLBufferBinding> by = (id<MTLBufferBinding>)[[reflection bindings] objectAtIndex:1];
  CHECK_TEXT([[by name] UTF8String], "by");
  CHECK_NUMBER([by type], MTLBindingTypeBuffer);
  CHECK_NUMBER([by access], MTLBindingAccessReadOnly);
  CHECK_NUMBER([by index], 1);
  CHECK_NUMBER([by bufferDataSize], 16);
  CHECK_NUMBER([[[reflection bindings] objectAtIndex:0] access], MTLBindingAccessReadWrite);
  CHECK_NUMBER([pipeline threadExecutionWidth], 32);
  [pipeline release];
  [function release];
}

static void commandBuffersKeepTheirRules(void) {
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  CHECK_RAISES("MTLCommandBufferNotCommitted", [commands waitUntilCompleted]);
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  CHECK_RAISES("MTLCommandEncoderOpen", [commands blitCommandEncoder]);
  CHECK_RAISES("MTLCommandEncoderOpen", [commands commit]);
  [encoder endEncoding];
  CHECK_RAISES("MTLCommandEncoderEnded", [encoder endEncoding]);
  CHECK_RAISES("MTLCommandEncoderEnded", [encoder memoryBarrierWithScope:MTLBarrierScopeBuffers]);
  CHECK_RAISES("MTLCommandBufferHandler", [commands addCompletedHandler:nil]);
  [commands commit];
  CHECK_RAISES("MTLCommandBufferCommitted", [commands commit]);
  CHECK_RAISES("MTLCommandBufferCommitted", [commands computeCommandEncoder]);
  CHECK_RAISES("MTLCommandBufferCommitted", [commands addCompletedHandler:^(id<MTLCommandBuffer> done) { (void)done; }]);
  [commands waitUntilCompleted];
  CHECK_NUMBER([commands status], MTLCommandBufferStatusCompleted);
  CHECK([commands error] == nil);
  CHECK([commands GPUEndTime] >= [commands GPUStartTime]);
  CHECK_RAISES("MTLCommandBufferCount", [device newCommandQueueWithMaxCommandBufferCount:0]);
}

static void lostEncodersAreToldAtCommit(void) {
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  @autoreleasepool {
    [commands computeCommandEncoder]; // released without endEncoding
  }
  CHECK_RAISES("MTLCommandEncoderNotEnded", [commands commit]);
}

/* Encodes into a new command buffer that is dropped afterwards. */
#define CHECK_ENCODING_RAISES(name, statement)                                \
  do {                                                                        \
    id<MTLCommandBuffer> commands = [queue commandBuffer];                    \
    id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];  \
    CHECK_RAISES(name, statement);                                            \
    [encoder endEncoding];                                                    \
  } while (0)

static void bindPastTheEnd(id<MTLComputeCommandEncoder> encoder, id<MTLBuffer> buffer) {
  CHECK_RAISES("MTLBufferOffset", [encoder setBuffer:buffer offset:[buffer length] atIndex:0]);
}

static void dispatchesKeepTheirRules(void) {
  id<MTLComputePipelineState> addOne = newPipeline(@"add_one"), scale = newPipeline(@"scale");
  id<MTLComputePipelineState> staged = newPipeline(@"staged"), narrow = newPipeline(@"narrow");
  id<MTLBuffer> buffer = newBuffer(256);
  MTLSize one = MTLSizeMake(1, 1, 1);
  float four[4] = {2, 0, 0, 0};
#define SETUP(pipeline) [encoder setComputePipelineState:pipeline], [encoder setBuffer:buffer offset:0 atIndex:0]
#define GO(grid, size) [encoder dispatchThreadgroups:grid threadsPerThreadgroup:size]
  CHECK_ENCODING_RAISES("MTLPipelineState", GO(one, one));
  CHECK_ENCODING_RAISES("MTLPipelineState", [encoder setComputePipelineState:nil]);
  CHECK_ENCODING_RAISES("MTLBufferBinding", ([encoder setComputePipelineState:addOne], GO(one, one)));
  CHECK_ENCODING_RAISES("MTLBufferIndex", [encoder setBuffer:buffer offset:0 atIndex:31]);
  CHECK_ENCODING_RAISES("MTLBufferOffset", [encoder setBuffer:buffer offset:256 atIndex:0]);
  CHECK_ENCODING_RAISES("MTLBufferBinding", [encoder setBufferOffset:4 atIndex:3]);
  CHECK_ENCODING_RAISES("MTLBufferOffset",
                        ([encoder setComputePipelineState:addOne], [encoder setBuffer:buffer offset:2 atIndex:0], GO(one, one)));
  CHECK_ENCODING_RAISES("MTLSetBytes", [encoder setBytes:NULL length:4 atIndex:0]);
  CHECK_ENCODING_RAISES("MTLSetBytes", [encoder setBytes:four length:0 atIndex:0]);
  CHECK_ENCODING_RAISES("MTLSetBytes", [encoder setBytes:four length:4097 atIndex:0]);
  CHECK_ENCODING_RAISES("MTLSetBytes", ([encoder setComputePipelineState:addOne],
                                        [encoder setBytes:four length:16 atIndex:0], GO(one, one)));
  CHECK_ENCODING_RAISES("MTLBufferLength", (SETUP(scale), [encoder setBytes:four length:8 atIndex:1], GO(one, one)));
  CHECK_ENCODING_RAISES("MTLGrid", (SETUP(addOne), GO(MTLSizeMake(1, 0, 1), one)));
  CHECK_ENCODING_RAISES("MTLGrid", (SETUP(addOne), GO(MTLSizeMake(1ul << 33, 1, 1), one)));
  CHECK_ENCODING_RAISES("MTLThreadsPerThreadgroup", (SETUP(addOne), GO(one, MTLSizeMake(0, 1, 1))));
  CHECK_ENCODING_RAISES("MTLThreadsPerThreadgroup", (SETUP(addOne), GO(one, MTLSizeMake(1025, 1, 1))));
  CHECK_ENCODING_RAISES("MTLThreadsPerThreadgroup", (SETUP(addOne), GO(one, MTLSizeMake(64, 32, 1))));
  CHECK_ENCODING_RAISES("MTLThreadsPerThreadgroup", (SETUP(narrow), GO(one, MTLSizeMake(65, 1, 1))));
  CHECK_ENCODING_RAISES("MTLThreadgroupMemoryLength", (SETUP(staged), GO(one, MTLSizeMake(32, 1, 1))));
  CHECK_ENCODING_RAISES("MTLThreadgroupMemoryLength", [encoder setThreadgroupMemoryLength:8 atIndex:0]);
  const NSUInteger most = [device maxThreadgroupMemoryLength];
  CHECK_ENCODING_RAISES("MTLThreadgroupMemoryLength", [encoder setThreadgroupMemoryLength:most + 16 atIndex:0]);
  CHECK_ENCODING_RAISES("MTLThreadgroupMemoryLength",
                        (SETUP(staged), [encoder setThreadgroupMemoryLength:most atIndex:0],
                         [encoder setThreadgroupMemoryLength:16 atIndex:1], GO(one, MTLSizeMake(32, 1, 1))));
  // A binding that was refused changes nothing: the bytes are still there, and still cannot be written.
  CHECK_ENCODING_RAISES("MTLSetBytes", ([encoder setComputePipelineState:addOne], [encoder setBytes:four length:16 atIndex:0],
                                        bindPastTheEnd(encoder, buffer), GO(one, one)));
  CHECK_ENCODING_RAISES("MTLBarrierScope", [encoder memoryBarrierWithScope:MTLBarrierScopeRenderTargets]);
  [buffer release];
  [addOne release], [scale release], [staged release], [narrow release];
}

static void blitsKeepTheirRules(void) {
  id<MTLBuffer> buffer = newBuffer(64), other = newBuffer(32);
#define CHECK_BLIT_RAISES(name, statement)                          \
  do {                                                              \
    id<MTLCommandBuffer> commands = [queue commandBuffer];          \
    id<MTLBlitCommandEncoder> encoder = [commands blitCommandEncoder]; \
    CHECK_RAISES(name, statement);                                  \
    [encoder endEncoding];                                          \
  } while (0)
#define COPY(from, to, bytes) \
  [encoder copyFromBuffer:buffer sourceOffset:from toBuffer:other destinationOffset:to size:bytes]
  CHECK_BLIT_RAISES("MTLBlitLength", COPY(0, 0, 0));
  CHECK_BLIT_RAISES("MTLBlitAlignment", COPY(2, 0, 4));
  CHECK_BLIT_RAISES("MTLBlitAlignment", COPY(0, 0, 6));
  CHECK_BLIT_RAISES("MTLBlitRange", COPY(0, 0, 36));
  CHECK_BLIT_RAISES("MTLBlitRange", COPY(64, 0, 4));
  CHECK_BLIT_RAISES("MTLBlitBuffer",
                    [encoder copyFromBuffer:nil sourceOffset:0 toBuffer:other destinationOffset:0 size:4]);
  CHECK_BLIT_RAISES("MTLBlitOverlap",
                    [encoder copyFromBuffer:buffer sourceOffset:0 toBuffer:buffer destinationOffset:8 size:12]);
  CHECK_BLIT_RAISES("MTLBlitLength", [encoder fillBuffer:buffer range:NSMakeRange(0, 0) value:1]);
  CHECK_BLIT_RAISES("MTLBlitRange", [encoder fillBuffer:buffer range:NSMakeRange(60, 8) value:1]);
  [buffer release], [other release];
}

static void commandsRunInOrder(void) {
  id<MTLComputePipelineState> addOne = newPipeline(@"add_one"), staged = newPipeline(@"staged");
  id<MTLBuffer> numbers = newBuffer(128), copy = newBuffer(128);
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLBlitCommandEncoder> blit = [commands blitCommandEncoder];
  [blit fillBuffer:numbers range:NSMakeRange(0, 64) value:1];
  [blit endEncoding];
  id<MTLComputeCommandEncoder> compute = [commands computeCommandEncoder];
  [compute setComputePipelineState:addOne];
  [compute setBuffer:numbers offset:0 atIndex:0];
  [compute dispatchThreads:MTLSizeMake(20, 1, 1) threadsPerThreadgroup:MTLSizeMake(8, 1, 1)];
  [compute dispatchThreadgroups:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(4, 1, 1)];
  [compute setComputePipelineState:staged];
  [compute setThreadgroupMemoryLength:128 atIndex:0];
  [compute dispatchThreadgroups:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [compute endEncoding];
  blit = [commands blitCommandEncoder];
  [blit copyFromBuffer:numbers sourceOffset:0 toBuffer:copy destinationOffset:0 size:128];
  [blit endEncoding];
  [commands commit];
  [commands waitUntilCompleted];
  const uint32_t *result = [copy contents];
  for (uint32_t i = 0; i < 32; i++) {
    uint32_t at = 31 - i;
    uint32_t expected = (at < 16 ? 0x01010101u : 0) + (at < 20 ? 1 : 0) + (at < 4 ? 1 : 0);
    CHECK_NUMBER(result[i], expected);
  }
  [numbers release], [copy release], [addOne release], [staged release];
}

static void handlersRunInOrderWithoutAPool(void) {
  enum { Count = 200 };
  static atomic_int next, wrong;
  atomic_store(&next, 0);
  atomic_store(&wrong, 0);
  id<MTLCommandBuffer> last = nil;
  for (int i = 0; i < Count; i++) {
    @autoreleasepool {
      id<MTLCommandBuffer> commands = [queue commandBuffer]; // blocks at 64
      [commands addCompletedHandler:^(id<MTLCommandBuffer> done) {
        if (atomic_fetch_add(&next, 1) != i || [done status] != MTLCommandBufferStatusCompleted) atomic_fetch_add(&wrong, 1);
      }];
      [commands commit];
      [last release];
      last = [commands retain];
    }
  }
  [last waitUntilCompleted];
  CHECK_NUMBER(atomic_load(&next), Count);
  CHECK_NUMBER(atomic_load(&wrong), 0);
  [last release];
}

static void handlersMayMakeCommandBuffers(void) {
  id<MTLCommandQueue> narrow = [device newCommandQueueWithMaxCommandBufferCount:1];
  __block int made = 0, refused = 0;
  @autoreleasepool {
    id<MTLCommandBuffer> commands = [narrow commandBuffer];
    [commands addCompletedHandler:^(id<MTLCommandBuffer> done) {
      (void)done;
      @autoreleasepool {
        made += [narrow commandBuffer] != nil;
        @try {
          [narrow commandBuffer]; // no room, and waiting on the queue's own thread would be for ever
        }
        @catch (NSException *exception) {
          refused += [[exception name] isEqualToString:@"MTLCommandBufferCount"];
        }
      }
    }];
    [commands commit];
    [commands waitUntilCompleted];
  }
  CHECK_NUMBER(made, 1);
  CHECK_NUMBER(refused, 1);
  [narrow release];
}

/* The exception has no pool on the handler's thread, and is counted there: run outside of a counted case. */
static void handlersThatRaiseHurtNobody(void) {
  __block int later = 0;
  @autoreleasepool {
    id<MTLCommandBuffer> commands = [queue commandBuffer];
    [commands addCompletedHandler:^(id<MTLCommandBuffer> done) {
      (void)done;
      @autoreleasepool {
        [NSException raise:NSGenericException format:@"from a test's handler"];
      }
    }];
    [commands addCompletedHandler:^(id<MTLCommandBuffer> done) {
      later += [done status] == MTLCommandBufferStatusCompleted;
    }];
    [commands commit];
    [commands waitUntilCompleted];
  }
  CHECK_NUMBER(later, 1);
}

static void commandBuffersKeepWhatTheyUse(void) {
  id<MTLComputePipelineState> addOne = newPipeline(@"add_one");
  static atomic_int freed;
  atomic_store(&freed, 0);
  void *memory = NULL;
  NSUInteger page = (NSUInteger)getpagesize();
  CHECK_NUMBER(posix_memalign(&memory, page, page), 0);
  memset(memory, 0, page);
  id<MTLBuffer> buffer = [device newBufferWithBytesNoCopy:memory
                                                   length:page
                                                  options:0
                                              deallocator:^(void *pointer, NSUInteger length) {
                                                (void)pointer, (void)length;
                                                atomic_fetch_add(&freed, 1);
                                              }];
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:addOne];
  [encoder setBuffer:buffer offset:0 atIndex:0];
  [encoder dispatchThreads:MTLSizeMake(16, 1, 1) threadsPerThreadgroup:MTLSizeMake(16, 1, 1)];
  [encoder endEncoding];
  [buffer release];
  [addOne release];
  CHECK_NUMBER(atomic_load(&freed), 0);
  [commands commit];
  [commands waitUntilCompleted];
  CHECK_NUMBER(atomic_load(&freed), 1);
  CHECK_NUMBER(((uint32_t *)memory)[15], 1);
  free(memory);
}

static void queuesEndWithTheirThread(void) {
  for (int i = 0; i < 50; i++) {
    @autoreleasepool {
      id<MTLCommandQueue> own = [device newCommandQueue];
      id<MTLCommandBuffer> commands = [own commandBuffer];
      [commands commit];
      if (i % 2) [commands waitUntilCompleted];
      [own release]; // without a wait the queue's thread is the last to let go of it
    }
  }
  for (int i = 0; i < 1000 && [[device name] length] == 0; i++) usleep(1000);
  usleep(50000); // threads that let go last
}

/* What is autoreleased on a handler's thread has no pool: the counter must see it. */
static void handlersThatForgetTheirPoolAreCounted(void) {
  double before = NSObjectsWithoutPool();
  @autoreleasepool {
    id<MTLCommandBuffer> commands = [queue commandBuffer];
    [commands addCompletedHandler:^(id<MTLCommandBuffer> done) {
      (void)done;
      [[[NSObject alloc] init] autorelease];
    }];
    [commands commit];
    [commands waitUntilCompleted];
  }
  CHECK_NUMBER(NSObjectsWithoutPool() - before, 1);
}

int main(void) {
  @autoreleasepool {
    device = MTLCreateSystemDefaultDevice();
    NSError *error = nil;
    library = [device newLibraryWithSource:source options:nil error:&error];
    if (!library) {
      printf("cannot compile: %s\n", [[error localizedDescription] UTF8String]);
      return 1;
    }
    queue = [device newCommandQueue];
    RUN_CASE(devicesAreListed);
    RUN_CASE(buffersKeepTheirRules);
    RUN_CASE(memoryOfTheCallerIsNotCopied);
    RUN_CASE(librariesSayWhatIsWrong);
    RUN_CASE(reflectionNamesTheArguments);
    RUN_CASE(commandBuffersKeepTheirRules);
    RUN_CASE(lostEncodersAreToldAtCommit);
    RUN_CASE(dispatchesKeepTheirRules);
    RUN_CASE(blitsKeepTheirRules);
    RUN_CASE(commandsRunInOrder);
    RUN_CASE(handlersRunInOrderWithoutAPool);
    RUN_CASE(handlersMayMakeCommandBuffers);
    RUN_CASE(commandBuffersKeepWhatTheyUse);
    RUN_CASE(queuesEndWithTheirThread);
    handlersThatForgetTheirPoolAreCounted();
    handlersThatRaiseHurtNobody();
    [queue release];
    [library release];
    [device release];
  }
  return finishCases();
}
