/*
 * Indirect command buffers, residency sets and indirect dispatch: what they do, and each rule broken (the rules are those of
 * Metal's documentation and its validation layer).
 */
#import "metal_fixture.h"

static const MTLSize one = {1, 1, 1};

static MTLIndirectCommandBufferDescriptor *describe(void) {
  MTLIndirectCommandBufferDescriptor *descriptor = [[[MTLIndirectCommandBufferDescriptor alloc] init] autorelease];
  [descriptor setCommandTypes:MTLIndirectCommandTypeConcurrentDispatch | MTLIndirectCommandTypeConcurrentDispatchThreads];
  [descriptor setInheritBuffers:NO];
  [descriptor setInheritPipelineState:NO];
  [descriptor setMaxKernelBufferBindCount:4];
  return descriptor;
}

static id<MTLIndirectCommandBuffer> newCommands(NSUInteger count) {
  return [device newIndirectCommandBufferWithDescriptor:describe() maxCommandCount:count options:0];
}

static void encode(id<MTLIndirectCommandBuffer> commands, NSUInteger index, id<MTLComputePipelineState> pipeline,
                   id<MTLBuffer> buffer, NSUInteger threads) {
  id<MTLIndirectComputeCommand> command = [commands indirectComputeCommandAtIndex:index];
  [command setComputePipelineState:pipeline];
  [command setKernelBuffer:buffer offset:0 atIndex:0];
  [command setBarrier];
  [command concurrentDispatchThreads:MTLSizeMake(threads, 1, 1) threadsPerThreadgroup:MTLSizeMake(4, 1, 1)];
}

/* Encodes an execution into a command buffer that is not committed yet; `resident` may be nil. */
static id<MTLCommandBuffer> encodeExecution(id<MTLIndirectCommandBuffer> commands, NSRange range, id<MTLBuffer> resident) {
  id<MTLCommandBuffer> buffer = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [buffer computeCommandEncoder];
  if (resident) [encoder useResource:resident usage:MTLResourceUsageRead | MTLResourceUsageWrite];
  [encoder executeCommandsInBuffer:commands withRange:range];
  [encoder endEncoding];
  return buffer;
}

static void finish(id<MTLCommandBuffer> buffer) {
  [buffer commit];
  [buffer waitUntilCompleted];
  CHECK_NUMBER([buffer status], MTLCommandBufferStatusCompleted);
}

static void commandsRunInOrderOfTheirBarriers(void) {
  id<MTLComputePipelineState> addOne = newPipelineFor(@"add_one", YES), twice = newPipelineFor(@"twice", YES);
  id<MTLBuffer> numbers = newBuffer(64);
  id<MTLIndirectCommandBuffer> commands = newCommands(5);
  CHECK_NUMBER([commands size], 5);
  encode(commands, 0, addOne, numbers, 16); // 1
  encode(commands, 1, twice, numbers, 16);  // 2
  encode(commands, 3, addOne, numbers, 8);  // 3; command 2 is empty
  encode(commands, 4, twice, numbers, 16);  // 6
  finish(encodeExecution(commands, NSMakeRange(0, 5), numbers));
  CHECK_NUMBER(numberIn(numbers, 0), 6);
  CHECK_NUMBER(numberIn(numbers, 15), 4);
  finish(encodeExecution(commands, NSMakeRange(1, 1), numbers));
  CHECK_NUMBER(numberIn(numbers, 0), 12);
  // What changes between encoding and commit counts: nothing is copied.
  id<MTLCommandBuffer> later = encodeExecution(commands, NSMakeRange(1, 1), numbers);
  encode(commands, 1, addOne, numbers, 1);
  finish(later);
  CHECK_NUMBER(numberIn(numbers, 0), 13);
  [commands resetWithRange:NSMakeRange(1, 1)];
  finish(encodeExecution(commands, NSMakeRange(1, 1), nil));
  CHECK_NUMBER(numberIn(numbers, 0), 13);
  [commands release], [numbers release], [addOne release], [twice release];
}

static void commandsHaveMemoryOffsetsAndThreadgroups(void) {
  id<MTLComputePipelineState> staged = newPipelineFor(@"staged", YES), offset = newPipelineFor(@"offset", YES);
  id<MTLBuffer> numbers = newBuffer(256), constants = newBuffer(16);
  ((uint32_t *)[constants contents])[1] = 100;
  for (uint32_t i = 0; i < 64; i++) ((uint32_t *)[numbers contents])[i] = i;
  id<MTLIndirectCommandBuffer> commands = newCommands(2);
  id<MTLIndirectComputeCommand> command = [commands indirectComputeCommandAtIndex:0];
  [command setComputePipelineState:staged];
  [command setKernelBuffer:numbers offset:128 atIndex:0];
  [command setThreadgroupMemoryLength:128 atIndex:0];
  [command concurrentDispatchThreadgroups:one threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  command = [commands indirectComputeCommandAtIndex:1];
  [command setComputePipelineState:offset];
  [command setKernelBuffer:numbers offset:0 atIndex:0];
  [command setKernelBuffer:constants offset:4 atIndex:1];
  [command concurrentDispatchThreads:MTLSizeMake(8, 1, 1) threadsPerThreadgroup:one];
  id<MTLCommandBuffer> buffer = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [buffer computeCommandEncoderWithDispatchType:MTLDispatchTypeConcurrent];
  const id<MTLResource> resources[] = {numbers, constants};
  [encoder useResources:resources count:2 usage:MTLResourceUsageRead | MTLResourceUsageWrite];
  [encoder executeCommandsInBuffer:commands withRange:NSMakeRange(0, 2)];
  [encoder endEncoding];
  finish(buffer);
  CHECK_NUMBER(numberIn(numbers, 32), 63);
  CHECK_NUMBER(numberIn(numbers, 63), 32);
  CHECK_NUMBER(numberIn(numbers, 7), 107);
  CHECK_NUMBER(numberIn(numbers, 8), 8);
  [commands release], [numbers release], [constants release], [staged release], [offset release];
}

static void commandsInherit(void) {
  id<MTLComputePipelineState> addOne = newPipelineFor(@"add_one", YES);
  id<MTLBuffer> numbers = newBuffer(64);
  MTLIndirectCommandBufferDescriptor *descriptor = describe();
  [descriptor setInheritBuffers:YES];
  [descriptor setInheritPipelineState:YES];
  id<MTLIndirectCommandBuffer> commands = [device newIndirectCommandBufferWithDescriptor:descriptor
                                                                         maxCommandCount:1
                                                                                 options:0];
  id<MTLIndirectComputeCommand> command = [commands indirectComputeCommandAtIndex:0];
  CHECK_RAISES("MTLIndirectCommandInherits", [command setComputePipelineState:addOne]);
  CHECK_RAISES("MTLIndirectCommandInherits", [command setKernelBuffer:numbers offset:0 atIndex:0]);
  [command concurrentDispatchThreads:MTLSizeMake(16, 1, 1) threadsPerThreadgroup:one];
  id<MTLCommandBuffer> buffer = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [buffer computeCommandEncoder];
  CHECK_RAISES("MTLPipelineState", [encoder executeCommandsInBuffer:commands withRange:NSMakeRange(0, 1)]);
  [encoder setComputePipelineState:addOne];
  [encoder setBuffer:numbers offset:4 atIndex:0];
  [encoder executeCommandsInBuffer:commands withRange:NSMakeRange(0, 1)];
  [encoder endEncoding];
  CHECK_NUMBER(numberIn(numbers, 0), 0);
  ((uint32_t *)[numbers contents])[0] = 7;
  [command concurrentDispatchThreads:MTLSizeMake(15, 1, 1) threadsPerThreadgroup:one];
  finish(buffer);
  CHECK_NUMBER(numberIn(numbers, 0), 7);
  CHECK_NUMBER(numberIn(numbers, 15), 1);
  [commands release], [numbers release], [addOne release];
}

static void blitsResetAndCopyCommands(void) {
  id<MTLComputePipelineState> addOne = newPipelineFor(@"add_one", YES);
  id<MTLBuffer> numbers = newBuffer(64);
  id<MTLIndirectCommandBuffer> commands = newCommands(2), other = newCommands(3);
  encode(commands, 0, addOne, numbers, 16);
  id<MTLCommandBuffer> buffer = [queue commandBuffer];
  id<MTLBlitCommandEncoder> blit = [buffer blitCommandEncoder];
  [blit copyIndirectCommandBuffer:commands sourceRange:NSMakeRange(0, 1) destination:other destinationIndex:2];
  [blit resetCommandsInBuffer:commands withRange:NSMakeRange(0, 1)];
  [blit optimizeIndirectCommandBuffer:other withRange:NSMakeRange(0, 3)];
  CHECK_RAISES("MTLIndirectCommandRange", [blit resetCommandsInBuffer:commands withRange:NSMakeRange(1, 2)]);
  [blit endEncoding];
  id<MTLComputeCommandEncoder> encoder = [buffer computeCommandEncoder];
  [encoder useResource:numbers usage:MTLResourceUsageWrite];
  [encoder executeCommandsInBuffer:commands withRange:NSMakeRange(0, 2)];
  [encoder executeCommandsInBuffer:other withRange:NSMakeRange(0, 3)];
  [encoder endEncoding];
  finish(buffer);
  CHECK_NUMBER(numberIn(numbers, 3), 1);
  [commands release], [other release], [numbers release], [addOne release];
}

static void rangesMayBeRead(void) {
  id<MTLComputePipelineState> addOne = newPipelineFor(@"add_one", YES);
  id<MTLBuffer> numbers = newBuffer(64), ranges = newBuffer(16);
  id<MTLIndirectCommandBuffer> commands = newCommands(3);
  for (NSUInteger i = 0; i < 3; i++) encode(commands, i, addOne, numbers, 1 + i);
  for (int outside = 0; outside < 2; outside++) {
    id<MTLCommandBuffer> buffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [buffer computeCommandEncoder];
    [encoder useResource:numbers usage:MTLResourceUsageWrite];
    CHECK_RAISES("MTLIndirectBuffer", [encoder executeCommandsInBuffer:commands indirectBuffer:ranges indirectBufferOffset:12]);
    [encoder executeCommandsInBuffer:commands indirectBuffer:ranges indirectBufferOffset:8];
    [encoder endEncoding];
    *(MTLIndirectCommandBufferExecutionRange *)((char *)[ranges contents] + 8) =
        (MTLIndirectCommandBufferExecutionRange){1, outside ? 3 : 2};
    [buffer commit];
    [buffer waitUntilCompleted];
    CHECK_NUMBER([buffer status], outside ? MTLCommandBufferStatusError : MTLCommandBufferStatusCompleted);
  }
  CHECK_NUMBER(numberIn(numbers, 0), 2);
  CHECK_NUMBER(numberIn(numbers, 2), 1);
  [commands release], [numbers release], [ranges release], [addOne release];
}

static void creationKeepsItsRules(void) {
  MTLIndirectCommandBufferDescriptor *descriptor = describe();
#define MAKE(count) [device newIndirectCommandBufferWithDescriptor:descriptor maxCommandCount:count options:0]
  CHECK_RAISES("MTLIndirectCommandBuffer", MAKE(0));
  [descriptor setCommandTypes:MTLIndirectCommandTypeConcurrentDispatch | MTLIndirectCommandTypeDraw];
  CHECK_RAISES("MTLIndirectCommandType", MAKE(1));
  [descriptor setCommandTypes:0];
  CHECK_RAISES("MTLIndirectCommandType", MAKE(1));
  [descriptor setCommandTypes:MTLIndirectCommandTypeConcurrentDispatch];
  [descriptor setMaxKernelBufferBindCount:32];
  CHECK_RAISES("MTLBufferIndex", MAKE(1));
  CHECK_RAISES("MTLIndirectCommandBuffer", [device newIndirectCommandBufferWithDescriptor:nil maxCommandCount:1 options:0]);
}

static void commandsKeepTheirRules(void) {
  id<MTLComputePipelineState> addOne = newPipelineFor(@"add_one", YES), plain = newPipelineFor(@"add_one", NO);
  id<MTLComputePipelineState> offset = newPipelineFor(@"offset", YES);
  CHECK([addOne supportIndirectCommandBuffers]);
  CHECK(![plain supportIndirectCommandBuffers]);
  id<MTLBuffer> numbers = newBuffer(64);
  id<MTLIndirectCommandBuffer> commands = newCommands(2);
  CHECK_RAISES("MTLIndirectCommandIndex", [commands indirectComputeCommandAtIndex:2]);
  CHECK_RAISES("MTLIndirectCommandRange", [commands resetWithRange:NSMakeRange(1, 2)]);
  CHECK_RAISES("MTLIndirectCommandRange", encodeExecution(commands, NSMakeRange(2, 1), nil));
  id<MTLIndirectComputeCommand> command = [commands indirectComputeCommandAtIndex:0];
  CHECK_RAISES("MTLPipelineState", [command concurrentDispatchThreads:one threadsPerThreadgroup:one]);
  CHECK_RAISES("MTLPipelineState", [command setComputePipelineState:nil]);
  CHECK_RAISES("MTLIndirectCommandPipeline", [command setComputePipelineState:plain]); // rule 33
  CHECK_RAISES("MTLBufferIndex", [command setKernelBuffer:numbers offset:0 atIndex:4]);
  CHECK_RAISES("MTLBufferOffset", [command setKernelBuffer:numbers offset:64 atIndex:0]);
  CHECK_RAISES("MTLThreadgroupMemoryLength", [command setThreadgroupMemoryLength:8 atIndex:0]);
  [command setComputePipelineState:addOne];
  CHECK_RAISES("MTLGrid", [command concurrentDispatchThreads:MTLSizeMake(0, 1, 1) threadsPerThreadgroup:one]);
  CHECK_RAISES("MTLThreadsPerThreadgroup", [command concurrentDispatchThreads:one threadsPerThreadgroup:MTLSizeMake(2048, 1, 1)]);
  // What is missing is told at commit, when the command is what it will be.
  [command concurrentDispatchThreads:one threadsPerThreadgroup:one];
  CHECK_RAISES("MTLBufferBinding", [encodeExecution(commands, NSMakeRange(0, 1), numbers) commit]);
  [command setKernelBuffer:numbers offset:2 atIndex:0];
  CHECK_RAISES("MTLBufferOffset", [encodeExecution(commands, NSMakeRange(0, 1), numbers) commit]);
  [command setKernelBuffer:numbers offset:4 atIndex:0];
  [command setBarrier]; // behind the dispatch
  CHECK_RAISES("MTLIndirectCommandBarrier", [encodeExecution(commands, NSMakeRange(0, 1), numbers) commit]);
  [command clearBarrier];
  [command setComputePipelineState:offset];
  CHECK_RAISES("MTLBufferBinding", [encodeExecution(commands, NSMakeRange(0, 1), numbers) commit]);
  [command setComputePipelineState:addOne];
  finish(encodeExecution(commands, NSMakeRange(0, 1), numbers));
  CHECK_NUMBER(numberIn(numbers, 1), 1);
  [commands release], [numbers release], [addOne release], [plain release], [offset release];

  MTLIndirectCommandBufferDescriptor *descriptor = describe();
  [descriptor setCommandTypes:MTLIndirectCommandTypeConcurrentDispatch];
  commands = [device newIndirectCommandBufferWithDescriptor:descriptor maxCommandCount:20000 options:0];
  CHECK_RAISES("MTLIndirectCommandType",
               [[commands indirectComputeCommandAtIndex:0] concurrentDispatchThreads:one threadsPerThreadgroup:one]);
  CHECK_RAISES("MTLIndirectCommandRange", encodeExecution(commands, NSMakeRange(0, 16385), nil));
  [commands release];
}

static void whatCommandsUseMustBeResident(void) {
  id<MTLComputePipelineState> addOne = newPipelineFor(@"add_one", YES);
  id<MTLBuffer> numbers = newBuffer(64), other = newBuffer(64);
  id<MTLIndirectCommandBuffer> commands = newCommands(1);
  encode(commands, 0, addOne, numbers, 16);
  const NSRange all = NSMakeRange(0, 1);
  CHECK_RAISES("MTLIndirectCommandResidency", [encodeExecution(commands, all, nil) commit]);
  CHECK_RAISES("MTLIndirectCommandResidency", [encodeExecution(commands, all, other) commit]);
  id<MTLCommandBuffer> late = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [late computeCommandEncoder];
  [encoder executeCommandsInBuffer:commands withRange:all];
  [encoder useResource:numbers usage:MTLResourceUsageWrite]; // too late
  [encoder endEncoding];
  CHECK_RAISES("MTLIndirectCommandResidency", [late commit]);

  MTLResidencySetDescriptor *descriptor = [[[MTLResidencySetDescriptor alloc] init] autorelease];
  [descriptor setLabel:@"weights"];
  NSError *error = nil;
  id<MTLResidencySet> set = [device newResidencySetWithDescriptor:descriptor error:&error];
  CHECK_TEXT([[set label] UTF8String], "weights");
  [set addAllocation:numbers];
  [set addAllocation:numbers];
  CHECK_NUMBER([set allocationCount], 1);
  CHECK([set containsAllocation:numbers]);
  CHECK(![set containsAllocation:other]);
  CHECK_NUMBER([set allocatedSize], 0);
  [queue addResidencySet:set];
  [queue addResidencySet:set];
  CHECK_RAISES("MTLIndirectCommandResidency", [encodeExecution(commands, all, nil) commit]); // not committed
  [set commit];
  CHECK_NUMBER([set allocatedSize], 64);
  [set requestResidency];
  finish(encodeExecution(commands, all, nil));
  finish(encodeExecution(commands, all, nil)); // as remembered
  [set removeAllocation:numbers];
  finish(encodeExecution(commands, all, nil)); // until the commit
  [set commit];
  CHECK_RAISES("MTLIndirectCommandResidency", [encodeExecution(commands, all, nil) commit]);
  [set addAllocation:numbers];
  [set commit];
  [queue removeResidencySet:set];
  CHECK_RAISES("MTLIndirectCommandResidency", [encodeExecution(commands, all, nil) commit]);
  id<MTLCommandBuffer> own = encodeExecution(commands, all, nil);
  [own useResidencySet:set];
  finish(own);
  CHECK_NUMBER(numberIn(numbers, 0), 4);
  // The commands of the set's buffers change to another one.
  encode(commands, 0, addOne, other, 16);
  own = encodeExecution(commands, all, nil);
  [own useResidencySet:set];
  CHECK_RAISES("MTLIndirectCommandResidency", [own commit]);
  [set endResidency];
  [set removeAllAllocations];
  [set commit];
  CHECK_NUMBER([[set allAllocations] count], 0);
  [set release], [commands release], [numbers release], [other release], [addOne release];
}

static void queuesHave32ResidencySets(void) {
  MTLResidencySetDescriptor *descriptor = [[[MTLResidencySetDescriptor alloc] init] autorelease];
  id<MTLResidencySet> sets[33];
  for (int i = 0; i < 33; i++) sets[i] = [device newResidencySetWithDescriptor:descriptor error:NULL];
  [queue addResidencySets:sets count:32];
  CHECK_RAISES("MTLResidencySetCount", [queue addResidencySet:sets[32]]);
  [queue removeResidencySets:sets count:32];
  for (int i = 0; i < 33; i++) [sets[i] release];
}

static void commandsInFlightMayNotChange(void) {
  id<MTLComputePipelineState> slow = newPipelineFor(@"slow", YES);
  id<MTLBuffer> numbers = newBuffer(64);
  id<MTLIndirectCommandBuffer> commands = newCommands(1);
  id<MTLIndirectComputeCommand> command = [commands indirectComputeCommandAtIndex:0];
  [command setComputePipelineState:slow];
  [command setKernelBuffer:numbers offset:0 atIndex:0];
  [command concurrentDispatchThreads:one threadsPerThreadgroup:one];
  id<MTLCommandBuffer> buffer = encodeExecution(commands, NSMakeRange(0, 1), numbers);
  [command setKernelBuffer:numbers offset:0 atIndex:0]; // not committed yet
  holdInFlight(buffer);
  [buffer commit];
  CHECK_RAISES("MTLIndirectCommandInFlight", [command setKernelBuffer:numbers offset:0 atIndex:0]);
  CHECK_RAISES("MTLIndirectCommandInFlight", [command reset]);
  CHECK_RAISES("MTLIndirectCommandInFlight", [commands resetWithRange:NSMakeRange(0, 1)]);
  letRun();
  [buffer waitUntilCompleted];
  [command reset];
  CHECK(numberIn(numbers, 0) != 0);
  [commands release], [numbers release], [slow release];
}

static void releasedResourcesOfCommandsAreTold(void) {
  id<MTLComputePipelineState> addOne = newPipelineFor(@"add_one", YES);
  id<MTLBuffer> numbers = newBuffer(64);
  id<MTLIndirectCommandBuffer> commands = newCommands(1);
  encode(commands, 0, addOne, numbers, 16);
  id<MTLCommandBuffer> buffer = encodeExecution(commands, NSMakeRange(0, 1), numbers);
  [addOne release]; // an indirect command buffer keeps nothing
  CHECK_RAISES("MTLIndirectCommandResource", [buffer commit]);
  [commands release], [numbers release];

  // A pipeline that was looked at before, and another command changes.
  id<MTLComputePipelineState> twice = newPipelineFor(@"twice", YES);
  addOne = newPipelineFor(@"add_one", YES);
  numbers = newBuffer(64);
  commands = newCommands(2);
  encode(commands, 0, addOne, numbers, 16);
  finish(encodeExecution(commands, NSMakeRange(0, 2), numbers));
  [addOne release];
  encode(commands, 1, twice, numbers, 16);
  CHECK_RAISES("MTLIndirectCommandResource", [encodeExecution(commands, NSMakeRange(0, 2), numbers) commit]);
  // A buffer that goes while it is in flight, though the command buffer retains what it was told.
  MTLResidencySetDescriptor *descriptor = [[[MTLResidencySetDescriptor alloc] init] autorelease];
  id<MTLResidencySet> set = [device newResidencySetWithDescriptor:descriptor error:NULL];
  [numbers release];
  numbers = newBuffer(64); // the one before is still kept by a command buffer that was refused
  [set addAllocation:numbers];
  [set commit];
  [commands resetWithRange:NSMakeRange(0, 2)];
  id<MTLComputePipelineState> slow = newPipelineFor(@"slow", YES);
  id<MTLIndirectComputeCommand> command = [commands indirectComputeCommandAtIndex:0];
  [command setComputePipelineState:slow];
  [command setKernelBuffer:numbers offset:0 atIndex:0];
  [command concurrentDispatchThreadgroups:one threadsPerThreadgroup:one];
  buffer = encodeExecution(commands, NSMakeRange(0, 1), nil);
  [buffer useResidencySet:set];
  holdInFlight(buffer);
  [buffer commit];
  [set removeAllAllocations];
  [set commit];
  [numbers release];
  letRun();
  [buffer waitUntilCompleted];
  CHECK_NUMBER([[buffer error] code], MTLCommandBufferErrorInvalidResource);
  [set release], [commands release], [slow release], [twice release];
}

static void gridsMayBeRead(void) {
  id<MTLComputePipelineState> addOne = newPipelineFor(@"add_one", NO);
  id<MTLBuffer> numbers = newBuffer(64), grid = newBuffer(20);
  id<MTLCommandBuffer> buffer = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [buffer computeCommandEncoder];
  [encoder setComputePipelineState:addOne];
  [encoder setBuffer:numbers offset:0 atIndex:0];
#define INDIRECT(at) \
  [encoder dispatchThreadgroupsWithIndirectBuffer:grid indirectBufferOffset:at threadsPerThreadgroup:MTLSizeMake(4, 1, 1)]
  CHECK_RAISES("MTLIndirectBuffer", INDIRECT(2));
  CHECK_RAISES("MTLIndirectBuffer", INDIRECT(12));
  CHECK_RAISES("MTLIndirectBuffer", [encoder dispatchThreadgroupsWithIndirectBuffer:nil
                                                               indirectBufferOffset:0
                                                              threadsPerThreadgroup:one]);
  INDIRECT(4);
  INDIRECT(8); // 1 x 1 x 0: nothing
  [encoder endEncoding];
  const uint32_t counts[5] = {9, 3, 1, 1, 0};
  memcpy([grid contents], counts, sizeof counts); // read when it runs
  finish(buffer);
  CHECK_NUMBER(numberIn(numbers, 11), 1);
  CHECK_NUMBER(numberIn(numbers, 12), 0);
  [numbers release], [grid release], [addOne release];
}

int main(void) {
  @autoreleasepool {
    if (!openFixture()) return 1;
    RUN_CASE(commandsRunInOrderOfTheirBarriers);
    RUN_CASE(commandsHaveMemoryOffsetsAndThreadgroups);
    RUN_CASE(commandsInherit);
    RUN_CASE(blitsResetAndCopyCommands);
    RUN_CASE(rangesMayBeRead);
    RUN_CASE(creationKeepsItsRules);
    RUN_CASE(commandsKeepTheirRules);
    RUN_CASE(whatCommandsUseMustBeResident);
    RUN_CASE(queuesHave32ResidencySets);
    RUN_CASE(commandsInFlightMayNotChange);
    RUN_CASE(releasedResourcesOfCommandsAreTold);
    RUN_CASE(gridsMayBeRead);
    closeFixture();
  }
  return finishCases();
}
