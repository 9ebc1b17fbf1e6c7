/* MTLComputeCommandEncoder: arguments, and dispatches that are checked against what the kernel declares. */
#import "Indirect.h"

#include <stdlib.h>
#include <string.h>

enum { MostBytes = 4096 };

/* What an encoder has before anything is bound. */
static const BoundArgument nothing[DriverMaxBuffers];

@implementation LinuxComputeCommandEncoder

- (id)initWithCommandBuffer:(LinuxCommandBuffer *)commands dispatchType:(MTLDispatchType)dispatchType {
  self = [super initWithCommandBuffer:commands];
  if (!self) return nil;
  type = dispatchType;
  firstDeclared = commands->declaredCount;
  return self;
}

- (void)dealloc {
  free(arguments);
  [super dealloc];
}

- (MTLDispatchType)dispatchType {
  return type;
}

- (void)setComputePipelineState:(id<MTLComputePipelineState>)state {
  [self requireOpen];
  if (!state) MTLBreakRule(@"MTLPipelineState", @"the pipeline state is nil");
  [self requireDevice:[state device] of:"pipeline state"];
  pipeline = ((LinuxPipelineState *)state)->code;
  [commandBuffer keep:(LinuxPipelineState *)state];
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

- (BoundArgument *)argumentAt:(NSUInteger)index {
  [self requireOpen];
  if (index >= DriverMaxBuffers)
    MTLBreakRule(@"MTLBufferIndex", @"buffer index %lu is not below %d", index, DriverMaxBuffers);
  if (!arguments) arguments = calloc(DriverMaxBuffers, sizeof *arguments);
  if (!arguments) [NSException raise:NSMallocException format:@"no memory to bind arguments"];
  return &arguments[index];
}

- (const BoundArgument *)bound {
  return arguments ? arguments : nothing;
}

- (void)setBytes:(const void *)bytes length:(NSUInteger)length atIndex:(NSUInteger)index {
  BoundArgument *argument = [self argumentAt:index];
  if (!bytes) MTLBreakRule(@"MTLSetBytes", @"the bytes for index %lu are NULL", index);
  if (length == 0 || length > MostBytes)
    MTLBreakRule(@"MTLSetBytes", @"%lu bytes for index %lu: 1 to %d are possible", length, index, MostBytes);
  void *copy = [commandBuffer copyBytes:bytes length:length];
  *argument = (BoundArgument){.bytes = copy, .length = length};
}

- (void)setBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index {
  BoundArgument *argument = [self argumentAt:index];
  if (!buffer) {
    *argument = (BoundArgument){0};
    return;
  }
  LinuxBuffer *bound = (LinuxBuffer *)buffer;
  [self requireDevice:bound->owner of:"buffer"];
  BoundArgument binding = MTLBind(bound->memory, offset, index);
  if (argument->buffer != bound->memory) [commandBuffer keep:bound];
  *argument = binding;
}

- (void)setBufferOffset:(NSUInteger)offset atIndex:(NSUInteger)index {
  BoundArgument *argument = [self argumentAt:index];
  BufferMemory *buffer = argument->buffer;
  if (!buffer) MTLBreakRule(@"MTLBufferBinding", @"an offset at index %lu, where no buffer is bound", index);
  *argument = MTLBind(buffer, offset, index);
}

- (void)setBuffers:(const id<MTLBuffer>[])buffers offsets:(const NSUInteger[])offsets withRange:(NSRange)range {
  for (NSUInteger i = 0; i < range.length; i++)
    [self setBuffer:buffers[i] offset:offsets[i] atIndex:range.location + i];
}

- (LinuxDevice *)owner {
  return commandBuffer->queue->owner;
}

- (void)setThreadgroupMemoryLength:(NSUInteger)length atIndex:(NSUInteger)index {
  [self requireOpen];
  MTLCheckThreadgroupMemory([self owner], length, index);
  memoryLengths[index] = (uint32_t)length;
}

/* ---- dispatching --------------------------------------------------------------------------------------------------- */

- (DriverCommand *)appendDispatch:(MTLSize)size {
  MTLCheckArguments([self owner], pipeline->function, [self bound], memoryLengths);
  DriverCommand *command = [commandBuffer append:DriverCommandDispatch];
  MTLWriteArguments(command, pipeline->function, [self bound], memoryLengths);
  command->dispatch.threadsPerThreadgroup[0] = (uint32_t)size.width;
  command->dispatch.threadsPerThreadgroup[1] = (uint32_t)size.height;
  command->dispatch.threadsPerThreadgroup[2] = (uint32_t)size.depth;
  return command;
}

- (void)finishCommand {
  if (type == MTLDispatchTypeSerial) [commandBuffer append:DriverCommandBarrier];
}

- (void)requirePipelineFor:(MTLSize)size {
  [self requireOpen];
  if (!pipeline) MTLBreakRule(@"MTLPipelineState", @"a dispatch without a pipeline state");
  MTLCheckThreads([self owner], pipeline, size);
}

- (void)dispatch:(MTLSize)grid threadsPerThreadgroup:(MTLSize)size countsThreads:(bool)countsThreads {
  [self requirePipelineFor:size];
  uint64_t threads[3];
  MTLReadGrid([self owner], grid, size, countsThreads, threads);
  DriverCommand *command = [self appendDispatch:size];
  memcpy(command->dispatch.threads, threads, sizeof command->dispatch.threads);
  [self finishCommand];
}

- (void)dispatchThreads:(MTLSize)grid threadsPerThreadgroup:(MTLSize)size {
  [self dispatch:grid threadsPerThreadgroup:size countsThreads:true];
}

- (void)dispatchThreadgroups:(MTLSize)groups threadsPerThreadgroup:(MTLSize)size {
  [self dispatch:groups threadsPerThreadgroup:size countsThreads:false];
}

/** What the device reads when the command runs. */
- (const uint32_t *)useIndirect:(id<MTLBuffer>)buffer offset:(NSUInteger)offset size:(NSUInteger)size {
  [self requireOpen];
  if (!buffer) MTLBreakRule(@"MTLIndirectBuffer", @"the indirect buffer is nil");
  [self requireDevice:[buffer device] of:"indirect buffer"];
  const BufferMemory *memory = ((LinuxBuffer *)buffer)->memory;
  if (offset % sizeof(uint32_t) != 0 || memory->size < size || offset > memory->size - size)
    MTLBreakRule(@"MTLIndirectBuffer", @"%lu bytes from %lu on: the offset must be a multiple of 4, inside of %lu bytes", size,
                 offset, memory->size);
  [commandBuffer keep:(LinuxBuffer *)buffer];
  return (const uint32_t *)(const void *)((const char *)memory->place.address + offset);
}

- (void)dispatchThreadgroupsWithIndirectBuffer:(id<MTLBuffer>)buffer
                          indirectBufferOffset:(NSUInteger)offset
                         threadsPerThreadgroup:(MTLSize)size {
  [self requirePipelineFor:size];
  if (![self owner]->properties.indirectCommands)
    MTLBreakRule(@"MTLIndirectBuffer", @"this device has no indirect dispatch");
  const uint32_t *groups = [self useIndirect:buffer offset:offset size:sizeof(MTLDispatchThreadgroupsIndirectArguments)];
  [self appendDispatch:size]->dispatch.indirectGroups = groups;
  [self finishCommand];
}

- (void)execute:(LinuxIndirectCommandBuffer *)buffer range:(NSRange)range from:(const uint32_t *)indirectRange {
  IndirectCommands *executed = buffer->commands;
  DriverCommand *command = [commandBuffer append:DriverCommandExecute];
  command->execute.list = &executed->list;
  command->execute.first = (uint32_t)range.location;
  command->execute.count = (uint32_t)range.length;
  command->execute.range = indirectRange;
  [commandBuffer keep:buffer];
  IndirectOperation *operation = [commandBuffer appendOperation];
  operation->kind = IndirectExecute;
  operation->commands = executed;
  operation->range = range;
  operation->firstDeclared = firstDeclared;
  operation->declaredCount = commandBuffer->declaredCount - firstDeclared;
  if (executed->inheritsPipeline) operation->pipeline = pipeline;
  if (executed->inheritsBuffers) {
    operation->arguments = malloc(sizeof nothing);
    operation->memoryLengths = malloc(sizeof memoryLengths);
    if (!operation->arguments || !operation->memoryLengths)
      [NSException raise:NSMallocException format:@"no memory to inherit buffers"];
    memcpy(operation->arguments, [self bound], sizeof nothing);
    memcpy(operation->memoryLengths, memoryLengths, sizeof memoryLengths);
  }
  [self finishCommand];
}

- (LinuxIndirectCommandBuffer *)requireCommands:(id<MTLIndirectCommandBuffer>)buffer {
  [self requireOpen];
  if (!buffer) MTLBreakRule(@"MTLIndirectCommandBuffer", @"the indirect command buffer is nil");
  [self requireDevice:[buffer device] of:"indirect command buffer"];
  LinuxIndirectCommandBuffer *executed = (LinuxIndirectCommandBuffer *)buffer;
  if (executed->commands->inheritsPipeline && !pipeline)
    MTLBreakRule(@"MTLPipelineState", @"commands inherit the encoder's pipeline state, and it has none");
  return executed;
}

- (void)executeCommandsInBuffer:(id<MTLIndirectCommandBuffer>)buffer withRange:(NSRange)range {
  LinuxIndirectCommandBuffer *executed = [self requireCommands:buffer];
  MTLCheckCommandRange(executed->commands, range);
  if (range.length > IndirectMostCommands)
    MTLBreakRule(@"MTLIndirectCommandRange", @"%lu commands at once: at most %d are possible", range.length,
                 IndirectMostCommands);
  if (range.length > 0) [self execute:executed range:range from:NULL];
}

- (void)executeCommandsInBuffer:(id<MTLIndirectCommandBuffer>)buffer
                 indirectBuffer:(id<MTLBuffer>)rangeBuffer
           indirectBufferOffset:(NSUInteger)offset {
  LinuxIndirectCommandBuffer *executed = [self requireCommands:buffer];
  const uint32_t *range = [self useIndirect:rangeBuffer
                                     offset:offset
                                       size:sizeof(MTLIndirectCommandBufferExecutionRange)];
  [self execute:executed range:NSMakeRange(0, executed->commands->count) from:range];
}

- (void)memoryBarrierWithScope:(MTLBarrierScope)scope {
  [self requireOpen];
  if (scope == 0 || (scope & ~(NSUInteger)(MTLBarrierScopeBuffers | MTLBarrierScopeTextures)))
    MTLBreakRule(@"MTLBarrierScope", @"barrier scope 0x%lx is not for compute", (unsigned long)scope);
  [commandBuffer append:DriverCommandBarrier];
}

- (void)memoryBarrierWithResources:(const id<MTLResource>[])resources count:(NSUInteger)count {
  [self requireOpen];
  for (NSUInteger i = 0; i < count; i++) [self requireDevice:[resources[i] device] of:"resource"];
  [commandBuffer append:DriverCommandBarrier];
}

- (void)useResource:(id<MTLResource>)resource usage:(MTLResourceUsage)usage {
  (void)usage;
  [self requireOpen];
  if (!resource) MTLBreakRule(@"MTLResource", @"the resource is nil");
  [self requireDevice:[resource device] of:"resource"];
  [commandBuffer declare:(LinuxTracked *)resource];
}

- (void)useResources:(const id<MTLResource>[])resources count:(NSUInteger)count usage:(MTLResourceUsage)usage {
  for (NSUInteger i = 0; i < count; i++) [self useResource:resources[i] usage:usage];
}

@end
