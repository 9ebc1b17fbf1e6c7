/*
 * sampler.h: from logits to a token, step for step as src/sample: repetition penalty, top-k, top-p, min-p, temperature,
 * choice. The same seed and logits give the same tokens as there.
 */
#ifndef MODEL_SAMPLER_H
#define MODEL_SAMPLER_H

#include "bun_metal.h"

#include <stdbool.h>

typedef struct SamplerOptions {
  double temperature;   /* 0 takes the most probable token */
  uint32_t topK;        /* 0 keeps all */
  double topP;          /* 1 keeps all */
  double minP;          /* 0 keeps all */
  double repeatPenalty; /* 1 is off */
  uint32_t repeatLastN; /* UINT32_MAX for all */
  double seed;          /* 0 to 2^53 - 1 */
} SamplerOptions;

typedef struct Sampler {
  SamplerOptions options;
  uint32_t random[4]; /* state of xoshiro128** */
  uint32_t count;     /* of logits */

  /* Memory for one choice, of `count` each. */
  float *penalised;
  uint32_t *seen; /* by token, the last call that has penalised it */
  uint32_t call;
  int32_t *ids; /* candidates: the first `candidateCount` */
  float *values;
  uint64_t *sums; /* of weights */
  uint32_t candidateCount;
} Sampler;

/** A sampler that always takes the most probable token. False, with the error set, where there is no memory. */
bool bridgeSamplerMake(Sampler *sampler, uint32_t vocabulary);
void bridgeSamplerFree(Sampler *sampler);

/** Sets the options and starts the sequence of the seed again. */
bm_status bridgeSamplerSet(Sampler *sampler, SamplerOptions options);

/** Chooses the next token; `history` are the tokens so far, the latest at the end. */
bm_status bridgeSamplerChoose(Sampler *sampler, const float *logits, const uint32_t *history, uint32_t historyLength,
                              uint32_t *token);

#endif
