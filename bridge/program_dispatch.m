/* program_dispatch.m: the operands of a dispatch, held against what the pipeline's function needs. */
#import "program_decode.h"

#import "device.h"
#import "error.h"
#import "number.h"

#include <stdio.h>
#include <string.h>

enum { MostConstantBytes = 4096, ThreadgroupMemoryUnit = 16, MostAlignment = 16 };

static bm_status readGrid(Decoder *decoder, ProgramDispatch *dispatch, const BunMetalPipeline *pipeline) {
  id<MTLDevice> device = decoder->program->device->metal;
  for (int i = 0; i < 3; i++) {
    dispatch->grid[i].count = bridgeNextWord(decoder);
    dispatch->grid[i].word = bridgeNextWord(decoder);
  }
  for (int i = 0; i < 3; i++) dispatch->threadsPerThreadgroup[i] = bridgeNextWord(decoder);
  if (decoder->isShort) return BM_OK; // told at the operation's end

  MTLSize most = [device maxThreadsPerThreadgroup];
  const uint64_t limits[3] = {most.width, most.height, most.depth};
  const uint64_t total = [pipeline->metal maxTotalThreadsPerThreadgroup];
  uint64_t product = 1;
  for (int i = 0; i < 3; i++) {
    uint32_t threads = dispatch->threadsPerThreadgroup[i];
    if (threads == 0 || threads > limits[i])
      return bridgeRefuse(decoder, BM_ERROR_RANGE,
                          "\"%u\" threads per threadgroup along %c: the device allows 1 to " QUOTED_U64, threads,
                          "xyz"[i], limits[i]);
    product *= threads; // cannot overflow: it is held against the limit at each step
    if (product > total)
      return bridgeRefuse(decoder, BM_ERROR_RANGE,
                          QUOTED_U64 " threads per threadgroup or more: this pipeline allows " QUOTED_U64 " in all",
                          product, total);
  }
  for (int i = 0; i < 3; i++) {
    ProgramDimension grid = dispatch->grid[i];
    if (grid.count == 0) return bridgeRefuse(decoder, BM_ERROR_RANGE, "the grid's size along %c is 0", "xyz"[i]);
    if (grid.word > decoder->program->wordCount)
      return bridgeRefuse(decoder, BM_ERROR_RANGE,
                          "the grid along %c reads dynamic word \"%u\": the program declares \"%u\"", "xyz"[i],
                          grid.word - 1, decoder->program->wordCount);
    uint64_t threads = dispatch->countsThreads ? grid.count : (uint64_t)grid.count * dispatch->threadsPerThreadgroup[i];
    if (grid.word == 0 && threads > UINT32_MAX)
      return bridgeRefuse(decoder, BM_ERROR_RANGE, QUOTED_U64 " threads along %c are over 2^32 - 1", threads, "xyz"[i]);
  }
  return BM_OK;
}

/* Checks that `index` is an argument's place that nothing is bound to yet, and notes that something is now. */
static bm_status claimIndex(Decoder *decoder, uint32_t index, uint32_t *bound) {
  if (index >= BridgeMostBuffers)
    return bridgeRefuse(decoder, BM_ERROR_RANGE, "buffer index \"%u\": the largest is \"%d\"", index,
                        BridgeMostBuffers - 1);
  if (*bound >> index & 1) return bridgeRefuse(decoder, BM_ERROR_ARGUMENT, "buffer index \"%u\" is bound twice", index);
  *bound |= 1u << index;
  return BM_OK;
}

static bm_status checkReadOnly(Decoder *decoder, const PipelineArgument *argument, uint32_t index, const char *what) {
  if (!argument->isUsed || !argument->isWritable) return BM_OK;
  return bridgeRefuse(decoder, BM_ERROR_ARGUMENT,
                      "argument \"%s\" at buffer index \"%u\" can be written, but %s cannot", argument->name, index,
                      what);
}

/* Checks what is bound from `offset` on, out of `length` bytes. */
static bm_status checkReach(Decoder *decoder, const PipelineArgument *argument, uint32_t index, uint64_t offset,
                            uint64_t length) {
  if (offset >= length)
    return bridgeRefuse(decoder, BM_ERROR_RANGE,
                        "offset " QUOTED_U64 " at buffer index \"%u\" is outside of " QUOTED_U64 " bytes", offset,
                        index, length);
  if (!argument->isUsed) return BM_OK;
  // Metal asks for the alignment of the data type, at most 16.
  uint64_t alignment = argument->alignment < MostAlignment ? argument->alignment : MostAlignment;
  if (alignment > 1 && offset % alignment != 0)
    return bridgeRefuse(decoder, BM_ERROR_ARGUMENT,
                        "offset " QUOTED_U64 " of argument \"%s\" at buffer index \"%u\" is not a "
                        "multiple of " QUOTED_U64,
                        offset, argument->name, index, alignment);
  if (argument->dataSize > length - offset)
    return bridgeRefuse(decoder, BM_ERROR_RANGE,
                        "argument \"%s\" at buffer index \"%u\" takes at least " QUOTED_U64 " bytes, but " QUOTED_U64
                        " are bound",
                        argument->name, index, argument->dataSize, length - offset);
  return BM_OK;
}

static bm_status readBinding(Decoder *decoder, const BunMetalPipeline *pipeline, uint32_t *bound) {
  ProgramBinding binding = {.index = bridgeNextWord(decoder)};
  uint32_t handle = bridgeNextWord(decoder);
  binding.offset = bridgeNextLong(decoder);
  if (decoder->isShort) return BM_OK;
  if (claimIndex(decoder, binding.index, bound) != BM_OK) return bm_error_code();
  const PipelineArgument *argument = &pipeline->buffers[binding.index];
  uint64_t length;
  if (handle == BM_DYNAMIC_WORDS) {
    length = (uint64_t)decoder->program->wordCount * sizeof(uint32_t);
    if (checkReadOnly(decoder, argument, binding.index, "dynamic words") != BM_OK) return bm_error_code();
  } else {
    BunMetalBuffer *buffer = bridgeKeepBuffer(decoder, handle);
    if (!buffer) return bm_error_code();
    binding.buffer = buffer->metal;
    length = buffer->length;
  }
  if (checkReach(decoder, argument, binding.index, binding.offset, length) != BM_OK) return bm_error_code();
  binding.isWritten = !argument->isUsed || argument->isWritable; // without reflection, nothing is known to be used
  decoder->program->bindings[decoder->bindingCount++] = binding;
  return BM_OK;
}

static bm_status readConstant(Decoder *decoder, const BunMetalPipeline *pipeline, uint32_t *bound) {
  ProgramConstant constant = {.index = bridgeNextWord(decoder), .start = decoder->constantBytes};
  constant.length = bridgeNextWord(decoder); // not in the initializer: the order of evaluation is open there
  if (decoder->isShort) return BM_OK;
  if (constant.length == 0 || constant.length > MostConstantBytes)
    return bridgeRefuse(decoder, BM_ERROR_RANGE, "\"%u\" constant bytes: there can be 1 to \"%d\"", constant.length,
                        MostConstantBytes);
  uint64_t words = (constant.length + sizeof(uint32_t) - 1) / sizeof(uint32_t);
  if (words > decoder->end - decoder->position) {
    decoder->isShort = true;
    return BM_OK;
  }
  if (claimIndex(decoder, constant.index, bound) != BM_OK) return bm_error_code();
  const PipelineArgument *argument = &pipeline->buffers[constant.index];
  if (checkReadOnly(decoder, argument, constant.index, "constant bytes") != BM_OK) return bm_error_code();
  if (checkReach(decoder, argument, constant.index, 0, constant.length) != BM_OK) return bm_error_code();
  memcpy(decoder->program->constantBytes + constant.start, decoder->words + decoder->position, constant.length);
  decoder->position += words;
  decoder->constantBytes += words * sizeof(uint32_t);
  decoder->program->constants[decoder->constantCount++] = constant;
  return BM_OK;
}

static bm_status readThreadgroupMemory(Decoder *decoder, ProgramDispatch *dispatch, uint64_t *total) {
  ProgramThreadgroupMemory memory = {.index = bridgeNextWord(decoder)};
  memory.length = bridgeNextWord(decoder);
  if (decoder->isShort) return BM_OK;
  uint64_t most = [decoder->program->device->metal maxThreadgroupMemoryLength];
  if (memory.index >= BridgeMostThreadgroupMemories)
    return bridgeRefuse(decoder, BM_ERROR_RANGE, "threadgroup memory index \"%u\": the largest is \"%d\"", memory.index,
                        BridgeMostThreadgroupMemories - 1);
  if (dispatch->memoryMask >> memory.index & 1)
    return bridgeRefuse(decoder, BM_ERROR_ARGUMENT, "threadgroup memory \"%u\" is set twice", memory.index);
  if (memory.length == 0)
    return bridgeRefuse(decoder, BM_ERROR_RANGE, "threadgroup memory \"%u\" has 0 bytes", memory.index);
  *total += bridgeRoundUp(memory.length, ThreadgroupMemoryUnit);
  if (*total > most)
    return bridgeRefuse(decoder, BM_ERROR_RANGE,
                        QUOTED_U64 " bytes of threadgroup memory, the function's own included: the "
                                   "device has " QUOTED_U64,
                        *total, most);
  memory.length = (uint32_t)bridgeRoundUp(memory.length, ThreadgroupMemoryUnit);
  dispatch->memoryMask |= 1u << memory.index;
  decoder->program->memories[decoder->memoryCount++] = memory;
  return BM_OK;
}

/* Checks that the function finds all that it uses. */
static bm_status checkComplete(Decoder *decoder, const BunMetalPipeline *pipeline, uint32_t bound,
                               uint32_t memoryMask) {
  for (uint32_t i = 0; i < BridgeMostBuffers; i++)
    if (pipeline->buffers[i].isUsed && !(bound >> i & 1))
      return bridgeRefuse(decoder, BM_ERROR_ARGUMENT, "nothing is bound to argument \"%s\" at buffer index \"%u\"",
                          pipeline->buffers[i].name, i);
  for (uint32_t i = 0; i < BridgeMostThreadgroupMemories; i++)
    if (pipeline->usesThreadgroupMemory[i] && !(memoryMask >> i & 1))
      return bridgeRefuse(decoder, BM_ERROR_ARGUMENT, "threadgroup memory \"%u\" has no length", i);
  return BM_OK;
}

bm_status bridgeReadDispatch(Decoder *decoder, ProgramDispatch *dispatch) {
  uint32_t handle = bridgeNextWord(decoder), flags = bridgeNextWord(decoder);
  if (decoder->isShort) return BM_OK;
  BunMetalPipeline *pipeline = bridgeKeepPipeline(decoder, handle);
  if (!pipeline) return bm_error_code();
  char subject[128];
  snprintf(subject, sizeof subject, "dispatch of \"%s\"", [pipeline->name UTF8String]);
  decoder->subject = subject;

  dispatch->pipeline = pipeline->metal;
  dispatch->countsThreads = (flags & BM_DISPATCH_THREADS) != 0;
  bm_status status = BM_OK;
  if (flags & ~(uint32_t)BM_DISPATCH_THREADS)
    status = bridgeRefuse(decoder, BM_ERROR_ARGUMENT, "unknown flags \"0x%x\"", flags);
  else if (dispatch->countsThreads && !decoder->program->device->policy.hasNonuniformThreadgroups)
    status = bridgeRefuse(decoder, BM_ERROR_UNSUPPORTED, "this device cannot count threads: count threadgroups");
  if (status == BM_OK) status = readGrid(decoder, dispatch, pipeline);

  uint32_t bound = 0;
  dispatch->firstBinding = decoder->bindingCount;
  uint32_t count = bridgeNextWord(decoder);
  for (uint32_t i = 0; i < count && status == BM_OK && !decoder->isShort; i++)
    status = readBinding(decoder, pipeline, &bound);
  dispatch->bindingCount = decoder->bindingCount - dispatch->firstBinding;

  dispatch->firstConstant = decoder->constantCount;
  count = bridgeNextWord(decoder);
  for (uint32_t i = 0; i < count && status == BM_OK && !decoder->isShort; i++)
    status = readConstant(decoder, pipeline, &bound);
  dispatch->constantCount = decoder->constantCount - dispatch->firstConstant;

  uint64_t memory = [pipeline->metal staticThreadgroupMemoryLength];
  dispatch->firstMemory = decoder->memoryCount;
  count = bridgeNextWord(decoder);
  for (uint32_t i = 0; i < count && status == BM_OK && !decoder->isShort; i++)
    status = readThreadgroupMemory(decoder, dispatch, &memory);
  dispatch->memoryCount = decoder->memoryCount - dispatch->firstMemory;

  if (status == BM_OK && !decoder->isShort) status = checkComplete(decoder, pipeline, bound, dispatch->memoryMask);
  decoder->subject = "dispatch";
  return status;
}
