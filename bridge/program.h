/*
 * program.h: a program as it is run. program_decode.m has made it from words and checked it, program_encode.m turns it
 * into commands, and program.m submits it.
 */
#ifndef BRIDGE_PROGRAM_H
#define BRIDGE_PROGRAM_H

#import <Metal/Metal.h>
#include <pthread.h>
#include <stdbool.h>

#include "bun_metal.h"
#import "device.h"

@class BunMetalProgram;
typedef struct IndirectPlan IndirectPlan; /* program_indirect.h */

/** A grid dimension: `count`, or where `word` is not 0, ceil(words[word - 1] / count). */
typedef struct ProgramDimension {
  uint32_t count, word;
} ProgramDimension;

typedef struct ProgramBinding {
  id<MTLBuffer> buffer; /* nil for the run's dynamic words; held by the program's objects */
  uint64_t offset;
  uint32_t index;
  bool isWritten; /* maybe */
} ProgramBinding;

typedef struct ProgramConstant {
  uint32_t index, length;
  uint64_t start; /* in the program's constant bytes */
} ProgramConstant;

typedef struct ProgramThreadgroupMemory {
  uint32_t index, length;
} ProgramThreadgroupMemory;

/** The bindings of a dispatch are runs of the program's arrays. */
typedef struct ProgramDispatch {
  id<MTLComputePipelineState> pipeline;
  ProgramDimension grid[3];
  uint32_t threadsPerThreadgroup[3];
  bool countsThreads;
  uint32_t firstBinding, bindingCount;
  uint32_t firstConstant, constantCount;
  uint32_t firstMemory, memoryCount;
  uint32_t memoryMask; /* bit i: threadgroup memory i is set */
} ProgramDispatch;

typedef struct ProgramCopy {
  id<MTLBuffer> source, destination;
  uint64_t sourceOffset, destinationOffset, length;
} ProgramCopy;

typedef struct ProgramFill {
  id<MTLBuffer> buffer;
  uint64_t offset, length;
  uint8_t value;
} ProgramFill;

typedef struct ProgramOperation {
  uint32_t opcode; /* BM_OP_... */
  union {
    ProgramDispatch dispatch;
    ProgramCopy copy;
    ProgramFill fill;
  };
} ProgramOperation;

/**
 * What one run in flight needs for itself: its copy of the dynamic words, and the commands that read them. Slots are used
 * again and again.
 *
 * While a slot is out, from before encoding until the device is done with the whole submission, it retains the program, and
 * with it every object that a command of the run uses: buffers and pipelines (`objects`), words, constants, indirect commands.
 * That is why the command buffer needs no references of its own (BM_FEATURE_UNRETAINED_REFERENCES).
 */
typedef struct ProgramSlot {
  struct ProgramSlot *next; /* of the free ones; while it is out, that of the submission's next run */
  BunMetalProgram *program; /* retained while the slot is out */
  id<MTLBuffer> words;      /* nil for a program without dynamic words */
  /* The rest is program_indirect.m's. */
  bool mayEncode;                   /* it is one of those that get commands */
  id<MTLIndirectCommandBuffer> indirect; /* nil while there are none */
  struct IndirectCommand *commands; /* what is encoded in `indirect` */
  uint32_t *gridWords;              /* what the words were that its grids depend on */
  bool isCurrent;                   /* whether `commands` and `gridWords` tell the truth */
} ProgramSlot;

@interface BunMetalProgram : NSObject {
 @public
  BunMetalDevice *device;
  uint32_t wordCount; /* dynamic words */

  ProgramOperation *operations;
  uint32_t operationCount;
  ProgramBinding *bindings;
  uint32_t bindingCount;
  ProgramConstant *constants;
  uint32_t constantCount;
  ProgramThreadgroupMemory *memories;
  uint8_t *constantBytes;
  NSMutableArray *objects; /* all that the operations use */
  bool isResident;         /* `objects` were counted by residency.m */
  IndirectPlan *indirect;  /* NULL where dispatches are encoded each time */

  pthread_mutex_t slotLock;
  bool hasRun;              /* at least once */
  uint32_t indirectSlots;   /* slots that have commands, or have tried to make them */
  /* As many as were ever in flight at once, less those that are: those with commands of their own, and the others. */
  ProgramSlot *readySlots, *plainSlots;
}
- (id)initWithDevice:(BunMetalDevice *)device;
@end

/** Decodes and checks `count` words. nil with the error set: the message names the operation and the cause. +1. */
BunMetalProgram *bridgeProgramDecode(BunMetalDevice *device, const uint32_t *words, uint64_t count);

#endif
