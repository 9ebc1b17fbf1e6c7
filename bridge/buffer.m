#import "buffer.h"

#import "device.h"
#import "export.h"
#import "handle.h"
#import "number.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static _Atomic uint64_t liveBytes;
static _Atomic uint64_t peakBytes;

static void countBytes(uint64_t length) {
  uint64_t live = atomic_fetch_add(&liveBytes, length) + length;
  uint64_t peak = atomic_load(&peakBytes);
  while (live > peak && !atomic_compare_exchange_weak(&peakBytes, &peak, live)) continue;
}

void bridgeBufferBytes(double *live, double *peak) {
  *live = (double)atomic_load(&liveBytes);
  *peak = (double)atomic_load(&peakBytes);
}

@implementation BunMetalBuffer

/* Takes over the caller's reference to `buffer`. */
- (id)initWithBuffer:(id<MTLBuffer>)buffer length:(uint64_t)byteLength device:(BunMetalDevice *)owner {
  self = [super init];
  if (!self) {
    [buffer release];
    return nil;
  }
  metal = buffer;
  device = [owner retain];
  length = byteLength;
  countBytes(length);
  @try {
    contents = [buffer storageMode] == MTLStorageModePrivate ? NULL : [buffer contents];
  } @catch (...) {
    [self release];
    @throw;
  }
  return self;
}

- (void)dealloc {
  if (metal) atomic_fetch_sub(&liveBytes, length);
  [metal release];
  [device release];
  [super dealloc];
}

@end

BunMetalBuffer *bridgeBufferRetain(bm_handle handle) {
  return bridgeHandleRetain(handle, BM_KIND_BUFFER);
}

static bm_handle handleForBuffer(BunMetalDevice *device, id<MTLBuffer> buffer, uint64_t length) {
  BunMetalBuffer *object = [[BunMetalBuffer alloc] initWithBuffer:buffer length:length device:device];
  if (!object) {
    bridgeFail(BM_ERROR_MEMORY, "There is no memory left for a buffer object");
    return 0;
  }
  return bridgeHandleNew(object, BM_KIND_BUFFER);
}

/* Reads a new buffer's length: at least 1 byte, at most what the device allows. */
static bool readBufferLength(id<MTLDevice> device, double value, uint64_t *length) {
  if (!bridgeReadSize(value, "length of a buffer", length)) return false;
  if (*length == 0) {
    bridgeFail(BM_ERROR_RANGE, "A buffer of \"0\" bytes cannot be made: the smallest has 1");
    return false;
  }
  uint64_t most = [device maxBufferLength];
  if (*length > most) {
    bridgeFail(BM_ERROR_MEMORY, "A buffer of " QUOTED_U64 " bytes is over the device's largest of " QUOTED_U64, *length,
               most);
    return false;
  }
  return true;
}

static bm_handle failAllocation(id<MTLDevice> device, uint64_t length) {
  const char *reason = bridgeReasonOfNil();
  if (reason) {
    bridgeFail(BM_ERROR_MEMORY, "%s. " QUOTED_U64 " bytes of this device are in use here", reason,
               (uint64_t)[device currentAllocatedSize]);
    return 0;
  }
  bridgeFail(BM_ERROR_MEMORY,
             "The device has no memory for a buffer of " QUOTED_U64 " bytes: " QUOTED_U64 " are in use", length,
             (uint64_t)[device currentAllocatedSize]);
  return 0;
}

bm_handle bm_buffer_new(bm_handle handle, double length, uint32_t storage) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalDevice) device = bridgeDeviceRetain(handle);
  if (!device) return 0;
  if (storage != BM_STORAGE_SHARED && storage != BM_STORAGE_PRIVATE) {
    bridgeFail(BM_ERROR_ARGUMENT, "There is no storage \"%u\": it is 0 for shared or 1 for private", storage);
    return 0;
  }
  uint64_t bytes;
  if (!readBufferLength(device->metal, length, &bytes)) return 0;
  // Whole words, so that a copy of whole words can reach the last byte (Metal copies and fills multiples of 4).
  uint64_t allocated = bridgeRoundUp(bytes, 4);
  if (allocated > [device->metal maxBufferLength]) allocated = bytes;
  MTLResourceOptions options =
      storage == BM_STORAGE_PRIVATE ? MTLResourceStorageModePrivate : MTLResourceStorageModeShared;
  id<MTLBuffer> buffer = [device->metal newBufferWithLength:allocated options:options];
  if (!buffer) return failAllocation(device->metal, bytes);
  return handleForBuffer(device, buffer, bytes);
  BRIDGE_LEAVE(0)
}

bm_handle bm_buffer_wrap(bm_handle handle, void *pointer, double length) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalDevice) device = bridgeDeviceRetain(handle);
  if (!device) return 0;
  uint64_t bytes, page = (uint64_t)getpagesize();
  if (!readBufferLength(device->metal, length, &bytes)) return 0;
  if (!pointer || (uintptr_t)pointer % page != 0 || bytes % page != 0) {
    bridgeFail(BM_ERROR_ARGUMENT,
               "Memory at \"%p\" of " QUOTED_U64
               " bytes cannot be wrapped: both must be multiples of the page, " QUOTED_U64 " bytes",
               pointer, bytes, page);
    return 0;
  }
  id<MTLBuffer> buffer = [device->metal newBufferWithBytesNoCopy:pointer
                                                          length:bytes
                                                         options:MTLResourceStorageModeShared
                                                     deallocator:nil];
  if (!buffer) {
    // A copy would not do here: the caller and the device are to see each other's writes.
    const char *reason = bridgeReasonOfNil();
    bridgeFail(BM_ERROR_MEMORY, "The device refused to wrap " QUOTED_U64 " bytes: copy them into a new buffer%s%s%s", bytes,
               reason ? " (" : "", reason ? reason : "", reason ? ")" : "");
    return 0;
  }
  return handleForBuffer(device, buffer, bytes);
  BRIDGE_LEAVE(0)
}

/* Opens a regular file that is not empty. -1 with the error set. */
static int openFile(const char *path, uint64_t *size) {
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    bm_status status = errno == ENOENT || errno == ENOTDIR ? BM_ERROR_NOT_FOUND : BM_ERROR_ARGUMENT;
    bridgeFail(status, "File \"%s\" cannot be opened: %s", path, strerror(errno));
    return -1;
  }
  struct stat information;
  const char *reason = NULL;
  if (fstat(file, &information) != 0)
    reason = strerror(errno);
  else if (S_ISDIR(information.st_mode))
    reason = "it is a directory";
  else if (!S_ISREG(information.st_mode))
    reason = "it is not a regular file";
  else if (information.st_size <= 0)
    reason = "it is empty";
  if (reason) {
    close(file);
    bridgeFail(BM_ERROR_ARGUMENT, "File \"%s\" cannot be mapped: %s", path, reason);
    return -1;
  }
  *size = (uint64_t)information.st_size;
  return file;
}

/* Reads which bytes of a file of `size` bytes to map; length 0 means up to its end. */
static bool readFileRange(double offset, double length, uint64_t size, const char *path, uint64_t *start,
                          uint64_t *bytes) {
  if (!bridgeReadSize(offset, "offset in a file", start) || !bridgeReadSize(length, "length of a mapping", bytes))
    return false;
  uint64_t page = (uint64_t)getpagesize();
  if (*start % page != 0) {
    bridgeFail(BM_ERROR_ARGUMENT,
               "Offset " QUOTED_U64 " in file \"%s\" is not a multiple of the page, " QUOTED_U64 " bytes", *start, path,
               page);
    return false;
  }
  if (*start >= size || !bridgeRangeFits(*start, *bytes, size)) {
    bridgeFail(BM_ERROR_RANGE,
               "Bytes " QUOTED_U64 " to " QUOTED_U64 " lie outside of file \"%s\" of " QUOTED_U64 " bytes", *start,
               *start + *bytes, path, size);
    return false;
  }
  if (*bytes == 0) *bytes = size - *start;
  return true;
}

/* Maps an open file's range and makes the buffer that unmaps it when it goes. nil with the error set. +1. */
static id<MTLBuffer> newMappedBuffer(id<MTLDevice> device, int file, const char *path, uint64_t start, uint64_t bytes) {
  uint64_t mapped = bridgeRoundUp(bytes, (uint64_t)getpagesize());
  if (mapped > [device maxBufferLength]) {
    bridgeFail(BM_ERROR_MEMORY, "A mapping of " QUOTED_U64 " bytes is over the device's largest buffer of " QUOTED_U64,
               mapped, (uint64_t)[device maxBufferLength]);
    return nil;
  }
  // Private and writable: Metal wants to write-map what it wraps, and the file must never change.
  void *memory = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, (off_t)start);
  if (memory == MAP_FAILED) {
    bridgeFail(BM_ERROR_MEMORY, "File \"%s\" cannot be mapped: %s", path, strerror(errno));
    return nil;
  }
  // The device may read until it is done, which can be later than our release: only it knows when to unmap.
  id<MTLBuffer> buffer = nil;
  bool isUnmapped = false; // by the buffer, in time
  @try {
    buffer = [device newBufferWithBytesNoCopy:memory
                                       length:mapped
                                      options:MTLResourceStorageModeShared
                                  deallocator:^(void *pointer, NSUInteger length) {
                                    munmap(pointer, length);
                                  }];
    isUnmapped = buffer != nil;
    // Virtual Macs refuse. Writes to this buffer never reach the file, so a copy is as good.
    if (!buffer)
      buffer = [device newBufferWithBytes:memory
                                   length:bridgeRoundUp(bytes, 4)
                                  options:MTLResourceStorageModeShared];
  } @finally {
    if (!isUnmapped) munmap(memory, mapped);
  }
  if (!buffer) failAllocation(device, bytes);
  return buffer;
}

bm_handle bm_buffer_map(bm_handle handle, const char *path, double offset, double length) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalDevice) device = bridgeDeviceRetain(handle);
  if (!device) return 0;
  if (!path) {
    bridgeFail(BM_ERROR_ARGUMENT, "The path of the file to map is NULL");
    return 0;
  }
  uint64_t size, start, bytes;
  int file = openFile(path, &size);
  if (file < 0) return 0;
  id<MTLBuffer> buffer = nil;
  @try {
    if (readFileRange(offset, length, size, path, &start, &bytes))
      buffer = newMappedBuffer(device->metal, file, path, start, bytes);
  } @finally {
    close(file);
  }
  return buffer ? handleForBuffer(device, buffer, bytes) : 0;
  BRIDGE_LEAVE(0)
}

double bm_buffer_length(bm_handle handle) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalBuffer) buffer = bridgeBufferRetain(handle);
  return buffer ? (double)buffer->length : NAN;
  BRIDGE_LEAVE(NAN)
}

void *bm_buffer_contents(bm_handle handle) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalBuffer) buffer = bridgeBufferRetain(handle);
  if (!buffer) return NULL;
  if (!buffer->contents)
    bridgeFail(BM_ERROR_UNSUPPORTED, "A private buffer has no address here: download it, or make it shared");
  return buffer->contents;
  BRIDGE_LEAVE(NULL)
}
