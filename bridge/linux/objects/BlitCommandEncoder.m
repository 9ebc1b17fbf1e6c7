/* MTLBlitCommandEncoder: copies and fills. They run one after the other, in whole words of 4 bytes, as macOS has it. */
#import "Indirect.h"

enum { Granularity = 4 };

static void checkRange(LinuxBuffer *buffer, NSUInteger offset, NSUInteger length, const char *what) {
  if (length == 0) MTLBreakRule(@"MTLBlitLength", @"a %s of 0 bytes", what);
  if (offset % Granularity != 0 || length % Granularity != 0)
    MTLBreakRule(@"MTLBlitAlignment", @"%s: offset %lu and length %lu must be multiples of %d", what, offset, length,
                 Granularity);
  if (offset > buffer->memory->size || length > buffer->memory->size - offset)
    MTLBreakRule(@"MTLBlitRange", @"%s: %lu bytes from %lu on are outside of a buffer of %lu", what, length, offset,
                 buffer->memory->size);
}

@implementation LinuxBlitCommandEncoder

- (LinuxBuffer *)use:(id<MTLBuffer>)buffer for:(const char *)what {
  [self requireOpen];
  if (!buffer) MTLBreakRule(@"MTLBlitBuffer", @"the %s buffer is nil", what);
  [self requireDevice:[buffer device] of:"buffer"];
  [commandBuffer keep:(LinuxBuffer *)buffer];
  return (LinuxBuffer *)buffer;
}

- (void)copyFromBuffer:(id<MTLBuffer>)sourceBuffer
          sourceOffset:(NSUInteger)sourceOffset
              toBuffer:(id<MTLBuffer>)destinationBuffer
     destinationOffset:(NSUInteger)destinationOffset
                  size:(NSUInteger)size {
  LinuxBuffer *source = [self use:sourceBuffer for:"source"];
  LinuxBuffer *destination = [self use:destinationBuffer for:"destination"];
  checkRange(source, sourceOffset, size, "copy's source");
  checkRange(destination, destinationOffset, size, "copy's destination");
  if (source == destination && sourceOffset < destinationOffset + size && destinationOffset < sourceOffset + size)
    MTLBreakRule(@"MTLBlitOverlap", @"%lu bytes from %lu and from %lu on in one buffer overlap", size, sourceOffset,
                 destinationOffset);
  DriverCommand *command = [commandBuffer append:DriverCommandCopy];
  command->copy.source = (char *)source->memory->place.address + sourceOffset;
  command->copy.destination = (char *)destination->memory->place.address + destinationOffset;
  command->copy.length = size;
  [commandBuffer append:DriverCommandBarrier];
}

- (void)fillBuffer:(id<MTLBuffer>)buffer range:(NSRange)range value:(uint8_t)value {
  LinuxBuffer *destination = [self use:buffer for:"filled"];
  checkRange(destination, range.location, range.length, "fill");
  DriverCommand *command = [commandBuffer append:DriverCommandFill];
  command->fill.destination = (char *)destination->memory->place.address + range.location;
  command->fill.length = range.length;
  command->fill.value = value;
  [commandBuffer append:DriverCommandBarrier];
}

/* ---- indirect commands: the driver sees lists of commands, zeroed where empty -------------------------------------- */

- (IndirectCommands *)useCommands:(id<MTLIndirectCommandBuffer>)buffer range:(NSRange)range {
  [self requireOpen];
  if (!buffer) MTLBreakRule(@"MTLIndirectCommandBuffer", @"the indirect command buffer is nil");
  [self requireDevice:[buffer device] of:"indirect command buffer"];
  IndirectCommands *commands = ((LinuxIndirectCommandBuffer *)buffer)->commands;
  MTLCheckCommandRange(commands, range);
  [commandBuffer keep:(LinuxIndirectCommandBuffer *)buffer];
  return commands;
}

- (void)resetCommandsInBuffer:(id<MTLIndirectCommandBuffer>)buffer withRange:(NSRange)range {
  IndirectCommands *commands = [self useCommands:buffer range:range];
  if (range.length == 0) return;
  DriverCommand *command = [commandBuffer append:DriverCommandResetList];
  command->reset.list = &commands->list;
  command->reset.first = (uint32_t)range.location;
  command->reset.count = (uint32_t)range.length;
  [commandBuffer append:DriverCommandBarrier];
  IndirectOperation *operation = [commandBuffer appendOperation];
  operation->kind = IndirectReset;
  operation->commands = commands;
  operation->range = range;
}

- (void)copyIndirectCommandBuffer:(id<MTLIndirectCommandBuffer>)source
                      sourceRange:(NSRange)range
                      destination:(id<MTLIndirectCommandBuffer>)destination
                 destinationIndex:(NSUInteger)index {
  IndirectCommands *from = [self useCommands:source range:range];
  IndirectCommands *to = [self useCommands:destination range:NSMakeRange(index, range.length)];
  if (from->types != to->types || from->inheritsPipeline != to->inheritsPipeline ||
      from->inheritsBuffers != to->inheritsBuffers || from->mostBuffers > to->mostBuffers)
    MTLBreakRule(@"MTLIndirectCommandBuffer", @"commands are copied between indirect command buffers of different kinds");
  if (range.length == 0) return;
  DriverCommand *command = [commandBuffer append:DriverCommandCopyList];
  command->copyList.source = &from->list;
  command->copyList.sourceFirst = (uint32_t)range.location;
  command->copyList.destination = &to->list;
  command->copyList.destinationFirst = (uint32_t)index;
  command->copyList.count = (uint32_t)range.length;
  [commandBuffer append:DriverCommandBarrier];
  IndirectOperation *operation = [commandBuffer appendOperation];
  operation->kind = IndirectCopy;
  operation->commands = from;
  operation->range = range;
  operation->destination = to;
  operation->destinationIndex = index;
}

- (void)optimizeIndirectCommandBuffer:(id<MTLIndirectCommandBuffer>)buffer withRange:(NSRange)range {
  [self useCommands:buffer range:range]; // the commands are the driver's already
}

@end
