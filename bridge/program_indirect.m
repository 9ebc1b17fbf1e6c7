#import "program_indirect.h"

#import "number.h"

#include <stdlib.h>
#include <string.h>

/* What the oldest system lacks is guarded by respondsToSelector: or a weak symbol: @available needs compiler-rt's
 * Darwin part, which a cross build does not have. */
#pragma clang diagnostic ignored "-Wunguarded-availability-new"

enum {
  MostExecutedCommands = 16384, /* by one call */
  MostIndirectSlots = 32        /* of a program: as many steps of a generation as may be in flight */
};

/* What a command is, as its slot has encoded it. */
struct IndirectCommand {
  uint32_t operation;
  bool isEncoded; /* false at first, and where it is empty: then the rest does not count */
  bool hasBarrier;
  MTLSize grid;
};

/* ---- planning ---------------------------------------------------------------------------------------------------- */

typedef struct Use {
  id<MTLBuffer> buffer;
  bool isWritten;
} Use;

/* By buffer, the uses that write first. */
static int compareUses(const void *left, const void *right) {
  const Use *a = left, *b = right;
  if (a->buffer != b->buffer) return (uintptr_t)a->buffer < (uintptr_t)b->buffer ? -1 : 1;
  return (int)b->isWritten - (int)a->isWritten;
}

static bool isDispatch(const BunMetalProgram *program, uint32_t operation) {
  return program->operations[operation].opcode == BM_OP_DISPATCH;
}

static bool isCommand(const BunMetalProgram *program, uint32_t operation) {
  return isDispatch(program, operation) || program->operations[operation].opcode == BM_OP_BARRIER;
}

/* Whether every dispatch may be a command; counts them, and what the descriptor has to know. */
static bool survey(const BunMetalProgram *program, IndirectPlan *plan, uint32_t *bufferCount) {
  bool canAll = true;
  *bufferCount = 0;
  for (uint32_t i = 0; i < program->operationCount; i++) {
    if (!isDispatch(program, i)) continue;
    const ProgramDispatch *dispatch = &program->operations[i].dispatch;
    canAll = canAll && [dispatch->pipeline supportIndirectCommandBuffers];
    plan->commandCount++;
    for (uint32_t b = 0; b < dispatch->bindingCount; b++) {
      uint32_t index = program->bindings[dispatch->firstBinding + b].index;
      if (index >= *bufferCount) *bufferCount = index + 1;
    }
    for (uint32_t c = 0; c < dispatch->constantCount; c++) {
      uint32_t index = program->constants[dispatch->firstConstant + c].index;
      if (index >= *bufferCount) *bufferCount = index + 1;
    }
  }
  return canAll && plan->commandCount > 0;
}

/* Adds what a run's dispatches use to `resources`, each buffer once. `uses` has room for all. */
static void collectResources(const BunMetalProgram *program, IndirectPlan *plan, IndirectRun *run, uint32_t first,
                             Use *uses) {
  uint32_t count = 0;
  for (uint32_t i = run->firstOperation; i < run->endOperation; i++) {
    if (!isDispatch(program, i)) continue;
    const ProgramDispatch *dispatch = &program->operations[i].dispatch;
    for (uint32_t b = 0; b < dispatch->bindingCount; b++) {
      const ProgramBinding *binding = &program->bindings[dispatch->firstBinding + b];
      if (binding->buffer)
        uses[count++] = (Use){binding->buffer, binding->isWritten};
      else
        run->usesWords = true;
    }
  }
  qsort(uses, count, sizeof *uses, compareUses);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < count; i++)
    if (kept == 0 || uses[kept - 1].buffer != uses[i].buffer) uses[kept++] = uses[i];
  run->firstResource = first;
  for (uint32_t i = 0; i < kept; i++)
    if (uses[i].isWritten) plan->resources[first + run->writtenCount++] = uses[i].buffer;
  for (uint32_t i = 0; i < kept; i++)
    if (!uses[i].isWritten) plan->resources[first + run->writtenCount + run->readCount++] = uses[i].buffer;
}

static void planRuns(const BunMetalProgram *program, IndirectPlan *plan, Use *uses) {
  uint32_t resourceCount = 0, commandCount = 0;
  for (uint32_t i = 0; i < program->operationCount;) {
    if (!isDispatch(program, i)) {
      i++;
      continue;
    }
    IndirectRun *run = &plan->runs[plan->runCount++];
    *run = (IndirectRun){.firstOperation = i, .firstCommand = commandCount};
    for (; i < program->operationCount && isCommand(program, i); i++) run->commandCount += isDispatch(program, i);
    run->endOperation = i;
    commandCount += run->commandCount;
    collectResources(program, plan, run, resourceCount, uses);
    resourceCount += run->writtenCount + run->readCount;
  }
}

/* Puts all inline constants into one buffer: an indirect command takes no bytes. */
static bool placeConstants(const BunMetalProgram *program, IndirectPlan *plan) {
  uint64_t length = 0, alignment = program->device->policy.constantAlignment;
  for (uint32_t i = 0; i < program->constantCount; i++) {
    plan->constantOffsets[i] = length;
    length = bridgeRoundUp(length + program->constants[i].length, alignment);
  }
  if (length == 0) return true;
  plan->constants = [program->device->metal newBufferWithLength:length options:MTLResourceStorageModeShared];
  uint8_t *bytes = [plan->constants contents];
  if (!bytes) return false;
  for (uint32_t i = 0; i < program->constantCount; i++) {
    const ProgramConstant *constant = &program->constants[i];
    memcpy(bytes + plan->constantOffsets[i], program->constantBytes + constant->start, constant->length);
  }
  return true;
}

static MTLIndirectCommandBufferDescriptor *newDescriptor(uint32_t bufferCount) {
  MTLIndirectCommandBufferDescriptor *descriptor = [[MTLIndirectCommandBufferDescriptor alloc] init];
  [descriptor setCommandTypes:MTLIndirectCommandTypeConcurrentDispatch | MTLIndirectCommandTypeConcurrentDispatchThreads];
  [descriptor setInheritBuffers:NO];
  [descriptor setInheritPipelineState:NO];
  [descriptor setMaxKernelBufferBindCount:bufferCount];
  return descriptor;
}

static void addGridWord(IndirectPlan *plan, uint32_t word) {
  for (uint32_t i = 0; i < plan->gridWordCount; i++)
    if (plan->gridWords[i] == word) return;
  plan->gridWords[plan->gridWordCount++] = word;
}

static void collectGridWords(const BunMetalProgram *program, IndirectPlan *plan) {
  for (uint32_t i = 0; i < program->operationCount; i++)
    for (int d = 0; d < 3 && isDispatch(program, i); d++) {
      uint32_t word = program->operations[i].dispatch.grid[d].word;
      if (word != 0) addGridWord(plan, word - 1);
    }
}

/* False where there is no memory. */
static bool makePlan(const BunMetalProgram *program, IndirectPlan *plan, uint32_t bufferCount) {
  plan->runs = calloc(plan->commandCount, sizeof *plan->runs);
  plan->resources = calloc(program->bindingCount + 1, sizeof *plan->resources);
  plan->constantOffsets = calloc(program->constantCount + 1, sizeof *plan->constantOffsets);
  plan->gridWords = calloc(3 * plan->commandCount, sizeof *plan->gridWords);
  plan->descriptor = newDescriptor(bufferCount);
  Use *uses = calloc(program->bindingCount + 1, sizeof *uses);
  bool isMade = plan->runs && plan->resources && plan->constantOffsets && plan->gridWords && plan->descriptor && uses;
  if (isMade) planRuns(program, plan, uses);
  if (isMade) collectGridWords(program, plan);
  free(uses);
  return isMade && placeConstants(program, plan);
}

void bridgeIndirectPrepare(BunMetalProgram *program) {
  if (!bridgeUses(program->device, BM_FEATURE_INDIRECT_COMMANDS)) return;
  IndirectPlan *plan = calloc(1, sizeof *plan);
  uint32_t bufferCount;
  program->indirect = plan; // freed with the program, whatever is raised from here on
  if (plan && survey(program, plan, &bufferCount) && makePlan(program, plan, bufferCount)) return;
  program->indirect = NULL;
  bridgeIndirectFree(plan);
}

void bridgeIndirectFree(IndirectPlan *plan) {
  if (!plan) return;
  [plan->constants release];
  [plan->descriptor release];
  free(plan->runs);
  free(plan->resources);
  free(plan->constantOffsets);
  free(plan->gridWords);
  free(plan);
}

/* ---- a slot's commands ------------------------------------------------------------------------------------------- */

void bridgeIndirectFreeSlot(ProgramSlot *slot) {
  [slot->indirect release];
  free(slot->commands);
  free(slot->gridWords);
  slot->indirect = nil;
  slot->commands = NULL;
  slot->gridWords = NULL;
}

void bridgeIndirectClaim(ProgramSlot *slot, bool isFirstRun) {
  BunMetalProgram *program = slot->program;
  if (slot->mayEncode || isFirstRun || !program->indirect) return;
  pthread_mutex_lock(&program->slotLock);
  slot->mayEncode = program->indirectSlots < MostIndirectSlots;
  if (slot->mayEncode) program->indirectSlots++;
  pthread_mutex_unlock(&program->slotLock);
}

bool bridgeIndirectIsReady(ProgramSlot *slot) {
  const BunMetalProgram *program = slot->program;
  const IndirectPlan *plan = program->indirect;
  if (!plan || slot->indirect || !slot->mayEncode || slot->commands) return plan && slot->indirect;
  // Where an attempt fails there is no second: `commands` tells of the first.
  slot->commands = calloc(plan->commandCount, sizeof *slot->commands);
  slot->gridWords = calloc(plan->gridWordCount + 1, sizeof *slot->gridWords);
  if (!slot->commands || !slot->gridWords) return false;
  uint32_t command = 0;
  for (uint32_t i = 0; i < program->operationCount; i++)
    if (isDispatch(program, i)) slot->commands[command++].operation = i;
  slot->isCurrent = false;
  slot->indirect = [program->device->metal newIndirectCommandBufferWithDescriptor:plan->descriptor
                                                                  maxCommandCount:plan->commandCount
                                                                          options:MTLResourceStorageModeShared];
  return slot->indirect != nil;
}

static void encodeCommand(const ProgramSlot *slot, uint32_t index, const struct IndirectCommand *state) {
  const BunMetalProgram *program = slot->program;
  const ProgramDispatch *dispatch = &program->operations[state->operation].dispatch;
  id<MTLIndirectComputeCommand> command = [slot->indirect indirectComputeCommandAtIndex:index];
  [command reset];
  if (!state->isEncoded) return;
  [command setComputePipelineState:dispatch->pipeline];
  for (uint32_t i = 0; i < dispatch->bindingCount; i++) {
    const ProgramBinding *binding = &program->bindings[dispatch->firstBinding + i];
    [command setKernelBuffer:binding->buffer ? binding->buffer : slot->words
                      offset:binding->offset
                     atIndex:binding->index];
  }
  for (uint32_t i = 0; i < dispatch->constantCount; i++) {
    uint32_t constant = dispatch->firstConstant + i;
    [command setKernelBuffer:program->indirect->constants
                      offset:program->indirect->constantOffsets[constant]
                     atIndex:program->constants[constant].index];
  }
  for (uint32_t i = 0; i < dispatch->memoryCount; i++) {
    const ProgramThreadgroupMemory *memory = &program->memories[dispatch->firstMemory + i];
    [command setThreadgroupMemoryLength:memory->length atIndex:memory->index];
  }
  if (state->hasBarrier)
    [command setBarrier];
  else
    [command clearBarrier];
  const uint32_t *threads = dispatch->threadsPerThreadgroup;
  MTLSize threadgroup = MTLSizeMake(threads[0], threads[1], threads[2]);
  if (dispatch->countsThreads)
    [command concurrentDispatchThreads:state->grid threadsPerThreadgroup:threadgroup];
  else
    [command concurrentDispatchThreadgroups:state->grid threadsPerThreadgroup:threadgroup];
}

static bool isSame(const struct IndirectCommand *a, const struct IndirectCommand *b) {
  if (a->isEncoded != b->isEncoded) return false;
  return !a->isEncoded || (a->hasBarrier == b->hasBarrier && a->grid.width == b->grid.width &&
                           a->grid.height == b->grid.height && a->grid.depth == b->grid.depth);
}

/* Encodes what has changed in a run. */
static void updateRun(ProgramSlot *slot, const IndirectRun *run, const uint32_t *words, bool isCurrent) {
  const BunMetalProgram *program = slot->program;
  const bool isSerial = !bridgeUses(program->device, BM_FEATURE_CONCURRENT_DISPATCH);
  uint32_t index = run->firstCommand;
  bool hasBarrier = false, isFirst = true; // what comes before a run is another encoder's, and done
  for (uint32_t i = run->firstOperation; i < run->endOperation; i++) {
    if (!isDispatch(program, i)) {
      hasBarrier = !isFirst;
      continue;
    }
    struct IndirectCommand wanted = {.operation = i};
    bool isEmpty;
    bridgeReadGrid(&program->operations[i].dispatch, words, &wanted.grid, &isEmpty); // found good before
    wanted.isEncoded = !isEmpty;
    wanted.hasBarrier = hasBarrier || (isSerial && !isFirst);
    if (!isEmpty) isFirst = hasBarrier = false;
    if (!isCurrent || !isSame(&slot->commands[index], &wanted)) encodeCommand(slot, index, &wanted);
    slot->commands[index++] = wanted;
  }
}

static bm_status checkGrids(const BunMetalProgram *program, const uint32_t *words) {
  bm_status status = BM_OK;
  for (uint32_t i = 0; i < program->operationCount && status == BM_OK; i++) {
    MTLSize grid;
    bool isEmpty;
    if (isDispatch(program, i)) status = bridgeReadGrid(&program->operations[i].dispatch, words, &grid, &isEmpty);
  }
  return status;
}

static bool hasSameGrids(const ProgramSlot *slot, const uint32_t *words) {
  const IndirectPlan *plan = slot->program->indirect;
  for (uint32_t i = 0; i < plan->gridWordCount; i++)
    if (slot->gridWords[i] != words[plan->gridWords[i]]) return false;
  return true;
}

bm_status bridgeIndirectUpdate(ProgramSlot *slot, const uint32_t *words) {
  const BunMetalProgram *program = slot->program;
  const IndirectPlan *plan = program->indirect;
  if (slot->isCurrent && hasSameGrids(slot, words)) return BM_OK;
  bm_status status = checkGrids(program, words);
  if (status != BM_OK) return status;
  bool isCurrent = slot->isCurrent;
  slot->isCurrent = false; // after an exception nobody knows what is encoded
  for (uint32_t i = 0; i < plan->runCount; i++) updateRun(slot, &plan->runs[i], words, isCurrent);
  for (uint32_t i = 0; i < plan->gridWordCount; i++) slot->gridWords[i] = words[plan->gridWords[i]];
  slot->isCurrent = true;
  return BM_OK;
}

void bridgeIndirectExecute(Encoding *encoding, const IndirectRun *run) {
  const IndirectPlan *plan = encoding->program->indirect;
  const ProgramSlot *slot = encoding->slot;
  bool isEmpty = true;
  for (uint32_t i = 0; i < run->commandCount && isEmpty; i++) isEmpty = !slot->commands[run->firstCommand + i].isEncoded;
  if (isEmpty) return;
  id<MTLComputeCommandEncoder> encoder = bridgeComputeEncoder(encoding);
  const id<MTLResource> *resources = plan->resources + run->firstResource;
  if (run->writtenCount > 0)
    [encoder useResources:resources count:run->writtenCount usage:MTLResourceUsageRead | MTLResourceUsageWrite];
  if (run->readCount > 0)
    [encoder useResources:resources + run->writtenCount count:run->readCount usage:MTLResourceUsageRead];
  if (plan->constants) [encoder useResource:plan->constants usage:MTLResourceUsageRead];
  if (run->usesWords) [encoder useResource:slot->words usage:MTLResourceUsageRead];
  for (uint32_t done = 0; done < run->commandCount; done += MostExecutedCommands) {
    // A command's barrier is about its own call.
    if (done > 0) [encoder memoryBarrierWithScope:MTLBarrierScopeBuffers];
    uint32_t left = run->commandCount - done;
    [encoder executeCommandsInBuffer:slot->indirect
                           withRange:NSMakeRange(run->firstCommand + done,
                                                 left < MostExecutedCommands ? left : MostExecutedCommands)];
  }
}
