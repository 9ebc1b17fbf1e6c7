/* program.h: a program as it is run. program_decode.m has made it from words and checked it; program.m runs it. */
#ifndef BRIDGE_PROGRAM_H
#define BRIDGE_PROGRAM_H

#import <Metal/Metal.h>
#include <pthread.h>

#include "bun_metal.h"
#import "device.h"

@class BunMetalProgram;

/** A grid dimension: `count`, or where `word` is not 0, ceil(words[word - 1] / count). */
typedef struct ProgramDimension {
  uint32_t count, word;
} ProgramDimension;

typedef struct ProgramBinding {
  id<MTLBuffer> buffer; /* nil for the run's dynamic words; held by the program's objects */
  uint64_t offset;
  uint32_t index;
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

/** What one submission in flight needs for itself: its copy of the dynamic words. Slots are used again and again. */
typedef struct ProgramSlot {
  struct ProgramSlot *next;
  BunMetalProgram *program; /* retained while the slot is out */
  id<MTLBuffer> words;      /* nil for a program without dynamic words */
} ProgramSlot;

@interface BunMetalProgram : NSObject {
 @public
  BunMetalDevice *device;
  uint32_t wordCount; /* dynamic words */

  ProgramOperation *operations;
  uint32_t operationCount;
  ProgramBinding *bindings;
  ProgramConstant *constants;
  ProgramThreadgroupMemory *memories;
  uint8_t *constantBytes;
  NSMutableArray *objects; /* all that the operations use */

  pthread_mutex_t slotLock;
  ProgramSlot *freeSlots; /* as many as were ever in flight at once, less those that are */
}
- (id)initWithDevice:(BunMetalDevice *)device;
@end

/** Decodes and checks `count` words. nil with the error set: the message names the operation and the cause. +1. */
BunMetalProgram *bridgeProgramDecode(BunMetalDevice *device, const uint32_t *words, uint64_t count);

#endif
