/*
 * program_decode.m: from the words that bun_metal.h describes to a program that can run without another check.
 *
 * The words come from anywhere. Every number is checked against what it refers to; what Metal would only find with its
 * validation layer on is found here, and the message says in which operation.
 */
#import "program_decode.h"

#import "device.h"
#import "export.h"
#import "handle.h"
#import "number.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { HeaderWords = 4, CopyUnit = 4 };

bm_status bridgeRefuse(const Decoder *decoder, bm_status status, const char *format, ...) {
  char cause[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(cause, sizeof cause, format, arguments);
  va_end(arguments);
  return bridgeFail(status, "Operation \"%u\" of the program, a %s: %s", decoder->number, decoder->subject, cause);
}

/* Puts the operation before the message of a failure that has been recorded already. */
static bm_status refuseBecauseOfLast(const Decoder *decoder) {
  char cause[512];
  bm_error_message(cause, sizeof cause);
  return bridgeRefuse(decoder, bm_error_code(), "%s", cause);
}

uint32_t bridgeNextWord(Decoder *decoder) {
  if (decoder->position < decoder->end) return decoder->words[decoder->position++];
  decoder->isShort = true;
  return 0;
}

BunMetalBuffer *bridgeKeepBuffer(Decoder *decoder, uint32_t handle) {
  BRIDGE_PINNED(BunMetalBuffer) buffer = bridgeBufferRetain(handle);
  if (!buffer) {
    refuseBecauseOfLast(decoder);
    return nil;
  }
  if (!bridgeSameDevice(buffer->device, decoder->program->device)) {
    bridgeRefuse(decoder, BM_ERROR_ARGUMENT, "buffer \"0x%08x\" belongs to another device", handle);
    return nil;
  }
  [decoder->program->objects addObject:buffer];
  return buffer;
}

BunMetalPipeline *bridgeKeepPipeline(Decoder *decoder, uint32_t handle) {
  BRIDGE_PINNED(BunMetalPipeline) pipeline = bridgePipelineRetain(handle);
  if (!pipeline) {
    refuseBecauseOfLast(decoder);
    return nil;
  }
  if (!bridgeSameDevice(pipeline->device, decoder->program->device)) {
    bridgeRefuse(decoder, BM_ERROR_ARGUMENT, "pipeline \"%s\" belongs to another device", [pipeline->name UTF8String]);
    return nil;
  }
  [decoder->program->objects addObject:pipeline];
  if (pipeline->cache) decoder->cache = pipeline->cache;
  return pipeline;
}

/* ---- copy and fill ----------------------------------------------------------------------------------------------- */

static bm_status checkRange(Decoder *decoder, const BunMetalBuffer *buffer, uint64_t offset, uint64_t length) {
  if (length == 0) return bridgeRefuse(decoder, BM_ERROR_RANGE, "its length is 0");
  if (offset % CopyUnit != 0 || length % CopyUnit != 0)
    return bridgeRefuse(decoder, BM_ERROR_ARGUMENT,
                        "offset " QUOTED_U64 " and length " QUOTED_U64 " must be multiples of \"%d\"", offset, length,
                        CopyUnit);
  if (!bridgeRangeFits(offset, length, buffer->length))
    return bridgeRefuse(decoder, BM_ERROR_RANGE,
                        QUOTED_U64 " bytes at " QUOTED_U64 " lie outside of a buffer of " QUOTED_U64 " bytes", length,
                        offset, buffer->length);
  return BM_OK;
}

static bm_status readCopy(Decoder *decoder, ProgramCopy *copy) {
  uint32_t from = bridgeNextWord(decoder);
  copy->sourceOffset = bridgeNextLong(decoder);
  uint32_t to = bridgeNextWord(decoder);
  copy->destinationOffset = bridgeNextLong(decoder);
  copy->length = bridgeNextLong(decoder);
  if (decoder->isShort) return BM_OK;
  BunMetalBuffer *source = bridgeKeepBuffer(decoder, from);
  BunMetalBuffer *destination = source ? bridgeKeepBuffer(decoder, to) : nil;
  if (!destination || checkRange(decoder, source, copy->sourceOffset, copy->length) != BM_OK ||
      checkRange(decoder, destination, copy->destinationOffset, copy->length) != BM_OK)
    return bm_error_code();
  if (source == destination && bridgeRangesOverlap(copy->sourceOffset, copy->destinationOffset, copy->length))
    return bridgeRefuse(decoder, BM_ERROR_ARGUMENT, "its ranges overlap within one buffer");
  copy->source = source->metal;
  copy->destination = destination->metal;
  return BM_OK;
}

static bm_status readFill(Decoder *decoder, ProgramFill *fill) {
  uint32_t handle = bridgeNextWord(decoder);
  fill->offset = bridgeNextLong(decoder);
  fill->length = bridgeNextLong(decoder);
  uint32_t value = bridgeNextWord(decoder);
  if (decoder->isShort) return BM_OK;
  BunMetalBuffer *buffer = bridgeKeepBuffer(decoder, handle);
  if (!buffer || checkRange(decoder, buffer, fill->offset, fill->length) != BM_OK) return bm_error_code();
  if (value > UINT8_MAX) return bridgeRefuse(decoder, BM_ERROR_ARGUMENT, "its value is a byte, not \"%u\"", value);
  fill->buffer = buffer->metal;
  fill->value = (uint8_t)value;
  return BM_OK;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static bm_status readOperation(Decoder *decoder, uint64_t count, ProgramOperation *operation) {
  uint64_t start = decoder->position;
  decoder->end = count;
  decoder->isShort = false;
  decoder->subject = "thing of unknown kind";
  uint32_t head = bridgeNextWord(decoder);
  uint64_t length = head >> 8;
  operation->opcode = head & 0xFF;
  if (decoder->isShort || length == 0 || length > count - start)
    return bridgeRefuse(decoder, BM_ERROR_ARGUMENT,
                        "its " QUOTED_U64 " words do not fit the " QUOTED_U64 " that are left", length, count - start);
  decoder->end = start + length;
  bm_status status = BM_OK;
  switch (operation->opcode) {
    case BM_OP_DISPATCH:
      decoder->subject = "dispatch";
      status = bridgeReadDispatch(decoder, &operation->dispatch);
      break;
    case BM_OP_COPY:
      decoder->subject = "copy";
      status = readCopy(decoder, &operation->copy);
      break;
    case BM_OP_FILL:
      decoder->subject = "fill";
      status = readFill(decoder, &operation->fill);
      break;
    case BM_OP_BARRIER: decoder->subject = "barrier"; break;
    default: return bridgeRefuse(decoder, BM_ERROR_ARGUMENT, "there is no opcode \"%u\"", operation->opcode);
  }
  if (status != BM_OK) return status;
  if (decoder->isShort) return bridgeRefuse(decoder, BM_ERROR_ARGUMENT, "it ends within its operands");
  if (decoder->position != decoder->end)
    return bridgeRefuse(decoder, BM_ERROR_ARGUMENT, QUOTED_U64 " words are left after its operands",
                        decoder->end - decoder->position);
  return BM_OK;
}

static bm_status checkHeader(const uint32_t *words, uint64_t count) {
  if (count < HeaderWords)
    return bridgeFail(BM_ERROR_ARGUMENT, "A program of " QUOTED_U64 " words is shorter than its header", count);
  if (words[0] != BM_PROGRAM_MAGIC)
    return bridgeFail(BM_ERROR_ARGUMENT, "A program starts with \"0x%08x\", not \"0x%08x\"", BM_PROGRAM_MAGIC,
                      words[0]);
  if (words[1] != BM_ABI_VERSION)
    return bridgeFail(BM_ERROR_ARGUMENT, "The program has version \"%u\", this library reads \"%u\"", words[1],
                      BM_ABI_VERSION);
  if (words[2] > BM_MAX_DYNAMIC_WORDS)
    return bridgeFail(BM_ERROR_RANGE, "The program declares \"%u\" dynamic words: there can be \"%u\"", words[2],
                      BM_MAX_DYNAMIC_WORDS);
  if (words[3] > count - HeaderWords)
    return bridgeFail(BM_ERROR_ARGUMENT,
                      "The program declares \"%u\" operations, but has " QUOTED_U64 " words for them", words[3],
                      count - HeaderWords);
  return BM_OK;
}

/* Makes the arrays as large as that many words could ever fill them. */
static bool allocateArrays(BunMetalProgram *program, uint32_t operations, uint64_t words) {
  program->operations = calloc((uint64_t)operations + 1, sizeof *program->operations);
  program->bindings = calloc(words / 4 + 1, sizeof *program->bindings);
  program->constants = calloc(words / 3 + 1, sizeof *program->constants);
  program->memories = calloc(words / 2 + 1, sizeof *program->memories);
  program->constantBytes = malloc(words * sizeof(uint32_t));
  if (program->operations && program->bindings && program->constants && program->memories && program->constantBytes)
    return true;
  bridgeFail(BM_ERROR_MEMORY, "There is no memory left for a program of " QUOTED_U64 " words", words);
  return false;
}

/* Gives back what is over; realloc may return NULL, and the array is then as good as it was. */
static void *trimmed(void *array, uint64_t bytes) {
  void *smaller = realloc(array, bytes ? bytes : 1);
  return smaller ? smaller : array;
}

static void trimArrays(BunMetalProgram *program, const Decoder *decoder) {
  program->bindings = trimmed(program->bindings, decoder->bindingCount * sizeof *program->bindings);
  program->constants = trimmed(program->constants, decoder->constantCount * sizeof *program->constants);
  program->memories = trimmed(program->memories, decoder->memoryCount * sizeof *program->memories);
  program->constantBytes = trimmed(program->constantBytes, decoder->constantBytes);
  program->bindingCount = decoder->bindingCount;
  program->constantCount = decoder->constantCount;
}

BunMetalProgram *bridgeProgramDecode(BunMetalDevice *device, const uint32_t *words, uint64_t count) {
  if (checkHeader(words, count) != BM_OK) return nil;
  BRIDGE_PINNED(BunMetalProgram) program = [[BunMetalProgram alloc] initWithDevice:device];
  if (!program) {
    bridgeFail(BM_ERROR_MEMORY, "There is no memory left for a program object");
    return nil;
  }
  if (!allocateArrays(program, words[3], count)) return nil;
  program->wordCount = words[2];
  Decoder decoder = {.words = words, .position = HeaderWords, .program = program};
  for (; decoder.number < words[3]; decoder.number++)
    if (readOperation(&decoder, count, &program->operations[decoder.number]) != BM_OK) return nil;
  if (decoder.position != count) {
    bridgeFail(BM_ERROR_ARGUMENT, QUOTED_U64 " words are left after the program's \"%u\" operations",
               count - decoder.position, words[3]);
    return nil;
  }
  program->operationCount = words[3];
  trimArrays(program, &decoder);
  // Pipelines are made one by one and used in programs: now there may be some that are worth a file.
  bridgeShaderCacheSave(decoder.cache);
  return [program retain];
}
