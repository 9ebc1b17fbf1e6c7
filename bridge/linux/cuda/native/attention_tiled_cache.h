/*
 * attention_tiled_cache.h: tiles of keys and values in half precision. Part of attention_tiled.cu.
 *
 * Caches of F16 are copied as they are. What others have is copied as it is, too, and made into halves from there: times powers of
 * two, one for the keys and one for the values that a block has met so far, which bring the largest number of the first tile to
 * 2^8 .. 2^9. A larger one that does not stay below 2^15 changes the power, and with it what is summed already. So a number of F32
 * is rounded by up to 2^-11 of itself or 2^-33 of the largest so far, whichever is more; one of Q8_0, whose scale is a half,
 * too, by 2^-26 of the largest. Infinities and NaN are no largest numbers: they stay what they are.
 */
#ifndef BUN_METAL_CUDA_NATIVE_ATTENTION_TILED_CACHE_H
#define BUN_METAL_CUDA_NATIVE_ATTENTION_TILED_CACHE_H

template <u32 Type, u32 Width, u32 Warps, u32 Keys> struct Cache;

/** F16: in two stages, each keys and values. */
template <u32 Width, u32 Warps, u32 Keys> struct Cache<AttentionTiled_f16, Width, Warps, Keys> {
  static constexpr u32 Threads = 32 * Warps, Stride = Width + AttentionTiledPad, Tile = Keys * Stride * 2, Chunks = Width / 8;
  const unsigned char *keyCache, *valueCache;
  u32 slotBytes, headBytes;
  unsigned char *tiles;

  DEVICE_MEMBER Cache(const AttentionTiledParameters &p, u32 kvHead, unsigned char *arena, const AttentionTiledShared &)
      : keyCache((const unsigned char *)p.keys + kvHead * p.headDim * 2),
        valueCache((const unsigned char *)p.values + kvHead * p.headDim * 2), slotBytes(p.kvHeads * p.headDim * 2),
        headBytes(p.headDim * 2), tiles(arena) {}

  /** Asks for the keys in `slots`, of which there are `count`, and their values. What is behind them, and behind a head, is 0. */
  DEVICE_MEMBER void copy(const u32 *slots, u32 count, u32 stage) const {
    constexpr u32 Lanes = Chunks % 8 == 0 ? 8 : 4; // of a key
    static_assert(Keys % (Threads / Lanes) == 0);
    const u32 own = threadIndex() / Lanes, first = threadIndex() % Lanes * 16;
    unsigned char *to = tiles + 2 * stage * Tile + own * Stride * 2 + first;
    UNROLL for (u32 key = 0; key < Keys; key += Threads / Lanes) {
      const u64 from = (u64)slots[own + key] * slotBytes;
      const u32 left = own + key < count ? headBytes : 0;
      UNROLL for (u32 byte = 0; byte < Width * 2; byte += Lanes * 16) {
        const u32 bytes = first + byte < left ? 16 : 0;
        const u64 at = from + (bytes != 0 ? first + byte : 0);
        copyAsync16(to + key * Stride * 2 + byte, keyCache + at, bytes);
        copyAsync16(to + key * Stride * 2 + byte + Tile, valueCache + at, bytes);
      }
    }
    copyAsyncCommit();
  }
  DEVICE_MEMBER const unsigned char *keys(u32 stage) const { return tiles + 2 * stage * Tile; }
  DEVICE_MEMBER const unsigned char *values(u32 stage) const { return keys(stage) + Tile; }
  DEVICE_MEMBER float keyFactor() const { return 1.0f; }
  DEVICE_MEMBER float valueFactor() const { return 1.0f; }
};

/** F32, as it is in memory: [keys or values, key, Width]. */
template <u32 Width, u32 Threads, u32 Keys> struct StoredFloats {
  static constexpr u32 Stride = Width + AttentionTiledPad, Head = Width * 4;
  static constexpr u32 Lanes = Width % 64 == 0 ? 16 : 8, Step = Lanes * 4, Rows = Threads / Lanes; // of a key; dimensions; at once
  const float *keyCache, *valueCache;
  u32 slotFloats, headDim;

  DEVICE_MEMBER StoredFloats(const AttentionTiledParameters &p, u32 kvHead)
      : keyCache((const float *)p.keys + kvHead * p.headDim), valueCache((const float *)p.values + kvHead * p.headDim),
        slotFloats(p.kvHeads * p.headDim), headDim(p.headDim) {}

  static_assert(Keys % Rows == 0 && Width % Step == 0);

  DEVICE_MEMBER static u32 ownKey() { return threadIndex() / Lanes; }
  DEVICE_MEMBER static u32 ownDimension() { return threadIndex() % Lanes * 4; }

  DEVICE_MEMBER void copy(unsigned char *raw, const u32 *slots, u32 count) const {
    unsigned char *to = raw + ownKey() * Head + ownDimension() * 4;
    UNROLL for (u32 key = 0; key < Keys; key += Rows) {
      const u64 from = (u64)slots[ownKey() + key] * slotFloats;
      const u32 left = ownKey() + key < count ? headDim : 0;
      UNROLL for (u32 d = 0; d < Width; d += Step) {
        const u32 dimension = ownDimension() + d, bytes = dimension < left ? 16 : 0;
        const u64 at = from + (bytes != 0 ? dimension : 0);
        copyAsync16(to + key * Head + d * 4, keyCache + at, bytes);
        copyAsync16(to + key * Head + d * 4 + Keys * Head, valueCache + at, bytes);
      }
    }
  }

  /** The largest magnitude of this thread's part, without what is no number. */
  DEVICE_MEMBER float measure(const unsigned char *raw, const u32 *) const {
    const unsigned char *from = raw + ownKey() * Head + ownDimension() * 4;
    float largest = 0.0f;
    UNROLL for (u32 key = 0; key < Keys; key += Rows)
      UNROLL for (u32 d = 0; d < Width; d += Step) {
        const f32x4 x = *(const f32x4 *)(from + key * Head + d * 4);
        UNROLL for (u32 c = 0; c < 4; ++c) largest = maximum(largest, finiteMagnitude(x[c]));
      }
    return largest;
  }

  /** Makes halves of this thread's part, times `factor`, and gives the largest magnitude of these. */
  DEVICE_MEMBER float stage(unsigned char *tile, const unsigned char *raw, const u32 *, float factor) const {
    const unsigned char *from = raw + ownKey() * Head + ownDimension() * 4;
    unsigned char *to = tile + (ownKey() * Stride + ownDimension()) * 2;
    float largest = 0.0f;
    UNROLL for (u32 key = 0; key < Keys; key += Rows)
      UNROLL for (u32 d = 0; d < Width; d += Step) {
        const f32x4 x = *(const f32x4 *)(from + key * Head + d * 4) * factor;
        UNROLL for (u32 c = 0; c < 4; ++c) largest = maximum(largest, magnitude(x[c]));
        *(u32x2 *)(to + (key * Stride + d) * 2) = u32x2{floatsToHalves(x[0], x[1]), floatsToHalves(x[2], x[3])};
      }
    return largest;
  }
};

/**
 * Q8_0, as it is in memory. Its blocks of 34 bytes are aligned to two: words are copied, and a head begins in its first word, or in
 * the middle of it.
 */
template <u32 Width, u32 Threads, u32 Keys> struct StoredBlocks {
  static constexpr u32 Stride = Width + AttentionTiledPad, BlockBytes = 34, Head = (Width / 32 * BlockBytes + 2 + 3) / 4 * 4;
  static constexpr u32 CopyLanes = 4;                                                     // of a key
  static constexpr u32 Lanes = Width % 64 == 0 ? 4 : 2, Step = Lanes * 16, Rows = Threads / Lanes; // a lane has half blocks
  static_assert(Keys % (Threads / CopyLanes) == 0 && Width % Step == 0);
  static constexpr float LargestQuant = 128.0f;
  const unsigned char *keyCache, *valueCache;
  u32 headOffset, slotBytes, headBytes, headDim;

  DEVICE_MEMBER StoredBlocks(const AttentionTiledParameters &p, u32 kvHead)
      : keyCache((const unsigned char *)p.keys), valueCache((const unsigned char *)p.values),
        headOffset(kvHead * (p.headDim / 32 * BlockBytes)), slotBytes(p.kvHeads * (p.headDim / 32 * BlockBytes)),
        headBytes(p.headDim / 32 * BlockBytes), headDim(p.headDim) {}

  /** Bytes of the first word that are no part of the head: 0 or 2. */
  DEVICE_MEMBER u32 shiftOf(u32 slot) const { return (slot * slotBytes + headOffset) & 2; }

  DEVICE_MEMBER void copy(unsigned char *raw, const u32 *slots, u32 count) const {
    const u32 own = threadIndex() / CopyLanes, first = threadIndex() % CopyLanes * 4;
    unsigned char *to = raw + own * Head + first;
    UNROLL for (u32 key = 0; key < Keys; key += Threads / CopyLanes) {
      const u32 slot = slots[own + key];
      const u64 from = ((u64)slot * slotBytes + headOffset) & ~(u64)3;
      const u32 left = own + key < count ? shiftOf(slot) + headBytes : 0;
      UNROLL for (u32 byte = 0; byte < Head; byte += CopyLanes * 4) {
        if (first + byte >= Head) continue;
        const u32 bytes = first + byte < left ? 4 : 0;
        const u64 at = from + (bytes != 0 ? first + byte : 0);
        copyAsync4(to + key * Head + byte, keyCache + at, bytes);
        copyAsync4(to + key * Head + byte + Keys * Head, valueCache + at, bytes);
      }
    }
  }

  DEVICE_MEMBER static u32 ownKey() { return threadIndex() / Lanes; }
  DEVICE_MEMBER static u32 ownDimension() { return threadIndex() % Lanes * 16; }
  DEVICE_MEMBER static float scaleOf(const unsigned char *block) { return halfToFloat(*(const u16 *)block); }

  DEVICE_MEMBER float measure(const unsigned char *raw, const u32 *slots) const {
    float largest = 0.0f;
    UNROLL for (u32 key = ownKey(); key < Keys; key += Rows) {
      const unsigned char *from = raw + key * Head + shiftOf(slots[key]);
      for (u32 dimension = ownDimension(); dimension < headDim; dimension += Step)
        largest = maximum(largest, finiteMagnitude(scaleOf(from + dimension / 32 * BlockBytes)) * LargestQuant);
    }
    return largest;
  }

  DEVICE_MEMBER float stage(unsigned char *tile, const unsigned char *raw, const u32 *slots, float factor) const {
    float largest = 0.0f;
    UNROLL for (u32 key = ownKey(); key < Keys; key += Rows) {
      const u32 shift = shiftOf(slots[key]);
      UNROLL for (u32 d = 0; d < Width; d += Step) {
        const u32 dimension = ownDimension() + d, block = shift + dimension / 32 * BlockBytes;
        const u32 quants = block + 2 + dimension % 32;
        float scale = scaleOf(raw + key * Head + block) * factor;
        // Behind a head that is shorter than the tile comes the scale of the next one.
        if (dimension >= headDim) scale = 0.0f;
        largest = maximum(largest, magnitude(scale) * LargestQuant);
        const u32 scales = floatsToHalves(scale, scale);
        const u32 *words = (const u32 *)(raw + key * Head) + quants / 4;
        u32 word = words[0];
        u32x4 halves[2];
        UNROLL for (u32 c = 0; c < 4; ++c) {
          const u32 next = quants % 4 == 0 && c == 3 ? 0 : words[c + 1];
          // A byte b + 128 in the last bits of 1024.0 is 1024 + 128 + b.
          const u32 bytes = funnelShift(word, next, quants % 4 * 8) ^ 0x80808080;
          word = next;
          const u32 low = subtractHalves(permuteBytes(bytes, 0x64646464, 0x4140), 0x64806480);
          const u32 high = subtractHalves(permuteBytes(bytes, 0x64646464, 0x4342), 0x64806480);
          halves[c / 2][c % 2 * 2] = multiplyHalves(low, scales);
          halves[c / 2][c % 2 * 2 + 1] = multiplyHalves(high, scales);
        }
        u32x4 *to = (u32x4 *)(tile + (key * Stride + dimension) * 2);
        to[0] = halves[0];
        to[1] = halves[1];
      }
    }
    return largest;
  }
};

/** What is made into halves: one stage of these, and one of what is stored. */
template <typename Stored, u32 Warps, u32 Keys> struct ConvertedCache {
  static constexpr u32 Tile = Keys * Stored::Stride * 2, Raw = Keys * Stored::Head;
  static constexpr i32 MeasuredExponent = 8, HighestExponent = 14, LowestExponent = -112;
  const Stored stored;
  unsigned char *const tiles, *const raw;
  u32 *const flags; // [2, Warps]
  const u32 warp;
  bool isMeasured = false;
  i32 keyExponent = 0, valueExponent = 0; // what is stored is 2^exponent times what is staged

  DEVICE_MEMBER ConvertedCache(const AttentionTiledParameters &p, u32 kvHead, unsigned char *arena,
                               const AttentionTiledShared &shared)
      : stored(p, kvHead), tiles(arena), raw(arena + shared.raw), flags((u32 *)(arena + shared.flags)), warp(warpIndex()) {}

  DEVICE_MEMBER void copy(const u32 *slots, u32 count, u32) const {
    stored.copy(raw, slots, count);
    copyAsyncCommit();
  }
  DEVICE_MEMBER const unsigned char *keys(u32) const { return tiles; }
  DEVICE_MEMBER const unsigned char *values(u32) const { return tiles + Tile; }
  DEVICE_MEMBER float keyFactor() const { return powerOfTwo(keyExponent); }
  DEVICE_MEMBER float valueFactor() const { return powerOfTwo(valueExponent); }

  /** The exponent for numbers up to `largest`: what it was, while they fit. */
  DEVICE_MEMBER i32 exponentFor(u32 largest, i32 exponent) const {
    const i32 own = exponentOf(floatOf(largest));
    if (isMeasured && own - exponent <= HighestExponent) return exponent;
    return maximum(own - MeasuredExponent, LowestExponent);
  }

  DEVICE_MEMBER void measure(const u32 *slots) {
    u32 keys = reduceMaxWarp(bitsOf(stored.measure(raw, slots)));
    u32 values = reduceMaxWarp(bitsOf(stored.measure(raw + Raw, slots)));
    if (laneIndex() == 0) {
      flags[warp] = keys;
      flags[Warps + warp] = values;
    }
    syncThreads();
    for (u32 i = 0; i < Warps; ++i) {
      keys = maximum(keys, flags[i]);
      values = maximum(values, flags[Warps + i]);
    }
    keyExponent = exponentFor(keys, keyExponent);
    valueExponent = exponentFor(values, valueExponent);
    isMeasured = true;
    syncThreads();
  }

  /** Makes halves of this thread's part. False where a number is too large. */
  DEVICE_MEMBER bool stage(const u32 *slots) const {
    const float keys = stored.stage(tiles, raw, slots, powerOfTwo(-keyExponent));
    const float values = stored.stage(tiles + Tile, raw + Raw, slots, powerOfTwo(-valueExponent));
    return exponentOf(maximum(keys, values)) <= HighestExponent;
  }

  /** Makes halves of what was copied, and waits until all have. Gives the factor for what was summed of values before. */
  DEVICE_MEMBER float convert(const u32 *slots) {
    const i32 before = valueExponent;
    bool isNew = !isMeasured;
    if (isNew) measure(slots);
    for (;;) {
      const u32 unfit = ballot(!stage(slots));
      if (laneIndex() == 0) flags[warp] = unfit;
      syncThreads();
      u32 any = 0;
      for (u32 i = 0; i < Warps; ++i) any |= flags[i];
      // What does not fit although it was measured is infinite.
      if (any == 0 || isNew) return powerOfTwo(maximum(before - valueExponent, -126));
      syncThreads();
      measure(slots);
      isNew = true;
    }
  }
};

template <u32 Width, u32 Warps, u32 Keys>
struct Cache<AttentionTiled_f32, Width, Warps, Keys> : ConvertedCache<StoredFloats<Width, 32 * Warps, Keys>, Warps, Keys> {
  using ConvertedCache<StoredFloats<Width, 32 * Warps, Keys>, Warps, Keys>::ConvertedCache;
};

template <u32 Width, u32 Warps, u32 Keys>
struct Cache<AttentionTiled_q8_0, Width, Warps, Keys> : ConvertedCache<StoredBlocks<Width, 32 * Warps, Keys>, Warps, Keys> {
  using ConvertedCache<StoredBlocks<Width, 32 * Warps, Keys>, Warps, Keys>::ConvertedCache;
};

#endif
