#import "program.h"

#import "export.h"
#import "handle.h"
#import "number.h"
#import "program_encode.h"
#import "program_indirect.h"
#import "queue.h"

#include <stdlib.h>
#include <string.h>

/* Programs are lists of some hundred operations; this is only where absurd ends. */
static const uint64_t MostProgramBytes = 1u << 30;

static void freeSlots(ProgramSlot *first) {
  while (first) {
    ProgramSlot *slot = first;
    first = slot->next;
    bridgeIndirectFreeSlot(slot);
    [slot->words release];
    free(slot);
  }
}

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
  freeSlots(readySlots);
  freeSlots(plainSlots);
  pthread_mutex_destroy(&slotLock);
  bridgeIndirectFree(indirect);
  free(operations);
  free(bindings);
  free(constants);
  free(memories);
  free(constantBytes);
  if (isResident) bridgeResidencyLeave(device, objects);
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

/* The next free slot, if there is one. Under the lock. */
static ProgramSlot *nextFreeSlot(BunMetalProgram *program) {
  ProgramSlot **list = program->readySlots ? &program->readySlots : &program->plainSlots;
  ProgramSlot *slot = *list;
  if (slot) *list = slot->next;
  return slot;
}

/* A slot with its own copy of the words; NULL with the error set. It keeps the program until it is given back. */
static ProgramSlot *takeSlot(BunMetalProgram *program, const uint32_t *words) {
  pthread_mutex_lock(&program->slotLock);
  ProgramSlot *slot = nextFreeSlot(program);
  bool isFirstRun = !program->hasRun;
  program->hasRun = true;
  pthread_mutex_unlock(&program->slotLock);
  if (!slot) slot = newSlot(program);
  if (!slot) return NULL;
  slot->next = NULL;
  slot->program = [program retain];
  bridgeIndirectClaim(slot, isFirstRun);
  if (slot->words) memcpy([slot->words contents], words, program->wordCount * sizeof(uint32_t));
  return slot;
}

static void giveSlot(ProgramSlot *slot) {
  BunMetalProgram *program = slot->program;
  slot->program = nil;
  pthread_mutex_lock(&program->slotLock);
  ProgramSlot **list = slot->indirect ? &program->readySlots : &program->plainSlots;
  slot->next = *list;
  *list = slot;
  pthread_mutex_unlock(&program->slotLock);
  [program release];
}

static void giveSlots(void *context) {
  for (ProgramSlot *slot = context; slot;) {
    ProgramSlot *next = slot->next; // which belongs to the program's lists from here on
    giveSlot(slot);
    slot = next;
  }
}

/* A slot for each run, in their order. NULL with the error set. */
static ProgramSlot *takeSlots(BunMetalProgram *program, const uint32_t *words, uint32_t runs) {
  ProgramSlot *first = NULL, **end = &first;
  uint32_t taken = 0;
  @try {
    for (; taken < runs && (*end = takeSlot(program, words)); taken++) {
      end = &(*end)->next;
      words += program->wordCount;
    }
  } @finally {
    if (taken < runs) giveSlots(first);
  }
  return taken < runs ? NULL : first;
}

/* What makes later runs faster: memory that is resident, and commands that are encoded. */
static void prepare(BunMetalProgram *program) {
  program->isResident = true;
  bridgeResidencyEnter(program->device, program->objects);
  bridgeIndirectPrepare(program);
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
  BRIDGE_PINNED(BunMetalProgram) program = nil;
  @try {
    memcpy(words, bytes, count);
    program = bridgeProgramDecode(device, words, count / sizeof(uint32_t));
  } @finally {
    free(words);
  }
  if (!program) return 0;
  prepare(program);
  return bridgeHandleNew([program retain], BM_KIND_PROGRAM);
  BRIDGE_LEAVE(0)
}

/* Checks the arguments of a run, or of several, and makes their work. False with the error set. */
static bool prepareRuns(BunMetalQueue *queue, BunMetalProgram *program, const uint32_t *words, uint32_t count,
                        uint32_t mostRuns, QueueWork *work) {
  uint32_t runs = program->wordCount > 0 ? count / program->wordCount : 1;
  if (!bridgeSameDevice(queue->device, program->device)) {
    bridgeFail(BM_ERROR_ARGUMENT, "The program and the queue belong to different devices");
  } else if (runs == 0 || count != runs * program->wordCount) {
    bridgeFail(BM_ERROR_ARGUMENT, "A run has \"%u\" dynamic words, but the program declares \"%u\"", count,
               program->wordCount);
  } else if (runs > mostRuns) {
    bridgeFail(BM_ERROR_ARGUMENT, "There are dynamic words for \"%u\" runs, and one call takes words for \"%u\"", runs,
               mostRuns);
  } else if (count > 0 && !words) {
    bridgeFail(BM_ERROR_ARGUMENT, "The dynamic words of a run are NULL");
  } else {
    ProgramSlot *slots = takeSlots(program, words, runs);
    *work = (QueueWork){.encode = bridgeProgramEncode, .keepsObjects = true, .finish = giveSlots, .context = slots};
    return slots != NULL;
  }
  return false;
}

bm_status bm_program_run(bm_handle queueHandle, bm_handle handle, const uint32_t *words, uint32_t count) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalQueue) queue = bridgeQueueRetain(queueHandle);
  if (!queue) return bm_error_code();
  BRIDGE_PINNED(BunMetalProgram) program = bridgeHandleRetain(handle, BM_KIND_PROGRAM);
  QueueWork work;
  if (!program || !prepareRuns(queue, program, words, count, 1, &work)) return bm_error_code();
  return bridgeQueueRun(queue, work);
  BRIDGE_LEAVE(status)
}

uint32_t bm_program_submit(bm_handle queueHandle, bm_handle handle, const uint32_t *words, uint32_t count) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalQueue) queue = bridgeQueueRetain(queueHandle);
  if (!queue) return 0;
  BRIDGE_PINNED(BunMetalProgram) program = bridgeHandleRetain(handle, BM_KIND_PROGRAM);
  QueueWork work;
  if (!program || !prepareRuns(queue, program, words, count, BM_MAX_RUNS, &work)) return 0;
  return bridgeQueueSubmit(queue, work);
  BRIDGE_LEAVE(0)
}
