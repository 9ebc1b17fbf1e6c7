/* cuda_steps.h: indirect commands for tests of the graphs that they become: each changes a number. */
#ifndef TEST_NATIVE_CUDA_STEPS_H
#define TEST_NATIVE_CUDA_STEPS_H

#import "cuda_fixture.h"

enum { MostCommands = 64 };

typedef struct Steps {
  id<MTLComputePipelineState> pipeline;
  id<MTLIndirectCommandBuffer> commands;
  id<MTLBuffer> numbers, constants, words;
} Steps;

static inline Steps newSteps(NSUInteger count) {
  MTLIndirectCommandBufferDescriptor *descriptor = [[[MTLIndirectCommandBufferDescriptor alloc] init] autorelease];
  [descriptor setCommandTypes:MTLIndirectCommandTypeConcurrentDispatchThreads];
  [descriptor setInheritBuffers:NO];
  [descriptor setInheritPipelineState:NO];
  [descriptor setMaxKernelBufferBindCount:3];
  return (Steps){.pipeline = newPipelineFor(@"step_by", YES),
                 .commands = [device newIndirectCommandBufferWithDescriptor:descriptor maxCommandCount:count options:0],
                 .numbers = newPrivate(4 * MostCommands),
                 .constants = newBuffer(16 * MostCommands),
                 .words = newBuffer(16)};
}

static inline void freeSteps(Steps *steps) {
  [steps->commands release], [steps->pipeline release];
  [steps->numbers release], [steps->constants release], [steps->words release];
}

/* Command `index`: x[place] = x[place] * factor + words[word]. */
static inline void encodeStep(Steps *steps, NSUInteger index, NSUInteger place, uint32_t factor, uint32_t word, bool waits) {
  uint32_t *constant = (uint32_t *)[steps->constants contents] + 4 * index;
  constant[0] = factor;
  constant[1] = word;
  id<MTLIndirectComputeCommand> command = [steps->commands indirectComputeCommandAtIndex:index];
  [command reset];
  [command setComputePipelineState:steps->pipeline];
  [command setKernelBuffer:steps->numbers offset:4 * place atIndex:0];
  [command setKernelBuffer:steps->constants offset:16 * index atIndex:1];
  [command setKernelBuffer:steps->words offset:0 atIndex:2];
  if (waits) [command setBarrier];
  [command concurrentDispatchThreads:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
}

static inline id<MTLCommandBuffer> submitSteps(Steps *steps, NSRange range) {
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  const id<MTLResource> used[] = {steps->numbers, steps->constants, steps->words};
  [encoder useResources:used count:3 usage:MTLResourceUsageRead | MTLResourceUsageWrite];
  [encoder executeCommandsInBuffer:steps->commands withRange:range];
  [encoder endEncoding];
  [commands commit];
  return commands;
}

static inline void runSteps(Steps *steps, NSRange range) {
  id<MTLCommandBuffer> commands = submitSteps(steps, range);
  [commands waitUntilCompleted];
  CHECK_NUMBER([commands status], MTLCommandBufferStatusCompleted);
  if ([commands error]) printf("%s\n", [[[commands error] localizedDescription] UTF8String]);
}

/* Runs two commands, which fail: all of `texts`, to NULL, are in the error. */
static inline void checkFails(Steps *steps, const char *const *texts) {
  id<MTLCommandBuffer> commands = submitSteps(steps, NSMakeRange(0, 2));
  [commands waitUntilCompleted];
  CHECK_NUMBER([commands status], MTLCommandBufferStatusError);
  const char *text = [[[commands error] localizedDescription] UTF8String];
  for (; *texts; texts++) {
    const bool isThere = text && strstr(text, *texts);
    if (!isThere) printf("\"%s\" without \"%s\"\n", text ? text : "no error", *texts);
    CHECK(isThere);
  }
}
#define CHECK_FAILS(steps, ...) checkFails(steps, (const char *const[]){__VA_ARGS__, NULL})

static inline uint32_t *numbersOf(const Steps *steps) {
  return memoryAt([steps->numbers gpuAddress]);
}

#endif
