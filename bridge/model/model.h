/*
 * model.h: a model as the C API has it: programs and buffers on a device, a tokenizer, a sampler, and one text.
 *
 * model_open.c makes one of a plan through the public functions of bun_metal.h, model_run.c computes, and model.m is
 * the exports around them. Whoever calls holds the lock.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "plan_file.h"
#include "sampler.h"
#include "text_stream.h"
#include "tokenizer.h"

/** A step that can be run. */
typedef struct ModelStep {
  const PlanProgram *plan;
  bm_handle program;
  uint32_t *words; /* dynamic words of the next run; those that never change are set */
} ModelStep;

typedef struct Model {
  PlanFile plan;
  Tokenizer tokenizer;
  Sampler sampler;
  TextStream text;

  bm_handle queue, logitsBuffer;
  const float *logits; /* [vocabulary], of the last token that was computed */
  ModelStep *steps;    /* as many as the plan's programs, the smallest first */

  uint32_t *tokens;  /* the text: [context length] */
  uint32_t count;    /* tokens in it */
  uint32_t computed; /* of them, those whose keys and values are in the cache */
  bool hasLogits;    /* those of the last token, all being computed */
  uint32_t endToken; /* the token that ended the text; BM_NO_TOKEN while it goes on */
} Model;

/** Makes a model from its files. On failure nothing is left to close. */
bm_status bridgeModelOpen(Model *model, const char *directory, const char *planName, uint32_t index, uint32_t disabled);
void bridgeModelClose(Model *model);

/** Adds tokens to the text and computes all that is not; on failure the text is as before. */
bm_status bridgeModelAdd(Model *model, const uint32_t *tokens, uint32_t count);

/** Makes the next token: BM_OK, BM_MODEL_END, BM_MODEL_FULL or an error. The text's bytes go to the stream. */
bm_status bridgeModelNext(Model *model, uint32_t *token);

/** Forgets the tokens from `position` on. */
bm_status bridgeModelRewind(Model *model, uint32_t position);

#endif
