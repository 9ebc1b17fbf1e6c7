/*
 * transfer.m: fill, copy, upload and download.
 *
 * Metal copies and fills whole words of 4 bytes. Ranges of whole words go through the queue as they are. What is left
 * (any byte count at any offset) is done by the CPU: in shared memory once the queue has come that far, in private
 * memory through a staging buffer, whose first and last word are read back where the range only covers a part of them.
 */
#import <Metal/Metal.h>

#import "buffer.h"
#import "device.h"
#import "export.h"
#import "number.h"
#import "queue.h"

#include <string.h>

enum { Word = 4, StagingBytes = 8 << 20 };

typedef struct Copy {
  id<MTLBuffer> source, destination;
  uint64_t sourceOffset, destinationOffset, length;
} Copy;

/* Up to two copies in one command buffer; those of length 0 are left out. */
typedef struct Copies {
  Copy items[2];
} Copies;

typedef struct Fill {
  id<MTLBuffer> buffer;
  uint64_t offset, length;
  uint8_t value;
} Fill;

static bm_status encodeCopies(id<MTLCommandBuffer> commands, void *context) {
  const Copies *copies = context;
  id<MTLBlitCommandEncoder> encoder = [commands blitCommandEncoder];
  @try {
    for (int i = 0; i < 2; i++) {
      const Copy *copy = &copies->items[i];
      if (copy->length == 0) continue;
      [encoder copyFromBuffer:copy->source
                 sourceOffset:copy->sourceOffset
                     toBuffer:copy->destination
            destinationOffset:copy->destinationOffset
                         size:copy->length];
    }
  } @finally {
    [encoder endEncoding];
  }
  return BM_OK;
}

static bm_status encodeFill(id<MTLCommandBuffer> commands, void *context) {
  const Fill *fill = context;
  id<MTLBlitCommandEncoder> encoder = [commands blitCommandEncoder];
  @try {
    [encoder fillBuffer:fill->buffer range:NSMakeRange(fill->offset, fill->length) value:fill->value];
  } @finally {
    [encoder endEncoding];
  }
  return BM_OK;
}

static bm_status runCopies(BunMetalQueue *queue, Copy first, Copy second) {
  Copies copies = {{first, second}};
  return bridgeQueueRun(queue, (QueueWork){.encode = encodeCopies, .keepsObjects = true, .context = &copies});
}

/*
 * Command buffers here need no references of their own: each is waited for, while the exported function holds the
 * buffers of its handles and whoever made a staging buffer holds that.
 */

/* ---- through a staging buffer, for private memory ---------------------------------------------------------------- */

/* The whole words around a range, and its place in the staging buffer, which holds just these words. */
typedef struct Cover {
  uint64_t start, length; /* in the private buffer */
  uint64_t head;          /* bytes of the first word before the range */
  uint64_t bytes;         /* of the range */
} Cover;

static Cover coverOf(uint64_t offset, uint64_t length) {
  Cover cover = {.start = offset & ~(uint64_t)(Word - 1), .head = offset % Word};
  uint64_t most = StagingBytes - cover.head;
  cover.bytes = length < most ? length : most;
  cover.length = bridgeRoundUp(cover.head + cover.bytes, Word);
  return cover;
}

/* nil with the error set. +1. */
static id<MTLBuffer> newStaging(BunMetalQueue *queue, uint64_t length) {
  uint64_t bytes = length < StagingBytes ? bridgeRoundUp(length, Word) + Word : StagingBytes;
  id<MTLBuffer> staging = [queue->device->metal newBufferWithLength:bytes options:MTLResourceStorageModeShared];
  if (!staging) bridgeFail(BM_ERROR_MEMORY, "The device has no memory to stage a copy");
  return staging;
}

/* Brings in the first and the last word of the cover where the range covers only a part of them. What is in the last word
 * behind the buffer's end is nobody's: it may never have been written. */
static bm_status readEdges(BunMetalQueue *queue, BunMetalBuffer *buffer, id<MTLBuffer> staging, Cover cover) {
  uint64_t last = cover.length - Word; /* where the last word starts; 0 where it is the first one as well */
  uint64_t end = cover.start + cover.head + cover.bytes;
  bool lastIsPartial = end % Word != 0 && end < buffer->length;
  bool firstIsPartial = cover.head != 0 || (lastIsPartial && last == 0);
  if (!firstIsPartial && !lastIsPartial) return BM_OK;
  return runCopies(queue, (Copy){buffer->metal, staging, cover.start, 0, firstIsPartial ? Word : 0},
                   (Copy){buffer->metal, staging, cover.start + last, last, lastIsPartial && last > 0 ? Word : 0});
}

static bm_status uploadStaged(BunMetalQueue *queue, BunMetalBuffer *buffer, uint64_t offset, const uint8_t *bytes,
                              uint64_t length) {
  BRIDGE_PINNED(NSObject<MTLBuffer>) staging = (NSObject<MTLBuffer> *)newStaging(queue, length);
  if (!staging) return bm_error_code();
  while (length > 0) {
    Cover cover = coverOf(offset, length);
    bm_status status = readEdges(queue, buffer, staging, cover);
    if (status != BM_OK) return status;
    memcpy((uint8_t *)[staging contents] + cover.head, bytes, cover.bytes);
    status = runCopies(queue, (Copy){staging, buffer->metal, 0, cover.start, cover.length}, (Copy){.length = 0});
    if (status != BM_OK) return status;
    offset += cover.bytes;
    bytes += cover.bytes;
    length -= cover.bytes;
  }
  return BM_OK;
}

static bm_status downloadStaged(BunMetalQueue *queue, BunMetalBuffer *buffer, uint64_t offset, uint8_t *bytes,
                                uint64_t length) {
  BRIDGE_PINNED(NSObject<MTLBuffer>) staging = (NSObject<MTLBuffer> *)newStaging(queue, length);
  if (!staging) return bm_error_code();
  while (length > 0) {
    Cover cover = coverOf(offset, length);
    bm_status status =
        runCopies(queue, (Copy){buffer->metal, staging, cover.start, 0, cover.length}, (Copy){.length = 0});
    if (status != BM_OK) return status;
    memcpy(bytes, (uint8_t *)[staging contents] + cover.head, cover.bytes);
    offset += cover.bytes;
    bytes += cover.bytes;
    length -= cover.bytes;
  }
  return BM_OK;
}

/* ---- by kind of memory ------------------------------------------------------------------------------------------- */

static bm_status upload(BunMetalQueue *queue, BunMetalBuffer *buffer, uint64_t offset, const void *bytes,
                        uint64_t length) {
  if (!buffer->contents) return uploadStaged(queue, buffer, offset, bytes, length);
  bm_status status = bridgeQueueDrain(queue);
  if (status == BM_OK) memmove(buffer->contents + offset, bytes, length);
  return status;
}

static bm_status download(BunMetalQueue *queue, BunMetalBuffer *buffer, uint64_t offset, void *bytes, uint64_t length) {
  if (!buffer->contents) return downloadStaged(queue, buffer, offset, bytes, length);
  bm_status status = bridgeQueueDrain(queue);
  if (status == BM_OK) memmove(bytes, buffer->contents + offset, length);
  return status;
}

/* Between two private buffers at different places within a word: a bounce through the CPU, piece by piece. */
static bm_status copyBounced(BunMetalQueue *queue, BunMetalBuffer *source, uint64_t from, BunMetalBuffer *destination,
                             uint64_t to, uint64_t length) {
  uint64_t most = length < StagingBytes / 2 ? length : StagingBytes / 2;
  BRIDGE_PINNED(NSObject<MTLBuffer>) bounce = (NSObject<MTLBuffer> *)newStaging(queue, most);
  if (!bounce) return bm_error_code();
  bm_status status = BM_OK;
  for (uint64_t done = 0; done < length && status == BM_OK; done += most) {
    uint64_t bytes = length - done < most ? length - done : most;
    status = downloadStaged(queue, source, from + done, [bounce contents], bytes);
    if (status == BM_OK) status = uploadStaged(queue, destination, to + done, [bounce contents], bytes);
  }
  return status;
}

static bm_status fill(BunMetalQueue *queue, BunMetalBuffer *buffer, uint64_t offset, uint64_t length, uint8_t value) {
  if (buffer->contents && (offset % Word != 0 || length % Word != 0)) {
    bm_status status = bridgeQueueDrain(queue);
    if (status == BM_OK) memset(buffer->contents + offset, value, length);
    return status;
  }
  const uint8_t edge[Word] = {value, value, value, value};
  uint64_t head = (Word - offset % Word) % Word;
  if (head > length) head = length;
  uint64_t tail = (length - head) % Word;
  Fill body = {buffer->metal, offset + head, length - head - tail, value};
  bm_status status = head ? upload(queue, buffer, offset, edge, head) : BM_OK;
  if (status == BM_OK && body.length)
    status = bridgeQueueRun(queue, (QueueWork){.encode = encodeFill, .keepsObjects = true, .context = &body});
  if (status == BM_OK && tail) status = upload(queue, buffer, offset + length - tail, edge, tail);
  return status;
}

static bm_status copy(BunMetalQueue *queue, BunMetalBuffer *source, uint64_t from, BunMetalBuffer *destination,
                      uint64_t to, uint64_t length) {
  if (from % Word == 0 && to % Word == 0 && length % Word == 0)
    return runCopies(queue, (Copy){source->metal, destination->metal, from, to, length}, (Copy){.length = 0});
  if (source->contents) return upload(queue, destination, to, source->contents + from, length);
  if (destination->contents) return download(queue, source, from, destination->contents + to, length);
  return copyBounced(queue, source, from, destination, to, length);
}

/* ---- exports ----------------------------------------------------------------------------------------------------- */

/* Whether the buffer may be used on the queue; the error is set where not. */
static bool sharesDevice(BunMetalQueue *queue, BunMetalBuffer *buffer) {
  if (bridgeSameDevice(queue->device, buffer->device)) return true;
  bridgeFail(BM_ERROR_ARGUMENT, "The buffer and the queue belong to different devices");
  return false;
}

bm_status bm_buffer_fill(bm_handle queueHandle, bm_handle handle, double offset, double length, uint32_t value) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalQueue) queue = bridgeQueueRetain(queueHandle);
  if (!queue) return bm_error_code();
  BRIDGE_PINNED(BunMetalBuffer) buffer = bridgeBufferRetain(handle);
  if (!buffer || !sharesDevice(queue, buffer)) return bm_error_code();
  uint64_t start, bytes;
  if (!bridgeReadRange(offset, length, buffer->length, "buffer", &start, &bytes)) return bm_error_code();
  if (value > UINT8_MAX) return bridgeFail(BM_ERROR_ARGUMENT, "A fill's value is a byte, not \"%u\"", value);
  return bytes == 0 ? BM_OK : fill(queue, buffer, start, bytes, (uint8_t)value);
  BRIDGE_LEAVE(status)
}

bm_status bm_buffer_copy(bm_handle queueHandle, bm_handle sourceHandle, double sourceOffset,
                         bm_handle destinationHandle, double destinationOffset, double length) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalQueue) queue = bridgeQueueRetain(queueHandle);
  if (!queue) return bm_error_code();
  BRIDGE_PINNED(BunMetalBuffer) source = bridgeBufferRetain(sourceHandle);
  if (!source || !sharesDevice(queue, source)) return bm_error_code();
  BRIDGE_PINNED(BunMetalBuffer) destination = bridgeBufferRetain(destinationHandle);
  if (!destination || !sharesDevice(queue, destination)) return bm_error_code();
  uint64_t from, to, bytes;
  if (!bridgeReadRange(sourceOffset, length, source->length, "source buffer", &from, &bytes) ||
      !bridgeReadRange(destinationOffset, length, destination->length, "destination buffer", &to, &bytes))
    return bm_error_code();
  if (source == destination && bridgeRangesOverlap(from, to, bytes))
    return bridgeFail(BM_ERROR_ARGUMENT, "A copy within a buffer cannot overlap itself: go through a third range");
  return bytes == 0 ? BM_OK : copy(queue, source, from, destination, to, bytes);
  BRIDGE_LEAVE(status)
}

bm_status bm_buffer_upload(bm_handle queueHandle, bm_handle handle, double offset, const void *bytes, double length) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalQueue) queue = bridgeQueueRetain(queueHandle);
  if (!queue) return bm_error_code();
  BRIDGE_PINNED(BunMetalBuffer) buffer = bridgeBufferRetain(handle);
  if (!buffer || !sharesDevice(queue, buffer)) return bm_error_code();
  uint64_t start, count;
  if (!bridgeReadRange(offset, length, buffer->length, "buffer", &start, &count)) return bm_error_code();
  if (count == 0) return BM_OK;
  if (!bytes) return bridgeFail(BM_ERROR_ARGUMENT, "Bytes cannot be uploaded from NULL");
  return upload(queue, buffer, start, bytes, count);
  BRIDGE_LEAVE(status)
}

bm_status bm_buffer_download(bm_handle queueHandle, bm_handle handle, double offset, void *bytes, double length) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalQueue) queue = bridgeQueueRetain(queueHandle);
  if (!queue) return bm_error_code();
  BRIDGE_PINNED(BunMetalBuffer) buffer = bridgeBufferRetain(handle);
  if (!buffer || !sharesDevice(queue, buffer)) return bm_error_code();
  uint64_t start, count;
  if (!bridgeReadRange(offset, length, buffer->length, "buffer", &start, &count)) return bm_error_code();
  if (count == 0) return BM_OK;
  if (!bytes) return bridgeFail(BM_ERROR_ARGUMENT, "Bytes cannot be downloaded to NULL");
  return download(queue, buffer, start, bytes, count);
  BRIDGE_LEAVE(status)
}
