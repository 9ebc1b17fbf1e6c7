/* program_decode.h: what the readers of a program's operations share. */
#ifndef BRIDGE_PROGRAM_DECODE_H
#define BRIDGE_PROGRAM_DECODE_H

#import "buffer.h"
#import "pipeline.h"
#import "program.h"

typedef struct Decoder {
  const uint32_t *words;
  uint64_t position, end; /* of the operation that is being read */
  bool isShort;           /* something was read past `end`, as 0 */
  uint32_t number;        /* of the operation, for messages */
  const char *subject;    /* what it is, for messages */
  BunMetalProgram *program;
  BunMetalShaderCache *cache; /* of the pipelines; held by one of them */
  uint32_t bindingCount, constantCount, memoryCount; /* filled so far */
  uint64_t constantBytes;
} Decoder;

/** Fails with `status` and a message that names the operation before the cause. */
bm_status bridgeRefuse(const Decoder *decoder, bm_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** The next word of the operation; past its end 0, and `isShort` says so: whoever reads checks it before use. */
uint32_t bridgeNextWord(Decoder *decoder);

/** The buffer or the pipeline of a handle, of the program's device, and kept by the program. nil with the error set. */
BunMetalBuffer *bridgeKeepBuffer(Decoder *decoder, uint32_t handle);
BunMetalPipeline *bridgeKeepPipeline(Decoder *decoder, uint32_t handle);

/** Reads the operands of BM_OP_DISPATCH (program_dispatch.m). BM_OK too where they were too short. */
bm_status bridgeReadDispatch(Decoder *decoder, ProgramDispatch *dispatch);

/** Two words, the lower one first. */
static inline uint64_t bridgeNextLong(Decoder *decoder) {
  uint64_t low = bridgeNextWord(decoder);
  return low | (uint64_t)bridgeNextWord(decoder) << 32;
}

#endif
