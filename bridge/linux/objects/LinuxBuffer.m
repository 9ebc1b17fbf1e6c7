#import "LinuxBuffer.h"

#import "Validation.h"
#include <Block.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Far from any plausible number: about -4.3e8 as a float, -6e66 as a double, -23 as a half, 205 as a byte. */
enum { PoisonByte = 0xCD };

static MTLStorageMode storageModeOf(MTLResourceOptions options) {
  return (options & MTLResourceStorageModeMask) >> MTLResourceStorageModeShift;
}

static void checkNewBuffer(LinuxDevice *device, NSUInteger length, MTLResourceOptions options) {
  if (length == 0) raiseRule(RuleBufferLengthZero, "the length is 0");
  if (length > device->_properties.maxBufferLength) {
    raiseRule(RuleBufferTooLong, "the length is %lu, the most is %lu", length,
              (NSUInteger)device->_properties.maxBufferLength);
  }
  MTLStorageMode mode = storageModeOf(options);
  if (mode != MTLStorageModeShared && mode != MTLStorageModePrivate) {
    raiseRule(RuleStorageMode, "storage mode %lu", (NSUInteger)mode);
  }
}

static NSUInteger wholePages(NSUInteger length) {
  NSUInteger page = (NSUInteger)getpagesize();
  return (length + page - 1) / page * page;
}

@implementation LinuxBuffer

@synthesize label = _label;

+ (instancetype)newWithDevice:(LinuxDevice *)device length:(NSUInteger)length options:(MTLResourceOptions)options {
  checkNewBuffer(device, length, options);
  bool isPrivate = storageModeOf(options) == MTLStorageModePrivate;
  void *bytes = device->_driver->allocate(device->_index, length, !isPrivate);
  if (!bytes) return nil;
  LinuxBuffer *buffer = [[self alloc] initWithDevice:device memory:bytes length:length options:options];
  if (isPrivate && device->_poisonsPrivateBuffers) [buffer poison];
  return buffer;
}

+ (instancetype)newWithDevice:(LinuxDevice *)device
                        bytes:(const void *)bytes
                       length:(NSUInteger)length
                      options:(MTLResourceOptions)options {
  if (bytes == NULL) raiseRule(RuleBufferBytesNull, "the pointer is NULL, the length %lu", length);
  LinuxBuffer *buffer = [self newWithDevice:device length:length options:options];
  if (!buffer) return nil;
  DriverCommand copy = {.kind = DriverCommandCopy};
  copy.copy.source = bytes;
  copy.copy.destination = buffer->_bytes;
  copy.copy.length = length;
  if ([buffer execute:&copy]) return buffer;
  [buffer release];
  return nil;
}

+ (instancetype)newWithDevice:(LinuxDevice *)device
                  bytesNoCopy:(void *)bytes
                       length:(NSUInteger)length
                      options:(MTLResourceOptions)options
                  deallocator:(BufferDeallocator)deallocator {
  checkNewBuffer(device, length, options);
  NSUInteger page = (NSUInteger)getpagesize();
  // That the range is one mapping cannot be told here: Linux merges and splits mappings as it likes.
  if (bytes == NULL || (uintptr_t)bytes % page != 0 || length % page != 0) {
    raiseRule(RuleBufferMemory, "pointer %p, length %lu, pages of %lu", bytes, length, page);
  }
  if (storageModeOf(options) != MTLStorageModeShared) raiseRule(RuleBufferMemory, "the storage mode is private");
  LinuxBuffer *buffer = [[self alloc] initWithDevice:device memory:bytes length:length options:options];
  buffer->_wrapped = YES;
  buffer->_deallocator = Block_copy(deallocator);
  return buffer;
}

- (instancetype)initWithDevice:(LinuxDevice *)device
                        memory:(void *)bytes
                        length:(NSUInteger)length
                       options:(MTLResourceOptions)options {
  self = [super init];
  if (!self) return nil;
  _device = [device retain];
  _bytes = bytes;
  _length = length;
  _options = options;
  atomic_fetch_add_explicit(&device->_allocatedSize, wholePages(length), memory_order_relaxed);
  return self;
}

- (bool)execute:(const DriverCommand *)command {
  char *message = NULL;
  bool done = _device->_driver->execute(_device->_index, command, 1, &message);
  free(message);
  return done;
}

- (void)poison {
  DriverCommand fill = {.kind = DriverCommandFill};
  fill.fill.destination = _bytes;
  fill.fill.length = _length;
  fill.fill.value = PoisonByte;
  [self execute:&fill];
}

- (void)dealloc {
  atomic_fetch_sub_explicit(&_device->_allocatedSize, wholePages(_length), memory_order_relaxed);
  if (_wrapped) {
    if (_deallocator) _deallocator(_bytes, _length);
    Block_release(_deallocator);
  } else {
    _device->_driver->deallocate(_device->_index, _bytes, _length);
  }
  [_label release];
  [_device release];
  [super dealloc];
}

- (id<MTLDevice>)device {
  return _device;
}

- (NSUInteger)length {
  return _length;
}

- (NSUInteger)allocatedSize {
  return wholePages(_length);
}

- (void *)contents {
  return storageModeOf(_options) == MTLStorageModePrivate ? NULL : _bytes;
}

- (uint64_t)gpuAddress {
  return (uintptr_t)_bytes;
}

- (MTLResourceOptions)resourceOptions {
  return _options;
}

- (MTLStorageMode)storageMode {
  return storageModeOf(_options);
}

- (MTLCPUCacheMode)cpuCacheMode {
  return (_options & MTLResourceCPUCacheModeMask) >> MTLResourceCPUCacheModeShift;
}

- (MTLHazardTrackingMode)hazardTrackingMode {
  // "Default" means tracked for what a device makes.
  bool isUntracked = (_options & MTLResourceHazardTrackingModeMask) == MTLResourceHazardTrackingModeUntracked;
  return isUntracked ? MTLHazardTrackingModeUntracked : MTLHazardTrackingModeTracked;
}

- (MTLPurgeableState)setPurgeableState:(MTLPurgeableState)state {
  (void)state;
  return MTLPurgeableStateNonVolatile;
}

- (void)addDebugMarker:(NSString *)marker range:(NSRange)range {
  (void)marker, (void)range;
}

- (void)removeAllDebugMarkers {
}

@end
