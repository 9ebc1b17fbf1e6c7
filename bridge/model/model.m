/* model.m: the exports of models without JavaScript. */
#import <Foundation/Foundation.h>

#include "export.h"
#include "handle.h"
#include "model.h"
#include "number.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

/* A whole character and the final NUL. */
enum { LeastTextCapacity = 5 };

@interface BunMetalModel : NSObject {
 @public
  Model model;
  pthread_mutex_t lock; /* held by whoever uses the model */
  bool isOpen;
}
@end

@implementation BunMetalModel

- (id)init {
  self = [super init];
  if (self) pthread_mutex_init(&lock, NULL);
  return self;
}

- (void)dealloc {
  if (isOpen) bridgeModelClose(&model);
  pthread_mutex_destroy(&lock);
  [super dealloc];
}

@end

/* A lock that goes at the end of its scope, by return and by exception alike. */
static void unlockModel(BunMetalModel **locked) {
  pthread_mutex_unlock(&(*locked)->lock);
}

static BunMetalModel *lockModel(BunMetalModel *object) {
  pthread_mutex_lock(&object->lock);
  return object;
}

#define LOCKED(object) __attribute__((cleanup(unlockModel), unused)) BunMetalModel *locked = lockModel(object)

bm_handle bm_model_open(const char *directory, const char *planName, uint32_t index, uint32_t disabled) {
  BRIDGE_ENTER
  if (!directory || !planName) {
    bridgeFail(BM_ERROR_ARGUMENT, "The %s of a model is NULL", directory ? "plan's name" : "bundle directory");
    return 0;
  }
  BRIDGE_PINNED(BunMetalModel) object = [[BunMetalModel alloc] init];
  if (!object) {
    bridgeFail(BM_ERROR_MEMORY, "There is no memory left for a model object");
    return 0;
  }
  if (bridgeModelOpen(&object->model, directory, planName, index, disabled) != BM_OK) return 0;
  object->isOpen = true;
  return bridgeHandleNew([object retain], BM_KIND_MODEL);
  BRIDGE_LEAVE(0)
}

bm_status bm_model_numbers(bm_handle handle, double *numbers, uint32_t capacity) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalModel) object = bridgeHandleRetain(handle, BM_KIND_MODEL);
  if (!object) return bm_error_code();
  if (!numbers) return bridgeFail(BM_ERROR_ARGUMENT, "The numbers of a model cannot be written to NULL");
  LOCKED(object);
  const Model *model = &object->model;
  const double all[BM_MODEL_NUMBER_COUNT] = {
      [BM_MODEL_TOKENS] = model->count,
      [BM_MODEL_CONTEXT_LENGTH] = model->plan.contextLength,
      [BM_MODEL_VOCABULARY] = model->plan.vocabulary,
      [BM_MODEL_BATCH] = model->plan.rows,
      [BM_MODEL_BEGIN_TOKEN] = model->tokenizer.begin == PLAN_NONE ? NAN : model->tokenizer.begin,
      [BM_MODEL_END_TOKEN] = model->tokenizer.end == PLAN_NONE ? NAN : model->tokenizer.end,
  };
  for (uint32_t i = 0; i < capacity && i < BM_MODEL_NUMBER_COUNT; i++) numbers[i] = all[i];
  return BM_OK;
  BRIDGE_LEAVE(status)
}

/* The tokens of a caller's text; the list is the caller's to free, on failure too. */
static bm_status encodeText(const Model *model, const char *utf8, double length, uint32_t flags, bool addsEnd,
                            TokenList *list) {
  uint64_t bytes;
  if (!bridgeReadSize(length, "length of a text", &bytes)) return bm_error_code();
  if (!utf8 && bytes > 0) return bridgeFail(BM_ERROR_ARGUMENT, "The text is NULL");
  if (flags & ~(uint32_t)(BM_TEXT_PARSE_SPECIAL | BM_TEXT_CONTINUES))
    return bridgeFail(BM_ERROR_ARGUMENT, "There are no flags \"0x%x\" for a text", flags);
  EncodeOptions options = {
      .addsBegin = model->tokenizer.addsBegin && !(flags & BM_TEXT_CONTINUES),
      .addsEnd = addsEnd && model->tokenizer.addsEnd,
      .parsesControl = flags & BM_TEXT_PARSE_SPECIAL,
  };
  return bridgeTokenizerEncode(&model->tokenizer, (const uint8_t *)(utf8 ? utf8 : ""), bytes, options, list);
}

bm_status bm_model_tokenize(bm_handle handle, const char *utf8, double length, uint32_t flags, uint32_t *tokens,
                            uint32_t capacity, uint32_t *count) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalModel) object = bridgeHandleRetain(handle, BM_KIND_MODEL);
  if (!object) return bm_error_code();
  if (!count || (!tokens && capacity > 0)) return bridgeFail(BM_ERROR_ARGUMENT, "Tokens cannot be written to NULL");
  TokenList list = {0}; // no lock: a tokenizer does not change
  bm_status status = encodeText(&object->model, utf8, length, flags, true, &list);
  if (status == BM_OK) {
    for (uint32_t i = 0; i < list.count && i < capacity; i++) tokens[i] = list.ids[i];
    *count = list.count;
  }
  free(list.ids);
  return status;
  BRIDGE_LEAVE(status)
}

bm_status bm_model_prompt(bm_handle handle, const char *utf8, double length, uint32_t flags) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalModel) object = bridgeHandleRetain(handle, BM_KIND_MODEL);
  if (!object) return bm_error_code();
  LOCKED(object);
  TokenList list = {0};
  bm_status status = encodeText(&object->model, utf8, length,
                                object->model.count > 0 ? flags | BM_TEXT_CONTINUES : flags, false, &list);
  if (status == BM_OK) status = bridgeModelAdd(&object->model, list.ids, list.count);
  free(list.ids);
  return status;
  BRIDGE_LEAVE(status)
}

bm_status bm_model_prompt_tokens(bm_handle handle, const uint32_t *tokens, uint32_t count) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalModel) object = bridgeHandleRetain(handle, BM_KIND_MODEL);
  if (!object) return bm_error_code();
  if (!tokens && count > 0) return bridgeFail(BM_ERROR_ARGUMENT, "The tokens of a prompt are NULL");
  LOCKED(object);
  return bridgeModelAdd(&object->model, tokens, count);
  BRIDGE_LEAVE(status)
}

bm_status bm_model_sampling(bm_handle handle, double temperature, uint32_t topK, double topP, double minP,
                            double repeatPenalty, uint32_t repeatLastN, double seed) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalModel) object = bridgeHandleRetain(handle, BM_KIND_MODEL);
  if (!object) return bm_error_code();
  SamplerOptions options = {temperature, topK, topP, minP, repeatPenalty, repeatLastN, seed};
  LOCKED(object);
  return bridgeSamplerSet(&object->model.sampler, options);
  BRIDGE_LEAVE(status)
}

/* Hands out as much text as there is room for. Returns its bytes. */
static uint32_t giveText(TextStream *stream, char *text, uint32_t capacity) {
  if (!text) {
    stream->start = stream->length; // dropped, as the caller wishes
    return 0;
  }
  uint32_t taken = bridgeTextStreamTake(stream, text, capacity - 1);
  text[taken] = 0;
  return taken;
}

bm_status bm_model_next(bm_handle handle, char *text, uint32_t capacity, uint32_t *length, uint32_t *token) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalModel) object = bridgeHandleRetain(handle, BM_KIND_MODEL);
  if (!object) return bm_error_code();
  if (text ? capacity < LeastTextCapacity : capacity > 0)
    return bridgeFail(BM_ERROR_ARGUMENT, "The text's capacity \"%u\" at \"%p\" is wrong: it has at least \"%d\" bytes",
                      capacity, (void *)text, LeastTextCapacity);
  LOCKED(object);
  TextStream *stream = &object->model.text;
  uint32_t chosen = BM_NO_TOKEN;
  // What was too long for the last call comes before anything new.
  bm_status status = bridgeTextStreamHasText(stream) ? BM_OK : bridgeModelNext(&object->model, &chosen);
  if (status != BM_OK && status != BM_MODEL_END && status != BM_MODEL_FULL) return status;
  uint32_t given = giveText(stream, text, capacity);
  // The end is told when all text is taken: whoever stops there has missed nothing.
  if (status != BM_OK && bridgeTextStreamHasText(stream)) {
    status = BM_OK;
    chosen = BM_NO_TOKEN;
  }
  if (length) *length = given;
  if (token) *token = chosen;
  return status;
  BRIDGE_LEAVE(status)
}

bm_status bm_model_rewind(bm_handle handle, uint32_t position) {
  BRIDGE_ENTER
  BRIDGE_PINNED(BunMetalModel) object = bridgeHandleRetain(handle, BM_KIND_MODEL);
  if (!object) return bm_error_code();
  LOCKED(object);
  return bridgeModelRewind(&object->model, position);
  BRIDGE_LEAVE(status)
}
