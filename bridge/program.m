#import "program.h"

#import "device.h"
#import "export.h"
#import "handle.h"
#import "number.h"
#import "queue.h"

#include <stdlib.h>
#include <string.h>

/* Programs are lists of some hundred operations; this is only where absurd ends. */
static const uint64_t MostProgramBytes = 1u << 30;

@implementation BunMetalProgram

- (id)initWithDevice:(BunMetalDevice *)owner {
  self = [super init];
  if (!self) return nil;
  device = [owner retain];
  objects = [[NSMutableArray alloc] init];
  pthread_mutex_init(&slotLock, NULL);
  return self;
}

- (void)dealloc {
  while (freeSlots) {
    ProgramSlot *slot = freeSlots;
    freeSlots = slot->next;
    [slot->words release];
    free(slot);
  }
  pthread_mutex_destroy(&slotLock);
  free(operations);
  free(bindings);
  free(constants);
  free(memories);
  free(constantBytes);
  [objects release];
  [device release];
  [super dealloc];
}

@end

/* ---- slots ------------------------------------------------------------------------------------------------------- */

static ProgramSlot *newSlot(BunMetalProgram *program) {
  ProgramSlot *slot = calloc(1, sizeof *slot);
  if (slot && program->wordCount > 0) {
    slot->words = [program->device->metal newBufferWithLength:(NSUInteger)program->wordCount * sizeof(uint32_t)
                                                      options:MTLResourceStorageModeShared];
    if (!slot->words) {
      free(slot);
      slot = NULL;
    }
  }
  if (!slot) bridgeFail(BM_ERROR_MEMORY, "There is no memory for the dynamic words of another submission");
  return slot;
}

/* A slot with its own copy of the words; NULL with the error set. It keeps the program until it is given back. */
static ProgramSlot *takeSlot(BunMetalProgram *program, const uint32_t *words) {
  pthread_mutex_lock(&program->slotLock);
  ProgramSlot *slot = program->freeSlots;
  if (slot) program->freeSlots = slot->next;
  pthread_mutex_unlock(&program->slotLock);
  if (!slot) slot = newSlot(program);
  if (!slot) return NULL;
  slot->program = [program retain];
  if (slot->words) memcpy([slot->words contents], words, program->wordCount * sizeof(uint32_t));
  return slot;
}

static void giveSlot(void *context) {
  ProgramSlot *slot = context;
  BunMetalProgram *program = slot->program;
  slot->program = nil;
  pthread_mutex_lock(&program->slotLock);
  slot->next = program->freeSlots;
  program->freeSlots = slot;
  pthread_mutex_unlock(&program->slotLock);
  [program release];
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

/* At most one of the two encoders is open. Going from one to the other orders all that came before. */
typedef struct Encoding {
  id<MTLCommandBuffer> commands;
  id<MTLComputeCommandEncoder> compute;
  id<MTLBlitCommandEncoder> blit;
  id<MTLComputePipelineState> pipeline; /* set on the compute encoder */
  uint32_t memoryMask;                  /* threadgroup memories that have a length on the compute encoder */
  id<MTLBuffer> words;
  const uint32_t *wordValues;
} Encoding;

static void endEncoders(Encoding *encoding) {
  id<MTLCommandEncoder> open = encoding->compute ? (id<MTLCommandEncoder>)encoding->compute : encoding->blit;
  encoding->compute = nil;
  encoding->blit = nil;
  encoding->pipeline = nil;
  encoding->memoryMask = 0;
  [open endEncoding];
}

static id<MTLComputeCommandEncoder> computeEncoder(const BunMetalProgram *program, Encoding *encoding) {
  if (!encoding->compute) {
    endEncoders(encoding);
    MTLDispatchType type = bridgeUses(program->device, BM_FEATURE_CONCURRENT_DISPATCH) ? MTLDispatchTypeConcurrent
                                                                                       : MTLDispatchTypeSerial;
    encoding->compute = [encoding->commands computeCommandEncoderWithDispatchType:type];
  }
  return encoding->compute;
}

static id<MTLBlitCommandEncoder> blitEncoder(Encoding *encoding) {
  if (!encoding->blit) {
    endEncoders(encoding);
    encoding->blit = [encoding->commands blitCommandEncoder];
  }
  return encoding->blit;
}

/* False where the grid is empty. Sets the error, and *isTooLarge, where a position would not fit 32 bits. */
static bool readGrid(const ProgramDispatch *dispatch, const uint32_t *words, MTLSize *grid, bool *isTooLarge) {
  uint64_t sizes[3];
  for (int i = 0; i < 3; i++) {
    ProgramDimension dimension = dispatch->grid[i];
    sizes[i] = dimension.count;
    if (dimension.word == 0) continue;
    uint64_t items = words[dimension.word - 1];
    if (items == 0) return false;
    sizes[i] = (items + dimension.count - 1) / dimension.count;
    uint64_t threads = dispatch->countsThreads ? sizes[i] : sizes[i] * dispatch->threadsPerThreadgroup[i];
    if (threads > UINT32_MAX) {
      *isTooLarge = true;
      bridgeFail(BM_ERROR_RANGE, "Dynamic word \"%u\" is \"%llu\": a grid of \"%llu\" threads is over 2^32 - 1",
                 dimension.word - 1, (unsigned long long)items, (unsigned long long)threads);
      return false;
    }
  }
  *grid = MTLSizeMake(sizes[0], sizes[1], sizes[2]);
  return true;
}

static void bindArguments(const BunMetalProgram *program, const ProgramDispatch *dispatch, Encoding *encoding,
                          id<MTLComputeCommandEncoder> encoder) {
  for (uint32_t i = 0; i < dispatch->bindingCount; i++) {
    const ProgramBinding *binding = &program->bindings[dispatch->firstBinding + i];
    [encoder setBuffer:binding->buffer ? binding->buffer : encoding->words
                offset:binding->offset
               atIndex:binding->index];
  }
  for (uint32_t i = 0; i < dispatch->constantCount; i++) {
    const ProgramConstant *constant = &program->constants[dispatch->firstConstant + i];
    [encoder setBytes:program->constantBytes + constant->start length:constant->length atIndex:constant->index];
  }
  // Lengths last from dispatch to dispatch and all count against the limit: clear those of kernels before.
  uint32_t stale = encoding->memoryMask & ~dispatch->memoryMask;
  for (uint32_t index = 0; stale >> index; index++)
    if (stale >> index & 1) [encoder setThreadgroupMemoryLength:0 atIndex:index];
  for (uint32_t i = 0; i < dispatch->memoryCount; i++) {
    const ProgramThreadgroupMemory *memory = &program->memories[dispatch->firstMemory + i];
    [encoder setThreadgroupMemoryLength:memory->length atIndex:memory->index];
  }
  encoding->memoryMask = dispatch->memoryMask;
}

static bm_status encodeDispatch(const BunMetalProgram *program, const ProgramDispatch *dispatch, Encoding *encoding) {
  MTLSize grid;
  bool isTooLarge = false;
  if (!readGrid(dispatch, encoding->wordValues, &grid, &isTooLarge)) return isTooLarge ? BM_ERROR_RANGE : BM_OK;
  id<MTLComputeCommandEncoder> encoder = computeEncoder(program, encoding);
  if (encoding->pipeline != dispatch->pipeline) {
    [encoder setComputePipelineState:dispatch->pipeline];
    encoding->pipeline = dispatch->pipeline;
  }
  bindArguments(program, dispatch, encoding, encoder);
  const uint32_t *threads = dispatch->threadsPerThreadgroup;
  MTLSize threadgroup = MTLSizeMake(threads[0], threads[1], threads[2]);
  if (dispatch->countsThreads)
    [encoder dispatchThreads:grid threadsPerThreadgroup:threadgroup];
  else
    [encoder dispatchThreadgroups:grid threadsPerThreadgroup:threadgroup];
  return BM_OK;
}

static void encodeCopy(const ProgramCopy *copy, Encoding *encoding) {
  [blitEncoder(encoding) copyFromBuffer:copy->source
                           sourceOffset:copy->sourceOffset
                               toBuffer:copy->destination
                      destinationOffset:copy->destinationOffset
                                   size:copy->length];
}

static void encodeFill(const ProgramFill *fill, Encoding *encoding) {
  [blitEncoder(encoding) fillBuffer:fill->buffer range:NSMakeRange(fill->offset, fill->length) value:fill->value];
}

static bm_status encodeOperation(const BunMetalProgram *program, const ProgramOperation *operation,
                                 Encoding *encoding) {
  switch (operation->opcode) {
    case BM_OP_DISPATCH: return encodeDispatch(program, &operation->dispatch, encoding);
    case BM_OP_COPY: encodeCopy(&operation->copy, encoding); break;
    case BM_OP_FILL: encodeFill(&operation->fill, encoding); break;
    case BM_OP_BARRIER:
      // A blit encoder has no barrier; the next operation opens another encoder, which is one.
      if (encoding->blit)
        endEncoders(encoding);
      else
        [encoding->compute memoryBarrierWithScope:MTLBarrierScopeBuffers];
      break;
  }
  return BM_OK;
}

static bm_status encodeProgram(id<MTLCommandBuffer> commands, void *context) {
  const ProgramSlot *slot = context;
  const BunMetalProgram *program = slot->program;
  Encoding encoding = {.commands = commands, .words = slot->words, .wordValues = [slot->words contents]};
  bm_status status = BM_OK;
  @try {
    for (uint32_t i = 0; i < program->operationCount && status == BM_OK; i++)
      status = encodeOperation(program, &program->operations[i], &encoding);
  } @finally {
    endEncoders(&encoding);
  }
  return status;
}

/* ---- exports ----------------------------------------------------------------------------------------------------- */

bm_handle bm_program_new(bm_handle handle, const void *bytes, double length) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalDevice) device = bridgeDeviceRetain(handle);
  if (!device) return 0;
  uint64_t count;
  if (!bridgeReadSize(length, "length of a program", &count)) return 0;
  if (!bytes || count % sizeof(uint32_t) != 0 || count > MostProgramBytes) {
    bridgeFail(BM_ERROR_ARGUMENT,
               "A program at \"%p\" of \"%.0f\" bytes is not one: it has whole words, and at most 2^30 bytes", bytes,
               length);
    return 0;
  }
  uint32_t *words = malloc(count ? count : 1); // the caller's bytes may lie at any address
  if (!words) {
    bridgeFail(BM_ERROR_MEMORY, "There is no memory left to read a program of \"%.0f\" bytes", length);
    return 0;
  }
  BunMetalProgram *program = nil;
  @try {
    memcpy(words, bytes, count);
    program = bridgeProgramDecode(device, words, count / sizeof(uint32_t));
  } @finally {
    free(words);
  }
  return program ? bridgeHandleNew(program, BM_KIND_PROGRAM) : 0;
  BRIDGE_LEAVE(0)
}

/* Checks a run's arguments and makes its work. False with the error set. */
static bool prepareRun(BunMetalQueue *queue, BunMetalProgram *program, const uint32_t *words, uint32_t count,
                       QueueWork *work) {
  if (!bridgeSameDevice(queue->device, program->device)) {
    bridgeFail(BM_ERROR_ARGUMENT, "The program and the queue belong to different devices");
  } else if (count != program->wordCount) {
    bridgeFail(BM_ERROR_ARGUMENT, "A run has \"%u\" dynamic words, but the program declares \"%u\"", count,
               program->wordCount);
  } else if (count > 0 && !words) {
    bridgeFail(BM_ERROR_ARGUMENT, "The dynamic words of a run are NULL");
  } else {
    ProgramSlot *slot = takeSlot(program, words);
    *work = (QueueWork){.encode = encodeProgram, .keepsObjects = true, .finish = giveSlot, .context = slot};
    return slot != NULL;
  }
  return false;
}

bm_status bm_program_run(bm_handle queueHandle, bm_handle handle, const uint32_t *words, uint32_t count) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalQueue) queue = bridgeQueueRetain(queueHandle);
  if (!queue) return bm_error_code();
  BRIDGE_PINNED(BunMetalProgram) program = bridgeHandleRetain(handle, BM_KIND_PROGRAM);
  QueueWork work;
  if (!program || !prepareRun(queue, program, words, count, &work)) return bm_error_code();
  return bridgeQueueRun(queue, work);
  BRIDGE_LEAVE(status)
}

uint32_t bm_program_submit(bm_handle queueHandle, bm_handle handle, const uint32_t *words, uint32_t count) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalQueue) queue = bridgeQueueRetain(queueHandle);
  if (!queue) return 0;
  BRIDGE_PINNED(BunMetalProgram) program = bridgeHandleRetain(handle, BM_KIND_PROGRAM);
  QueueWork work;
  if (!program || !prepareRun(queue, program, words, count, &work)) return 0;
  return bridgeQueueSubmit(queue, work);
  BRIDGE_LEAVE(0)
}
