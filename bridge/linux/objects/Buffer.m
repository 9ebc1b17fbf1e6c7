/* MTLBuffer: memory of the driver's, or of the caller's. */
#import "Objects.h"

#include <Block.h>

static void endMemory(Lifetime *lifetime) {
  BufferMemory *memory = (BufferMemory *)lifetime;
  if (memory->size == 0) return;
  atomic_fetch_sub(&memory->owner->allocated, memory->size);
  void *contents = memory->place.contents;
  memory->owner->driver->deallocate(memory->owner->index, &memory->place);
  if (memory->deallocator) {
    memory->deallocator(contents, memory->size);
    Block_release(memory->deallocator);
  }
}

@implementation LinuxBuffer

- (id)initWithDevice:(LinuxDevice *)device options:(MTLResourceOptions)resourceOptions {
  self = [super init];
  if (!self) return nil;
  memory = MTLNewLifetime(sizeof *memory, "buffer", endMemory);
  if (!memory) {
    [self release];
    return nil;
  }
  lifetime = &memory->lifetime;
  owner = device;
  memory->owner = device;
  options = resourceOptions;
  return self;
}

- (id)initWithDevice:(LinuxDevice *)device length:(NSUInteger)length options:(MTLResourceOptions)resourceOptions {
  self = [self initWithDevice:device options:resourceOptions];
  if (!self) return nil;
  bool isPrivate = storageModeOf(resourceOptions) == MTLStorageModePrivate;
  DriverStorage storage = isPrivate ? DriverStoragePrivate : DriverStorageShared;
  char *message = NULL;
  if (!device->driver->allocate(device->index, length, storage, !isPrivate, &memory->place, &message)) {
    MTLSetReasonOfNil(message);
    [self release];
    return nil;
  }
  memory->size = length;
  atomic_fetch_add(&owner->allocated, length);
  return self;
}

- (id)initWithDevice:(LinuxDevice *)device
              memory:(void *)pointer
              length:(NSUInteger)length
             options:(MTLResourceOptions)resourceOptions
         deallocator:(void (^)(void *, NSUInteger))block {
  self = [self initWithDevice:device options:resourceOptions];
  if (!self) return nil;
  memory->place =
      (DriverMemory){.address = pointer, .contents = pointer, .length = length, .isWrapped = true};
  char *message = NULL;
  if (device->driver->wrap && !device->driver->wrap(device->index, pointer, length, &memory->place, &message)) {
    MTLSetReasonOfNil(message);
    [self release];
    return nil;
  }
  memory->size = length;
  memory->deallocator = block ? Block_copy(block) : NULL;
  atomic_fetch_add(&owner->allocated, length);
  return self;
}

- (id<MTLDevice>)device {
  return owner;
}

- (NSUInteger)length {
  return memory->size;
}

- (NSUInteger)allocatedSize {
  return memory->size;
}

- (void *)contents {
  return memory->place.contents;
}

- (uint64_t)gpuAddress {
  return (uint64_t)memory->place.address;
}

- (MTLResourceOptions)resourceOptions {
  return options;
}

- (MTLCPUCacheMode)cpuCacheMode {
  return options & 0xF;
}

- (MTLStorageMode)storageMode {
  return storageModeOf(options);
}

- (MTLHazardTrackingMode)hazardTrackingMode {
  NSUInteger mode = (options & 0x300) >> 8;
  return mode == MTLHazardTrackingModeDefault ? MTLHazardTrackingModeTracked : mode;
}

- (MTLPurgeableState)setPurgeableState:(MTLPurgeableState)state {
  (void)state; // memory is never purged
  return MTLPurgeableStateNonVolatile;
}

- (void)addDebugMarker:(NSString *)marker range:(NSRange)range {
  (void)marker;
  NSUInteger size = memory->size;
  if (range.location > size || range.length > size - range.location)
    MTLBreakRule(@"MTLBufferRange", @"marker range %lu+%lu is outside of %lu bytes", range.location, range.length, size);
}

- (void)removeAllDebugMarkers {
}

@end
