/* MTLBuffer: memory of the driver's, or of the caller's. */
#import "Objects.h"

#include <Block.h>


@implementation LinuxBuffer

- (id)initWithDevice:(LinuxDevice *)device length:(NSUInteger)length options:(MTLResourceOptions)resourceOptions {
  self = [super init];
  if (!self) return nil;
  bool isZeroed = (resourceOptions & 0xF0) >> 4 != MTLStorageModePrivate;
  memory = device->driver->allocate(device->index, length, isZeroed);
  if (!memory) {
    [self release];
    return nil;
  }
  owner = [device retain];
  isDriverMemory = true;
  size = length;
  options = resourceOptions;
  atomic_fetch_add(&owner->allocated, length);
  return self;
}

- (id)initWithDevice:(LinuxDevice *)device
              memory:(void *)pointer
              length:(NSUInteger)length
             options:(MTLResourceOptions)resourceOptions
         deallocator:(void (^)(void *, NSUInteger))block {
  self = [super init];
  if (!self) return nil;
  owner = [device retain];
  memory = pointer;
  size = length;
  options = resourceOptions;
  deallocator = block ? Block_copy(block) : NULL;
  atomic_fetch_add(&owner->allocated, length);
  return self;
}

- (void)dealloc {
  if (owner) atomic_fetch_sub(&owner->allocated, size);
  if (isDriverMemory) owner->driver->deallocate(owner->index, memory, size);
  if (deallocator) {
    deallocator(memory, size);
    Block_release(deallocator);
  }
  [owner release];
  [super dealloc];
}

- (id<MTLDevice>)device {
  return owner;
}

- (NSUInteger)length {
  return size;
}

- (NSUInteger)allocatedSize {
  return size;
}

- (void *)contents {
  return [self storageMode] == MTLStorageModePrivate ? NULL : memory;
}

- (uint64_t)gpuAddress {
  return (uint64_t)memory;
}

- (MTLResourceOptions)resourceOptions {
  return options;
}

- (MTLCPUCacheMode)cpuCacheMode {
  return options & 0xF;
}

- (MTLStorageMode)storageMode {
  return (options & 0xF0) >> 4;
}

- (MTLHazardTrackingMode)hazardTrackingMode {
  NSUInteger mode = (options & 0x300) >> 8;
  return mode == MTLHazardTrackingModeDefault ? MTLHazardTrackingModeTracked : mode;
}

- (MTLPurgeableState)setPurgeableState:(MTLPurgeableState)state {
  (void)state; // memory of the CPU is never purged
  return MTLPurgeableStateNonVolatile;
}

- (void)addDebugMarker:(NSString *)marker range:(NSRange)range {
  (void)marker;
  if (range.location > size || range.length > size - range.location)
    MTLBreakRule(@"MTLBufferRange", @"marker range %lu+%lu is outside of %lu bytes", range.location, range.length, size);
}

- (void)removeAllDebugMarkers {
}

@end
