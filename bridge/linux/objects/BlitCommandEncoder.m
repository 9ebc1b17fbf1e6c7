/* MTLBlitCommandEncoder: copies and fills. They run one after the other, in whole words of 4 bytes, as macOS has it. */
#import "Objects.h"

enum { Granularity = 4 };

static void checkRange(LinuxBuffer *buffer, NSUInteger offset, NSUInteger length, const char *what) {
  if (length == 0) MTLBreakRule(@"MTLBlitLength", @"a %s of 0 bytes", what);
  if (offset % Granularity != 0 || length % Granularity != 0)
    MTLBreakRule(@"MTLBlitAlignment", @"%s: offset %lu and length %lu must be multiples of %d", what, offset, length,
                 Granularity);
  if (offset > buffer->size || length > buffer->size - offset)
    MTLBreakRule(@"MTLBlitRange", @"%s: %lu bytes from %lu on are outside of a buffer of %lu", what, length, offset,
                 buffer->size);
}

@implementation LinuxBlitCommandEncoder

- (LinuxBuffer *)use:(id<MTLBuffer>)buffer for:(const char *)what {
  [self requireOpen];
  if (!buffer) MTLBreakRule(@"MTLBlitBuffer", @"the %s buffer is nil", what);
  [self requireDevice:[buffer device] of:"buffer"];
  [commandBuffer keep:buffer];
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
  command->copy.source = (char *)source->memory + sourceOffset;
  command->copy.destination = (char *)destination->memory + destinationOffset;
  command->copy.length = size;
  [commandBuffer append:DriverCommandBarrier];
}

- (void)fillBuffer:(id<MTLBuffer>)buffer range:(NSRange)range value:(uint8_t)value {
  LinuxBuffer *destination = [self use:buffer for:"filled"];
  checkRange(destination, range.location, range.length, "fill");
  DriverCommand *command = [commandBuffer append:DriverCommandFill];
  command->fill.destination = (char *)destination->memory + range.location;
  command->fill.length = range.length;
  command->fill.value = value;
  [commandBuffer append:DriverCommandBarrier];
}

@end
