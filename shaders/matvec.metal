/*
 * matvec.metal: matrix-vector products, out[r, o] = sum_i w[o, i] x[r, i]: the work of one token.
 *
 * A SIMD group makes MatvecOutputs consecutive outputs of one row of x. Its lanes share out the sum in chunks of 16, and
 * add up their parts at the end. A threadgroup is any number of SIMD groups, whose outputs follow each other; a single
 * one may have fewer than 32 lanes. Nothing is assumed about alignment beyond that of a block, nor about n and k beyond
 * whole blocks.
 */
#include "matvec.h"

/** Makes the SIMD group's outputs of one row. */
template <typename Block>
inline void make_outputs(device const Block *w, device const F32 *x, device float *out, uint first, uint n, uint k,
                         uint lane, uint lanes) {
  const OutputRows<Block> weights = output_rows(w, first, n, k);
  float4 sums[MatvecOutputs] = {0.0f, 0.0f, 0.0f, 0.0f};
  for (uint i = lane * ChunkSize; i + ChunkSize <= k; i += lanes * ChunkSize) {
    const Chunk activations = load16(x, i);
    for (uint o = 0; o < MatvecOutputs; ++o) {
      sums[o] = multiply_accumulate(load16(weights.rows[o], i), activations, sums[o]);
    }
  }
  accumulate_end(weights, x, k, lane, lanes, sums);
  const float4 totals = simd_sum(sums_of(sums));
  if (lane == 0) write_outputs(out, first, n, totals);
}

/** Reads w [n, k] and x [rows, k], writes out [rows, n]. */
template <typename Block>
[[kernel]] void matvec(device const Block *w [[buffer(0)]],
                       device const F32 *x [[buffer(1)]],
                       device float *out [[buffer(2)]],
                       constant MatrixArgs &args [[buffer(3)]],
                       uint2 group [[threadgroup_position_in_grid]],
                       uint2 threads [[threads_per_threadgroup]],
                       uint lane [[thread_index_in_simdgroup]],
                       uint simdgroup [[simdgroup_index_in_threadgroup]],
                       uint simdgroups [[simdgroups_per_threadgroup]]) {
  const uint lanes = threads.x / simdgroups;
  const uint first = (group.x * simdgroups + simdgroup) * MatvecOutputs;
  make_outputs(w, x + ulong(group.y) * args.k, out + ulong(group.y) * args.n, first, args.n, args.k, lane, lanes);
}

#define MATVEC(Block, name) template [[host_name("matvec_" #name)]] [[kernel]] decltype(matvec<Block>) matvec<Block>;
WEIGHT_TYPES(MATVEC)

/**
 * The same, with x staged through threadgroup memory in tiles of MatvecTile, so that device memory gives each
 * activation once to the whole threadgroup. Reads w [n, k] and x [rows, k], writes out [rows, n].
 */
template <typename Block>
[[kernel]] void matvec_tiled(device const Block *w [[buffer(0)]],
                             device const F32 *x [[buffer(1)]],
                             device float *out [[buffer(2)]],
                             constant MatrixArgs &args [[buffer(3)]],
                             uint2 group [[threadgroup_position_in_grid]],
                             uint2 threads [[threads_per_threadgroup]],
                             uint index [[thread_index_in_threadgroup]],
                             uint lane [[thread_index_in_simdgroup]],
                             uint simdgroup [[simdgroup_index_in_threadgroup]],
                             uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup float4 tile[MatvecTile / 4];
  const uint lanes = threads.x / simdgroups;
  const uint first = (group.x * simdgroups + simdgroup) * MatvecOutputs;
  const OutputRows<Block> weights = output_rows(w, first, args.n, args.k);
  x += ulong(group.y) * args.k;

  float4 sums[MatvecOutputs] = {0.0f, 0.0f, 0.0f, 0.0f};
  for (uint start = 0; start < args.k; start += MatvecTile) {
    const uint end = min(args.k, start + MatvecTile);
    for (uint i = start + index * ChunkSize; i + ChunkSize <= end; i += threads.x * ChunkSize) {
      const Chunk activations = load16(x, i);
      for (uint c = 0; c < 4; ++c) tile[(i - start) / 4 + c] = activations.values[c];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = start + lane * ChunkSize; i + ChunkSize <= end; i += lanes * ChunkSize) {
      threadgroup const float4 *staged = tile + (i - start) / 4;
      const Chunk activations = {{staged[0], staged[1], staged[2], staged[3]}, 1.0f};
      for (uint o = 0; o < MatvecOutputs; ++o) {
        sums[o] = multiply_accumulate(load16(weights.rows[o], i), activations, sums[o]);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  accumulate_end(weights, x, args.k, lane, lanes, sums);
  const float4 totals = simd_sum(sums_of(sums));
  if (lane == 0) write_outputs(out + ulong(group.y) * args.n, first, args.n, totals);
}

#define MATVEC_TILED(Block, name)                                                                                      \
  template [[host_name("matvec_tiled_" #name)]] [[kernel]] decltype(matvec_tiled<Block>) matvec_tiled<Block>;
WEIGHT_TYPES(MATVEC_TILED)

/**
 * The same for MatvecRows rows of x at once, so that each weight is read and decoded once for all of them: for a few
 * rows, and for devices without simdgroup_matrix. The grid's y counts groups of rows. Past the last row the last one
 * stands in: read, but not written.
 * Reads w [n, k], x [rows, k] and rowCount[0] = rows, writes out [rows, n].
 */
template <typename Block>
[[kernel]] void matvec_rows(device const Block *w [[buffer(0)]],
                            device const F32 *x [[buffer(1)]],
                            device float *out [[buffer(2)]],
                            device const uint *rowCount [[buffer(3)]],
                            constant MatrixArgs &args [[buffer(4)]],
                            uint2 group [[threadgroup_position_in_grid]],
                            uint2 threads [[threads_per_threadgroup]],
                            uint lane [[thread_index_in_simdgroup]],
                            uint simdgroup [[simdgroup_index_in_threadgroup]],
                            uint simdgroups [[simdgroups_per_threadgroup]]) {
  const uint lanes = threads.x / simdgroups;
  const uint first = (group.x * simdgroups + simdgroup) * MatvecOutputs;
  const uint rows = rowCount[0];
  const uint firstRow = group.y * MatvecRows;
  const OutputRows<Block> weights = output_rows(w, first, args.n, args.k);
  device const F32 *xRows[MatvecRows];
  for (uint r = 0; r < MatvecRows; ++r) xRows[r] = row_of(x, min(firstRow + r, rows - 1), args.k);

  float4 sums[MatvecRows][MatvecOutputs];
  for (uint r = 0; r < MatvecRows; ++r) {
    for (uint o = 0; o < MatvecOutputs; ++o) sums[r][o] = 0.0f;
  }
  for (uint i = lane * ChunkSize; i + ChunkSize <= args.k; i += lanes * ChunkSize) {
    Chunk chunks[MatvecOutputs];
    for (uint o = 0; o < MatvecOutputs; ++o) chunks[o] = load16(weights.rows[o], i);
    for (uint c = 0; c < 4; ++c) {
      float4 decoded[MatvecOutputs];
      for (uint o = 0; o < MatvecOutputs; ++o) decoded[o] = chunks[o].scale * chunks[o].values[c];
      for (uint r = 0; r < MatvecRows; ++r) {
        const float4 activations = load4(xRows[r], i + 4 * c);
        for (uint o = 0; o < MatvecOutputs; ++o) sums[r][o] = fma(decoded[o], activations, sums[r][o]);
      }
    }
  }
  for (uint r = 0; r < MatvecRows; ++r) {
    accumulate_end(weights, xRows[r], args.k, lane, lanes, sums[r]);
    const float4 totals = simd_sum(sums_of(sums[r]));
    if (lane == 0 && firstRow + r < rows) {
      write_outputs(out + ulong(firstRow + r) * args.n, first, args.n, totals);
    }
  }
}

#define MATVEC_ROWS(Block, name)                                                                                       \
  template [[host_name("matvec_rows_" #name)]] [[kernel]] decltype(matvec_rows<Block>) matvec_rows<Block>;
WEIGHT_TYPES(MATVEC_ROWS)

/**
 * The same with the weights of one of several experts for each row of outputs: out[r] = w[ids[r]] x[r / share].
 * Reads w [experts, n, k], x [rows / share, k] and ids [rows], each below `experts`; writes out [rows, n].
 */
template <typename Block>
[[kernel]] void matvec_experts(device const Block *w [[buffer(0)]],
                               device const F32 *x [[buffer(1)]],
                               device const uint *ids [[buffer(2)]],
                               device float *out [[buffer(3)]],
                               constant ExpertMatrixArgs &args [[buffer(4)]],
                               uint2 group [[threadgroup_position_in_grid]],
                               uint2 threads [[threads_per_threadgroup]],
                               uint lane [[thread_index_in_simdgroup]],
                               uint simdgroup [[simdgroup_index_in_threadgroup]],
                               uint simdgroups [[simdgroups_per_threadgroup]]) {
  const uint lanes = threads.x / simdgroups;
  const uint first = (group.x * simdgroups + simdgroup) * MatvecOutputs;
  const uint expert = min(ids[group.y], args.experts - 1);
  device const Block *weights = w + ulong(expert) * args.n * (args.k / Block::elements);
  device const F32 *row = x + ulong(group.y / args.share) * args.k;
  make_outputs(weights, row, out + ulong(group.y) * args.n, first, args.n, args.k, lane, lanes);
}

#define MATVEC_EXPERTS(Block, name)                                                                                    \
  template [[host_name("matvec_experts_" #name)]] [[kernel]] decltype(matvec_experts<Block>) matvec_experts<Block>;
WEIGHT_TYPES(MATVEC_EXPERTS)
