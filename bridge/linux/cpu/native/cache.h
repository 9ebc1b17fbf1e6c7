/*
 * cache.h: keys and values of a sequence, read from the blocks of positions where a paged cache has them. Part of level.h.
 */

/** What one key and value head has of one sequence. */
struct CacheHead {
  const uint8_t *keys, *values; // of slot 0
  uint64_t slotBytes;
  const uint32_t *blocks; // position p is in slot blocks[p / blockSize] * blockSize + p % blockSize
  uint32_t blockSize;
  uint32_t headDim;
};

/** Types of caches: `bytes` of a block of `elements`, and `unpack`, which makes `count` floats of them. */
struct CacheF32 {
  enum : uint32_t { elements = 1, bytes = 4 };
  static void unpack(const uint8_t *row, float *out, uint32_t count) {
    uint32_t i = 0;
    for (; i + Lanes <= count; i += Lanes) store(out + i, load<Floats>(row + 4 * i));
    __builtin_memcpy(out + i, row + 4 * i, 4 * (count - i));
  }
};

struct CacheF16 {
  enum : uint32_t { elements = 1, bytes = 2 };
  static void unpack(const uint8_t *row, float *out, uint32_t count) {
    uint32_t i = 0;
    for (; i + Lanes <= count; i += Lanes) store(out + i, load_f16(row + 2 * i));
    if (i == count) return;
    uint8_t last[2 * Lanes] = {};
    __builtin_memcpy(last, row + 2 * i, 2 * (count - i));
    store_f32(out + i, load_f16(last), count - i);
  }
};

struct CacheQ8_0 { // shaders/blocks.h
  enum : uint32_t { elements = 32, bytes = 34 };
  static void unpack(const uint8_t *row, float *out, uint32_t count) {
    for (uint32_t i = 0; i < count; i += elements, row += bytes) {
      const Floats scale = splat(float(load<_Float16>(row)));
      for (uint32_t j = 0; j < elements; j += Lanes)
        store(out + i + j, scale * __builtin_convertvector(load<QuarterBytes>(row + 2 + j), Floats));
    }
  }
};

/** Floats from one key to the next in a tile: whole vectors, and whole rows of the products with tiles. */
INLINE uint32_t tile_stride(uint32_t headDim) { return (headDim + 15) / 16 * 16; }

/** Keys ahead of the one that is unpacked, which are fetched from memory. */
enum : uint32_t { StageAhead = 16 };

/** Makes a tile [count, tile_stride] of the keys (or the values) from position `first` on; elements behind headDim are 0. */
template <typename Cache>
static void stage(const CacheHead &head, const uint8_t *slots, uint32_t first, uint32_t count, float *tile) {
  const uint32_t stride = tile_stride(head.headDim);
  const uint32_t rowBytes = head.headDim / Cache::elements * Cache::bytes;
  for (uint32_t done = 0; done < count;) {
    const uint32_t position = first + done, inBlock = position % head.blockSize;
    const uint32_t left = head.blockSize - inBlock, run = left < count - done ? left : count - done;
    const uint8_t *row = slots + (uint64_t(head.blocks[position / head.blockSize]) * head.blockSize + inBlock) * head.slotBytes;
    for (uint32_t i = 0; i < run; i++, row += head.slotBytes, tile += stride) {
      // What comes next in memory is asked for early: heads lie too far from each other for the processor to foresee it.
      for (uint32_t line = 0; line < rowBytes; line += 64) __builtin_prefetch(row + StageAhead * head.slotBytes + line);
      Cache::unpack(row, tile, head.headDim);
      for (uint32_t d = head.headDim; d < stride; d++) tile[d] = 0.0f;
    }
    done += run;
  }
}

typedef void (*Stage)(const CacheHead &head, const uint8_t *slots, uint32_t first, uint32_t count, float *tile);
