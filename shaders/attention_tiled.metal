/*
 * attention_tiled.metal: grouped-query attention of many rows at once: the work of a prompt.
 */
#include "attention.h"
#include "softcap.h"

/**
 * Stages AttentionSlice dimensions of the AttentionKeys keys or values in `slots` as F32. Threads share out chunks of 16;
 * those behind the end of a head are left out.
 */
template <typename Block>
inline void stage_slice(device const Block *cache, threadgroup const uint *slots, threadgroup float *tile, uint slotSize,
                        uint headDim, uint slice, uint index, uint threads) {
  const uint chunks = AttentionSlice / ChunkSize; // of a key
  for (uint cell = index; cell < AttentionKeys * chunks; cell += threads) {
    const uint key = cell / chunks;
    const uint depth = cell % chunks * ChunkSize;
    if (slice + depth >= headDim) continue;
    const Chunk chunk = load16(row_of(cache, slots[key], slotSize), slice + depth, headDim);
    threadgroup float *staged = tile + key * AttentionSliceStride + depth;
    for (uint c = 0; c < ChunkSize; ++c) staged[c] = chunk.scale * chunk.values[c / 4][c % 4];
  }
}

/**
 * As `attention`, for tiles of queries, as in FlashAttention (Dao et al. 2022). A query is one head of one row. Those of
 * the rows in order, and in each row the heads that share a key head, are the queries of that key head: so a tile reads
 * keys and values once for all heads of a group, whatever its size.
 *
 * A SIMD group makes AttentionQueries = 8 queries. For each tile of AttentionKeys keys it multiplies its queries with the
 * keys, which the threadgroup stages in slices of AttentionSlice dimensions, into scores [8, keys]; four lanes then turn
 * the scores of a query into weights; and the weights times the values, staged likewise, are added to the sums [8,
 * headDim], which stay in registers. What was summed before is corrected by a product with a diagonal matrix.
 *
 * Rows of several sequences may share a tile: its rows are taken in runs of one sequence, and a key counts for the queries
 * of its run alone, and of these for those whose window it is in.
 *
 * Needs simdgroup_matrix (Apple7 and later). headDim is a multiple of 8 and at most MaxHeadDim, and whole blocks of the
 * caches' format. Buffers are those of `attention`, and rowCount[0] = rows. The grid is kvHeads x tiles of queries.
 */
template <typename Block, uint MaxHeadDim, uint Simdgroups>
[[kernel]] void attention_tiled(device const F32 *q [[buffer(0)]],
                                device const Block *kCache [[buffer(1)]],
                                device const Block *vCache [[buffer(2)]],
                                device const uint *positions [[buffer(3)]],
                                device const uint *sequences [[buffer(4)]],
                                device const uint *blockTables [[buffer(5)]],
                                device float *out [[buffer(6)]],
                                device const uint *rowCount [[buffer(7)]],
                                constant AttentionArgs &args [[buffer(8)]],
                                uint2 group [[threadgroup_position_in_grid]],
                                uint index [[thread_index_in_threadgroup]],
                                uint lane [[thread_index_in_simdgroup]],
                                uint simdgroup [[simdgroup_index_in_threadgroup]]) {
  const uint tileQueries = AttentionQueries * Simdgroups;
  const uint threads = SimdWidth * Simdgroups;
  const uint queryStride = MaxHeadDim + 4; // spreads columns over memory banks
  const uint slices = MaxHeadDim / AttentionSlice;
  const uint sliceMatrices = AttentionSlice / 8;
  const uint keyMatrices = AttentionKeys / 8;
  threadgroup float queryTile[tileQueries * queryStride];             // [query, dimension]; in the end what is written
  threadgroup float sliceTile[AttentionKeys * AttentionSliceStride];  // [key, dimension], of keys or of values
  threadgroup float scoreTile[tileQueries * AttentionScoreStride];    // [query, key]: scores, then weights
  threadgroup float diagonals[Simdgroups * 64];                       // 8 x 8 each
  threadgroup uint slots[AttentionKeys];

  const uint headDim = args.headDim;
  const uint slotSize = args.kvHeads * headDim;
  const uint kvHead = group.x;
  const uint sharing = args.heads / args.kvHeads; // heads of a row that are queries here
  const uint count = rowCount[0] * sharing;
  const uint firstQuery = group.y * tileQueries;
  kCache += kvHead * headDim / Block::elements;
  vCache += kvHead * headDim / Block::elements;

  // Where query n lies in q and out: row n / sharing, head kvHead * sharing + n % sharing.
  const uint chunks = (headDim + ChunkSize - 1) / ChunkSize;
  for (uint cell = index; cell < tileQueries * chunks; cell += threads) {
    const uint n = min(firstQuery + cell / chunks, count - 1);
    const uint depth = cell % chunks * ChunkSize;
    device const F32 *query = row_of(q, n / sharing * args.heads + kvHead * sharing + n % sharing, headDim);
    const Chunk chunk = load16(query, depth, headDim);
    threadgroup float *staged = queryTile + cell / chunks * queryStride + depth;
    for (uint c = 0; c < ChunkSize; ++c) staged[c] = args.scale * chunk.values[c / 4][c % 4];
  }
  for (uint i = index; i < Simdgroups * 64; i += threads) diagonals[i] = 0.0f;

  // This SIMD group's part of the tiles, and this lane's query: four lanes share one.
  threadgroup const float *queries = queryTile + simdgroup * AttentionQueries * queryStride;
  threadgroup float *scores = scoreTile + simdgroup * AttentionQueries * AttentionScoreStride;
  threadgroup float *diagonal = diagonals + simdgroup * 64;
  threadgroup float *laneScores = scores + lane / 4 * AttentionScoreStride;
  const uint laneQuery = firstQuery + simdgroup * AttentionQueries + lane / 4;
  const uint laneRow = min(laneQuery, count - 1) / sharing;
  const uint laneEnd = laneQuery < count ? positions[laneRow] + 1 : 0;
  const uint laneBegin = laneEnd - min(laneEnd, args.window);

  simdgroup_float8x8 sums[MaxHeadDim / 8]; // [query, dimension]
#pragma clang loop unroll(full)
  for (uint d = 0; d < MaxHeadDim / 8; ++d) sums[d] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  float maximum = MASKED_SCORE;
  float total = 0.0f; // of the weights that this lane made

  const uint rowsEnd = (min(firstQuery + tileQueries, count) - 1) / sharing + 1;
  for (uint row = firstQuery / sharing; row < rowsEnd;) {
    const uint runBegin = row;
    const uint sequence = sequences[row];
    uint begin = positions[row] + 1;
    uint end = 0;
    for (; row < rowsEnd && sequences[row] == sequence; ++row) {
      const uint rowEnd = positions[row] + 1;
      begin = min(begin, rowEnd - min(rowEnd, args.window));
      end = max(end, rowEnd);
    }
    const bool isInRun = laneRow >= runBegin && laneRow < row;
    device const uint *blocks = blockTables + ulong(sequence) * args.blocksPerSequence;

    for (uint first = begin; first < end; first += AttentionKeys) {
      if (index < AttentionKeys) {
        const uint p = min(first + index, end - 1); // past the last key it stands in, and weighs nothing
        slots[index] = blocks[p / args.blockSize] * args.blockSize + p % args.blockSize;
      }

      simdgroup_float8x8 products[keyMatrices]; // [query, key]
      for (uint j = 0; j < keyMatrices; ++j) products[j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
      for (uint slice = 0; slice < headDim; slice += AttentionSlice) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        stage_slice(kCache, slots, sliceTile, slotSize, headDim, slice, index, threads);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint depth = 0; depth < AttentionSlice && slice + depth < headDim; depth += 8) {
          simdgroup_float8x8 a; // [query, dimension]
          simdgroup_load(a, queries + slice + depth, queryStride);
          for (uint j = 0; j < keyMatrices; ++j) {
            simdgroup_float8x8 b; // [dimension, key]: read from [key, dimension], transposed
            simdgroup_load(b, sliceTile + 8 * j * AttentionSliceStride + depth, AttentionSliceStride, ulong2(0), true);
            simdgroup_multiply_accumulate(products[j], a, b, products[j]);
          }
        }
      }
      for (uint j = 0; j < keyMatrices; ++j) simdgroup_store(products[j], scores + 8 * j, AttentionScoreStride);
      simdgroup_barrier(mem_flags::mem_threadgroup);

      // Keys that this lane's query sees: begin <= p < end of its own, in its run.
      const uint seenBegin = max(laneBegin, first) - first;
      const uint seenEnd = isInRun && laneEnd > first ? laneEnd - first : 0;
      float newMaximum = maximum;
      for (uint j = lane % 4; j < AttentionKeys; j += 4) {
        if (j < seenBegin || j >= seenEnd) continue;
        float score = laneScores[j];
        if (args.softCap > 0.0f) score = soft_cap(score, args.softCap);
        laneScores[j] = score;
        newMaximum = max(newMaximum, score);
      }
      newMaximum = max(newMaximum, simd_shuffle_xor(newMaximum, 1));
      newMaximum = max(newMaximum, simd_shuffle_xor(newMaximum, 2));
      const float correction = precise::exp(maximum - newMaximum);
      maximum = newMaximum;
      total *= correction;
      for (uint j = lane % 4; j < AttentionKeys; j += 4) {
        const bool isSeen = j >= seenBegin && j < seenEnd;
        const float weight = isSeen ? precise::exp(laneScores[j] - maximum) : 0.0f;
        laneScores[j] = weight;
        total += weight;
      }
      if (lane % 4 == 0) diagonal[lane / 4 * 9] = correction;
      simdgroup_barrier(mem_flags::mem_threadgroup);

      simdgroup_float8x8 corrections;
      simdgroup_load(corrections, diagonal, 8);
      simdgroup_float8x8 weights[keyMatrices]; // [query, key]
      for (uint j = 0; j < keyMatrices; ++j) simdgroup_load(weights[j], scores + 8 * j, AttentionScoreStride);
#pragma clang loop unroll(full) // matrices are in registers only where their index is a constant
      for (uint s = 0; s < slices; ++s) {
        if (s * AttentionSlice >= headDim) continue;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        stage_slice(vCache, slots, sliceTile, slotSize, headDim, s * AttentionSlice, index, threads);
        threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma clang loop unroll(full)
        for (uint m = 0; m < sliceMatrices; ++m) {
          const uint d = s * sliceMatrices + m;
          if (8 * d >= headDim) continue;
          simdgroup_float8x8 sum;
          simdgroup_multiply(sum, corrections, sums[d]);
          for (uint j = 0; j < keyMatrices; ++j) {
            simdgroup_float8x8 b; // [key, dimension]
            simdgroup_load(b, sliceTile + 8 * j * AttentionSliceStride + 8 * m, AttentionSliceStride);
            simdgroup_multiply_accumulate(sum, weights[j], b, sum);
          }
          sums[d] = sum;
        }
      }
      threadgroup_barrier(mem_flags::mem_threadgroup); // the slots have been read
    }
  }

  total += simd_shuffle_xor(total, 1);
  total += simd_shuffle_xor(total, 2);
  if (lane % 4 == 0) diagonal[lane / 4 * 9] = total > 0.0f ? 1.0f / total : 0.0f;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  simdgroup_float8x8 corrections;
  simdgroup_load(corrections, diagonal, 8);
  threadgroup float *results = queryTile + simdgroup * AttentionQueries * queryStride;
#pragma clang loop unroll(full)
  for (uint d = 0; d < MaxHeadDim / 8; ++d) {
    if (8 * d >= headDim) continue;
    simdgroup_float8x8 result;
    simdgroup_multiply(result, corrections, sums[d]);
    simdgroup_store(result, results + 8 * d, queryStride);
  }
  simdgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = lane; i < AttentionQueries * headDim; i += SimdWidth) {
    const uint n = firstQuery + simdgroup * AttentionQueries + i / headDim;
    if (n >= count) break;
    const ulong head = n / sharing * args.heads + kvHead * sharing + n % sharing;
    out[head * headDim + i % headDim] = results[i / headDim * queryStride + i % headDim];
  }
}

template [[host_name("attention_tiled_64_f32")]] [[kernel]]
decltype(attention_tiled<F32, 64, 4>) attention_tiled<F32, 64, 4>;
template [[host_name("attention_tiled_64_f16")]] [[kernel]]
decltype(attention_tiled<F16, 64, 4>) attention_tiled<F16, 64, 4>;
template [[host_name("attention_tiled_64_q8_0")]] [[kernel]]
decltype(attention_tiled<Q8_0, 64, 4>) attention_tiled<Q8_0, 64, 4>;
template [[host_name("attention_tiled_128_f32")]] [[kernel]]
decltype(attention_tiled<F32, 128, 4>) attention_tiled<F32, 128, 4>;
template [[host_name("attention_tiled_128_f16")]] [[kernel]]
decltype(attention_tiled<F16, 128, 4>) attention_tiled<F16, 128, 4>;
template [[host_name("attention_tiled_128_q8_0")]] [[kernel]]
decltype(attention_tiled<Q8_0, 128, 4>) attention_tiled<Q8_0, 128, 4>;
template [[host_name("attention_tiled_256_f32")]] [[kernel]]
decltype(attention_tiled<F32, 256, 2>) attention_tiled<F32, 256, 2>;
template [[host_name("attention_tiled_256_f16")]] [[kernel]]
decltype(attention_tiled<F16, 256, 2>) attention_tiled<F16, 256, 2>;
template [[host_name("attention_tiled_256_q8_0")]] [[kernel]]
decltype(attention_tiled<Q8_0, 256, 2>) attention_tiled<Q8_0, 256, 2>;
