#import "queue.h"

#import "device.h"
#import "export.h"
#import "handle.h"
#import "thread.h"

/* What the oldest system lacks is guarded by respondsToSelector: or a weak symbol: @available needs compiler-rt's
 * Darwin part, which a cross build does not have. */
#pragma clang diagnostic ignored "-Wunguarded-availability-new"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
  RememberedResults = 256,
  LastTicket = 0x7FFFFFFF,
  // Room for a command buffer that has completed for us but not yet for Metal, which blocks at its own limit.
  MetalInFlight = 2 * BM_MAX_IN_FLIGHT
};

typedef struct Result {
  uint64_t sequence; /* 0: none yet */
  bool isPending;
  bm_status status;
  double seconds;
  char *message; /* malloc'ed text of a failure, or NULL */
} Result;

struct QueueState {
  id<MTLCommandQueue> metal;
  bm_completed callback;

  pthread_mutex_t commitLock; /* makes one step of numbering and committing, so that tickets rise in queue order */
  pthread_mutex_t lock;       /* guards all below; taken inside commitLock, never the other way round */
  pthread_cond_t changed;     /* a submission completed, a callback returned, or the queue closes */
  uint64_t issued;            /* submissions ever numbered */
  uint64_t settled;           /* all up to this one have completed */
  uint64_t latest;            /* the one that completed last */
  uint32_t inFlight;          /* reserved or committed, not completed */
  uint32_t handlersOut;       /* completion handlers that Metal has yet to call or that have not returned */
  bool isClosing;
  bool hasFailed;             /* a submission failed on the device since `metal` was made */
  Result results[RememberedResults]; /* submission n is in results[n % RememberedResults] */
};

static atomic_uint inFlightOfAll;

/* The queue whose completion callback this thread is inside of: waiting for it there could never end. */
static _Thread_local BunMetalQueue *callbackQueue;

/* +1. */
static id<MTLCommandQueue> newMetalQueue(const BunMetalDevice *device) {
  id<MTLCommandQueue> queue = [device->metal newCommandQueueWithMaxCommandBufferCount:MetalInFlight];
  @try {
    if (device->residency) [queue addResidencySet:device->residency->set];
  } @catch (...) {
    [queue release];
    @throw;
  }
  return queue;
}

@implementation BunMetalQueue

- (id)initWithDevice:(BunMetalDevice *)owner callback:(bm_completed)completed {
  self = [super init];
  if (!self) return nil;
  device = [owner retain];
  state = calloc(1, sizeof *state);
  if (state) {
    pthread_mutex_init(&state->commitLock, NULL);
    pthread_mutex_init(&state->lock, NULL);
    pthread_cond_init(&state->changed, NULL);
    state->callback = completed;
    @try {
      state->metal = newMetalQueue(device);
    } @catch (...) {
      [self release];
      @throw;
    }
  }
  if (!state || !state->metal) {
    [self release];
    return nil;
  }
  return self;
}

/* Only bm_release and callers of exports hold a queue, so this never runs inside one of its own handlers. */
- (void)dealloc {
  if (state) {
    bridgeQueueClose(self);
    [state->metal release];
    for (int i = 0; i < RememberedResults; i++) free(state->results[i].message);
    pthread_cond_destroy(&state->changed);
    pthread_mutex_destroy(&state->lock);
    pthread_mutex_destroy(&state->commitLock);
    free(state);
  }
  [device release];
  [super dealloc];
}

@end

BunMetalQueue *bridgeQueueRetain(bm_handle handle) {
  return bridgeHandleRetain(handle, BM_KIND_QUEUE);
}

uint32_t bridgeQueueInFlight(void) {
  return atomic_load(&inFlightOfAll);
}

bool bridgeQueueMayWait(BunMetalQueue *queue, const char *purpose) {
  if (callbackQueue != queue) return true;
  bridgeFail(BM_ERROR_UNSUPPORTED, "A queue's own completion callback cannot %s it: it would wait for itself", purpose);
  return false;
}

void bridgeQueueClose(BunMetalQueue *queue) {
  struct QueueState *state = queue->state;
  pthread_mutex_lock(&state->lock);
  state->isClosing = true;
  pthread_cond_broadcast(&state->changed);
  while (state->inFlight > 0 || state->handlersOut > 0) pthread_cond_wait(&state->changed, &state->lock);
  pthread_mutex_unlock(&state->lock);
}

/* ---- the life of a submission: reserve, encode, number and commit, complete -------------------------------------- */

/* Whether another submission may start; under the lock. A result must be settled before its place is used again, and
 * up to BM_MAX_IN_FLIGHT reservations may not have been numbered yet. */
static bool hasRoom(const struct QueueState *state) {
  return state->inFlight < BM_MAX_IN_FLIGHT && state->issued - state->settled < RememberedResults - BM_MAX_IN_FLIGHT;
}

/* Metal ignores what a queue is given after a failure (MTLCommandBufferErrorAccessRevoked), for good: another queue takes
 * its place, as soon as nothing is in flight that the next submission would have to wait for. Under the lock, and with no
 * reservation out, nobody else is using `metal`. */
static void renewAfterFailure(BunMetalQueue *queue) {
  struct QueueState *state = queue->state;
  if (!state->hasFailed || state->inFlight > 0) return;
  id<MTLCommandQueue> renewed = nil;
  @try {
    renewed = newMetalQueue(queue->device);
  } @catch (...) {
    // The lock is held here: no exception may pass.
  }
  if (!renewed) return; // the old one may still do
  [state->metal release];
  state->metal = renewed;
  state->hasFailed = false;
}

static bm_status reserve(BunMetalQueue *queue, bool mayBlock) {
  struct QueueState *state = queue->state;
  pthread_mutex_lock(&state->lock);
  renewAfterFailure(queue);
  while (mayBlock && !state->isClosing && !hasRoom(state)) pthread_cond_wait(&state->changed, &state->lock);
  bool isClosing = state->isClosing, isFull = !hasRoom(state);
  if (!isClosing && !isFull) {
    state->inFlight++;
    atomic_fetch_add(&inFlightOfAll, 1);
  }
  pthread_mutex_unlock(&state->lock);
  if (isClosing) return bridgeFail(BM_ERROR_HANDLE, "The queue was released before this submission");
  if (isFull)
    return bridgeFail(BM_ERROR_BUSY, "\"%u\" submissions are in flight: submit again after a completion",
                      BM_MAX_IN_FLIGHT);
  return BM_OK;
}

static void unreserve(struct QueueState *state) {
  pthread_mutex_lock(&state->lock);
  state->inFlight--;
  atomic_fetch_sub(&inFlightOfAll, 1);
  pthread_cond_broadcast(&state->changed);
  pthread_mutex_unlock(&state->lock);
}

static uint32_t ticketOf(uint64_t sequence) {
  return (uint32_t)((sequence - 1) % LastTicket) + 1;
}

/* Numbers a submission; under commitLock. */
static uint64_t issue(struct QueueState *state, bool hasHandler) {
  pthread_mutex_lock(&state->lock);
  uint64_t sequence = ++state->issued;
  Result *result = &state->results[sequence % RememberedResults];
  free(result->message);
  *result = (Result){.sequence = sequence, .isPending = true, .seconds = NAN};
  if (hasHandler) state->handlersOut++;
  pthread_mutex_unlock(&state->lock);
  return sequence;
}

static void settle(struct QueueState *state, uint64_t sequence, bm_status status, double seconds, const char *message) {
  pthread_mutex_lock(&state->lock);
  Result *result = &state->results[sequence % RememberedResults];
  result->isPending = false;
  result->status = status;
  result->seconds = seconds;
  result->message = message ? strdup(message) : NULL;
  if (status == BM_ERROR_EXECUTION) state->hasFailed = true;
  if (sequence > state->latest) state->latest = sequence;
  while (state->settled < state->issued && !state->results[(state->settled + 1) % RememberedResults].isPending)
    state->settled++;
  state->inFlight--;
  atomic_fetch_sub(&inFlightOfAll, 1);
  pthread_cond_broadcast(&state->changed);
  pthread_mutex_unlock(&state->lock);
}

/* Reads how a command buffer ended, gives back what the work used, and only then tells the waiters. */
static bm_status settleFrom(BunMetalQueue *queue, uint64_t sequence, id<MTLCommandBuffer> commands,
                            const QueueWork *work, bool mustWait) {
  bm_status status = BM_OK;
  double seconds = NAN;
  const char *message = NULL;
  @try {
    if (mustWait) [commands waitUntilCompleted];
    seconds = [commands GPUEndTime] - [commands GPUStartTime];
    if ([commands status] == MTLCommandBufferStatusError) message = bridgeErrorText([commands error]);
  } @catch (NSException *exception) {
    message = "Metal raised an exception at completion";
  }
  if (message) status = bridgeFail(BM_ERROR_EXECUTION, "The submission failed: %s", message);
  if (work->finish) work->finish(work->context);
  settle(queue->state, sequence, status, seconds, message);
  return status;
}

/* What a completion handler does, inside its own pool: nobody else's is there on Metal's thread. */
static void complete(BunMetalQueue *queue, uint64_t sequence, id<MTLCommandBuffer> commands, const QueueWork *work) {
  bm_status status = settleFrom(queue, sequence, commands, work, false);
  bm_completed callback = queue->state->callback;
  if (!callback) return;
  callbackQueue = queue;
  callback(ticketOf(sequence) | (status == BM_OK ? 0 : BM_TICKET_FAILED));
  callbackQueue = nil;
}

static void leaveHandler(struct QueueState *state) {
  pthread_mutex_lock(&state->lock);
  state->handlersOut--;
  pthread_cond_broadcast(&state->changed);
  pthread_mutex_unlock(&state->lock);
}

/* The handler captures nothing that it would retain: what it frees must go inside the pool, not with the block. */
static void addHandler(id<MTLCommandBuffer> commands, BunMetalQueue *retainedByHandlersOut, uint64_t sequence,
                       QueueWork work) {
  void *unretained = retainedByHandlersOut;
  [commands addCompletedHandler:^(id<MTLCommandBuffer> completed) {
    BunMetalQueue *queue = unretained;
    BRIDGE_POOL {
      @try {
        complete(queue, sequence, completed, &work);
      } @catch (...) {
        // Nobody is above this thread; the result stands as it was settled.
      }
    }
    leaveHandler(queue->state);
  }];
}

/* Numbers and commits. 0 with the error set where Metal refused; the submission is then over. */
static uint64_t commit(BunMetalQueue *queue, id<MTLCommandBuffer> commands, const QueueWork *work, bool hasHandler) {
  struct QueueState *state = queue->state;
  pthread_mutex_lock(&state->commitLock);
  uint64_t sequence = issue(state, hasHandler);
  bm_status status = BM_OK;
  @try {
    if (hasHandler) addHandler(commands, queue, sequence, *work);
    [commands commit];
  } @catch (NSException *exception) {
    status = bridgeFailWithException(exception);
  }
  pthread_mutex_unlock(&state->commitLock);
  if (status == BM_OK) return sequence;
  if (work->finish) work->finish(work->context);
  settle(state, sequence, status, NAN, "Metal refused the command buffer");
  if (hasHandler) leaveHandler(state);
  return 0;
}

/* Makes and encodes a command buffer. nil with the error set; nothing of it is left behind then. */
static id<MTLCommandBuffer> encode(BunMetalQueue *queue, const QueueWork *work) {
  @try {
    bool isKept = work->keepsObjects && bridgeUses(queue->device, BM_FEATURE_UNRETAINED_REFERENCES);
    id<MTLCommandQueue> metal = queue->state->metal;
    id<MTLCommandBuffer> commands = isKept ? [metal commandBufferWithUnretainedReferences] : [metal commandBuffer];
    if (!commands)
      bridgeFail(BM_ERROR_MEMORY, "The device has no memory for a command buffer");
    else if (work->encode(commands, work->context) == BM_OK)
      return commands;
  } @catch (NSException *exception) {
    bridgeFailWithException(exception);
  }
  return nil;
}

/* The way from room in the queue to the device. 0 with the error set; `work` is finished then. */
static uint64_t start(BunMetalQueue *queue, const QueueWork *work, bool mayBlock, bool hasHandler,
                      id<MTLCommandBuffer> *commands) {
  if (bridgeUses(queue->device, BM_FEATURE_THREAD_QOS)) bridgeThreadRaise();
  bool hasPlace = reserve(queue, mayBlock) == BM_OK;
  *commands = hasPlace ? encode(queue, work) : nil;
  if (*commands) return commit(queue, *commands, work, hasHandler);
  if (work->finish) work->finish(work->context);
  if (hasPlace) unreserve(queue->state);
  return 0;
}

uint32_t bridgeQueueSubmit(BunMetalQueue *queue, QueueWork work) {
  id<MTLCommandBuffer> commands;
  uint64_t sequence = start(queue, &work, false, true, &commands);
  return sequence == 0 ? 0 : ticketOf(sequence);
}

bm_status bridgeQueueRun(BunMetalQueue *queue, QueueWork work) {
  if (!bridgeQueueMayWait(queue, "wait for")) {
    if (work.finish) work.finish(work.context);
    return bm_error_code();
  }
  // No handler: this thread reads the result itself, which saves a thread switch and a block.
  id<MTLCommandBuffer> commands;
  uint64_t sequence = start(queue, &work, true, false, &commands);
  return sequence == 0 ? bm_error_code() : settleFrom(queue, sequence, commands, &work, true);
}

/* ---- waiting and results ----------------------------------------------------------------------------------------- */

bm_status bridgeQueueDrain(BunMetalQueue *queue) {
  if (!bridgeQueueMayWait(queue, "wait for")) return bm_error_code();
  struct QueueState *state = queue->state;
  pthread_mutex_lock(&state->lock);
  uint64_t last = state->issued;
  while (state->settled < last) pthread_cond_wait(&state->changed, &state->lock);
  pthread_mutex_unlock(&state->lock);
  return BM_OK;
}

/* The remembered result of a ticket, under the lock; NULL with the error set. */
static Result *resultOf(struct QueueState *state, uint32_t ticket) {
  uint64_t age = ticket >= 1 && ticket <= LastTicket && state->issued > 0
                     ? ((uint64_t)ticketOf(state->issued) + LastTicket - ticket) % LastTicket
                     : UINT64_MAX;
  if (age >= RememberedResults || age >= state->issued) {
    bridgeFail(BM_ERROR_RANGE, "Ticket \"%u\" is not among the queue's last \"%d\" submissions", ticket,
               RememberedResults);
    return NULL;
  }
  return &state->results[(state->issued - age) % RememberedResults];
}

static bm_status waitForTicket(struct QueueState *state, uint32_t ticket) {
  pthread_mutex_lock(&state->lock);
  Result *result = resultOf(state, ticket);
  bm_status status = BM_ERROR_RANGE;
  if (result) {
    uint64_t sequence = result->sequence;
    while (result->sequence == sequence && result->isPending) pthread_cond_wait(&state->changed, &state->lock);
    if (result->sequence != sequence)
      status = bridgeFail(BM_ERROR_RANGE, "Ticket \"%u\" completed, but its result was forgotten meanwhile", ticket);
    else if ((status = result->status) != BM_OK)
      bridgeFail(status, "The submission failed: %s", result->message ? result->message : "no reason was given");
  }
  pthread_mutex_unlock(&state->lock);
  return status;
}

bm_handle bm_queue_new(bm_handle handle, bm_completed completed) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalDevice) device = bridgeDeviceRetain(handle);
  if (!device) return 0;
  BunMetalQueue *queue = [[BunMetalQueue alloc] initWithDevice:device callback:completed];
  if (!queue) {
    const char *reason = bridgeReasonOfNil();
    bridgeFail(BM_ERROR_MEMORY, "The device made no command queue%s%s", reason ? ": " : "", reason ? reason : "");
    return 0;
  }
  return bridgeHandleNew(queue, BM_KIND_QUEUE);
  BRIDGE_LEAVE(0)
}

bm_status bm_queue_wait(bm_handle handle, uint32_t ticket) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalQueue) queue = bridgeQueueRetain(handle);
  if (!queue) return bm_error_code();
  if (ticket == 0) return bridgeQueueDrain(queue);
  if (!bridgeQueueMayWait(queue, "wait for")) return bm_error_code();
  return waitForTicket(queue->state, ticket);
  BRIDGE_LEAVE(status)
}

double bm_queue_gpu_seconds(bm_handle handle, uint32_t ticket) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalQueue) queue = bridgeQueueRetain(handle);
  if (!queue) return NAN;
  struct QueueState *state = queue->state;
  pthread_mutex_lock(&state->lock);
  Result *result = ticket ? resultOf(state, ticket) : &state->results[state->latest % RememberedResults];
  double seconds = result && result->sequence && !result->isPending ? result->seconds : NAN;
  pthread_mutex_unlock(&state->lock);
  return seconds;
  BRIDGE_LEAVE(NAN)
}
