/*
 * queue.h: submissions, from encoding to completion.
 *
 * At most BM_MAX_IN_FLIGHT submissions of a queue are out at once. Each has a ticket; the queue remembers the results
 * of the last 256.
 */
#ifndef BRIDGE_QUEUE_H
#define BRIDGE_QUEUE_H

#import <Metal/Metal.h>
#include <stdbool.h>

#include "bun_metal.h"
#import "device.h"

@interface BunMetalQueue : NSObject {
 @public
  BunMetalDevice *device;
  struct QueueState *state; /* private to queue.m */
}
@end

/** What a submission does. */
typedef struct QueueWork {
  /** Encodes into `commands`, and leaves no encoder open, by whatever way it leaves. A failure drops `commands`. */
  bm_status (*encode)(id<MTLCommandBuffer> commands, void *context);
  /** Whether `context` keeps every object that the commands use until `finish`, or until bridgeQueueRun returns: the
   *  command buffer then does without references of its own, where that is in use. */
  bool keepsObjects;
  /** Called exactly once, when the device is done with the work or it was not submitted at all; NULL for nothing. */
  void (*finish)(void *context);
  void *context;
} QueueWork;

/** The queue of a handle, retained; nil with the error set. */
BunMetalQueue *bridgeQueueRetain(bm_handle handle);

/** Submits and returns the ticket; 0 with the error set. The queue's callback will tell of the completion. */
uint32_t bridgeQueueSubmit(BunMetalQueue *queue, QueueWork work);

/** Submits and waits, also for room in the queue. The status is the work's. */
bm_status bridgeQueueRun(BunMetalQueue *queue, QueueWork work);

/** Waits until all that was submitted before this call has completed. */
bm_status bridgeQueueDrain(BunMetalQueue *queue);

/** Whether this thread may wait for the queue: a completion callback of it must not. Sets the error where not. */
bool bridgeQueueMayWait(BunMetalQueue *queue, const char *purpose);

/** Refuses new submissions, then waits for those that are out and for callbacks under way. */
void bridgeQueueClose(BunMetalQueue *queue);

/** Submissions of all queues that have not completed. */
uint32_t bridgeQueueInFlight(void);

#endif
