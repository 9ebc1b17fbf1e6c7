/*
 * attention.metal: grouped-query attention. Query head h reads key and value head h / (heads / kvHeads).
 */
#include "common.h"

/** What a masked score is: so low that its exponential is 0, but finite, since fast math may not honour infinities. */
#define MASKED_SCORE (-3.0e38f)

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
 * out[r, h] = softmax_p(scale * q[r, h] . K[p]) V[p], over the positions p = 0 .. positions[r] of the row's sequence, in
 * one pass: the online softmax of Milakov and Gimelshein (2018), as in FlashAttention.
 *
 * The cache is paged: position p of sequence s is in slot blockTables[s, p / blockSize] * blockSize + p % blockSize.
 *
 * A threadgroup is one SIMD group and makes one head of one row. It takes the keys in tiles, and each tile twice: for
 * the scores each lane has keys of its own; for the weighted sum each lane has 16 dimensions of its own (a "column"), and
 * where there are fewer columns than lanes, several lanes share one and take turns at the keys (a "team" is one lane for
 * each column). The teams' sums are added at the end. So a tile costs two synchronisations, whatever the head size.
 *
 * Reads q [rows, heads, headDim], the caches [slot, kvHeads, headDim], positions and sequences [rows], blockTables
 * [sequences, blocksPerSequence]; writes out [rows, heads, headDim]. headDim is at most AttentionMaxHeadDim.
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
                          uint2 group [[threadgroup_position_in_grid]],
                          uint lane [[thread_index_in_simdgroup]]) {
  enum : uint { Tile = AttentionKeysPerLane * SimdWidth };
  // Two of each, used in turn: a tile's writes need not wait for the last tile's reads.
  threadgroup float weights[2][Tile];
  threadgroup uint slots[2][Tile];
  threadgroup float teamSums[SimdWidth * ChunkSize]; // [teams, headDim]

  const uint head = group.x;
  const uint row = group.y;
  const uint headDim = args.headDim;
  const uint slotSize = args.kvHeads * headDim;
  const uint keyCount = positions[row] + 1;
  device const uint *blocks = blockTables + ulong(sequences[row]) * args.blocksPerSequence;
  const uint kvHead = head / (args.heads / args.kvHeads);
  q += (ulong(row) * args.heads + head) * headDim;
  kCache += kvHead * headDim;
  vCache += kvHead * headDim;

  const uint columns = (headDim + ChunkSize - 1) / ChunkSize;
  const uint teams = SimdWidth / columns;
  const uint team = lane / columns; // lanes past the last whole team only score
  const uint dimension = lane % columns * ChunkSize;

  float maximum = MASKED_SCORE;
  float sum = 0.0f; // of this lane's keys
  float4 mixed[4] = {0.0f, 0.0f, 0.0f, 0.0f}; // of this lane's dimensions, over its team's keys

  uint turn = 0;
  for (uint first = 0; first < keyCount; first += Tile, turn ^= 1) {
    // Scores: lane l has keys first + l, first + l + 32, ...
    float scores[AttentionKeysPerLane];
    float tileMaximum = maximum;
    for (uint i = 0; i < AttentionKeysPerLane; ++i) {
      const uint j = i * SimdWidth + lane;
      const uint p = first + j;
      scores[i] = MASKED_SCORE;
      if (p < keyCount) {
        const uint slot = blocks[p / args.blockSize] * args.blockSize + p % args.blockSize;
        slots[turn][j] = slot;
        scores[i] = args.scale * dot_product(q, kCache + ulong(slot) * slotSize, headDim);
      }
      tileMaximum = max(tileMaximum, scores[i]);
    }

    // What was summed so far is relative to the old maximum: exp(-maximum) becomes exp(-newMaximum).
    const float newMaximum = simd_max(tileMaximum);
    const float correction = precise::exp(maximum - newMaximum);
    maximum = newMaximum;
    sum *= correction;
    for (uint i = 0; i < AttentionKeysPerLane; ++i) {
      const uint j = i * SimdWidth + lane;
      if (first + j < keyCount) {
        const float weight = precise::exp(scores[i] - maximum);
        weights[turn][j] = weight;
        sum += weight;
      }
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);

    // Values: team t has keys first + t, first + t + teams, ...
    for (uint c = 0; c < 4; ++c) mixed[c] *= correction;
    if (team < teams) {
      const uint tileKeys = min(keyCount - first, uint(Tile));
      for (uint j = team; j < tileKeys; j += teams) {
        const float4 weight = weights[turn][j];
        const Chunk v = load16(vCache + ulong(slots[turn][j]) * slotSize, dimension, headDim);
        for (uint c = 0; c < 4; ++c) mixed[c] = fma(weight, v.values[c], mixed[c]);
      }
    }
  }

  const float total = simd_sum(sum);
  if (team < teams) {
    for (uint c = 0; c < ChunkSize; ++c) {
      if (dimension + c < headDim) teamSums[team * headDim + dimension + c] = mixed[c / 4][c % 4];
    }
  }
  simdgroup_barrier(mem_flags::mem_threadgroup);

  out += (ulong(row) * args.heads + head) * headDim;
  for (uint d = lane; d < headDim; d += SimdWidth) {
    float value = 0.0f;
    for (uint t = 0; t < teams; ++t) value += teamSums[t * headDim + d];
    out[d] = value / total;
  }
}

template [[host_name("attention_f32")]] [[kernel]] decltype(attention<F32>) attention<F32>;
template [[host_name("attention_f16")]] [[kernel]] decltype(attention<F16>) attention<F16>;

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
