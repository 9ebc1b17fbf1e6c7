/*
 * matvec.h: what the plan and the kernels of matvec.cu share.
 *
 * Rows of weights are cut into slices of 64, 128 or 256 elements, and matrices into tiles of MatvecTileRows rows: a unit of work
 * is a slice of a tile. A warp copies units into a ring of its own, in shared memory, and multiplies them with the slices of x
 * that all warps of the block share: a record for each. The units of a block follow each other by slice, matrix (two where outputs
 * are gated) and tile, and are dealt out to its warps in equal, consecutive parts.
 */
#ifndef BUN_METAL_CUDA_NATIVE_MATVEC_H
#define BUN_METAL_CUDA_NATIVE_MATVEC_H

#include <stdint.h>

enum {
  MatvecTileRows = 8,
  MatvecMostWarps = 16,
  MatvecMostThreads = 32 * MatvecMostWarps,
  MatvecResident = 2, /* blocks of so many threads, of this and of the next launch, at once on a multiprocessor */
  MatvecMostStages = 4, /* units of a warp that are on their way, or in use; 2 at least */
  MatvecMaxJobs = 4
};

/** What the prologue makes of a slice of x: matvec_activations.h. */
enum {
  MatvecFixedRecord = 784, /* 256 elements: 768 bytes of whole numbers, the scale */
  MatvecSummedRecord = 848, /* and 16 sums */
  MatvecHalfRecord = 528,  /* 128 elements: two halves of each, the scale */
  MatvecBfloatRecord = 784,
  MatvecFloatRecord = 256  /* 64 elements */
};

/** LINE(name, elements of a slice, bytes of a slice, elements of a block, bytes of a record) */
#define MATVEC_TYPES(LINE)                       \
  LINE(f32, 64, 256, 1, MatvecFloatRecord)       \
  LINE(f16, 128, 256, 1, MatvecHalfRecord)       \
  LINE(bf16, 128, 256, 1, MatvecBfloatRecord)    \
  LINE(q4_0, 256, 144, 32, MatvecFixedRecord)    \
  LINE(q4_1, 256, 160, 32, MatvecSummedRecord)   \
  LINE(q5_0, 256, 176, 32, MatvecFixedRecord)    \
  LINE(q5_1, 256, 192, 32, MatvecSummedRecord)   \
  LINE(q8_0, 256, 272, 32, MatvecFixedRecord)    \
  LINE(q2_k, 256, 84, 256, MatvecSummedRecord)   \
  LINE(q3_k, 256, 110, 256, MatvecFixedRecord)   \
  LINE(q4_k, 256, 144, 256, MatvecSummedRecord)  \
  LINE(q5_k, 256, 176, 256, MatvecSummedRecord)  \
  LINE(q6_k, 256, 210, 256, MatvecFixedRecord)   \
  LINE(iq4_nl, 256, 144, 32, MatvecFixedRecord)  \
  LINE(iq4_xs, 256, 136, 256, MatvecFixedRecord) \
  LINE(mxfp4, 256, 136, 32, MatvecFixedRecord)

/** LINE(name, alignment): slices and rows that begin at multiples of 16 bytes (those of Q4_K and Q5_K always do), or anywhere. */
#define MATVEC_KERNELS(LINE)                   \
  LINE(f32, aligned) LINE(f32, any)            \
  LINE(f16, aligned) LINE(f16, any)            \
  LINE(bf16, aligned) LINE(bf16, any)          \
  LINE(q4_0, aligned) LINE(q4_0, any)          \
  LINE(q4_1, aligned) LINE(q4_1, any)          \
  LINE(q5_0, aligned) LINE(q5_0, any)          \
  LINE(q5_1, aligned) LINE(q5_1, any)          \
  LINE(q8_0, aligned) LINE(q8_0, any)          \
  LINE(q2_k, any)                              \
  LINE(q3_k, any)                              \
  LINE(q4_k, aligned)                          \
  LINE(q5_k, aligned)                          \
  LINE(q6_k, any)                              \
  LINE(iq4_nl, aligned) LINE(iq4_nl, any)      \
  LINE(iq4_xs, any)                            \
  LINE(mxfp4, any)

/** LINE(name, aligned or any, name, aligned or any): types that models mix where products read the same x. */
#define MATVEC_PAIRS(LINE)          \
  LINE(q4_k, aligned, q6_k, any)    \
  LINE(q5_k, aligned, q6_k, any)    \
  LINE(q4_k, aligned, q5_k, aligned)

/** 16-byte chunks that hold a row's part of a slice: if it does not begin at a multiple of 16 bytes, also what is before it. */
#define MATVEC_CHUNKS(sliceBytes, isAligned) ((isAligned) ? (sliceBytes) / 16 : ((sliceBytes) + 30) / 16)
/** Chunks from one row to the next in shared memory: an odd number spreads words 4 t + i of rows over all banks. The 16 chunks of
 * floats are spread otherwise (matvec_weights.h). */
#define MATVEC_STRIDE(sliceBytes, isAligned) \
  ((isAligned) && (sliceBytes) == 256 ? 16 : MATVEC_CHUNKS(sliceBytes, isAligned) | 1)
#define MATVEC_UNIT(sliceBytes, isAligned) (16 * MatvecTileRows * MATVEC_STRIDE(sliceBytes, isAligned))

/** One matrix, or two for gated outputs. */
typedef struct MatvecJob {
  const uint8_t *weights, *second; /* [n, k] */
  const float *residual;           /* [rows, n], or NULL */
  float *out;                      /* [rows, n] */
  uint32_t n;
  uint32_t endTile; /* the tiles of all jobs are counted through */
} MatvecJob;

/** The jobs of one type of weights: so many of the grid's blocks share their tiles. In shared memory the rings come first. */
typedef struct MatvecPart {
  uint32_t rowBytes;
  uint32_t firstTile, firstBlock;
  uint32_t tilesOfBlock, blocksWithMore; /* the first of them have one more */
  uint32_t stages, ringBytes; /* of a warp: so many units, or as many as it has at most */
  uint32_t recordsAt, resultsAt, piecesAt;
} MatvecPart;

/** The grid is blocks by rows of x. */
typedef struct MatvecParameters {
  MatvecPart parts[2];
  MatvecJob jobs[MatvecMaxJobs]; /* behind the last, its copies */
  const float *x, *norm;         /* [rows / share, k], [k] or NULL */
  const uint32_t *ids;           /* [rows]: with the weights of which expert, of `experts`; NULL: there is one */
  uint32_t k, ending, experts, share; /* ending: as in shaders/args.h */
  uint32_t readsEarly;           /* no earlier command writes the weights, and it is known which they are */
  float eps, inverseOfK;
} MatvecParameters;

#endif
