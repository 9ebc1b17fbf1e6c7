/*
 * program_indirect.h: programs whose dispatches are encoded once, into indirect command buffers.
 *
 * The dispatches between two copies or fills are a run. All runs of a program are consecutive ranges of one indirect
 * command buffer, of which a slot has its own, because what is in flight must not see its commands change and has dynamic
 * words of its own. A slot then executes a range for each of these runs, in place of encoding each dispatch.
 *
 * Order: a command waits for all before it where a BM_OP_BARRIER stands between them, and otherwise does not; without
 * BM_FEATURE_CONCURRENT_DISPATCH each waits. Grids: a slot remembers what it has encoded, and encodes anew what dynamic
 * words have changed; an empty dispatch is an empty command, and its barrier goes to the next that is not.
 *
 * An indirect command buffer retains nothing and declares nothing: the program keeps all that commands use, and each
 * run declares it, which makes it resident and lets Metal order the run among other work.
 */
#ifndef BRIDGE_PROGRAM_INDIRECT_H
#define BRIDGE_PROGRAM_INDIRECT_H

#import "program_encode.h"

/** A run: operations [firstOperation, endOperation) are the commands from firstCommand on, and use these resources. */
typedef struct IndirectRun {
  uint32_t firstOperation, endOperation;
  uint32_t firstCommand, commandCount;
  uint32_t firstResource, writtenCount, readCount; /* those that are written come first */
  bool usesWords;
} IndirectRun;

/** What a program's slots share; made with the program. */
struct IndirectPlan {
  IndirectRun *runs;
  uint32_t runCount, commandCount;
  id<MTLResource> *resources; /* of all runs; held by the program's objects */
  id<MTLBuffer> constants;    /* all inline constants; nil where there are none */
  uint64_t *constantOffsets;  /* in `constants`, of each of the program's constants */
  MTLIndirectCommandBufferDescriptor *descriptor;
  uint32_t *gridWords; /* the dynamic words that grids depend on, each once */
  uint32_t gridWordCount;
};

/** Plans a decoded program. Leaves `program->indirect` NULL where its dispatches have to be encoded each time: where
 *  there are none, a pipeline is not for indirect commands, or there is no memory. */
void bridgeIndirectPrepare(BunMetalProgram *program);

/** Frees a plan; NULL is fine. */
void bridgeIndirectFree(IndirectPlan *plan);

/** Frees what a slot has of it. */
void bridgeIndirectFreeSlot(ProgramSlot *slot);

/** Decides whether a slot that has just been taken is to have commands. A program's first run may stay the only one, and
 *  is cheaper encoded as it is; and only few of many slots that are in flight at once get commands, as they take memory. */
void bridgeIndirectClaim(ProgramSlot *slot, bool isFirstRun);

/** Whether the slot has commands; makes them where it is to have some. */
bool bridgeIndirectIsReady(ProgramSlot *slot);

/** Brings the slot's commands up to date with the words of a run. BM_ERROR_RANGE, with the error set, for a grid that is
 *  too large; commands are then left as they were. */
bm_status bridgeIndirectUpdate(ProgramSlot *slot, const uint32_t *words);

/** Executes a run's commands. */
void bridgeIndirectExecute(Encoding *encoding, const IndirectRun *run);

#endif
