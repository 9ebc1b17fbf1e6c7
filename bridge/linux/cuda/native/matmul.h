/*
 * matmul.h: what the plan of matrix-matrix products and their kernels (matmul.cu) share.
 */
#ifndef BUN_METAL_CUDA_NATIVE_MATMUL_H
#define BUN_METAL_CUDA_NATIVE_MATMUL_H

#include <stdint.h>

enum {
  MatmulTileRows = 128,    /* rows of x of a block, */
  MatmulTileDepth = 64,    /* elements of a step along k, */
  MatmulThreads = 256,     /* threads that multiply; where four warps multiply together, as many more prepare weights for them */
  MatmulClaimedRows = 4,   /* rows that a block converts at a time */
  MatmulSegment = 256,     /* elements of quantised weights that are staged together; parts of k begin at multiples */
  MatmulStages = 3,        /* steps of x that are in shared memory or on their way there, */
  MatmulPreparedStages = 4, /* and where some threads prepare for others */
  MatmulControlBytes = 128, /* the first bytes of shared memory; then tiles */
  MatmulTileAlignment = 1024,
  /** Counters in scratch memory: rows claimed, blocks that have ended; then one for each tile of rows, one for each tile. */
  MatmulClaims = 0,
  MatmulEnded = 1,
  MatmulFirstCounter = 2,
  MatmulMostJobs = 4
};

/** Quantised weights of a segment, as they are: a row is copied from the multiple of 16 before its first byte on, and the
 * places of rows are an odd number of 16 bytes apart, so that eight rows lie in different banks. */
#define MATMUL_PIECES(segmentBytes) (((segmentBytes) + 15 + 15) / 16)
#define MATMUL_PITCH(segmentBytes) (16 * (MATMUL_PIECES(segmentBytes) | 1))

/** out[r, o] = sum_i x[r, i] w[o, i] */
typedef struct MatmulJob {
  uint64_t w, out;
  uint32_t n;
  uint32_t firstTile; /* of outputs, among those of all jobs */
} MatmulJob;

/**
 * Parameters. Jobs are products of one x. A grid is tiles of rows, tiles of outputs, parts of k.
 * x is first converted for all blocks, into tiles as they are in shared memory, those of a tile of rows one after the other.
 */
typedef struct MatmulParameters {
  MatmulJob jobs[MatmulMostJobs];          /* of those that there are not, firstTile is the number of tiles */
  uint64_t x, rowCount;
  uint64_t counters;                       /* scratch */
  uint64_t partial;                        /* converted x, factors of rows, sums of parts */
  uint64_t factorsOffset, partsOffset;     /* in it */
  uint32_t k, mostRows;
  uint32_t rowBytes;                       /* of a row of w */
  uint32_t depth;                          /* k, up to a multiple of MatmulTileDepth */
  uint32_t stepsOfPart;
} MatmulParameters;

#endif
