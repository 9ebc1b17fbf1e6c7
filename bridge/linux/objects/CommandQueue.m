/* MTLCommandQueue: command buffers in order, on a thread of the queue's own. */
#import "Objects.h"

#include <signal.h>
#include <stdlib.h>

/* What a thread does to itself; never blocked. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};

static void append(CommandBufferList *list, LinuxCommandBuffer *commands) {
  if (list->last) list->last->next = commands;
  else list->first = commands;
  list->last = commands;
}

static LinuxCommandBuffer *removeFirst(CommandBufferList *list) {
  LinuxCommandBuffer *commands = list->first;
  list->first = commands->next;
  if (!list->first) list->last = nil;
  commands->next = nil;
  return commands;
}

static bool isCommitted(LinuxCommandBuffer *commands) {
  return commands && atomic_load(&commands->state) == MTLCommandBufferStatusCommitted;
}

/* Starts what is committed and has nothing before it that is not. */
static void startCommitted(QueueState *state) {
  if (!state->driverQueue) return;
  pthread_mutex_lock(&state->startLock);
  for (;;) {
    pthread_mutex_lock(&state->lock);
    LinuxCommandBuffer *commands = isCommitted(state->enqueued.first) ? removeFirst(&state->enqueued) : nil;
    pthread_mutex_unlock(&state->lock);
    if (!commands) break;
    [commands start];
    pthread_mutex_lock(&state->lock);
    atomic_store(&commands->state, MTLCommandBufferStatusScheduled);
    append(&state->started, commands);
    pthread_cond_broadcast(&state->changed);
    pthread_mutex_unlock(&state->lock);
  }
  pthread_mutex_unlock(&state->startLock);
}

/* The next command buffer that the thread has to do with; under the lock. */
static LinuxCommandBuffer *removeNext(QueueState *state) {
  if (state->driverQueue) return state->started.first ? removeFirst(&state->started) : nil;
  return isCommitted(state->enqueued.first) ? removeFirst(&state->enqueued) : nil;
}

/* The first command buffer in order that is committed; nil when the queue ends, or, if nobody `waits`, when there is
 * none. Retained by the list, now by us. */
static LinuxCommandBuffer *takeNext(QueueState *state, bool waits) {
  LinuxCommandBuffer *commands;
  pthread_mutex_lock(&state->lock);
  while (!(commands = removeNext(state)) && waits && !state->isStopping) pthread_cond_wait(&state->changed, &state->lock);
  pthread_mutex_unlock(&state->lock);
  return commands;
}

static void freeState(QueueState *state) {
  if (state->driverQueue) state->driver->freeQueue(state->driverQueue);
  for (unsigned i = 0; i < state->spareCount; i++) free(state->spare[i]);
  pthread_cond_destroy(&state->changed);
  pthread_mutex_destroy(&state->lock);
  pthread_mutex_destroy(&state->startLock);
  free(state);
}

/* Runs it, gives it back, and only then tells who waits: when waitUntilCompleted returns, this thread holds nothing. */
static void runAndRelease(QueueState *state, LinuxCommandBuffer *commands) {
  uint64_t sequence = commands->sequence;
  [commands execute];
  [commands release]; // may free the queue, which then leaves the state to its thread
  pthread_mutex_lock(&state->lock);
  state->completed = sequence;
  pthread_cond_broadcast(&state->changed);
  pthread_mutex_unlock(&state->lock);
}

/* Metal promises no autorelease pool here, so there is none: a handler that relies on one is found by the counters. */
static void *runQueue(void *context) {
  QueueState *state = context;
  sigset_t handled; // the host's signals are for its own threads; faults are for whoever makes them
  sigfillset(&handled);
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&handled, faults[i]);
  pthread_sigmask(SIG_BLOCK, &handled, NULL);
  LinuxCommandBuffer *commands;
  while ((commands = takeNext(state, true))) runAndRelease(state, commands);
  pthread_mutex_lock(&state->lock);
  bool isOurs = !state->hasThread; // the queue was freed on this thread and left the state to it
  pthread_mutex_unlock(&state->lock);
  if (isOurs) freeState(state);
  return NULL;
}

@implementation LinuxCommandQueue

- (id)initWithDevice:(LinuxDevice *)device most:(NSUInteger)most {
  self = [super init];
  if (!self) return nil;
  state = calloc(1, sizeof *state);
  if (!state) {
    [self release];
    return nil;
  }
  owner = [device retain];
  state->driver = device->driver;
  pthread_mutex_init(&state->lock, NULL);
  pthread_mutex_init(&state->startLock, NULL);
  pthread_cond_init(&state->changed, NULL);
  pthread_mutex_init(&residencyLock, NULL);
  residencySets = [[NSMutableArray alloc] init];
  state->most = most;
  if (!state->driver->newQueue) return self;
  char *message = NULL;
  state->driverQueue = state->driver->newQueue(device->index, &message);
  if (state->driverQueue) return self;
  MTLSetReasonOfNil(message);
  [self release];
  return nil;
}

/* Every command buffer retains its queue, so none is left here. */
- (void)dealloc {
  if (state) {
    pthread_mutex_lock(&state->lock);
    bool hasThread = state->hasThread;
    bool isOnThread = hasThread && pthread_equal(state->thread, pthread_self());
    pthread_t worker = state->thread;
    state->isStopping = true;
    if (isOnThread) state->hasThread = false;
    pthread_cond_broadcast(&state->changed);
    pthread_mutex_unlock(&state->lock);
    if (isOnThread) {
      pthread_detach(worker);
    } else {
      if (hasThread) pthread_join(worker, NULL);
      freeState(state);
    }
    pthread_mutex_destroy(&residencyLock);
  }
  [residencySets release];
  [owner release];
  [super dealloc];
}

- (id<MTLDevice>)device {
  return owner;
}

- (id<MTLCommandBuffer>)commandBufferThatRetains:(bool)retains {
  pthread_mutex_lock(&state->lock);
  bool isOnThread = state->hasThread && pthread_equal(state->thread, pthread_self());
  while (!isOnThread && state->outstanding >= state->most) pthread_cond_wait(&state->changed, &state->lock);
  bool isFull = state->outstanding >= state->most;
  if (!isFull) state->outstanding++;
  pthread_mutex_unlock(&state->lock);
  if (isFull)
    MTLBreakRule(@"MTLCommandBufferCount", @"a handler of the queue waits for a command buffer, and all %lu are in use",
                 state->most);
  LinuxCommandBuffer *commands = [[LinuxCommandBuffer alloc] initWithQueue:self retainsReferences:retains];
  if (!commands) [self forget];
  return [commands autorelease];
}

- (id<MTLCommandBuffer>)commandBuffer {
  return [self commandBufferThatRetains:true];
}

- (id<MTLCommandBuffer>)commandBufferWithDescriptor:(MTLCommandBufferDescriptor *)descriptor {
  return [self commandBufferThatRetains:!descriptor || [descriptor retainedReferences]];
}

- (id<MTLCommandBuffer>)commandBufferWithUnretainedReferences {
  return [self commandBufferThatRetains:false];
}

- (void)forget {
  pthread_mutex_lock(&state->lock);
  state->outstanding--;
  pthread_cond_broadcast(&state->changed);
  pthread_mutex_unlock(&state->lock);
}

/* Only a committed command buffer is retained: one that is dropped before gives its place up. */
- (void)enqueue:(LinuxCommandBuffer *)commands commit:(bool)commits {
  pthread_mutex_lock(&state->lock);
  if (commands->sequence == 0) {
    commands->sequence = ++state->enqueuedCount;
    append(&state->enqueued, commands);
  }
  if (commits) [commands retain];
  atomic_store(&commands->state, commits ? MTLCommandBufferStatusCommitted : MTLCommandBufferStatusEnqueued);
  int failure = 0;
  if (commits && !state->hasThread) {
    failure = pthread_create(&state->thread, NULL, runQueue, state);
    state->hasThread = failure == 0;
  }
  if (!state->driverQueue) pthread_cond_broadcast(&state->changed); // else the thread waits for what is started
  pthread_mutex_unlock(&state->lock);
  if (commits) startCommitted(state);
  if (failure != 0) {
    // No thread can be had: run it here, in order, as all that came before.
    LinuxCommandBuffer *next;
    while ((next = takeNext(state, false))) runAndRelease(state, next);
  }
}

- (void)withdraw:(LinuxCommandBuffer *)commands {
  pthread_mutex_lock(&state->lock);
  LinuxCommandBuffer *before = nil;
  for (LinuxCommandBuffer *at = state->enqueued.first; at != commands; at = at->next) before = at;
  if (before) before->next = commands->next;
  else state->enqueued.first = commands->next;
  if (state->enqueued.last == commands) state->enqueued.last = before;
  pthread_cond_broadcast(&state->changed); // who waited behind it may go
  pthread_mutex_unlock(&state->lock);
  startCommitted(state);
}

/* ---- residency ----------------------------------------------------------------------------------------------------- */

- (void)addResidencySet:(id<MTLResidencySet>)residencySet {
  if (!residencySet) MTLBreakRule(@"MTLResidencySet", @"the residency set is nil");
  if ([residencySet device] != owner) MTLBreakRule(@"MTLDeviceMismatch", @"the residency set is of another device");
  pthread_mutex_lock(&residencyLock);
  bool isThere = [residencySets containsObject:residencySet];
  bool isFull = !isThere && [residencySets count] == MostResidencySets;
  if (!isThere && !isFull) [residencySets addObject:residencySet];
  pthread_mutex_unlock(&residencyLock);
  if (isFull) MTLBreakRule(@"MTLResidencySetCount", @"more than %d residency sets on a queue", MostResidencySets);
}

- (void)addResidencySets:(const id<MTLResidencySet>[])sets count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; i++) [self addResidencySet:sets[i]];
}

- (void)removeResidencySet:(id<MTLResidencySet>)residencySet {
  if (!residencySet) MTLBreakRule(@"MTLResidencySet", @"the residency set is nil");
  pthread_mutex_lock(&residencyLock);
  [residencySets removeObject:residencySet];
  pthread_mutex_unlock(&residencyLock);
}

- (void)removeResidencySets:(const id<MTLResidencySet>[])sets count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; i++) [self removeResidencySet:sets[i]];
}

@end
