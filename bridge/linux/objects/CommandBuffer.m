/* MTLCommandBuffer: a list of driver commands, what they use, and who wants to know when they are done. */
#import "Indirect.h"

#include <Block.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FirstKept = 64, FirstOperations = 4, BlockBytes = 16384 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void *grow(void *items, size_t count, size_t itemSize) {
  void *grown = realloc(items, count * itemSize);
  if (!grown) [NSException raise:NSMallocException format:@"no memory to encode %lu commands", (unsigned long)count];
  return grown;
}

@implementation LinuxCommandBuffer

- (id)initWithQueue:(LinuxCommandQueue *)aQueue retainsReferences:(bool)retains {
  self = [super init];
  if (!self) return nil;
  queue = [aQueue retain];
  retainsReferences = retains;
  return self;
}

/* Operations on indirect command buffers are in flight from commit to here; then commands may change again. */
- (void)releaseOperations {
  for (NSUInteger i = 0; i < operationCount; i++) {
    IndirectOperation *operation = &operations[i];
    if (isInFlight) {
      atomic_fetch_sub(&operation->commands->inFlight, 1);
      if (operation->destination) atomic_fetch_sub(&operation->destination->inFlight, 1);
    }
    free(operation->arguments);
    free(operation->memoryLengths);
    free(operation->expanded);
  }
  free(operations);
  operations = NULL;
  operationCount = operationCapacity = 0;
}

/* Most command buffers take few commands, which are large: they take turns with the same memory. */
- (void)takeSpare {
  QueueState *shared = queue->state;
  pthread_mutex_lock(&shared->lock);
  commands = shared->spareCount > 0 ? shared->spare[--shared->spareCount] : NULL;
  pthread_mutex_unlock(&shared->lock);
  commandCapacity = commands ? QueueSpareCommands : 0;
}

- (void)giveSpare {
  QueueState *shared = queue->state;
  pthread_mutex_lock(&shared->lock);
  const bool isKept = commandCapacity == QueueSpareCommands && shared->spareCount < QueueSpares;
  if (isKept) shared->spare[shared->spareCount++] = commands;
  pthread_mutex_unlock(&shared->lock);
  if (!isKept) free(commands);
}

- (void)releaseWhatIsKept {
  [self releaseOperations];
  for (NSUInteger i = 0; i < usedCount; i++) MTLEndUse(used[i]);
  free(used);
  used = NULL;
  usedCount = usedCapacity = 0;
  free(declared);
  declared = NULL;
  declaredCount = declaredCapacity = 0;
  for (NSUInteger i = 0; i < keptCount; i++) [kept[i] release];
  free(kept);
  kept = NULL;
  keptCount = keptCapacity = 0;
  while (blocks) {
    ByteBlock *following = blocks->next;
    free(blocks);
    blocks = following;
  }
  if (commands) [self giveSpare];
  commands = NULL;
  commandCount = commandCapacity = 0;
}

- (void)dealloc {
  [self releaseWhatIsKept];
  [scheduledHandlers release];
  [completedHandlers release];
  [failure release];
  [residencySets release];
  MTLCommandBufferStatus status = atomic_load(&state);
  if (status == MTLCommandBufferStatusEnqueued) [queue withdraw:self];
  if (status < MTLCommandBufferStatusCommitted) [queue forget]; // otherwise the queue counted it when it was done
  [queue release];
  [super dealloc];
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

- (DriverCommand *)append:(DriverCommandKind)kind {
  if (!commands) [self takeSpare];
  if (commandCount == commandCapacity) {
    uint32_t capacity = commandCapacity ? commandCapacity * 2 : QueueSpareCommands;
    commands = grow(commands, capacity, sizeof *commands);
    commandCapacity = capacity;
  }
  DriverCommand *command = &commands[commandCount++];
  memset(command, 0, sizeof *command);
  command->kind = kind;
  return command;
}

- (void)keep:(LinuxTracked *)object {
  if (!retainsReferences) {
    [self use:object->lifetime];
    return;
  }
  if (keptCount == keptCapacity) {
    NSUInteger capacity = keptCapacity ? keptCapacity * 2 : FirstKept;
    kept = grow(kept, capacity, sizeof *kept);
    keptCapacity = capacity;
  }
  kept[keptCount++] = [object retain];
}

- (void)use:(Lifetime *)lifetime {
  if (usedCount == usedCapacity) {
    NSUInteger capacity = usedCapacity ? usedCapacity * 2 : FirstKept;
    used = grow(used, capacity, sizeof *used);
    usedCapacity = capacity;
  }
  MTLUse(lifetime);
  used[usedCount++] = lifetime;
}

- (void)declare:(LinuxTracked *)object {
  [self keep:object];
  if (declaredCount == declaredCapacity) {
    NSUInteger capacity = declaredCapacity ? declaredCapacity * 2 : FirstKept;
    declared = grow(declared, capacity, sizeof *declared);
    declaredCapacity = capacity;
  }
  declared[declaredCount++] = object->lifetime;
}

- (IndirectOperation *)appendOperation {
  if (operationCount == operationCapacity) {
    NSUInteger capacity = operationCapacity ? operationCapacity * 2 : FirstOperations;
    operations = grow(operations, capacity, sizeof *operations);
    operationCapacity = capacity;
  }
  IndirectOperation *operation = &operations[operationCount++];
  memset(operation, 0, sizeof *operation);
  operation->command = commandCount - 1;
  return operation;
}

- (void *)copyBytes:(const void *)bytes length:(NSUInteger)length {
  size_t needed = (length + 15) & ~(size_t)15;
  if (!blocks || blocks->capacity - blocks->used < needed) {
    ByteBlock *block = grow(NULL, 1, sizeof(ByteBlock) + BlockBytes);
    *block = (ByteBlock){.next = blocks, .used = 0, .capacity = BlockBytes};
    blocks = block;
  }
  void *copy = blocks->bytes + blocks->used;
  blocks->used += needed;
  memcpy(copy, bytes, length);
  return copy;
}

- (void)requireUncommitted:(const char *)call {
  MTLCommandBufferStatus status = atomic_load(&state);
  if (status >= MTLCommandBufferStatusCommitted)
    MTLBreakRule(@"MTLCommandBufferCommitted", @"%s is not possible after commit", call);
}

- (void)requireNoEncoder:(const char *)call {
  if (openEncoder)
    MTLBreakRule(@"MTLCommandEncoderOpen", @"%s: a command encoder is already encoding to this command buffer", call);
}

- (id)begin:(LinuxCommandEncoder *)encoder {
  openEncoder = encoder;
  return [encoder autorelease];
}

- (id<MTLComputeCommandEncoder>)computeCommandEncoderWithDispatchType:(MTLDispatchType)dispatchType {
  [self requireUncommitted:"a new encoder"];
  [self requireNoEncoder:"a new encoder"];
  return [self begin:[[LinuxComputeCommandEncoder alloc] initWithCommandBuffer:self dispatchType:dispatchType]];
}

- (id<MTLComputeCommandEncoder>)computeCommandEncoder {
  return [self computeCommandEncoderWithDispatchType:MTLDispatchTypeSerial];
}

- (id<MTLComputeCommandEncoder>)computeCommandEncoderWithDescriptor:(MTLComputePassDescriptor *)descriptor {
  return [self computeCommandEncoderWithDispatchType:[descriptor dispatchType]];
}

- (id<MTLBlitCommandEncoder>)blitCommandEncoder {
  [self requireUncommitted:"a new encoder"];
  [self requireNoEncoder:"a new encoder"];
  return [self begin:[[LinuxBlitCommandEncoder alloc] initWithCommandBuffer:self]];
}

/* ---- residency ----------------------------------------------------------------------------------------------------- */

- (void)useResidencySet:(id<MTLResidencySet>)residencySet {
  [self requireUncommitted:"useResidencySet:"];
  if (!residencySet) MTLBreakRule(@"MTLResidencySet", @"the residency set is nil");
  if ([residencySet device] != queue->owner) MTLBreakRule(@"MTLDeviceMismatch", @"the residency set is of another device");
  if (!residencySets) residencySets = [[NSMutableArray alloc] init];
  if ([residencySets containsObject:residencySet]) return;
  if ([residencySets count] == MostResidencySets)
    MTLBreakRule(@"MTLResidencySetCount", @"more than %d residency sets on a command buffer", MostResidencySets);
  [residencySets addObject:residencySet];
}

- (void)useResidencySets:(const id<MTLResidencySet>[])sets count:(NSUInteger)count {
  for (NSUInteger i = 0; i < count; i++) [self useResidencySet:sets[i]];
}

- (void)pushDebugGroup:(NSString *)string {
  (void)string;
}

- (void)popDebugGroup {
}

/* ---- handing over ------------------------------------------------------------------------------------------------ */

- (void)addHandler:(MTLCommandBufferHandler)block to:(NSMutableArray **)handlers call:(const char *)call {
  [self requireUncommitted:call];
  if (!block) MTLBreakRule(@"MTLCommandBufferHandler", @"%s needs a block, not nil", call);
  if (!*handlers) *handlers = [[NSMutableArray alloc] init];
  MTLCommandBufferHandler copy = Block_copy(block);
  [*handlers addObject:copy];
  Block_release(copy);
}

- (void)addScheduledHandler:(MTLCommandBufferHandler)block {
  [self addHandler:block to:&scheduledHandlers call:"addScheduledHandler:"];
}

- (void)addCompletedHandler:(MTLCommandBufferHandler)block {
  [self addHandler:block to:&completedHandlers call:"addCompletedHandler:"];
}

- (void)enqueue {
  [self requireUncommitted:"enqueue"];
  if (sequence != 0) MTLBreakRule(@"MTLCommandBufferEnqueued", @"a command buffer is enqueued once");
  [queue enqueue:self commit:false];
}

- (void)commit {
  [self requireUncommitted:"commit"];
  [self requireNoEncoder:"commit"];
  // Metal aborts in the encoder's dealloc. An exception cannot leave a dealloc, so the rule is told here.
  if (hasLostEncoder)
    MTLBreakRule(@"MTLCommandEncoderNotEnded", @"a command encoder was released without endEncoding");
  for (NSUInteger i = 0; i < operationCount; i++) MTLPrepareOperation(self, &operations[i]);
  for (NSUInteger i = 0; i < operationCount; i++) {
    atomic_fetch_add(&operations[i].commands->inFlight, 1);
    if (operations[i].destination) atomic_fetch_add(&operations[i].destination->inFlight, 1);
  }
  isInFlight = true;
  [queue enqueue:self commit:true];
}

- (void)waitUntil:(MTLCommandBufferStatus)wanted call:(const char *)call {
  if (atomic_load(&state) < MTLCommandBufferStatusCommitted)
    MTLBreakRule(@"MTLCommandBufferNotCommitted", @"%s would never return: the command buffer was not committed", call);
  QueueState *shared = queue->state;
  pthread_mutex_lock(&shared->lock);
  bool isOnThread = shared->hasThread && pthread_equal(shared->thread, pthread_self());
  bool isDone = shared->completed >= sequence;
  pthread_mutex_unlock(&shared->lock);
  if (isOnThread && !isDone)
    MTLBreakRule(@"MTLCommandBufferWait", @"%s in a handler of the queue would never return", call);
  pthread_mutex_lock(&shared->lock);
  while (wanted == MTLCommandBufferStatusScheduled ? atomic_load(&state) < wanted : shared->completed < sequence)
    pthread_cond_wait(&shared->changed, &shared->lock);
  pthread_mutex_unlock(&shared->lock);
}

- (void)waitUntilScheduled {
  [self waitUntil:MTLCommandBufferStatusScheduled call:"waitUntilScheduled"];
}

- (void)waitUntilCompleted {
  [self waitUntil:MTLCommandBufferStatusCompleted call:"waitUntilCompleted"];
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

- (void)call:(NSMutableArray *)handlers {
  for (NSUInteger i = 0; i < [handlers count]; i++) {
    MTLCommandBufferHandler handler = (MTLCommandBufferHandler)[handlers objectAtIndex:i];
    @try {
      handler(self);
    }
    @catch (NSException *exception) {
      // There is nobody to hand it to. The process and the queue live on; the line says what was lost.
      fprintf(stderr, "a handler of a command buffer raised %s: %s\n", [[exception name] UTF8String],
              [[exception reason] UTF8String]);
    }
  }
}

/* What the caller had to keep alive and did not; +1 or nil. Its memory is still there: the uses saw to that. */
- (NSError *)newErrorOfReleased {
  for (NSUInteger i = 0; i < usedCount; i++) {
    const Lifetime *lifetime = used[i];
    if (!atomic_load(&lifetime->isReleased)) continue;
    char message[512];
    snprintf(message, sizeof message, "The %s \"%s\" was released before a command buffer that does not retain it completed",
             lifetime->kind, lifetime->label ? lifetime->label : "(no label)");
    return MTLNewError(MTLCommandBufferErrorDomain, MTLCommandBufferErrorInvalidResource, message);
  }
  return nil;
}

- (void)setScheduled {
  pthread_mutex_lock(&queue->state->lock);
  atomic_store(&state, MTLCommandBufferStatusScheduled);
  pthread_cond_broadcast(&queue->state->changed);
  pthread_mutex_unlock(&queue->state->lock);
}

/* The queue calls it scheduled when it tells its thread. */
- (void)start {
  QueueState *shared = queue->state;
  work = shared->driver->start(shared->driverQueue, commands, commandCount, &startMessage);
}

/* Runs the commands, or waits for those that were started. False with a malloc'ed message. */
- (bool)run:(char **)message {
  const QueueState *shared = queue->state;
  const double before = now();
  double seconds = 0;
  bool isDone = false;
  if (!shared->driverQueue) {
    isDone = shared->driver->execute(queue->owner->index, commands, commandCount, message);
  } else if (work) {
    isDone = shared->driver->finish(shared->driverQueue, work, &seconds, message);
  } else {
    *message = startMessage;
    startMessage = NULL;
  }
  endTime = now();
  // Seconds of the device are exact, moments of it are not to be had on the CPU's clock.
  startTime = shared->driverQueue ? endTime - seconds : before;
  return isDone;
}

- (void)execute {
  if (!queue->state->driverQueue) [self setScheduled];
  [self call:scheduledHandlers];
  char *message = NULL;
  if (![self run:&message]) failure = MTLNewError(MTLCommandBufferErrorDomain, MTLCommandBufferErrorInternal, message);
  free(message);
  if (!failure) failure = [self newErrorOfReleased];
  [self releaseWhatIsKept];
  atomic_store(&state, !failure ? MTLCommandBufferStatusCompleted : MTLCommandBufferStatusError);
  [queue forget]; // before the handlers: one of them may want the next command buffer
  [self call:completedHandlers];
  // What a handler captures goes now, not when the last owner of the command buffer does.
  [scheduledHandlers release];
  [completedHandlers release];
  scheduledHandlers = completedHandlers = nil;
}

/* ---- properties -------------------------------------------------------------------------------------------------- */

- (id<MTLDevice>)device {
  return queue->owner;
}

- (id<MTLCommandQueue>)commandQueue {
  return queue;
}

- (BOOL)retainedReferences {
  return retainsReferences ? YES : NO;
}

- (MTLCommandBufferErrorOption)errorOptions {
  return MTLCommandBufferErrorOptionNone;
}

- (CFTimeInterval)kernelStartTime {
  return startTime;
}

- (CFTimeInterval)kernelEndTime {
  return endTime;
}

- (CFTimeInterval)GPUStartTime {
  return startTime;
}

- (CFTimeInterval)GPUEndTime {
  return endTime;
}

- (MTLCommandBufferStatus)status {
  return atomic_load(&state);
}

- (NSError *)error {
  return failure;
}

@end
