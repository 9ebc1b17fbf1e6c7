/*
 * attention_float.h: attention over a cache of floats, by a warp. Part of attention_row.cu.
 *
 * Scores: with g = lane / 4, t = lane % 4, a lane loads 16 bytes of key g of each tile of 8, dimensions 16 j + 4 t .., and
 * multiplies them by those of all queries. What four lanes have of a key is added so that each ends with the scores of queries
 * 2 t and 2 t + 1. Sums: a lane loads 4 dimensions of a value (in heads of 64, half of the lanes one, the other half another), and
 * adds them to its sums of all queries; weights go through the warp's own shared memory.
 */

template <u32 HeadDim> struct FloatRows {
  static constexpr u32 tiles = HeadDim > 128 ? 1 : 2;
  static constexpr u32 keys = 8 * tiles;
  static constexpr u32 keyLoads = HeadDim / 16; // of a lane and a key
  static constexpr u32 chunks = HeadDim / 4;    // of a value
  static constexpr u32 atOnce = chunks <= 16 ? 2 : 1;              // keys whose values are loaded at once
  static constexpr u32 laneChunks = chunks <= 32 ? 1 : chunks / 32; // of a lane and a key
  static constexpr u32 valueLoads = keys / atOnce;
  typedef float Element;

  f32x4 k[tiles][keyLoads];
  f32x4 v[valueLoads][laneChunks];
  u32 slot;                              // of key lane % keys
  f32x4 o[AttentionRowQueries][laneChunks];
  float highest[2], total[2]; // of queries 2 t and 2 t + 1

  static DEVICE_MEMBER u32 chunkOf(u32 lane, u32 c) {
    const u32 chunk = atOnce == 2 ? lane % 16 : lane + 32 * c;
    return chunk < chunks ? chunk : chunks - 1; // the last lanes of heads of 96 do the same as others
  }
  static DEVICE_MEMBER u32 valueKey(u32 lane, u32 i) { return atOnce == 2 ? 2 * i + lane / 16 : i; }
  static DEVICE_MEMBER f32x4 loadFloats(const float *from) { return __builtin_bit_cast(f32x4, loadOnce16(from)); }

  DEVICE_MEMBER void loadKeys(const CudaAttentionRow &p, u32 ownSlot, u32 kvHead) {
    slot = ownSlot;
    const u32 lane = laneIndex();
    UNROLL for (u32 i = 0; i < tiles; i++) {
      const u64 row = (u64)shuffle(slot, 8 * i + lane / 4) * p.kvHeads + kvHead;
      const float *from = (const float *)p.keyCache + row * HeadDim + lane % 4 * 4;
      UNROLL for (u32 j = 0; j < keyLoads; j++) k[i][j] = loadFloats(from + 16 * j);
    }
  }
  DEVICE_MEMBER void loadValues(const CudaAttentionRow &p, u32 kvHead) {
    const u32 lane = laneIndex();
    UNROLL for (u32 i = 0; i < valueLoads; i++) {
      const u64 row = (u64)shuffle(slot, valueKey(lane, i)) * p.kvHeads + kvHead;
      const float *from = (const float *)p.valueCache + row * HeadDim;
      UNROLL for (u32 c = 0; c < laneChunks; c++) v[i][c] = loadFloats(from + 4 * chunkOf(lane, c));
    }
  }

  DEVICE_MEMBER void replaceKeys(u32 slots, u32 newSlot, const AttentionPlaces<HeadDim> &places) {
    const u32 lane = laneIndex();
    UNROLL for (u32 i = 0; i < tiles; i++) {
      const bool isNew = shuffle(slots, 8 * i + lane / 4) == newSlot;
      UNROLL for (u32 j = 0; j < keyLoads; j++)
        if (isNew) k[i][j] = as<f32x4>(&places.turned[AttentionRowQueries][16 * j + lane % 4 * 4]);
    }
  }
  DEVICE_MEMBER void replaceValues(u32 slots, u32 newSlot, const AttentionPlaces<HeadDim> &places) {
    const u32 lane = laneIndex();
    UNROLL for (u32 i = 0; i < valueLoads; i++) {
      const bool isNew = shuffle(slots, valueKey(lane, i)) == newSlot;
      UNROLL for (u32 c = 0; c < laneChunks; c++)
        if (isNew) v[i][c] = as<f32x4>(&places.value[4 * chunkOf(lane, c)]);
    }
  }

  static DEVICE_MEMBER void prepare(AttentionPlaces<HeadDim> &) {}

  DEVICE_MEMBER void begin(const AttentionPlaces<HeadDim> &) {
    UNROLL for (u32 q = 0; q < AttentionRowQueries; q++)
        UNROLL for (u32 c = 0; c < laneChunks; c++) o[q][c] = f32x4{0, 0, 0, 0};
    UNROLL for (u32 i = 0; i < 2; i++) {
      highest[i] = maskedScore;
      total[i] = 0.0f;
    }
  }

  static constexpr u32 scoreCount = 2 * tiles;
  /** scores[2 i + c]: of query 2 t + c with key g of tile i. */
  DEVICE_MEMBER void scoreKeys(const AttentionPlaces<HeadDim> &places, float (&scores)[scoreCount]) const {
    const u32 lane = laneIndex();
    float sums[tiles][AttentionRowQueries];
    UNROLL for (u32 i = 0; i < tiles; i++) UNROLL for (u32 q = 0; q < AttentionRowQueries; q++) sums[i][q] = 0.0f;
    UNROLL for (u32 j = 0; j < keyLoads; j++) {
      UNROLL for (u32 q = 0; q < AttentionRowQueries; q++) {
        const f32x4 x = as<f32x4>(&places.turned[q][16 * j + lane % 4 * 4]);
        UNROLL for (u32 i = 0; i < tiles; i++) {
          UNROLL for (u32 c = 0; c < 4; c++) sums[i][q] = multiplyAdd(x[c], k[i][j][c], sums[i][q]);
        }
      }
    }
    UNROLL for (u32 i = 0; i < tiles; i++) {
      const bool isUpper = lane & 2, isOdd = lane & 1;
      float half[4];
      UNROLL for (u32 q = 0; q < 4; q++) {
        const float lower = sums[i][q], upper = sums[i][q + 4];
        half[q] = (isUpper ? upper : lower) + shuffleXor(isUpper ? lower : upper, 2);
      }
      UNROLL for (u32 c = 0; c < 2; c++) {
        const float even = half[c], odd = half[c + 2];
        scores[2 * i + c] = (isOdd ? odd : even) + shuffleXor(isOdd ? even : odd, 1);
      }
    }
  }
  static DEVICE_MEMBER u32 scoredKey(u32 i) { return i / 2 * 8 + laneIndex() / 4; }

  struct Weights {}; // they are in `weights`
  DEVICE_MEMBER void weigh(const float (&scores)[scoreCount], Weights &, float *weights) {
    const u32 lane = laneIndex();
    float most[2];
    UNROLL for (u32 c = 0; c < 2; c++) {
      most[c] = scores[c];
      UNROLL for (u32 i = 1; i < tiles; i++) most[c] = maximum(most[c], scores[2 * i + c]);
      UNROLL for (u32 mask = 4; mask < 32; mask *= 2) most[c] = maximum(most[c], shuffleXor(most[c], mask));
      most[c] = maximum(most[c], highest[c]);
    }
    syncWarp(); // the last step's weights have been read
    const bool changes = ballot(most[0] != highest[0] || most[1] != highest[1]) != 0;
    if (changes) {
      UNROLL for (u32 c = 0; c < 2; c++) {
        const float correction = fastExp2(highest[c] - most[c]);
        total[c] *= correction;
        highest[c] = most[c];
        if (lane < 4) weights[keys * AttentionRowQueries + 2 * lane + c] = correction;
      }
    }
    UNROLL for (u32 i = 0; i < tiles; i++) {
      f32x2 w;
      UNROLL for (u32 c = 0; c < 2; c++) {
        w[c] = fastExp2(scores[2 * i + c] - highest[c]);
        total[c] += w[c];
      }
      as<f32x2>(&weights[(8 * i + lane / 4) * AttentionRowQueries + lane % 4 * 2]) = w;
    }
    syncWarp();
    if (!changes) return;
    UNROLL for (u32 q = 0; q < AttentionRowQueries; q++)
        UNROLL for (u32 c = 0; c < laneChunks; c++) o[q][c] *= weights[keys * AttentionRowQueries + q];
  }

  DEVICE_MEMBER void addValues(const Weights &, const float *weights) {
    const u32 lane = laneIndex();
    UNROLL for (u32 i = 0; i < valueLoads; i++) {
      const float *of = weights + valueKey(lane, i) * AttentionRowQueries;
      UNROLL for (u32 q4 = 0; q4 < AttentionRowQueries; q4 += 4) {
        const f32x4 w = as<f32x4>(of + q4);
        UNROLL for (u32 q = 0; q < 4; q++) {
          UNROLL for (u32 c = 0; c < laneChunks; c++) {
            UNROLL for (u32 e = 0; e < 4; e++) o[q4 + q][c][e] = multiplyAdd(w[q], v[i][c][e], o[q4 + q][c][e]);
          }
        }
      }
    }
  }

  DEVICE_MEMBER void end(WarpSums<HeadDim> &sums) {
    const u32 lane = laneIndex();
    UNROLL for (u32 c = 0; c < 2; c++) {
      UNROLL for (u32 mask = 4; mask < 32; mask *= 2) total[c] += shuffleXor(total[c], mask);
      if (lane < 4) {
        sums.highest[2 * lane + c] = highest[c];
        sums.total[2 * lane + c] = total[c];
      }
    }
    UNROLL for (u32 q = 0; q < AttentionRowQueries; q++) {
      UNROLL for (u32 c = 0; c < laneChunks; c++) {
        if constexpr (atOnce == 2) {
          UNROLL for (u32 e = 0; e < 4; e++) o[q][c][e] += shuffleXor(o[q][c][e], 16);
        }
        as<f32x4>(&sums.values[q][4 * chunkOf(lane, c)]) = o[q][c];
      }
    }
  }
  static DEVICE_MEMBER float stored(float x) { return x; }
};
