/*
 * attention_quants.h: a cache of blocks of Q8_0, for attention in floats. Part of attention_row.cu.
 *
 * Blocks are aligned to two bytes, and heads of whole pairs of blocks to four: these are copied as words, all lanes together,
 * and taken apart where they are used.
 */

template <u32 HeadDim> struct QuantCache : FloatLanes<HeadDim> {
  typedef FloatLanes<HeadDim> Lanes;
  static constexpr u32 blockBytes = 34, blocks = HeadDim / 32;
  static constexpr u32 headBytes = blocks * blockBytes, headWords = headBytes / 4;
  static constexpr u32 stageBytes = 2 * Lanes::keys * headBytes;
  static_assert(headBytes % 4 == 0 && stageBytes % 16 == 0);

  unsigned char *ring;
  const unsigned char *keyHead, *valueHead; // of slot 0
  u32 slotBytes;

  DEVICE_MEMBER unsigned char *keysAt(u32 stage) const { return ring + stage * stageBytes; }
  DEVICE_MEMBER unsigned char *valuesAt(u32 stage) const { return keysAt(stage) + Lanes::keys * headBytes; }
  /** Four dimensions of a head. */
  static DEVICE_MEMBER f32x4 numbersAt(const unsigned char *head, u32 dimension) {
    const unsigned char *block = head + dimension / 32 * blockBytes;
    const u16 *pairs = (const u16 *)(block + 2 + dimension % 32);
    const float scale = halfToFloat(*(const u16 *)block);
    return f32x4{scale * (float)(i8)(pairs[0] & 255), scale * (float)(i8)(pairs[0] >> 8), scale * (float)(i8)(pairs[1] & 255),
                 scale * (float)(i8)(pairs[1] >> 8)};
  }
  DEVICE_MEMBER f32x4 keyAt(u32 stage, u32 j) const {
    const u32 lane = laneIndex();
    return numbersAt(keysAt(stage) + lane / 4 * headBytes, 16 * j + lane % 4 * 4);
  }
  DEVICE_MEMBER f32x4 valueAt(u32 stage, u32 i, u32 c) const {
    const u32 lane = laneIndex();
    return numbersAt(valuesAt(stage) + Lanes::valueKey(lane, i) * headBytes, 4 * Lanes::chunkOf(lane, c));
  }
  /** Lanes read what others have asked for, and ask for more where others have read. */
  static DEVICE_MEMBER void share() { syncWarp(); }

  DEVICE_MEMBER void load(unsigned char *to, const unsigned char *head, u32 slot) const {
    constexpr u32 words = Lanes::keys * headWords;
    UNROLL for (u32 first = 0; first < words; first += 32) {
      const u32 word = minimum(first + laneIndex(), words - 1), key = word / headWords; // the last ones, too often
      const u32 of = shuffle(slot, key);
      copyAsync4(to + 4 * word, head + (u64)of * slotBytes + 4 * (word - key * headWords));
    }
  }
  /** Asks for the keys of a step. `slot`: of key lane % keys. */
  DEVICE_MEMBER void loadKeys(u32 stage, u32 slot) const { load(keysAt(stage), keyHead, slot); }
  DEVICE_MEMBER void loadValues(u32 stage, u32 slot) const { load(valuesAt(stage), valueHead, slot); }

  /** The row's own key and value as blocks, which are in the place of the halves. */
  static DEVICE_MEMBER unsigned char *newBlocks(AttentionPlaces<HeadDim> &places, bool isValue) {
    return (unsigned char *)places.halves + isValue * headBytes;
  }
  DEVICE_MEMBER void replace(unsigned char *to, u32 slot, u32 newSlot, const u32 *blocks) const {
    for (u32 key = 0; key < Lanes::keys; key++) {
      if (shuffle(slot, key) != newSlot) continue;
      for (u32 w = laneIndex(); w < headWords; w += 32) ((u32 *)(to + key * headBytes))[w] = blocks[w];
    }
    syncWarp();
  }
  DEVICE_MEMBER void replaceKeys(u32 stage, u32 slot, u32 newSlot, AttentionPlaces<HeadDim> &places) const {
    replace(keysAt(stage), slot, newSlot, (const u32 *)newBlocks(places, false));
  }
  DEVICE_MEMBER void replaceValues(u32 stage, u32 slot, u32 newSlot, AttentionPlaces<HeadDim> &places) const {
    replace(valuesAt(stage), slot, newSlot, (const u32 *)newBlocks(places, true));
  }

  /** As store_block of shaders/kv.metal. */
  static DEVICE_MEMBER void prepare(AttentionPlaces<HeadDim> &places) {
    static_assert(2 * headBytes <= sizeof places.halves);
    const u32 warp = warpIndex(), lane = laneIndex();
    ROLLED for (u32 i = warp; i < 2 * blocks; i += AttentionRowWarps) {
      const float *from = i < blocks ? places.turned[AttentionRowQueries] : places.value;
      const float x = from[i % blocks * 32 + lane], largest = reduceMaxWarp(__builtin_fabsf(x));
      const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
      unsigned char *block = newBlocks(places, i >= blocks) + i % blocks * blockBytes;
      if (lane == 0) *(u16 *)block = floatToHalf(largest / 127.0f);
      block[2 + lane] = (unsigned char)roundToInt(x * inverse);
    }
    syncThreads();
  }
  /** Writes the new key and value. All of the block come here. */
  static DEVICE_MEMBER void store(unsigned char *key, unsigned char *value, AttentionPlaces<HeadDim> &places) {
    for (u32 w = threadIndex(); w < headWords; w += AttentionRowThreads) {
      ((u32 *)key)[w] = ((const u32 *)newBlocks(places, false))[w];
      ((u32 *)value)[w] = ((const u32 *)newBlocks(places, true))[w];
    }
  }
};

template <u32 HeadDim> using QuantRows = RowsInFloats<HeadDim, QuantCache<HeadDim>>;
