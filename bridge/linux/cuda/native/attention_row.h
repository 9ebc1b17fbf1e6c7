/*
 * attention_row.h: parameters of attention_row.cu, which attention_row_plan.c fills.
 *
 * A launch is for some rows, one by one, or for a single row with what comes before its attention: biases and norms of its
 * query and key, the turning of these, and the storing of key and value. Names and meanings are those of the shaders.
 */
#ifndef BUN_METAL_CUDA_NATIVE_ATTENTION_ROW_H
#define BUN_METAL_CUDA_NATIVE_ATTENTION_ROW_H

#include <stdint.h>

enum {
  AttentionRowThreads = 256,
  AttentionRowWarps = AttentionRowThreads / 32,
  AttentionRowQueries = 8,    /* heads of a block: columns of a matrix instruction */
  AttentionRowTable = 8192,   /* blocks of a sequence, at most, whose table is read into shared memory */
  AttentionRowAloneKeys = 512, /* for one block, at most */
  AttentionRowLeastKeys = 64, /* that are worth a block */
  AttentionRowSmallJoin = 16,   /* blocks that are joined as soon as fewer */
  AttentionRowMostSplits = 32,
  AttentionRowNoShift = 32    /* blockShift: blockSize is no power of two */
};

typedef struct CudaAttentionRow {
  const float *query;           /* [rows, heads, headDim] */
  const float *key, *value;     /* [1, kvHeads, headDim]; NULL where nothing is stored */
  const float *frequencies;     /* NULL where nothing is turned */
  const float *biases[3];       /* of query, key and value, as long as these; NULL where none is added */
  const float *norms[2];        /* of heads of query and key [headDim]; NULL where these are not normalised */
  const uint32_t *positions, *sequences, *blockTables;
  const uint32_t *slots;        /* NULL where nothing is stored */
  void *keyCache, *valueCache;  /* [any, kvHeads, headDim] */
  float *turnedQuery;           /* NULL where `out` takes its place, or nothing is turned */
  float *turnedKey;             /* NULL where nothing is turned */
  float *biasedValue;           /* NULL where that has no bias */
  float *out;                   /* [rows, heads, headDim] */
  uint32_t *counters;           /* [rows, kvHeads], zero */
  float *partials;              /* [rows, kvHeads, tiles, splits]: see attention_join.h */
  uint32_t heads, kvHeads;
  uint32_t groupHeads;          /* heads / kvHeads */
  uint32_t tiles;               /* of AttentionRowQueries heads, of each key head */
  uint32_t blockSize, blockShift, blocksPerSequence;
  uint32_t window;
  uint32_t splits;              /* blocks of a tile of heads, which share out the keys */
  uint32_t splitShare;          /* 2^32 / splits, rounded up; 0xffffffff for one */
  uint32_t rotaryDims;
  uint32_t turnsHalves;         /* pairs are (p, p + rotaryDims / 2), not (2 p, 2 p + 1) */
  float magnitude;
  float normEpsilon;
  float scale, softCap;
} CudaAttentionRow;

#ifdef __cplusplus
#define AttentionRowInline constexpr
#else
#define AttentionRowInline static inline
#endif

/** Keys of a step. */
AttentionRowInline uint32_t attentionRowKeys(uint32_t elementBytes, uint32_t headDim) {
  return elementBytes == 4 && headDim > 128 ? 8 : 16;
}

/** What AttentionPlaces are. */
AttentionRowInline uint32_t attentionRowPlaces(uint32_t headDim) {
  const uint32_t floats = (AttentionRowQueries + 2) * headDim * 4;
  const uint32_t halves = AttentionRowQueries * (headDim + 32) * 4 + headDim * 4;
  return floats + halves + AttentionRowQueries * 4 + 16 + AttentionRowWarps * 17 * AttentionRowQueries * 4;
}

/** What WarpSums are. */
AttentionRowInline uint32_t attentionRowSums(uint32_t headDim) { return AttentionRowQueries * (headDim + 2) * 4; }

/** Bytes of the partials of a tile of heads. */
AttentionRowInline uint64_t attentionRowPartials(uint32_t headDim, uint32_t splits) {
  return (uint64_t)splits * AttentionRowQueries * (headDim + 2) * 4;
}

#endif
