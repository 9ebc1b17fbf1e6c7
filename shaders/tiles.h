/*
 * tiles.h: how much one thread, one SIMD group and one threadgroup of each kernel does. The host divides its grids by
 * these numbers, so a change here is a change there.
 */
#ifndef BUN_METAL_TILES_H
#define BUN_METAL_TILES_H

/*
 * Threads of a threadgroup: matvec and its variants, attention and the kernels that reduce a row take any number from 1 to
 * a SIMD group's (attention: no more), or whole SIMD groups. A GPU wants whole ones. The CPU device wants one thread:
 * there each thread is a fiber, and what lanes exchange costs as much as hundreds of multiplications.
 */
enum : uint {
  // Threads of a SIMD group. Every kernel here assumes it; a device of another width has to be refused.
  SimdWidth = 32,

  // Threads per threadgroup of the kernels that give one element (rope: one pair) to each thread.
  ElementwiseThreads = 256,

  // kv_store_q8_0: blocks of a threadgroup, one for each thread.
  KvBlocks = 32,

  // Most SIMD groups in a threadgroup of the kernels that reduce a row: 1024 threads.
  RowSimdgroups = 32,

  // Consecutive elements that a lane loads at once in matrix products and attention: half a Q8_0 block, 16 bytes of
  // quants, and enough arithmetic for each scale.
  ChunkSize = 16,

  // matvec: outputs of one SIMD group (each activation is loaded once for all of them, and four partial sums are
  // reduced by one simd_sum of a float4), and SIMD groups per threadgroup on a GPU.
  MatvecOutputs = 4,
  MatvecSimdgroups = 2,

  // matvec_rows: rows of activations, for all of which a SIMD group loads each weight once.
  MatvecRows = 4,

  // matvec_tiled: activations staged in threadgroup memory at a time, 4 KB.
  MatvecTile = 1024,

  // matmul: outputs and rows of a threadgroup's tile, the depth of one step, and its threads: four SIMD groups, each of
  // which makes a quarter of the tile, 2 x 2 matrices of 8 x 8.
  MatmulOutputs = 32,
  MatmulRows = 32,
  MatmulDepth = 32,
  MatmulThreads = 128,

  // Floats from one row of a matmul tile to the next: four more than its depth, to spread columns over memory banks.
  MatmulStride = 36,

  // attention: keys whose scores are in threadgroup memory while their values are summed.
  AttentionTile = 128,
  AttentionMaxHeadDim = 256,
  // Most parts that the keys of a row are shared out to.
  AttentionMaxSplits = 64,

  // attention_tiled: queries of a SIMD group, keys of a tile, and dimensions of them that are staged at a time; and floats
  // from one key, and from one query's scores, to the next, to spread columns over memory banks. A threadgroup has four
  // SIMD groups, or two for heads of more than 128: what it stages is 16 to 31 KB.
  AttentionQueries = 8,
  AttentionKeys = 32,
  AttentionSlice = 64,
  AttentionSliceStride = 68,
  AttentionScoreStride = 36,

  // attention_scores, attention_weighted_sum: threads per threadgroup, one key or one dimension each.
  AttentionScoresThreads = 64,
  AttentionWeightedSumThreads = 32
};

#endif
