/*
 * matvec.h: what the matrix-vector kernels share: which rows of the weights a SIMD group reads, and where its sums go.
 */
#ifndef BUN_METAL_MATVEC_H
#define BUN_METAL_MATVEC_H

#include "common.h"

/** The weight rows of a SIMD group's outputs. Past the last output the last row stands in: read, but not used. */
template <typename Block> struct OutputRows {
  device const Block *rows[MatvecOutputs];
};

template <typename Block> inline OutputRows<Block> output_rows(device const Block *w, uint first, uint n, uint k) {
  OutputRows<Block> result;
  for (uint o = 0; o < MatvecOutputs; ++o) result.rows[o] = row_of(w, min(first + o, n - 1), k);
  return result;
}

/** The lane's share of what is left of a row after its last whole chunk. */
template <typename Block>
inline void accumulate_end(OutputRows<Block> weights, device const F32 *x, uint k, uint lane, uint lanes,
                           thread float4 *sums) {
  if (Block::elements > 1) return; // whole blocks are whole chunks
  for (uint i = k / ChunkSize * ChunkSize + lane; i < k; i += lanes) {
    for (uint o = 0; o < MatvecOutputs; ++o) sums[o].x += element(weights.rows[o], i) * element(x, i);
  }
}

/** The four sums of the elements of four vectors. */
inline float4 sums_of(thread const float4 *v) {
  return float4(sum_of(v[0]), sum_of(v[1]), sum_of(v[2]), sum_of(v[3]));
}

/** Writes those outputs that exist. */
inline void write_outputs(device float *row, uint first, uint n, float4 outputs) {
  for (uint o = 0; o < MatvecOutputs; ++o) {
    if (first + o < n) row[first + o] = outputs[o];
  }
}

#endif
