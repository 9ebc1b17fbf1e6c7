/*
 * attention_turn.h: the query heads of a block, and the key and the value of the row: what biases, norms and rope_*_f32 make of
 * them. Part of attention_row.cu.
 */
#include "direction.h"

/** What is at an address, aligned as it has to be, which compilers do not see of arrays of something smaller. */
template <typename T> DEVICE T &as(void *at) { return *(T *)at; }
template <typename T> DEVICE const T &as(const void *at) { return *(const T *)at; }

/** What a block keeps in shared memory. Behind it are the warps' sums and a block table. */
template <u32 HeadDim> struct AttentionPlaces {
  static constexpr u32 halfRow = HeadDim + 32; // of halves: rows begin in different banks
  float turned[AttentionRowQueries + 1][HeadDim]; // the block's heads, then the key
  float value[HeadDim];
  u16 halves[2][AttentionRowQueries][halfRow]; // attention_half.h: of the scaled queries 11 bits, and the next 11
  u16 halfKey[HeadDim], halfValue[HeadDim];
  float factors[AttentionRowQueries]; // of scores
  u32 isLast, unused[3];
  float weights[AttentionRowWarps][17][AttentionRowQueries]; // attention_float.h: of the keys of a warp's step, and corrections
};

/** A thread's pairs of dimensions, of several rows, from when they are asked for to when they are turned. */
template <u32 HeadDim> struct PairsOfRows {
  static constexpr u32 pairs = HeadDim / 2;
  static constexpr u32 atOnce = AttentionRowThreads / pairs; // rows; threads beyond have none
  static constexpr u32 passes = (AttentionRowQueries + 1 + atOnce - 1) / atOnce;
  u32 first, a, b;
  bool turns;
  float frequency, value;
  float xa[passes], xb[passes];

  DEVICE_MEMBER void load(const CudaAttentionRow &p, u64 firstHead, u32 group, u32 kvHead) {
    const u32 thread = threadIndex(), pair = thread % pairs;
    first = thread / pairs;
    turns = p.frequencies != nullptr && 2 * pair < p.rotaryDims;
    a = turns && p.turnsHalves ? pair : 2 * pair;
    b = turns && p.turnsHalves ? pair + p.rotaryDims / 2 : 2 * pair + 1;
    frequency = turns ? p.frequencies[pair] : 0.0f;
    UNROLL for (u32 i = 0; i < passes; i++) {
      const u32 row = first + i * atOnce;
      const float *x = nullptr;
      if (first < atOnce && row < group) x = p.query + (firstHead + row) * HeadDim;
      if (first < atOnce && row == AttentionRowQueries && p.key != nullptr) x = p.key + (u64)kvHead * HeadDim;
      xa[i] = x != nullptr ? x[a] : 0.0f;
      xb[i] = x != nullptr ? x[b] : 0.0f;
    }
    value = p.value != nullptr && thread < HeadDim ? p.value[(u64)kvHead * HeadDim + thread] : 0.0f;
    if (p.biases[2] != nullptr && thread < HeadDim) value += p.biases[2][(u64)kvHead * HeadDim + thread];
    if (p.biases[0] == nullptr) return;
    UNROLL for (u32 i = 0; i < passes; i++) {
      const u32 row = first + i * atOnce;
      const float *bias = nullptr;
      if (first < atOnce && row < group) bias = p.biases[0] + (firstHead + row) * HeadDim;
      if (first < atOnce && row == AttentionRowQueries) bias = p.biases[1] + (u64)kvHead * HeadDim;
      if (bias == nullptr) continue;
      xa[i] += bias[a];
      xb[i] += bias[b];
    }
  }

  /** Each row over the root of its mean square, times the norm's weights. All of the block come here. */
  DEVICE_MEMBER void normalise(const CudaAttentionRow &p, AttentionPlaces<HeadDim> &places) {
    const u32 warp = warpIndex(), lane = laneIndex();
    float *const factors = places.weights[0][0];
    UNROLL for (u32 i = 0; i < passes; i++) {
      const u32 row = first + i * atOnce;
      if (first >= atOnce || row > AttentionRowQueries) continue;
      places.turned[row][a] = xa[i];
      places.turned[row][b] = xb[i];
    }
    syncThreads();
    ROLLED for (u32 row = warp; row <= AttentionRowQueries; row += AttentionRowWarps) {
      float squares = 0.0f;
      for (u32 d = lane; d < HeadDim; d += 32) squares += places.turned[row][d] * places.turned[row][d];
      squares = reduceAddWarp(squares);
      if (lane == 0) factors[row] = fastReciprocalSqrt(squares / (float)HeadDim + p.normEpsilon);
    }
    syncThreads();
    UNROLL for (u32 i = 0; i < passes; i++) {
      const u32 row = first + i * atOnce;
      if (first >= atOnce || row > AttentionRowQueries) continue;
      const float *weights = p.norms[row == AttentionRowQueries];
      xa[i] *= factors[row] * weights[a];
      xb[i] *= factors[row] * weights[b];
    }
  }

  DEVICE_MEMBER void turn(const CudaAttentionRow &p, u32 position, AttentionPlaces<HeadDim> &places) const {
    const u32 thread = threadIndex();
    Direction direction = {1.0f, 0.0f};
    if (turns) direction = directionOf((float)position * frequency, p.magnitude);
    const float c = direction.cosine, s = direction.sine;
    UNROLL for (u32 i = 0; i < passes; i++) {
      const u32 row = first + i * atOnce;
      if (first >= atOnce || row > AttentionRowQueries) continue;
      places.turned[row][a] = turns ? xa[i] * c - xb[i] * s : xa[i];
      places.turned[row][b] = turns ? xa[i] * s + xb[i] * c : xb[i];
    }
    if (thread < HeadDim) {
      places.value[thread] = value;
      places.halfValue[thread] = floatToHalf(value);
    }
  }
};
