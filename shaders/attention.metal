/*
 * attention.metal: grouped-query attention. Query head h reads key and value head h / (heads / kvHeads).
 */
#include "attention.h"
#include "softcap.h"

/** The dot product of `width` elements, any number. */
template <typename Block>
inline float dot_product(device const F32 *a, device const Block *b, uint width) {
  float4 sum = 0.0f;
  uint d = 0;
  for (; d + ChunkSize <= width; d += ChunkSize) sum = multiply_accumulate(load16(b, d), load16(a, d), sum);
  for (; d < width; ++d) sum.x += element(a, d) * element(b, d);
  return sum_of(sum);
}

/**
 * out[r, h] = softmax_p(scale * q[r, h] . K[p]) V[p], over the positions p = 0 .. positions[r] of the row's sequence, or
 * the last `window` of them, in one pass: the online softmax of Milakov and Gimelshein (2018), as in FlashAttention.
 * Scores may be soft-capped.
 *
 * The cache is paged: position p of sequence s is in slot blockTables[s, p / blockSize] * blockSize + p % blockSize.
 *
 * A threadgroup is one SIMD group, or fewer lanes, and makes one head of one row. It takes the keys in tiles, and each
 * tile twice: first the lanes share out the keys, and put their scores into threadgroup memory; then they share out the
 * values, in columns of 16 dimensions. Where there are more lanes than columns they form teams, one lane for each
 * column, and the teams take turns at the keys; what the teams have summed is added at the end. So a tile costs two
 * synchronisations, whatever the head size.
 *
 * With args.splits > 1 the grid's z shares out the keys of a row, for long contexts: group z takes the z-th range of
 * keys_per_split keys, does nothing where there is none, and else writes what it summed, the maximum and the total, from
 * which attention_reduce makes the result.
 *
 * Reads q [rows, heads, headDim], the caches [slot, kvHeads, headDim], positions and sequences [rows], blockTables
 * [sequences, blocksPerSequence]; writes out [rows, heads, headDim], or [rows, heads, splits, headDim + 2]. headDim is at most AttentionMaxHeadDim, and whole
 * blocks of the caches' format.
 */
template <typename Block>
[[kernel]] void attention(device const F32 *q [[buffer(0)]],
                          device const Block *kCache [[buffer(1)]],
                          device const Block *vCache [[buffer(2)]],
                          device const uint *positions [[buffer(3)]],
                          device const uint *sequences [[buffer(4)]],
                          device const uint *blockTables [[buffer(5)]],
                          device float *out [[buffer(6)]],
                          constant AttentionArgs &args [[buffer(7)]],
                          uint3 group [[threadgroup_position_in_grid]],
                          uint3 threads [[threads_per_threadgroup]],
                          uint lane [[thread_index_in_simdgroup]]) {
  // Two of each, used in turn: a tile's writes need not wait for the last tile's reads.
  threadgroup float weights[2][AttentionTile]; // scores at first
  threadgroup uint slots[2][AttentionTile];
  threadgroup float4 sums[SimdWidth * ChunkSize / 4]; // [team, column, dimension]

  const uint head = group.x;
  const uint row = group.y;
  const uint lanes = threads.x;
  const uint headDim = args.headDim;
  const uint slotSize = args.kvHeads * headDim;
  const uint rowEnd = positions[row] + 1;
  const uint rowKeys = min(rowEnd, args.window);
  const uint splitKeys = keys_per_split(rowKeys, args.splits);
  if (group.z * splitKeys >= rowKeys) return;
  const uint begin = rowEnd - rowKeys + group.z * splitKeys;
  const uint end = min(begin + splitKeys, rowEnd);
  device const uint *blocks = blockTables + ulong(sequences[row]) * args.blocksPerSequence;
  const uint kvHead = head / (args.heads / args.kvHeads);
  q += (ulong(row) * args.heads + head) * headDim;
  kCache += kvHead * headDim / Block::elements;
  vCache += kvHead * headDim / Block::elements;

  const uint columns = (headDim + ChunkSize - 1) / ChunkSize;
  const uint teams = max(lanes / columns, 1u);
  for (uint cell = lane; cell < teams * columns; cell += lanes) {
    for (uint c = 0; c < 4; ++c) sums[4 * cell + c] = 0.0f;
  }

  float maximum = MASKED_SCORE;
  float total = 0.0f; // of this lane's weights
  uint turn = 0;
  for (uint first = begin; first < end; first += AttentionTile, turn ^= 1) {
    const uint tileKeys = min(end - first, uint(AttentionTile));
    threadgroup float *tileWeights = weights[turn];
    threadgroup uint *tileSlots = slots[turn];

    float tileMaximum = maximum;
    for (uint j = lane; j < tileKeys; j += lanes) {
      const uint p = first + j;
      const uint slot = blocks[p / args.blockSize] * args.blockSize + p % args.blockSize;
      float score = args.scale * dot_product(q, row_of(kCache, slot, slotSize), headDim);
      if (args.softCap > 0.0f) score = soft_cap(score, args.softCap);
      tileSlots[j] = slot;
      tileWeights[j] = score;
      tileMaximum = max(tileMaximum, score);
    }

    // What was summed so far is relative to the old maximum; the correction makes it relative to the new one.
    const float newMaximum = simd_max(tileMaximum);
    const float correction = precise::exp(maximum - newMaximum);
    maximum = newMaximum;
    total *= correction;
    for (uint j = lane; j < tileKeys; j += lanes) {
      const float weight = precise::exp(tileWeights[j] - maximum);
      tileWeights[j] = weight;
      total += weight;
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);

    for (uint cell = lane; cell < teams * columns; cell += lanes) {
      const uint team = cell / columns;
      const uint dimension = cell % columns * ChunkSize;
      float4 sum[4];
      for (uint c = 0; c < 4; ++c) sum[c] = sums[4 * cell + c] * correction;
      for (uint j = team; j < tileKeys; j += teams) {
        const Chunk v = load16(row_of(vCache, tileSlots[j], slotSize), dimension, headDim);
        const float4 weight = tileWeights[j] * v.scale;
        for (uint c = 0; c < 4; ++c) sum[c] = fma(weight, v.values[c], sum[c]);
      }
      for (uint c = 0; c < 4; ++c) sums[4 * cell + c] = sum[c];
    }
  }

  total = simd_sum(total);
  simdgroup_barrier(mem_flags::mem_threadgroup);
  const bool isPart = args.splits > 1;
  out += ((ulong(row) * args.heads + head) * args.splits + group.z) * (isPart ? headDim + 2 : headDim);
  for (uint d = lane; d < headDim; d += lanes) {
    float value = 0.0f;
    for (uint t = 0; t < teams; ++t) value += sums[(t * columns * ChunkSize + d) / 4][d % 4];
    out[d] = isPart ? value : value / total;
  }
  if (isPart && lane == 0) {
    out[headDim] = maximum;
    out[headDim + 1] = total;
  }
}

template [[host_name("attention_f32")]] [[kernel]] decltype(attention<F32>) attention<F32>;
template [[host_name("attention_f16")]] [[kernel]] decltype(attention<F16>) attention<F16>;
template [[host_name("attention_q8_0")]] [[kernel]] decltype(attention<Q8_0>) attention<Q8_0>;

/**
 * Puts the splits of `attention` together: out[r, h] = sum_s w_s sums_s / sum_s w_s total_s, w_s = exp(maximum_s - their
 * maximum), over the splits that have keys. Partials are for this kernel alone: a device that makes both in one leaves them as
 * they were. A threadgroup is a SIMD group, or fewer lanes, and makes one head of one row.
 * Reads partials [rows, heads, splits, headDim + 2] and positions [rows], writes out [rows, heads, headDim].
 */
[[kernel]] void attention_reduce(device const float *partials [[buffer(0)]],
                                 device const uint *positions [[buffer(1)]],
                                 device float *out [[buffer(2)]],
                                 constant AttentionReduceArgs &args [[buffer(3)]],
                                 uint2 group [[threadgroup_position_in_grid]],
                                 uint2 threads [[threads_per_threadgroup]],
                                 uint lane [[thread_index_in_simdgroup]]) {
  threadgroup float weights[AttentionMaxSplits];
  const uint headDim = args.headDim;
  const uint length = headDim + 2;
  const uint keys = min(positions[group.y] + 1, args.window);
  const uint splitKeys = keys_per_split(keys, args.splits);
  const uint used = (keys + splitKeys - 1) / splitKeys;
  const ulong head = ulong(group.y) * args.heads + group.x;
  partials += head * args.splits * length;

  float maximum = MASKED_SCORE;
  for (uint s = lane; s < used; s += threads.x) maximum = max(maximum, partials[s * length + headDim]);
  maximum = simd_max(maximum);
  float total = 0.0f;
  for (uint s = lane; s < used; s += threads.x) {
    weights[s] = precise::exp(partials[s * length + headDim] - maximum);
    total += weights[s] * partials[s * length + headDim + 1];
  }
  total = simd_sum(total);
  simdgroup_barrier(mem_flags::mem_threadgroup);

  for (uint d = lane; d < headDim; d += threads.x) {
    float sum = 0.0f;
    for (uint s = 0; s < used; ++s) sum += weights[s] * partials[s * length + d];
    out[head * headDim + d] = sum / total;
  }
}

/**
 * out[r, h, j] = scale * q[r, h] . k[j]; MASKED_SCORE where key j is later than the row: j > firstPosition + r, unless
 * firstPosition is NoMask. The grid is keys x rows x heads; a threadgroup makes AttentionScoresThreads keys, one each.
 * Reads q [rows, heads, headDim] and k [nKeys, kvHeads, headDim], writes out [rows, heads, nKeys].
 */
template <typename Block>
[[kernel]] void attention_scores(device const F32 *q [[buffer(0)]],
                                 device const Block *k [[buffer(1)]],
                                 device float *out [[buffer(2)]],
                                 constant AttentionScoresArgs &args [[buffer(3)]],
                                 uint3 position [[thread_position_in_grid]]) {
  const uint key = position.x;
  const uint row = position.y;
  const uint head = position.z;
  if (key >= args.nKeys) return;
  const ulong queryHead = ulong(row) * args.heads + head;
  const ulong keyHead = ulong(key) * args.kvHeads + head / (args.heads / args.kvHeads);

  float score = MASKED_SCORE;
  if (args.firstPosition == NoMask || key <= args.firstPosition + row) {
    score = args.scale * dot_product(q + queryHead * args.headDim, k + keyHead * args.headDim, args.headDim);
  }
  out[queryHead * args.nKeys + key] = score;
}

template [[host_name("attention_scores_f32")]] [[kernel]] decltype(attention_scores<F32>) attention_scores<F32>;
template [[host_name("attention_scores_f16")]] [[kernel]] decltype(attention_scores<F16>) attention_scores<F16>;

/**
 * out[r, h, d] = sum_j weights[r, h, j] v[j, d]. The grid is dimensions x rows x heads; a threadgroup makes
 * AttentionWeightedSumThreads dimensions, one each.
 * Reads weights [rows, heads, nKeys] and v [nKeys, kvHeads, headDim], writes out [rows, heads, headDim].
 */
template <typename Block>
[[kernel]] void attention_weighted_sum(device const float *weights [[buffer(0)]],
                                       device const Block *v [[buffer(1)]],
                                       device float *out [[buffer(2)]],
                                       constant AttentionWeightedSumArgs &args [[buffer(3)]],
                                       uint3 position [[thread_position_in_grid]]) {
  const uint dimension = position.x;
  const uint row = position.y;
  const uint head = position.z;
  if (dimension >= args.headDim) return;
  const uint kvHead = head / (args.heads / args.kvHeads);
  const ulong queryHead = ulong(row) * args.heads + head;
  weights += queryHead * args.nKeys;

  float sum = 0.0f;
  for (uint j = 0; j < args.nKeys; ++j) {
    sum += weights[j] * element(v + (ulong(j) * args.kvHeads + kvHead) * args.headDim, dimension);
  }
  out[queryHead * args.headDim + dimension] = sum;
}

template [[host_name("attention_weighted_sum_f32")]] [[kernel]]
decltype(attention_weighted_sum<F32>) attention_weighted_sum<F32>;
template [[host_name("attention_weighted_sum_f16")]] [[kernel]]
decltype(attention_weighted_sum<F16>) attention_weighted_sum<F16>;
