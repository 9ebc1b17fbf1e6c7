/* MTLIndirectCommandBuffer, and the rules of its commands at commit: see Indirect.h. */
#import "Indirect.h"

#include <stdlib.h>
#include <string.h>

static void forget(IndirectSlot *slot) {
  if (slot->pipeline) MTLUnrefer(&slot->pipeline->lifetime);
  for (int i = 0; i < DriverMaxBuffers; i++)
    if (slot->arguments[i].buffer) MTLUnrefer(&slot->arguments[i].buffer->lifetime);
  memset(slot, 0, sizeof *slot);
}

static void endCommands(Lifetime *lifetime) {
  IndirectCommands *commands = (IndirectCommands *)lifetime;
  for (NSUInteger i = 0; commands->slots && i < commands->count; i++) forget(&commands->slots[i]);
  free(commands->slots);
  const Driver *driver = commands->owner->driver;
  if (driver->freeList && commands->list.implementation) driver->freeList(&commands->list);
  free(commands->list.commands);
  free(commands->gathered);
  pthread_mutex_destroy(&commands->lock);
}

@implementation LinuxIndirectCommandBuffer

- (id)initWithDevice:(LinuxDevice *)device
          descriptor:(MTLIndirectCommandBufferDescriptor *)descriptor
               count:(NSUInteger)count
             options:(MTLResourceOptions)resourceOptions {
  self = [super init];
  if (!self) return nil;
  commands = MTLNewLifetime(sizeof *commands, "indirect command buffer", endCommands);
  if (commands) {
    lifetime = &commands->lifetime;
    pthread_mutex_init(&commands->lock, NULL);
    commands->owner = device;
    commands->types = [descriptor commandTypes];
    commands->inheritsPipeline = [descriptor inheritPipelineState];
    commands->inheritsBuffers = [descriptor inheritBuffers];
    commands->mostBuffers = [descriptor maxKernelBufferBindCount];
    commands->mostMemories = [descriptor maxKernelThreadgroupMemoryBindCount];
    commands->version = 1;
    options = resourceOptions;
    commands->list.commands = calloc(count, sizeof *commands->list.commands);
    commands->list.count = (uint32_t)count;
    commands->list.device = device->index;
    commands->slots = calloc(count, sizeof *commands->slots);
    commands->count = commands->slots ? count : 0;
  }
  if (!commands || !commands->list.commands || !commands->slots) {
    [self release];
    return nil;
  }
  return self;
}

- (NSUInteger)size {
  return commands->count;
}

- (void)resetWithRange:(NSRange)range {
  MTLCheckCommandRange(commands, range);
  MTLCheckNotInFlight(commands);
  MTLResetCommands(commands, range, true);
}

- (id<MTLIndirectComputeCommand>)indirectComputeCommandAtIndex:(NSUInteger)commandIndex {
  if (commandIndex >= commands->count)
    MTLBreakRule(@"MTLIndirectCommandIndex", @"command index %lu is not below the size %lu", commandIndex, commands->count);
  return [[[LinuxIndirectComputeCommand alloc] initWithBuffer:self index:commandIndex] autorelease];
}

/* ---- as a resource ------------------------------------------------------------------------------------------------- */

- (id<MTLDevice>)device {
  return commands->owner;
}

- (NSUInteger)allocatedSize {
  return commands->count * (sizeof *commands->list.commands + sizeof *commands->slots);
}

- (MTLResourceID)gpuResourceID {
  return (MTLResourceID){(uint64_t)commands};
}

- (MTLResourceOptions)resourceOptions {
  return options;
}

- (MTLCPUCacheMode)cpuCacheMode {
  return options & MTLResourceCPUCacheModeMask;
}

- (MTLStorageMode)storageMode {
  return storageModeOf(options);
}

- (MTLHazardTrackingMode)hazardTrackingMode {
  NSUInteger mode = (options & MTLResourceHazardTrackingModeMask) >> MTLResourceHazardTrackingModeShift;
  return mode == MTLHazardTrackingModeDefault ? MTLHazardTrackingModeTracked : mode;
}

- (MTLPurgeableState)setPurgeableState:(MTLPurgeableState)state {
  (void)state;
  return MTLPurgeableStateNonVolatile;
}

@end

/* ---- lists of lifetimes -------------------------------------------------------------------------------------------- */

static int compareAddresses(const void *a, const void *b) {
  const uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
  return x < y ? -1 : x > y;
}

void MTLSortLifetimes(Lifetime **lifetimes, NSUInteger count) {
  if (count > 0) qsort(lifetimes, count, sizeof *lifetimes, compareAddresses);
}

bool MTLHasLifetime(Lifetime *const *sorted, NSUInteger count, const Lifetime *lifetime) {
  return count > 0 && bsearch(&lifetime, sorted, count, sizeof *sorted, compareAddresses) != NULL;
}

/* ---- rules --------------------------------------------------------------------------------------------------------- */

void MTLCheckCommandRange(const IndirectCommands *commands, NSRange range) {
  if (range.location > commands->count || range.length > commands->count - range.location)
    MTLBreakRule(@"MTLIndirectCommandRange", @"%lu commands from %lu on are outside of %lu", range.length, range.location,
                 commands->count);
}

void MTLCheckNotInFlight(const IndirectCommands *commands) {
  unsigned inFlight = atomic_load(&commands->inFlight);
  if (inFlight > 0)
    MTLBreakRule(@"MTLIndirectCommandInFlight",
                 @"a command changes while %u operations on its indirect command buffer are in flight", inFlight);
}

void MTLResetCommands(IndirectCommands *commands, NSRange range, bool encoded) {
  for (NSUInteger i = range.location; i < range.location + range.length; i++) forget(&commands->slots[i]);
  if (encoded) driverListReset(&commands->list, (uint32_t)range.location, (uint32_t)range.length);
  commands->version++;
}

static void copyCommands(const IndirectCommands *from, NSRange range, IndirectCommands *to, NSUInteger index) {
  for (NSUInteger i = 0; i < range.length; i++) {
    IndirectSlot copy = from->slots[range.location + i];
    if (copy.pipeline) MTLRefer(&copy.pipeline->lifetime);
    for (int k = 0; k < DriverMaxBuffers; k++)
      if (copy.arguments[k].buffer) MTLRefer(&copy.arguments[k].buffer->lifetime);
    forget(&to->slots[index + i]);
    to->slots[index + i] = copy;
  }
  to->version++;
}

/* What an object held is there as long as it is alive: a look at a pipeline's function would read freed memory. */
static void requireAlive(const Lifetime *lifetime) {
  if (atomic_load(&lifetime->isReleased))
    MTLBreakRule(@"MTLIndirectCommandResource", @"the %s \"%s\" of an indirect command was released", lifetime->kind,
                 lifetime->label ? lifetime->label : "(no label)");
}

/* What the function declares, where all of it is the command's own; and the barrier, which counts at the dispatch. */
static void checkSlot(IndirectCommands *commands, NSUInteger index, const IndirectOperation *operation) {
  IndirectSlot *slot = &commands->slots[index];
  const PipelineCode *pipeline = commands->inheritsPipeline ? operation->pipeline : slot->pipeline;
  if (!pipeline)
    MTLBreakRule(@"MTLPipelineState", @"indirect command %lu has no pipeline state", index);
  requireAlive(&pipeline->lifetime);
  if (!pipeline->supportsIndirectCommands)
    MTLBreakRule(@"MTLIndirectCommandPipeline", @"the pipeline state of indirect command %lu does not support them", index);
  if (slot->isWaiting != slot->waits)
    MTLBreakRule(@"MTLIndirectCommandBarrier", @"the barrier of indirect command %lu changed behind its dispatch", index);
  MTLCheckThreads(commands->owner, pipeline, slot->threadsPerThreadgroup);
  MTLCheckArguments(commands->owner, pipeline->function, commands->inheritsBuffers ? operation->arguments : slot->arguments,
                    commands->inheritsBuffers ? operation->memoryLengths : slot->memoryLengths);
}

static void *allocate(size_t count, size_t size) {
  void *memory = calloc(count ? count : 1, size);
  if (!memory) [NSException raise:NSMallocException format:@"no memory for the commands of an indirect command buffer"];
  return memory;
}

/* The distinct buffers and pipelines of a range, by address. An inherited pipeline may be another one each time. */
static void gather(IndirectCommands *commands, const IndirectOperation *operation) {
  const NSRange range = operation->range;
  if (!commands->inheritsPipeline && commands->gatheredVersion == commands->version && commands->gatheredRange.location == range.location &&
      commands->gatheredRange.length == range.length)
    return;
  commands->gatheredVersion = 0;
  commands->isResident = false;
  for (NSUInteger i = range.location; !commands->inheritsPipeline && i < range.location + range.length; i++)
    if (commands->slots[i].isDispatch) requireAlive(&commands->slots[i].pipeline->lifetime);
  NSUInteger count = 0;
  Lifetime **found = allocate(range.length * (DriverMaxBuffers + 1), sizeof *found);
  for (NSUInteger i = range.location; i < range.location + range.length; i++) {
    const IndirectSlot *slot = &commands->slots[i];
    if (!slot->isDispatch) continue;
    PipelineCode *pipeline = commands->inheritsPipeline ? operation->pipeline : slot->pipeline;
    found[count++] = &pipeline->lifetime;
    const DriverFunction *function = pipeline->function;
    for (uint32_t k = 0; k < function->argumentCount; k++) {
      const DriverArgument *declared = &function->arguments[k];
      if (declared->kind != DriverArgumentBuffer || !slot->arguments[declared->index].buffer) continue;
      found[count++] = &slot->arguments[declared->index].buffer->lifetime;
    }
  }
  MTLSortLifetimes(found, count);
  NSUInteger distinct = 0;
  for (NSUInteger i = 0; i < count; i++)
    if (i == 0 || found[i] != found[i - 1]) found[distinct++] = found[i];
  free(commands->gathered);
  commands->gathered = found;
  commands->gatheredCount = distinct;
  commands->gatheredRange = range;
  commands->gatheredVersion = commands->version;
}

/* ---- residency ----------------------------------------------------------------------------------------------------- */

typedef struct Residency {
  LinuxResidencySet *sets[2 * MostResidencySets]; /* retained */
  uint64_t serials[2 * MostResidencySets];
  NSUInteger count;
} Residency;

static void takeSets(Residency *residency, NSArray *sets) {
  for (NSUInteger i = 0; i < [sets count]; i++) {
    LinuxResidencySet *set = [[sets objectAtIndex:i] retain];
    residency->sets[residency->count] = set;
    pthread_mutex_lock(&set->lock);
    residency->serials[residency->count++] = set->serial;
    pthread_mutex_unlock(&set->lock);
  }
}

static bool isSameResidency(const IndirectCommands *commands, const Residency *residency) {
  return commands->isResident && commands->residentSerialCount == residency->count &&
         memcmp(commands->residentSerials, residency->serials, residency->count * sizeof *residency->serials) == 0;
}

static bool isInSets(const Residency *residency, const Lifetime *lifetime) {
  for (NSUInteger i = 0; i < residency->count; i++) {
    LinuxResidencySet *set = residency->sets[i];
    pthread_mutex_lock(&set->lock);
    bool isThere = MTLHasLifetime(set->resident, set->residentCount, lifetime);
    pthread_mutex_unlock(&set->lock);
    if (isThere) return true;
  }
  return false;
}

static bool needsResidency(const Lifetime *lifetime) {
  return strcmp(lifetime->kind, "buffer") == 0;
}

/* The first buffer that is neither in a set nor declared to the encoder; NULL where there is none. */
static const Lifetime *findAbsent(LinuxCommandBuffer *commandBuffer, const IndirectOperation *operation,
                                  Residency *residency) {
  IndirectCommands *commands = operation->commands;
  LinuxCommandQueue *queue = commandBuffer->queue;
  pthread_mutex_lock(&queue->residencyLock);
  takeSets(residency, queue->residencySets);
  pthread_mutex_unlock(&queue->residencyLock);
  takeSets(residency, commandBuffer->residencySets);
  if (isSameResidency(commands, residency)) return NULL;
  Lifetime **declared = NULL;
  bool areInSets = true;
  const Lifetime *absent = NULL;
  for (NSUInteger i = 0; i < commands->gatheredCount && !absent; i++) {
    const Lifetime *lifetime = commands->gathered[i];
    if (!needsResidency(lifetime) || isInSets(residency, lifetime)) continue;
    areInSets = false;
    if (!declared) {
      declared = allocate(operation->declaredCount, sizeof *declared);
      for (NSUInteger k = 0; k < operation->declaredCount; k++)
        declared[k] = commandBuffer->declared[operation->firstDeclared + k];
      MTLSortLifetimes(declared, operation->declaredCount);
    }
    if (!MTLHasLifetime(declared, operation->declaredCount, lifetime)) absent = lifetime;
  }
  free(declared);
  if (areInSets && residency->count <= IndirectRememberedSets) {
    commands->isResident = true;
    commands->residentSerialCount = residency->count;
    memcpy(commands->residentSerials, residency->serials, residency->count * sizeof *residency->serials);
  }
  return absent;
}

static void requireAliveAndResident(LinuxCommandBuffer *commandBuffer, const IndirectOperation *operation) {
  const IndirectCommands *commands = operation->commands;
  for (NSUInteger i = 0; i < commands->gatheredCount; i++) requireAlive(commands->gathered[i]);
  Residency residency = {.count = 0};
  const Lifetime *absent = findAbsent(commandBuffer, operation, &residency);
  for (NSUInteger i = 0; i < residency.count; i++) [residency.sets[i] release];
  if (!absent) return;
  const BufferMemory *memory = (const BufferMemory *)absent;
  MTLBreakRule(@"MTLIndirectCommandResidency",
               @"a buffer of %lu bytes is used by indirect commands, but neither useResource: nor a committed residency set "
               @"makes it resident",
               memory->size);
}

/* ---- at commit ----------------------------------------------------------------------------------------------------- */

/* Commands that inherit from the encoder become commands of the command buffer's own. */
static void expand(LinuxCommandBuffer *commandBuffer, IndirectOperation *operation) {
  const IndirectCommands *commands = operation->commands;
  DriverCommand *expanded = allocate(operation->range.length, sizeof *expanded);
  free(operation->expanded);
  operation->expanded = expanded;
  for (NSUInteger i = 0; i < operation->range.length; i++) {
    const NSUInteger index = operation->range.location + i;
    const IndirectSlot *slot = &commands->slots[index];
    expanded[i] = commands->list.commands[index];
    if (!slot->isDispatch) continue;
    const PipelineCode *pipeline = commands->inheritsPipeline ? operation->pipeline : slot->pipeline;
    MTLWriteArguments(&expanded[i], pipeline->function,
                      commands->inheritsBuffers ? operation->arguments : slot->arguments,
                      commands->inheritsBuffers ? operation->memoryLengths : slot->memoryLengths);
  }
  DriverCommand *command = &commandBuffer->commands[operation->command];
  command->execute.list = NULL;
  command->execute.first = 0;
  command->execute.commands = expanded;
}

/* Each command once after it has changed; where commands inherit, each time. */
static void checkSlots(IndirectCommands *commands, const IndirectOperation *operation, bool inherits) {
  const NSRange range = operation->range;
  if (!inherits && commands->checkedVersion == commands->version && commands->checkedRevision == commands->list.revision &&
      commands->checkedRange.location == range.location && commands->checkedRange.length == range.length)
    return;
  commands->checkedVersion = 0;
  for (NSUInteger i = range.location; i < range.location + range.length; i++) {
    IndirectSlot *slot = &commands->slots[i];
    if (!slot->isDispatch || slot->isChecked) continue;
    checkSlot(commands, i, operation);
    slot->isChecked = !inherits;
  }
  commands->checkedRange = range;
  commands->checkedRevision = commands->list.revision;
  commands->checkedVersion = commands->version;
}

static void prepareExecution(LinuxCommandBuffer *commandBuffer, IndirectOperation *operation) {
  IndirectCommands *commands = operation->commands;
  const bool inherits = commands->inheritsPipeline || commands->inheritsBuffers;
  checkSlots(commands, operation, inherits);
  gather(commands, operation);
  requireAliveAndResident(commandBuffer, operation);
  if (inherits) expand(commandBuffer, operation);
  for (NSUInteger i = 0; i < commands->gatheredCount; i++) [commandBuffer use:commands->gathered[i]];
}

void MTLPrepareOperation(LinuxCommandBuffer *commandBuffer, IndirectOperation *operation) {
  IndirectCommands *commands = operation->commands;
  pthread_mutex_lock(&commands->lock);
  @try {
    switch (operation->kind) {
      case IndirectExecute: prepareExecution(commandBuffer, operation); break;
      case IndirectReset: MTLResetCommands(commands, operation->range, false); break;
      case IndirectCopy:
        copyCommands(commands, operation->range, operation->destination, operation->destinationIndex);
        break;
    }
  } @finally {
    pthread_mutex_unlock(&commands->lock);
  }
}
