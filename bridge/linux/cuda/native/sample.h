/*
 * sample.h: parameters of sample.cu, which sample_plan.c fills. Names and meanings are those of shaders/sample.metal.
 */
#ifndef BUN_METAL_CUDA_NATIVE_SAMPLE_H
#define BUN_METAL_CUDA_NATIVE_SAMPLE_H

#include <stdint.h>

enum {
  SampleThreads = 256,
  SampleWarps = SampleThreads / 32,
  SampleEach = 16,       /* logits of a thread, at most */
  SampleMostBlocks = 64, /* of a row */
  SampleSorted = 1024    /* candidates, at most, that are sorted; of more the last ones are searched for by halving */
};

/** What a block tells the others. */
typedef struct SampleBest {
  uint32_t order, complement; /* of the id; of the best logit */
  uint32_t nanComplement;     /* of the first NaN's id; 0: none */
  uint32_t unused;
} SampleBest;

typedef struct CudaSample {
  const float *logits;     /* [rows, n] */
  const uint32_t *choices; /* [rows]: SampleChoice */
  const uint32_t *places;  /* [rows] */
  uint32_t *list;          /* [rows, n] */
  uint32_t *chosen;        /* [placeCount]: Chosen */
  uint32_t *counters;      /* [rows, SampleCounters], zero */
  SampleBest *bests;       /* [rows, blocks]; behind them sums, 8 bytes each [rows, blocks] */
  uint32_t n, placeCount;
  uint32_t each; /* logits of a block */
} CudaSample;

enum { SampleCounterBests, SampleCounterSums, SampleCounterCandidates, SampleCounterEnd, SampleCounters };

/** Shared memory of a block: keys and their sums, and what a block's warps tell each other. */
enum { SampleShared = SampleSorted * 16 + 512 };

#endif
