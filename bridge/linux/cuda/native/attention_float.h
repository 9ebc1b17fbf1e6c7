/*
 * attention_float.h: attention in floats, by a warp, and a cache of floats. Part of attention_row.cu.
 *
 * Scores: with g = lane / 4, t = lane % 4, a lane loads 16 bytes of key g of 8, dimensions 16 j + 4 t .., and multiplies them
 * by those of all queries. What four lanes have of a key is added so that each ends with the scores of queries 2 t and 2 t +
 * 1. Sums: a lane loads 4 dimensions of a value (in heads of 64, half of the lanes one, the other half another), and adds them
 * to its sums of all queries; weights go through the warp's own shared memory.
 */

/** How the lanes of a warp share out 8 keys and their values. */
template <u32 HeadDim> struct FloatLanes {
  static constexpr u32 keys = 8;
  static constexpr u32 keyLoads = HeadDim / 16;                     // of a lane: 4 dimensions of its key
  static constexpr u32 chunks = HeadDim / 4;                        // of a value
  static constexpr u32 atOnce = chunks <= 16 ? 2 : 1;               // keys whose values are loaded at once
  static constexpr u32 laneChunks = chunks <= 32 ? 1 : chunks / 32; // of a lane and a key
  static constexpr u32 valueLoads = keys / atOnce;

  static DEVICE_MEMBER u32 chunkOf(u32 lane, u32 c) {
    const u32 chunk = atOnce == 2 ? lane % 16 : lane + 32 * c;
    return chunk < chunks ? chunk : chunks - 1; // the last lanes of heads of 96 do the same as others
  }
  static DEVICE_MEMBER u32 valueKey(u32 lane, u32 i) { return atOnce == 2 ? 2 * i + lane / 16 : i; }
};

/** A cache of floats. */
template <u32 HeadDim> struct FloatCache : FloatLanes<HeadDim> {
  typedef FloatLanes<HeadDim> Lanes;
  static constexpr u32 headBytes = 4 * HeadDim;
  static constexpr u32 keyBytes = Lanes::keyLoads * 512;
  static constexpr u32 stageBytes = keyBytes + Lanes::valueLoads * Lanes::laneChunks * 512;

  unsigned char *ring;
  const unsigned char *keyHead, *valueHead; // of slot 0
  u32 slotBytes;

  /** What this lane has asked for: nobody else reads it. */
  DEVICE_MEMBER f32x4 &keyAt(u32 stage, u32 j) const {
    return ((f32x4 *)(ring + stage * stageBytes))[j * 32 + laneIndex()];
  }
  DEVICE_MEMBER f32x4 &valueAt(u32 stage, u32 i, u32 c) const {
    return ((f32x4 *)(ring + stage * stageBytes + keyBytes))[(i * Lanes::laneChunks + c) * 32 + laneIndex()];
  }
  static DEVICE_MEMBER void share() {}

  /** Asks for the keys of a step. `slot`: of key lane % keys. */
  DEVICE_MEMBER void loadKeys(u32 stage, u32 slot) const {
    const u32 lane = laneIndex();
    const float *from = (const float *)(keyHead + (u64)shuffle(slot, lane / 4) * slotBytes) + lane % 4 * 4;
    UNROLL for (u32 j = 0; j < Lanes::keyLoads; j++) copyAsync16(&keyAt(stage, j), from + 16 * j);
  }
  /** Asks for their values. */
  DEVICE_MEMBER void loadValues(u32 stage, u32 slot) const {
    const u32 lane = laneIndex();
    UNROLL for (u32 i = 0; i < Lanes::valueLoads; i++) {
      const float *from = (const float *)(valueHead + (u64)shuffle(slot, Lanes::valueKey(lane, i)) * slotBytes);
      UNROLL for (u32 c = 0; c < Lanes::laneChunks; c++)
          copyAsync16(&valueAt(stage, i, c), from + 4 * Lanes::chunkOf(lane, c));
    }
  }

  /** What is not in the cache yet. */
  DEVICE_MEMBER void replaceKeys(u32 stage, u32 slot, u32 newSlot, const AttentionPlaces<HeadDim> &places) const {
    const u32 lane = laneIndex();
    if (shuffle(slot, lane / 4) != newSlot) return;
    UNROLL for (u32 j = 0; j < Lanes::keyLoads; j++)
        keyAt(stage, j) = as<f32x4>(&places.turned[AttentionRowQueries][16 * j + lane % 4 * 4]);
  }
  DEVICE_MEMBER void replaceValues(u32 stage, u32 slot, u32 newSlot, const AttentionPlaces<HeadDim> &places) const {
    const u32 lane = laneIndex();
    UNROLL for (u32 i = 0; i < Lanes::valueLoads; i++) {
      if (shuffle(slot, Lanes::valueKey(lane, i)) != newSlot) continue;
      UNROLL for (u32 c = 0; c < Lanes::laneChunks; c++)
          valueAt(stage, i, c) = as<f32x4>(&places.value[4 * Lanes::chunkOf(lane, c)]);
    }
  }

  static DEVICE_MEMBER void prepare(AttentionPlaces<HeadDim> &) {}
  /** Writes the new key and value. All of the block come here. */
  static DEVICE_MEMBER void store(unsigned char *key, unsigned char *value, const AttentionPlaces<HeadDim> &places) {
    for (u32 d = threadIndex(); d < HeadDim; d += AttentionRowThreads) {
      ((float *)key)[d] = places.turned[AttentionRowQueries][d];
      ((float *)value)[d] = places.value[d];
    }
  }
};

template <u32 HeadDim, typename Cache> struct RowsInFloats : Cache {
  typedef FloatLanes<HeadDim> Lanes;
  static constexpr u32 laneChunks = Lanes::laneChunks;
  f32x4 o[AttentionRowQueries][laneChunks];
  float highest[2], total[2]; // of queries 2 t and 2 t + 1

  DEVICE_MEMBER void begin(const AttentionPlaces<HeadDim> &) {
    UNROLL for (u32 q = 0; q < AttentionRowQueries; q++)
        UNROLL for (u32 c = 0; c < laneChunks; c++) o[q][c] = f32x4{0, 0, 0, 0};
    UNROLL for (u32 i = 0; i < 2; i++) {
      highest[i] = maskedScore;
      total[i] = 0.0f;
    }
  }

  static constexpr u32 scoreCount = 2;
  /** scores[c]: of query 2 t + c with key g. */
  DEVICE_MEMBER void scoreKeys(u32 stage, const AttentionPlaces<HeadDim> &places, float (&scores)[scoreCount]) const {
    const u32 lane = laneIndex();
    float sums[AttentionRowQueries];
    UNROLL for (u32 q = 0; q < AttentionRowQueries; q++) sums[q] = 0.0f;
    UNROLL for (u32 j = 0; j < Lanes::keyLoads; j++) {
      const f32x4 k = this->keyAt(stage, j);
      UNROLL for (u32 q = 0; q < AttentionRowQueries; q++) {
        const f32x4 x = as<f32x4>(&places.turned[q][16 * j + lane % 4 * 4]);
        UNROLL for (u32 c = 0; c < 4; c++) sums[q] = multiplyAdd(x[c], k[c], sums[q]);
      }
    }
    const bool isUpper = lane & 2, isOdd = lane & 1;
    float half[4];
    UNROLL for (u32 q = 0; q < 4; q++) {
      const float lower = sums[q], upper = sums[q + 4];
      half[q] = (isUpper ? upper : lower) + shuffleXor(isUpper ? lower : upper, 2);
    }
    UNROLL for (u32 c = 0; c < 2; c++) {
      const float even = half[c], odd = half[c + 2];
      scores[c] = (isOdd ? odd : even) + shuffleXor(isOdd ? even : odd, 1);
    }
  }
  static DEVICE_MEMBER u32 scoredKey(u32) { return laneIndex() / 4; }

  struct Weights {}; // they are in `weights`
  DEVICE_MEMBER void weigh(const float (&scores)[scoreCount], Weights &, float *weights) {
    const u32 lane = laneIndex();
    float most[2];
    UNROLL for (u32 c = 0; c < 2; c++) {
      most[c] = scores[c];
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
        if (lane < 4) weights[Lanes::keys * AttentionRowQueries + 2 * lane + c] = correction;
      }
    }
    f32x2 w;
    UNROLL for (u32 c = 0; c < 2; c++) {
      w[c] = fastExp2(scores[c] - highest[c]);
      total[c] += w[c];
    }
    as<f32x2>(&weights[lane / 4 * AttentionRowQueries + lane % 4 * 2]) = w;
    syncWarp();
    if (!changes) return;
    UNROLL for (u32 q = 0; q < AttentionRowQueries; q++)
        UNROLL for (u32 c = 0; c < laneChunks; c++) o[q][c] *= weights[Lanes::keys * AttentionRowQueries + q];
  }

  DEVICE_MEMBER void addValues(u32 stage, const Weights &, const float *weights) {
    const u32 lane = laneIndex();
    UNROLL for (u32 i = 0; i < Lanes::valueLoads; i++) {
      const float *of = weights + Lanes::valueKey(lane, i) * AttentionRowQueries;
      f32x4 v[laneChunks];
      UNROLL for (u32 c = 0; c < laneChunks; c++) v[c] = this->valueAt(stage, i, c);
      UNROLL for (u32 q4 = 0; q4 < AttentionRowQueries; q4 += 4) {
        const f32x4 w = as<f32x4>(of + q4);
        UNROLL for (u32 q = 0; q < 4; q++) {
          UNROLL for (u32 c = 0; c < laneChunks; c++) {
            UNROLL for (u32 e = 0; e < 4; e++) o[q4 + q][c][e] = multiplyAdd(w[q], v[c][e], o[q4 + q][c][e]);
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
        if constexpr (Lanes::atOnce == 2) {
          UNROLL for (u32 e = 0; e < 4; e++) o[q][c][e] += shuffleXor(o[q][c][e], 16);
        }
        as<f32x4>(&sums.values[q][4 * Lanes::chunkOf(lane, c)]) = o[q][c];
      }
    }
  }
};

template <u32 HeadDim> using FloatRows = RowsInFloats<HeadDim, FloatCache<HeadDim>>;
