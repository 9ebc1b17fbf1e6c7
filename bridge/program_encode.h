/* program_encode.h: from a program's operations to the commands of one submission. */
#ifndef BRIDGE_PROGRAM_ENCODE_H
#define BRIDGE_PROGRAM_ENCODE_H

#import "program.h"

/** A submission that is being encoded. At most one of the two encoders is open. Going from one to the other orders all
 *  that came before: Metal tracks what encoders use. */
typedef struct Encoding {
  const BunMetalProgram *program;
  ProgramSlot *slot;
  const uint32_t *words; /* the run's dynamic words */
  id<MTLCommandBuffer> commands;
  id<MTLComputeCommandEncoder> compute;
  id<MTLBlitCommandEncoder> blit;
  id<MTLComputePipelineState> pipeline; /* set on the compute encoder */
  uint32_t memoryMask;                  /* threadgroup memories that have a length on the compute encoder */
} Encoding;

/** Encodes the runs of a ProgramSlot and those behind it, and leaves no encoder open by whatever way it leaves. For
 *  QueueWork. */
bm_status bridgeProgramEncode(id<MTLCommandBuffer> commands, void *firstSlot);

/** The open compute encoder; opens one where there is none. */
id<MTLComputeCommandEncoder> bridgeComputeEncoder(Encoding *encoding);

/** The grid of a dispatch for these words. *isEmpty where there is nothing to do. BM_ERROR_RANGE, with the error set,
 *  where a position would not fit 32 bits. */
bm_status bridgeReadGrid(const ProgramDispatch *dispatch, const uint32_t *words, MTLSize *grid, bool *isEmpty);

#endif
