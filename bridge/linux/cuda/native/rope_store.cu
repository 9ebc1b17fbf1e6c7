/*
 * rope_store.cu: rotary position embedding of queries and of keys, and the storing of keys and values, of a row by a block: what
 * shaders/rope.metal does twice, and then shaders/kv.metal. Sines and cosines are made once for all heads of a row.
 */
#include "intrinsics.h"

#include "direction.h"
#include "rope_store.h"
#include "shader_args.h"

/** Four numbers of a cache's row, from element `at` on. */
template <u32 Type> DEVICE void storeFour(void *row, u32 at, f32x4 x, bool isStored) {
  if constexpr (Type == RopeStore_f32) {
    if (isStored) *(f32x4 *)((float *)row + at) = x;
  } else if constexpr (Type == RopeStore_f16) {
    if (isStored) *(u32x2 *)((u16 *)row + at) = u32x2{floatsToHalves(x[0], x[1]), floatsToHalves(x[2], x[3])};
  } else { // eight lanes have a block
    float largest = 0.0f;
    UNROLL for (u32 c = 0; c < 4; ++c) largest = maximum(largest, __builtin_fabsf(x[c]));
    UNROLL for (u32 mask = 1; mask < 8; mask *= 2) largest = maximum(largest, shuffleXor(largest, mask));
    const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
    u16 *block = (u16 *)row + at / 32 * 17;
    u32 quants[4];
    UNROLL for (u32 c = 0; c < 4; ++c) quants[c] = (u32)roundToInt(x[c] * inverse) & 0xff;
    if (!isStored) return;
    if (at % 32 == 0) block[0] = floatToHalf(largest / 127.0f);
    block[1 + at % 32 / 2] = (u16)(quants[0] | quants[1] << 8);
    block[2 + at % 32 / 2] = (u16)(quants[2] | quants[3] << 8);
  }
}

/** What a thread does at once: four numbers and, where pairs lie half a head apart, the four that belong to them. */
struct Unit {
  u32 section, a, b; // of queries, keys, values, or none; elements of a row
  u32 pair;          // of their head: the first
  f32x4 first, second;
};

template <bool IsHalf, u32 Type> DEVICE void turnAndStore(const RopeStoreParameters &p, f32x2 *directions) {
  enum : u32 { Queries, Keys, Values, Nothing };
  constexpr u32 UnitPairs = IsHalf ? 4 : 2, AtOnce = 4;
  const u32 row = blockIndexX(), headUnits = p.headDim / (2 * UnitPairs);
  const u32 queryUnits = p.heads * headUnits, keyUnits = p.kvHeads * headUnits;
  // Sections begin with a warp, so that all of its lanes do the same.
  const u32 keyBegin = (queryUnits + 31) / 32 * 32, valueBegin = keyBegin + (keyUnits + 31) / 32 * 32;
  const u32 end = valueBegin + (keyUnits + 31) / 32 * 32;
  const float *query = (const float *)p.query + (u64)row * p.heads * p.headDim;
  const u64 keyRow = (u64)row * p.kvHeads * p.headDim;
  const float *key = (const float *)p.key + keyRow, *value = (const float *)p.value + keyRow;

  allowNext();
  if (!p.readsEarly) waitForPrevious();
  const u32 slot = ((const u32 *)p.slots)[row];
  if (threadIndex() < p.headDim / 2) {
    const float angle = (float)((const u32 *)p.positions)[row] * ((const float *)p.frequencies)[threadIndex()];
    const Direction d = directionOf(angle, p.magnitude);
    directions[threadIndex()] = f32x2{d.cosine, d.sine};
  }
  if (p.readsEarly) waitForPrevious();
  const u32 rowLength = p.kvHeads * p.headDim;
  const u64 rowBytes = Type == RopeStore_f32 ? rowLength * 4 : Type == RopeStore_f16 ? rowLength * 2 : rowLength / 32 * 34;
  const u64 slotOffset = slot == SkippedSlot ? 0 : slot * rowBytes;
  for (u32 begin = 0; begin < end; begin += AtOnce * RopeStoreThreads) {
    Unit units[AtOnce];
    UNROLL for (u32 i = 0; i < AtOnce; ++i) {
      const u32 at = begin + i * RopeStoreThreads + threadIndex();
      Unit &unit = units[i];
      unit.section = at < keyBegin ? Queries : at < valueBegin ? Keys : at < end ? Values : Nothing;
      const u32 own = at - (unit.section == Queries ? 0 : unit.section == Keys ? keyBegin : valueBegin);
      const u32 count = unit.section == Queries ? queryUnits : unit.section == Nothing ? 0 : keyUnits;
      const u32 head = own / headUnits;
      unit.pair = (own - head * headUnits) * UnitPairs;
      unit.a = head * p.headDim + unit.pair * (IsHalf ? 1 : 2);
      unit.b = unit.a + p.headDim / 2;
      const float *from = unit.section == Queries ? query : unit.section == Keys ? key : value;
      unit.first = unit.second = f32x4{0.0f, 0.0f, 0.0f, 0.0f};
      if (own >= count) {
        unit.a = 0xffffffff;
        continue;
      }
      unit.first = *(const f32x4 *)(from + unit.a);
      if constexpr (IsHalf) unit.second = *(const f32x4 *)(from + unit.b);
    }
    if (begin == 0) syncThreads(); // directions are there
    UNROLL for (u32 i = 0; i < AtOnce; ++i) {
      Unit &unit = units[i];
      const bool isOne = unit.a != 0xffffffff;
      if (unit.section == Nothing) continue;
      if (unit.section != Values) {
        const f32x2 *d = directions + unit.pair;
        if constexpr (IsHalf) {
          const f32x4 x = unit.first, y = unit.second;
          UNROLL for (u32 c = 0; c < 4; ++c) {
            unit.first[c] = x[c] * d[c].x - y[c] * d[c].y;
            unit.second[c] = x[c] * d[c].y + y[c] * d[c].x;
          }
        } else {
          const f32x4 x = unit.first;
          unit.first = f32x4{x[0] * d[0].x - x[1] * d[0].y, x[0] * d[0].y + x[1] * d[0].x, x[2] * d[1].x - x[3] * d[1].y,
                             x[2] * d[1].y + x[3] * d[1].x};
        }
        const u64 queryRow = (u64)row * p.heads * p.headDim;
        float *to = unit.section == Queries ? (float *)p.turnedQuery + queryRow : (float *)p.turnedKey + keyRow;
        if (isOne) *(f32x4 *)(to + unit.a) = unit.first;
        if (IsHalf && isOne) *(f32x4 *)(to + unit.b) = unit.second;
      }
      if (unit.section == Queries) continue;
      void *cache = (unsigned char *)(unit.section == Keys ? p.keyCache : p.valueCache) + slotOffset;
      const bool isStored = isOne && slot != SkippedSlot;
      storeFour<Type>(cache, unit.a, unit.first, isStored);
      if constexpr (IsHalf) storeFour<Type>(cache, unit.b, unit.second, isStored);
    }
  }
}

constexpr bool IsHalf_interleaved = false, IsHalf_half = true;
#define KERNEL(layout, type)                                                                  \
  GLOBAL(RopeStoreThreads, 2) void rope_store_##layout##_##type(const RopeStoreParameters p) { \
    SHARED_ARENA(arena);                                                                      \
    turnAndStore<IsHalf_##layout, RopeStore_##type>(p, (f32x2 *)arena);                       \
  }
ROPE_STORE_KERNELS(KERNEL)
#undef KERNEL
