/* MTLIndirectComputeCommand: writes one command, for the driver and for the rules. */
#import "Indirect.h"

@implementation LinuxIndirectComputeCommand

- (id)initWithBuffer:(LinuxIndirectCommandBuffer *)buffer index:(NSUInteger)anIndex {
  self = [super init];
  if (!self) return nil;
  owner = [buffer retain];
  index = anIndex;
  return self;
}

- (void)dealloc {
  [owner release];
  [super dealloc];
}

/* The command, which is about to change. */
- (IndirectSlot *)change {
  IndirectCommands *commands = owner->commands;
  MTLCheckNotInFlight(commands);
  IndirectSlot *slot = &commands->slots[index];
  slot->isChecked = false;
  driverListChanged(&commands->list, (uint32_t)index);
  return slot;
}

/* The driver's view of the arguments, where all of them are known. */
- (void)write:(const IndirectSlot *)slot {
  if (slot->pipeline)
    MTLWriteArguments(&owner->commands->list.commands[index], slot->pipeline->function, slot->arguments, slot->memoryLengths);
}

- (void)setComputePipelineState:(id<MTLComputePipelineState>)state {
  IndirectCommands *commands = owner->commands;
  if (!state) MTLBreakRule(@"MTLPipelineState", @"the pipeline state is nil");
  if ([state device] != commands->owner) MTLBreakRule(@"MTLDeviceMismatch", @"the pipeline state is of another device");
  if (commands->inheritsPipeline)
    MTLBreakRule(@"MTLIndirectCommandInherits", @"the commands inherit their pipeline state");
  if (![state supportIndirectCommandBuffers])
    MTLBreakRule(@"MTLIndirectCommandPipeline", @"the pipeline state was made without supportIndirectCommandBuffers");
  IndirectSlot *slot = [self change];
  PipelineCode *code = ((LinuxPipelineState *)state)->code;
  if (slot->pipeline == code) return;
  MTLRefer(&code->lifetime);
  if (slot->pipeline) MTLUnrefer(&slot->pipeline->lifetime);
  slot->pipeline = code;
  commands->version++;
  [self write:slot];
}

- (void)setKernelBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)at {
  IndirectCommands *commands = owner->commands;
  if (commands->inheritsBuffers) MTLBreakRule(@"MTLIndirectCommandInherits", @"the commands inherit their buffers");
  if (at >= commands->mostBuffers || at >= DriverMaxBuffers)
    MTLBreakRule(@"MTLBufferIndex", @"kernel buffer index %lu is not below maxKernelBufferBindCount %lu", at,
                 commands->mostBuffers);
  if (buffer && [buffer device] != commands->owner)
    MTLBreakRule(@"MTLDeviceMismatch", @"the buffer is of another device");
  BoundArgument binding = {.buffer = NULL};
  if (buffer) binding = MTLBind(((LinuxBuffer *)buffer)->memory, offset, at);
  IndirectSlot *slot = [self change];
  BoundArgument *bound = &slot->arguments[at];
  if (bound->buffer != binding.buffer) {
    if (binding.buffer) MTLRefer(&binding.buffer->lifetime);
    if (bound->buffer) MTLUnrefer(&bound->buffer->lifetime);
    commands->version++;
  }
  *bound = binding;
  MTLWriteBuffer(&commands->list.commands[index], at, &binding);
}

- (void)setThreadgroupMemoryLength:(NSUInteger)length atIndex:(NSUInteger)at {
  IndirectCommands *commands = owner->commands;
  MTLCheckThreadgroupMemory(commands->owner, length, at);
  if (at >= commands->mostMemories)
    MTLBreakRule(@"MTLThreadgroupMemoryIndex", @"threadgroup memory index %lu is not below the bind count %lu", at,
                 commands->mostMemories);
  [self change]->memoryLengths[at] = (uint32_t)length;
  commands->list.commands[index].dispatch.threadgroupLengths[at] = (uint32_t)length;
}

- (void)setBarrier {
  [self change]->waits = true;
}

- (void)clearBarrier {
  [self change]->waits = false;
}

- (void)dispatch:(MTLSize)grid threadsPerThreadgroup:(MTLSize)size type:(MTLIndirectCommandType)type {
  IndirectCommands *commands = owner->commands;
  if (!(commands->types & type))
    MTLBreakRule(@"MTLIndirectCommandType", @"command type %lu is not among the descriptor's 0x%lx", (unsigned long)type,
                 (unsigned long)commands->types);
  const IndirectSlot *before = &commands->slots[index];
  if (!before->pipeline && !commands->inheritsPipeline)
    MTLBreakRule(@"MTLPipelineState", @"a dispatch without a pipeline state");
  if (before->pipeline) MTLCheckThreads(commands->owner, before->pipeline, size);
  uint64_t threads[3];
  if (size.width == 0 || size.height == 0 || size.depth == 0)
    MTLBreakRule(@"MTLThreadsPerThreadgroup", @"%lu x %lu x %lu threads per threadgroup must not be 0", size.width,
                 size.height, size.depth);
  MTLReadGrid(commands->owner, grid, size, type == MTLIndirectCommandTypeConcurrentDispatchThreads, threads);
  IndirectSlot *slot = [self change];
  if (!slot->isDispatch) commands->version++;
  slot->isDispatch = true;
  slot->threadsPerThreadgroup = size;
  DriverCommand *command = &commands->list.commands[index];
  command->kind = DriverCommandDispatch;
  slot->isWaiting = command->waits = slot->waits;
  for (int i = 0; i < 3; i++) command->dispatch.threads[i] = threads[i];
  command->dispatch.threadsPerThreadgroup[0] = (uint32_t)size.width;
  command->dispatch.threadsPerThreadgroup[1] = (uint32_t)size.height;
  command->dispatch.threadsPerThreadgroup[2] = (uint32_t)size.depth;
}

- (void)concurrentDispatchThreadgroups:(MTLSize)grid threadsPerThreadgroup:(MTLSize)size {
  [self dispatch:grid threadsPerThreadgroup:size type:MTLIndirectCommandTypeConcurrentDispatch];
}

- (void)concurrentDispatchThreads:(MTLSize)grid threadsPerThreadgroup:(MTLSize)size {
  [self dispatch:grid threadsPerThreadgroup:size type:MTLIndirectCommandTypeConcurrentDispatchThreads];
}

- (void)reset {
  MTLCheckNotInFlight(owner->commands);
  MTLResetCommands(owner->commands, NSMakeRange(index, 1), true);
}

@end
