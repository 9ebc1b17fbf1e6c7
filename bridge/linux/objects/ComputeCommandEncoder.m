/* MTLComputeCommandEncoder: arguments, and dispatches that are checked against what the kernel declares. */
#import "Objects.h"

#include <string.h>

enum { MostBytes = 4096, ConstantAlignment = 4, MostAlignment = 16, MemoryAlignment = 16 };

@implementation LinuxComputeCommandEncoder

- (id)initWithCommandBuffer:(LinuxCommandBuffer *)commands dispatchType:(MTLDispatchType)dispatchType {
  self = [super initWithCommandBuffer:commands];
  if (self) type = dispatchType;
  return self;
}

- (MTLDispatchType)dispatchType {
  return type;
}

- (void)setComputePipelineState:(id<MTLComputePipelineState>)state {
  [self requireOpen];
  if (!state) MTLBreakRule(@"MTLPipelineState", @"the pipeline state is nil");
  [self requireDevice:[state device] of:"pipeline state"];
  pipeline = (LinuxPipelineState *)state;
  [commandBuffer keep:pipeline];
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

- (BoundArgument *)argumentAt:(NSUInteger)index {
  [self requireOpen];
  if (index >= DriverMaxBuffers)
    MTLBreakRule(@"MTLBufferIndex", @"buffer index %lu is not below %d", index, DriverMaxBuffers);
  return &arguments[index];
}

- (void)setBytes:(const void *)bytes length:(NSUInteger)length atIndex:(NSUInteger)index {
  BoundArgument *argument = [self argumentAt:index];
  if (!bytes) MTLBreakRule(@"MTLSetBytes", @"the bytes for index %lu are NULL", index);
  if (length == 0 || length > MostBytes)
    MTLBreakRule(@"MTLSetBytes", @"%lu bytes for index %lu: 1 to %d are possible", length, index, MostBytes);
  void *copy = [commandBuffer copyBytes:bytes length:length];
  *argument = (BoundArgument){.bytes = copy, .length = length};
}

static void checkOffset(LinuxBuffer *buffer, NSUInteger offset, NSUInteger index) {
  if (offset >= buffer->size)
    MTLBreakRule(@"MTLBufferOffset", @"offset %lu at index %lu is not below the buffer's length %lu", offset, index,
                 buffer->size);
}

static void bind(BoundArgument *argument, LinuxBuffer *buffer, NSUInteger offset) {
  *argument = (BoundArgument){
      .buffer = buffer, .bytes = (char *)buffer->memory + offset, .length = buffer->size - offset, .offset = offset};
}

- (void)setBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index {
  BoundArgument *argument = [self argumentAt:index];
  if (!buffer) {
    *argument = (BoundArgument){0};
    return;
  }
  LinuxBuffer *bound = (LinuxBuffer *)buffer;
  [self requireDevice:bound->owner of:"buffer"];
  checkOffset(bound, offset, index);
  if (argument->buffer != bound) [commandBuffer keep:bound];
  bind(argument, bound, offset);
}

- (void)setBufferOffset:(NSUInteger)offset atIndex:(NSUInteger)index {
  BoundArgument *argument = [self argumentAt:index];
  LinuxBuffer *buffer = argument->buffer;
  if (!buffer) MTLBreakRule(@"MTLBufferBinding", @"an offset at index %lu, where no buffer is bound", index);
  checkOffset(buffer, offset, index);
  bind(argument, buffer, offset);
}

- (void)setBuffers:(const id<MTLBuffer>[])buffers offsets:(const NSUInteger[])offsets withRange:(NSRange)range {
  for (NSUInteger i = 0; i < range.length; i++)
    [self setBuffer:buffers[i] offset:offsets[i] atIndex:range.location + i];
}

- (void)setThreadgroupMemoryLength:(NSUInteger)length atIndex:(NSUInteger)index {
  [self requireOpen];
  if (index >= DriverMaxThreadgroupMemories)
    MTLBreakRule(@"MTLThreadgroupMemoryIndex", @"threadgroup memory index %lu is not below %d", index,
                 DriverMaxThreadgroupMemories);
  NSUInteger most = commandBuffer->queue->owner->properties.maxThreadgroupMemoryLength;
  if (length % MemoryAlignment != 0 || length > most)
    MTLBreakRule(@"MTLThreadgroupMemoryLength", @"threadgroup memory length %lu: it must be a multiple of %d, at most %lu",
                 length, MemoryAlignment, most);
  memoryTotal += length - memoryLengths[index];
  memoryLengths[index] = (uint32_t)length;
}

/* ---- the rules of a dispatch --------------------------------------------------------------------------------------- */

static void checkBuffer(const DriverArgument *declared, const BoundArgument *bound, const char *kernel) {
  if (!bound->bytes)
    MTLBreakRule(@"MTLBufferBinding", @"missing buffer binding at index %u for \"%s\" of \"%s\"", declared->index,
                 declared->name, kernel);
  uint32_t alignment = declared->constantSpace          ? ConstantAlignment
                       : declared->alignment > MostAlignment ? MostAlignment
                                                             : declared->alignment;
  if (alignment > 1 && bound->offset % alignment != 0)
    MTLBreakRule(@"MTLBufferOffset", @"offset %lu of \"%s\" of \"%s\" is not a multiple of %u", bound->offset,
                 declared->name, kernel, alignment);
  if (declared->reference && bound->length < declared->dataSize)
    MTLBreakRule(@"MTLBufferLength", @"\"%s\" of \"%s\" needs %u bytes, %lu are bound", declared->name, kernel,
                 declared->dataSize, bound->length);
  if (declared->writable && !bound->buffer)
    MTLBreakRule(@"MTLSetBytes", @"read-only bytes are bound to \"%s\" of \"%s\", which can be written", declared->name,
                 kernel);
}

- (void)checkArguments:(const DriverFunction *)function {
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    const DriverArgument *declared = &function->arguments[i];
    if (declared->kind == DriverArgumentBuffer) {
      checkBuffer(declared, &arguments[declared->index], function->name);
    } else if (memoryLengths[declared->index] == 0) {
      MTLBreakRule(@"MTLThreadgroupMemoryLength", @"threadgroup memory \"%s\" (index %u) of \"%s\" has no length",
                   declared->name, declared->index, function->name);
    }
  }
  NSUInteger most = commandBuffer->queue->owner->properties.maxThreadgroupMemoryLength;
  uint64_t total = memoryTotal + function->staticThreadgroupMemoryLength;
  if (total > most)
    MTLBreakRule(@"MTLThreadgroupMemoryLength", @"\"%s\" takes %lu bytes of threadgroup memory, the device has %lu",
                 function->name, total, most);
}

- (void)checkThreads:(MTLSize)threads {
  const DriverProperties *properties = &commandBuffer->queue->owner->properties;
  NSUInteger sizes[] = {threads.width, threads.height, threads.depth};
  for (int i = 0; i < 3; i++)
    if (sizes[i] == 0 || sizes[i] > properties->maxThreadsPerThreadgroup[i])
      MTLBreakRule(@"MTLThreadsPerThreadgroup", @"%lu threads per threadgroup in dimension %d: 1 to %u are possible", sizes[i],
                   i, properties->maxThreadsPerThreadgroup[i]);
  NSUInteger product = threads.width * threads.height * threads.depth; // at most 1024^3
  if (product > pipeline->mostThreads)
    MTLBreakRule(@"MTLThreadsPerThreadgroup", @"%lu threads per threadgroup, the pipeline's most are %lu", product,
                 pipeline->mostThreads);
  if (pipeline->needsWholeSimdgroups && product % properties->threadExecutionWidth != 0)
    MTLBreakRule(@"MTLThreadsPerThreadgroup", @"%lu threads are not whole SIMD groups, as the pipeline was promised", product);
}

/* ---- dispatching --------------------------------------------------------------------------------------------------- */

- (void)dispatch:(const uint64_t[3])threads threadsPerThreadgroup:(MTLSize)size {
  const DriverFunction *function = pipeline->kernel->function;
  [self checkArguments:function];
  DriverCommand *command = [commandBuffer append:DriverCommandDispatch];
  command->dispatch.function = function;
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    const DriverArgument *declared = &function->arguments[i];
    if (declared->kind == DriverArgumentBuffer) {
      command->dispatch.buffers[declared->index] = arguments[declared->index].bytes;
      command->dispatch.bufferLengths[declared->index] = arguments[declared->index].length;
    } else {
      command->dispatch.threadgroupLengths[declared->index] = memoryLengths[declared->index];
    }
  }
  memcpy(command->dispatch.threads, threads, sizeof command->dispatch.threads);
  command->dispatch.threadsPerThreadgroup[0] = (uint32_t)size.width;
  command->dispatch.threadsPerThreadgroup[1] = (uint32_t)size.height;
  command->dispatch.threadsPerThreadgroup[2] = (uint32_t)size.depth;
  if (type == MTLDispatchTypeSerial) [commandBuffer append:DriverCommandBarrier];
}

- (void)requirePipelineFor:(MTLSize)grid counting:(const char *)what {
  [self requireOpen];
  if (!pipeline) MTLBreakRule(@"MTLPipelineState", @"a dispatch without a pipeline state");
  if (grid.width == 0 || grid.height == 0 || grid.depth == 0)
    MTLBreakRule(@"MTLGrid", @"%s %lu x %lu x %lu must not be 0 in any dimension", what, grid.width, grid.height, grid.depth);
}

- (void)dispatchThreads:(MTLSize)grid threadsPerThreadgroup:(MTLSize)size {
  [self requirePipelineFor:grid counting:"threadsPerGrid"];
  [self checkThreads:size];
  uint64_t threads[3] = {grid.width, grid.height, grid.depth};
  for (int i = 0; i < 3; i++)
    if (threads[i] > UINT32_MAX) MTLBreakRule(@"MTLGrid", @"%lu threads in dimension %d are over 2^32 - 1", threads[i], i);
  [self dispatch:threads threadsPerThreadgroup:size];
}

- (void)dispatchThreadgroups:(MTLSize)groups threadsPerThreadgroup:(MTLSize)size {
  [self requirePipelineFor:groups counting:"threadgroupsPerGrid"];
  [self checkThreads:size];
  if (groups.width > UINT32_MAX / size.width || groups.height > UINT32_MAX / size.height ||
      groups.depth > UINT32_MAX / size.depth)
    MTLBreakRule(@"MTLGrid", @"%lu x %lu x %lu threadgroups have over 2^32 - 1 threads in a dimension", groups.width,
                 groups.height, groups.depth);
  uint64_t threads[3] = {groups.width * size.width, groups.height * size.height, groups.depth * size.depth};
  [self dispatch:threads threadsPerThreadgroup:size];
}

- (void)dispatchThreadgroupsWithIndirectBuffer:(id<MTLBuffer>)buffer
                          indirectBufferOffset:(NSUInteger)offset
                         threadsPerThreadgroup:(MTLSize)size {
  (void)buffer, (void)offset, (void)size;
  [self requireOpen];
  MTLBreakRule(@"MTLUnsupported", @"this layer has no indirect dispatch");
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
  (void)usage; // everything is resident here
  [self requireOpen];
  [self requireDevice:[resource device] of:"resource"];
  [commandBuffer keep:resource];
}

- (void)useResources:(const id<MTLResource>[])resources count:(NSUInteger)count usage:(MTLResourceUsage)usage {
  for (NSUInteger i = 0; i < count; i++) [self useResource:resources[i] usage:usage];
}

@end
