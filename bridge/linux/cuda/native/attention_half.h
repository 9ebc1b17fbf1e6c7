/*
 * attention_half.h: attention over a cache of halves, by a warp, on tensor cores. Part of attention_row.cu.
 *
 * A warp takes 16 keys at a time, as two tiles of 8. With g = lane / 4, t = lane % 4:
 *
 * scores = queries x keys^T: m16n8k16, once for each tile and 16 dimensions. The rows of the first factor are the parts of the
 * queries, of which each has 11 bits: rows 0 to 7 the upper ones, 8 to 15 the lower ones, so that a lane's d[0] + d[2] and
 * d[1] + d[3] are what query g scores with keys 2 t and 2 t + 1 of the tile. Queries are scaled by a power of two, so that
 * their largest is near 2^14: nothing overflows, and what is lost is 2^-22 of each number, or 2^-39 of the largest. A lane
 * loads 16 bytes of key g, dimensions 32 j + 8 t .., which are two steps of the product, as the order of its terms is free.
 *
 * sums^T = values^T x weights^T: m16n8k16, once for each 16 dimensions. The second factor is what the scores' lanes have:
 * query g, keys 2 t, 2 t + 1 of both tiles, again in two parts, scaled by 2^15. A lane loads 16 bytes of each of these four
 * keys, dimensions 64 j + 8 g .., and brings the same dimension of two keys together by permutation of bytes.
 */

template <u32 HeadDim> struct HalfRows {
  static constexpr u32 keys = 16;
  static constexpr u32 keyLoads = HeadDim / 32;  // of a lane and a key
  static constexpr u32 valueLoads = HeadDim / 64;
  static constexpr bool hasTail = HeadDim % 64 != 0; // 32 dimensions: 8 bytes of a lane and a key
  static constexpr u32 tiles = HeadDim / 16;
  typedef u16 Element;

  u32x4 k[2][keyLoads];
  u32x4 v[4][valueLoads > 0 ? valueLoads : 1];
  u32x2 tail[4];
  u32 slot; // of key lane % 16
  float o[tiles][4];
  float highest, total; // of query g, in the logarithm to base 2; the total of this lane's weights
  float factor;         // of its scores

  /** Asks for the keys of a step. */
  DEVICE_MEMBER void loadKeys(const CudaAttentionRow &p, u32 ownSlot, u32 kvHead) {
    slot = ownSlot;
    const u32 lane = laneIndex();
    UNROLL for (u32 i = 0; i < 2; i++) {
      const u64 row = (u64)shuffle(slot, 8 * i + lane / 4) * p.kvHeads + kvHead;
      const u16 *from = (const u16 *)p.keyCache + row * HeadDim + lane % 4 * 8;
      UNROLL for (u32 j = 0; j < keyLoads; j++) k[i][j] = loadOnce16(from + 32 * j);
    }
  }
  /** Asks for their values. */
  DEVICE_MEMBER void loadValues(const CudaAttentionRow &p, u32 kvHead) {
    const u32 lane = laneIndex();
    UNROLL for (u32 i = 0; i < 4; i++) {
      const u64 row = (u64)shuffle(slot, valueKey(lane, i)) * p.kvHeads + kvHead;
      const u16 *from = (const u16 *)p.valueCache + row * HeadDim;
      UNROLL for (u32 j = 0; j < valueLoads; j++) v[i][j] = loadOnce16(from + 64 * j + lane / 4 * 8);
      if constexpr (hasTail) tail[i] = loadOnce8(from + 64 * valueLoads + lane / 4 * 4);
    }
  }
  static DEVICE_MEMBER u32 valueKey(u32 lane, u32 i) { return i / 2 * 8 + lane % 4 * 2 + i % 2; }

  /** What is not in the cache yet. */
  DEVICE_MEMBER void replaceKeys(u32 slots, u32 newSlot, const AttentionPlaces<HeadDim> &places) {
    const u32 lane = laneIndex();
    UNROLL for (u32 i = 0; i < 2; i++) {
      const bool isNew = shuffle(slots, 8 * i + lane / 4) == newSlot;
      UNROLL for (u32 j = 0; j < keyLoads; j++)
        if (isNew) k[i][j] = as<u32x4>(&places.halfKey[32 * j + lane % 4 * 8]);
    }
  }
  DEVICE_MEMBER void replaceValues(u32 slots, u32 newSlot, const AttentionPlaces<HeadDim> &places) {
    const u32 lane = laneIndex();
    UNROLL for (u32 i = 0; i < 4; i++) {
      const bool isNew = shuffle(slots, valueKey(lane, i)) == newSlot;
      UNROLL for (u32 j = 0; j < valueLoads; j++)
        if (isNew) v[i][j] = as<u32x4>(&places.halfValue[64 * j + lane / 4 * 8]);
      if constexpr (hasTail)
        if (isNew) tail[i] = as<u32x2>(&places.halfValue[64 * valueLoads + lane / 4 * 4]);
    }
  }

  /** The block's queries as halves, and the key of this row. All of the block come here. */
  static DEVICE_MEMBER void prepare(AttentionPlaces<HeadDim> &places) {
    const u32 warp = warpIndex(), lane = laneIndex();
    static_assert(AttentionRowWarps == AttentionRowQueries);
    const float *row = places.turned[warp];
    u32 largest = 0;
    for (u32 d = lane; d < HeadDim; d += 32) largest = maximum(largest, bitsOf(row[d]) & 0x7fffffff);
    largest = reduceMaxWarp(largest) >> 23; // 255: an infinity, or NaN, which will be NaN
    const bool isFinite = largest < 255;
    const u32 exponent = largest < 15 ? 15 : largest;
    const float up = isFinite ? floatOf((268 - exponent) << 23) : 1.0f;
    const float down = isFinite ? floatOf((exponent - 14) << 23) : 1.0f;
    for (u32 d = lane; d < HeadDim; d += 32) {
      const float x = row[d] * up;
      const u16 upper = floatToHalf(x);
      places.halves[0][warp][d] = upper;
      places.halves[1][warp][d] = floatToHalf(x - halfToFloat(upper));
    }
    if (lane == 0) places.factors[warp] = down;
    for (u32 d = threadIndex(); d < HeadDim; d += AttentionRowThreads)
      places.halfKey[d] = floatToHalf(places.turned[AttentionRowQueries][d]);
    syncThreads();
  }

  DEVICE_MEMBER void begin(const AttentionPlaces<HeadDim> &places) {
    UNROLL for (u32 i = 0; i < tiles; i++) UNROLL for (u32 c = 0; c < 4; c++) o[i][c] = 0.0f;
    highest = maskedScore;
    total = 0.0f;
    factor = places.factors[laneIndex() / 4];
  }

  static constexpr u32 scoreCount = 4;
  /** scores[i]: of query g with key scoredKey(i). */
  DEVICE_MEMBER void scoreKeys(const AttentionPlaces<HeadDim> &places, float (&scores)[scoreCount]) const {
    const u32 lane = laneIndex();
    float d[2][4] = {};
    UNROLL for (u32 j = 0; j < keyLoads; j++) {
      const u32x4 upper = as<u32x4>(&places.halves[0][lane / 4][32 * j + lane % 4 * 8]);
      const u32x4 lower = as<u32x4>(&places.halves[1][lane / 4][32 * j + lane % 4 * 8]);
      const u32 early[4] = {upper.x, lower.x, upper.y, lower.y}, late[4] = {upper.z, lower.z, upper.w, lower.w};
      UNROLL for (u32 i = 0; i < 2; i++) {
        mmaF16(d[i], early, (const u32[2]){k[i][j].x, k[i][j].y});
        mmaF16(d[i], late, (const u32[2]){k[i][j].z, k[i][j].w});
      }
    }
    UNROLL for (u32 i = 0; i < 4; i++) scores[i] = (d[i / 2][i % 2] + d[i / 2][i % 2 + 2]) * factor;
  }
  /** Which key of the step scores[i] is of. */
  static DEVICE_MEMBER u32 scoredKey(u32 i) { return valueKey(laneIndex(), i); }

  /** Two parts of the weights of two tiles, as the product wants them. */
  struct Weights {
    u32 parts[2][2];
  };
  DEVICE_MEMBER void weigh(const float (&scores)[scoreCount], Weights &weights, float *) {
    float most = maximum(maximum(scores[0], scores[1]), maximum(scores[2], scores[3]));
    most = maximum(most, shuffleXor(most, 1));
    most = maximum(highest, maximum(most, shuffleXor(most, 2)));
    if (ballot(most != highest) != 0) {
      const float correction = fastExp2(highest - most);
      const u32 lane = laneIndex();
      const float even = shuffle(correction, lane % 4 * 8), odd = shuffle(correction, lane % 4 * 8 + 4);
      UNROLL for (u32 i = 0; i < tiles; i++) {
        o[i][0] *= even;
        o[i][1] *= odd;
        o[i][2] *= even;
        o[i][3] *= odd;
      }
      total *= correction;
      highest = most;
    }
    float w[4];
    UNROLL for (u32 i = 0; i < 4; i++) {
      w[i] = fastExp2(scores[i] - highest + weightScale);
      total += w[i];
    }
    UNROLL for (u32 i = 0; i < 2; i++) {
      weights.parts[0][i] = floatsToHalves(w[2 * i], w[2 * i + 1]);
      const f32x2 upper = halvesToFloats(weights.parts[0][i]);
      weights.parts[1][i] = floatsToHalves(w[2 * i] - upper.x, w[2 * i + 1] - upper.y);
    }
  }
  static constexpr float weightScale = 15.0f;

  DEVICE_MEMBER void addPair(u32 tile, u32 a, u32 b, u32 c, u32 d, const Weights &weights) {
    const u32 values[4] = {permuteBytes(a, b, 0x5410), permuteBytes(a, b, 0x7632), permuteBytes(c, d, 0x5410),
                           permuteBytes(c, d, 0x7632)};
    mmaF16(o[tile], values, weights.parts[0]);
    mmaF16(o[tile], values, weights.parts[1]);
  }
  /** Adds the weighted values of a step. */
  DEVICE_MEMBER void addValues(const Weights &weights, const float *) {
    UNROLL for (u32 j = 0; j < valueLoads; j++) {
      UNROLL for (u32 c = 0; c < 4; c++) addPair(4 * j + c, v[0][j][c], v[1][j][c], v[2][j][c], v[3][j][c], weights);
    }
    if constexpr (hasTail) {
      UNROLL for (u32 c = 0; c < 2; c++)
        addPair(4 * valueLoads + c, tail[0][c], tail[1][c], tail[2][c], tail[3][c], weights);
    }
  }
  /** The warp's sums into shared memory. */
  DEVICE_MEMBER void end(WarpSums<HeadDim> &sums) {
    const u32 lane = laneIndex();
    total += shuffleXor(total, 1);
    total += shuffleXor(total, 2);
    if (lane % 4 == 0) {
      sums.highest[lane / 4] = highest;
      sums.total[lane / 4] = total;
    }
    UNROLL for (u32 i = 0; i < tiles; i++) {
      const bool isTail = i >= 4 * valueLoads;
      const u32 tailed = 64 * valueLoads + lane / 4 * 4 + 2 * (i - 4 * valueLoads);
      const u32 dimension = isTail ? tailed : i / 4 * 64 + lane / 4 * 8 + i % 4 * 2;
      as<f32x2>(&sums.values[lane % 4 * 2][dimension]) = f32x2{o[i][0], o[i][2]};
      as<f32x2>(&sums.values[lane % 4 * 2 + 1][dimension]) = f32x2{o[i][1], o[i][3]};
    }
  }
  static DEVICE_MEMBER u16 stored(float x) { return floatToHalf(x); }
};
