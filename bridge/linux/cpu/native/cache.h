/*
 * cache.h: keys and values of a sequence, read from the blocks of positions where a paged cache has them. Part of level.h.
 */

/** What one key and value head has of one sequence. */
struct CacheHead {
  const uint8_t *keys, *values; // of slot 0
  uint64_t slotBytes, headBytes;
  const uint32_t *blocks; // position p is in slot blocks[p / blockSize] * blockSize + p % blockSize
  uint32_t blockSize;
  uint32_t headDim;
};

/** Types of caches: `bytes` of a block of `elements`, and `unpack16`, which makes 16 floats of those from `i` on. */
struct CacheF32 {
  enum : uint32_t { elements = 1, bytes = 4 };
  static void unpack16(const uint8_t *row, uint32_t i, float *out) {
    for (uint32_t j = 0; j < 16; j += Lanes) store(out + j, load<Floats>(row + 4 * (i + j)));
  }
};

struct CacheF16 {
  enum : uint32_t { elements = 1, bytes = 2 };
  static void unpack16(const uint8_t *row, uint32_t i, float *out) {
    for (uint32_t j = 0; j < 16; j += Lanes) store(out + j, load_f16(row + 2 * (i + j)));
  }
};

struct CacheQ8_0 { // shaders/blocks.h
  enum : uint32_t { elements = 32, bytes = 34 };
  static void unpack16(const uint8_t *row, uint32_t i, float *out) {
    row += i / elements * bytes;
    const Floats scale = splat(float(load<_Float16>(row)));
    for (uint32_t j = 0; j < 16; j += Lanes)
      store(out + j, scale * __builtin_convertvector(load<QuarterBytes>(row + 2 + i % elements + j), Floats));
  }
};

/** Floats from one key to the next in a tile: whole vectors, and whole rows of the products with tiles. */
INLINE uint32_t tile_stride(uint32_t headDim) { return (headDim + 15) / 16 * 16; }

/** Where the keys (or the values) of consecutive positions are. */
struct CacheCursor {
  const uint8_t *row;
  uint32_t inBlock; // of blockSize
  const uint32_t *block;
};

INLINE CacheCursor cursor_at(const CacheHead &head, const uint8_t *slots, uint32_t position) {
  const uint32_t inBlock = position % head.blockSize;
  const uint32_t *block = head.blocks + position / head.blockSize;
  return {slots + (uint64_t(*block) * head.blockSize + inBlock) * head.slotBytes, inBlock, block};
}

/** To the next position, which has to be there. */
INLINE void advance(const CacheHead &head, const uint8_t *slots, CacheCursor &cursor) {
  cursor.row += head.slotBytes;
  if (++cursor.inBlock < head.blockSize) return;
  cursor.inBlock = 0;
  cursor.row = slots + uint64_t(*++cursor.block) * head.blockSize * head.slotBytes;
}

INLINE void fetch(const uint8_t *row, uint32_t bytes) {
  for (uint32_t line = 0; line < bytes; line += 64) __builtin_prefetch(row + line);
}

/** Keys ahead of the one that is unpacked, which are fetched from memory: the processor does not foresee where they are. */
enum : uint32_t { StageAhead = 16 };

/**
 * Makes a tile [count, tile_stride] of the keys (or the values) from position `first` on; elements behind headDim are 0.
 * Those before `end` are needed soon.
 */
template <typename Cache>
static void stage(const CacheHead &head, const uint8_t *slots, uint32_t first, uint32_t count, uint32_t end, float *tile) {
  const uint32_t headDim = head.headDim, stride = tile_stride(headDim), whole = headDim / 16 * 16;
  const uint32_t rowBytes = headDim / Cache::elements * Cache::bytes;
  const uint64_t slotBytes = head.slotBytes;
  const uint32_t last = first + count;
  for (uint32_t position = first, run; position < last; position += run) {
    // As far as both these keys and those that are fetched lie in a row.
    const uint32_t ahead = position + StageAhead < end ? position + StageAhead : position;
    const CacheCursor here = cursor_at(head, slots, position), there = cursor_at(head, slots, ahead);
    run = last - position;
    if (run > head.blockSize - here.inBlock) run = head.blockSize - here.inBlock;
    if (run > head.blockSize - there.inBlock) run = head.blockSize - there.inBlock;
    const uint8_t *row = here.row, *next = there.row;
    for (uint32_t i = 0; i < run; i++, row += slotBytes, next += slotBytes, tile += stride) {
      fetch(next, rowBytes);
      for (uint32_t d = 0; d < whole; d += 16) Cache::unpack16(row, d, tile + d);
      if (whole == stride) continue;
      uint8_t left[16 * 4] = {}; // of types without blocks
      __builtin_memcpy(left, row + whole * Cache::bytes, (headDim - whole) * Cache::bytes);
      if constexpr (Cache::elements == 1) Cache::unpack16(left, 0, tile + whole);
    }
  }
}

typedef void (*Stage)(const CacheHead &head, const uint8_t *slots, uint32_t first, uint32_t count, uint32_t end, float *tile);
