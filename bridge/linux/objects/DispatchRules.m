/* What a dispatch has to keep to, from an encoder or from an indirect command. */
#import "Objects.h"

#include <string.h>

enum { MostAlignment = 16, MemoryAlignment = 16 };

BoundArgument MTLBind(BufferMemory *buffer, NSUInteger offset, NSUInteger index) {
  if (offset >= buffer->size)
    MTLBreakRule(@"MTLBufferOffset", @"offset %lu at index %lu is not below the buffer's length %lu", offset, index,
                 buffer->size);
  return (BoundArgument){
      .buffer = buffer, .bytes = (char *)buffer->place.address + offset, .length = buffer->size - offset, .offset = offset};
}

void MTLCheckThreadgroupMemory(const LinuxDevice *device, NSUInteger length, NSUInteger index) {
  if (index >= DriverMaxThreadgroupMemories)
    MTLBreakRule(@"MTLThreadgroupMemoryIndex", @"threadgroup memory index %lu is not below %d", index,
                 DriverMaxThreadgroupMemories);
  NSUInteger most = device->properties.maxThreadgroupMemoryLength;
  if (length % MemoryAlignment != 0 || length > most)
    MTLBreakRule(@"MTLThreadgroupMemoryLength", @"threadgroup memory length %lu: it must be a multiple of %d, at most %lu",
                 length, MemoryAlignment, most);
}

static void checkBuffer(const DriverArgument *declared, const BoundArgument *bound, const char *kernel,
                        uint32_t constantAlignment) {
  if (!bound->bytes)
    MTLBreakRule(@"MTLBufferBinding", @"missing buffer binding at index %u for \"%s\" of \"%s\"", declared->index,
                 declared->name, kernel);
  uint32_t alignment = declared->constantSpace              ? constantAlignment
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

void MTLCheckArguments(const LinuxDevice *device, const DriverFunction *function,
                       const BoundArgument arguments[DriverMaxBuffers],
                       const uint32_t memoryLengths[DriverMaxThreadgroupMemories]) {
  const DriverProperties *properties = &device->properties;
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    const DriverArgument *declared = &function->arguments[i];
    if (declared->kind == DriverArgumentBuffer) {
      checkBuffer(declared, &arguments[declared->index], function->name, properties->constantAlignment);
    } else if (memoryLengths[declared->index] == 0) {
      MTLBreakRule(@"MTLThreadgroupMemoryLength", @"threadgroup memory \"%s\" (index %u) of \"%s\" has no length",
                   declared->name, declared->index, function->name);
    }
  }
  uint64_t total = function->staticThreadgroupMemoryLength;
  for (int i = 0; i < DriverMaxThreadgroupMemories; i++) total += memoryLengths[i];
  if (total > properties->maxThreadgroupMemoryLength)
    MTLBreakRule(@"MTLThreadgroupMemoryLength", @"\"%s\" takes %lu bytes of threadgroup memory, the device has %u",
                 function->name, total, properties->maxThreadgroupMemoryLength);
}

void MTLWriteBuffer(DriverCommand *command, NSUInteger index, const BoundArgument *argument) {
  const uint32_t bit = 1u << index;
  const bool isBytes = argument->bytes && !argument->buffer;
  const bool isShared = argument->buffer && argument->buffer->place.storage == DriverStorageShared;
  command->dispatch.buffers[index] = argument->bytes;
  command->dispatch.bufferLengths[index] = argument->length;
  command->dispatch.bytes = (command->dispatch.bytes & ~bit) | (isBytes ? bit : 0);
  command->dispatch.shared = (command->dispatch.shared & ~bit) | (isShared ? bit : 0);
}

void MTLWriteArguments(DriverCommand *command, const DriverFunction *function,
                       const BoundArgument arguments[DriverMaxBuffers],
                       const uint32_t memoryLengths[DriverMaxThreadgroupMemories]) {
  command->dispatch.function = function;
  command->dispatch.bytes = command->dispatch.shared = 0;
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    const DriverArgument *declared = &function->arguments[i];
    if (declared->kind == DriverArgumentBuffer) {
      MTLWriteBuffer(command, declared->index, &arguments[declared->index]);
    } else {
      command->dispatch.threadgroupLengths[declared->index] = memoryLengths[declared->index];
    }
  }
}

void MTLCheckThreads(const LinuxDevice *device, const PipelineCode *pipeline, MTLSize threads) {
  const DriverProperties *properties = &device->properties;
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

void MTLReadGrid(const LinuxDevice *device, MTLSize grid, MTLSize size, bool countsThreads, uint64_t threads[3]) {
  const char *what = countsThreads ? "threadsPerGrid" : "threadgroupsPerGrid";
  const uint64_t counts[3] = {grid.width, grid.height, grid.depth}, sizes[3] = {size.width, size.height, size.depth};
  if (counts[0] == 0 || counts[1] == 0 || counts[2] == 0)
    MTLBreakRule(@"MTLGrid", @"%s %lu x %lu x %lu must not be 0 in any dimension", what, counts[0], counts[1], counts[2]);
  if (countsThreads && !device->properties.nonuniformThreadgroups)
    MTLBreakRule(@"MTLNonuniformThreadgroups",
                 @"Dispatch Threads with Non-Uniform Threadgroup Size is not supported on this device");
  for (int i = 0; i < 3; i++) {
    uint64_t factor = countsThreads ? 1 : sizes[i];
    if (counts[i] > UINT32_MAX / factor)
      MTLBreakRule(@"MTLGrid", @"%s %lu in dimension %d are over 2^32 - 1 threads", what, counts[i], i);
    threads[i] = counts[i] * factor;
  }
}
