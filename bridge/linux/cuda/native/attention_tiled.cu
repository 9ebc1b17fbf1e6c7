/*
 * attention_tiled.cu: attention of many rows at once, as shaders/attention_tiled.metal, with tensor cores in half precision, as in
 * FlashAttention-2 (Dao 2023). Queries of a key head, their order, and runs of a sequence are those of the original.
 *
 * A block has a tile of queries, a warp 16 of these or more: as operands of mma in registers, like the scores, the weights and the
 * sums. Each tile of keys and values is copied to shared memory while the tile before it is worked on. What bounds its errors stands
 * in attention_tiled_cache.h and at fillQueries.
 */
#include "intrinsics.h"

#include "attention_tiled.h"
#include "attention_tiled_cache.h"

/** Weights are at most 2^WeightExponent, the largest so far of a query, so that those 2^-22 of it still have all bits of a half. */
constexpr float WeightExponent = 8.0f, WeightScale = 256.0f;
constexpr float Log2E = 1.4426950408889634f;
constexpr float Unseen = -__builtin_inff();

/** What a lane knows of a query: row g or g + 8 of a fragment, with g = lane / 4. */
struct Query {
  u32 begin, end; // positions that it sees, in a run of its sequence
  float factor;        // a score is the product of what is staged, times this
  float maximum;       // of the scores so far, times log2(e)
  float total;         // of the weights that this lane made
};

/** The queries of a warp as operands, [fragment, step of 16 dimensions]. */
template <u32 Width, u32 Fragments, bool IsShared> struct Operands;
template <u32 Width, u32 Fragments> struct Operands<Width, Fragments, false> {
  u32 words[Fragments][Width / 16][4];
  DEVICE_MEMBER explicit Operands(unsigned char *) {}
  DEVICE_MEMBER void store(u32 fragment, u32 step, const u32 (&a)[4]) {
    for (u32 i = 0; i < 4; ++i) words[fragment][step][i] = a[i];
  }
  DEVICE_MEMBER void load(u32 fragment, u32 step, u32 (&a)[4]) const {
    for (u32 i = 0; i < 4; ++i) a[i] = words[fragment][step][i];
  }
};
/** In shared memory: each lane reads what it wrote. */
template <u32 Width, u32 Fragments> struct Operands<Width, Fragments, true> {
  u32x4 *place;
  DEVICE_MEMBER explicit Operands(unsigned char *memory)
      : place((u32x4 *)memory + warpIndex() * Fragments * (Width / 16) * 32 + laneIndex()) {}
  DEVICE_MEMBER void store(u32 fragment, u32 step, const u32 (&a)[4]) {
    place[(fragment * (Width / 16) + step) * 32] = u32x4{a[0], a[1], a[2], a[3]};
  }
  DEVICE_MEMBER void load(u32 fragment, u32 step, u32 (&a)[4]) const {
    const u32x4 v = place[(fragment * (Width / 16) + step) * 32];
    for (u32 i = 0; i < 4; ++i) a[i] = v[i];
  }
};

/**
 * Scaled queries in half precision. Each is multiplied by a power of two that brings the largest of its numbers to 2^14 .. 2^15:
 * nothing overflows, and what is 2^-28 of the largest still has all 11 bits. So rounding is by 2^-11 of a number at most.
 */
template <u32 Width, u32 Fragments, bool IsShared>
DEVICE void fillQueries(Operands<Width, Fragments, IsShared> &operands, Query (&queries)[Fragments][2],
                         const float *const (&places)[Fragments][2], u32 headDim, float scale) {
  const u32 t = laneIndex() % 4;
  UNROLL for (u32 f = 0; f < Fragments; ++f) {
    u32 words[2][Width / 8];
    UNROLL for (u32 half = 0; half < 2; ++half) {
      f32x2 values[Width / 8];
      float largest = 0.0f;
      UNROLL for (u32 i = 0; i < Width / 8; ++i) {
        values[i] = f32x2{0.0f, 0.0f};
        if (8 * i < headDim) values[i] = *(const f32x2 *)(places[f][half] + 8 * i + 2 * t) * (scale * Log2E);
        largest = maximum(largest, maximum(magnitude(values[i].x), magnitude(values[i].y)));
      }
      largest = maximum(largest, shuffleXor(largest, 1));
      largest = maximum(largest, shuffleXor(largest, 2));
      const i32 exponent = maximum(exponentOf(largest), -100) - 14;
      const float inverse = powerOf2(-exponent);
      queries[f][half].factor = powerOf2(exponent);
      UNROLL for (u32 i = 0; i < Width / 8; ++i) words[half][i] = floatsToHalves(values[i].x * inverse, values[i].y * inverse);
    }
    UNROLL for (u32 step = 0; step < Width / 16; ++step) {
      const u32 a[4] = {words[0][2 * step], words[1][2 * step], words[0][2 * step + 1], words[1][2 * step + 1]};
      operands.store(f, step, a);
    }
  }
}

/** Scores become cap * tanh(score / cap), all times log2(e): `capped` is cap * log2(e). tanh by its exponential. */
DEVICE float softCapped(float score, float cap, float capped) {
  return capped - 2.0f * capped * fastReciprocal(fastExp2(score * (2.0f / cap)) + 1.0f);
}

/** Rows of a tile of one sequence, and the keys that any of them sees. */
struct Run {
  u32 rowBegin, rowEnd, sequence, begin, end;
};

/** The run of rows from `row` on. All lanes of a warp take part. */
DEVICE Run findRun(const u32 *positions, const u32 *sequences, u32 row, u32 rows, u32 window) {
  Run run = {row, row, sequences[row], 0xffffffff, 0};
  for (bool isSame = true; isSame && run.rowEnd < rows;) {
    const u32 own = run.rowEnd + laneIndex();
    const u32 others = ballot(own < rows && sequences[minimum(own, rows - 1)] != run.sequence);
    const u32 length = minimum(rows - run.rowEnd, others == 0 ? 32 : (u32)__builtin_ctz(others));
    if (laneIndex() < length) {
      const u32 end = positions[own] + 1;
      run.begin = minimum(run.begin, end - minimum(end, window));
      run.end = maximum(run.end, end);
    }
    run.rowEnd += length;
    isSame = others == 0;
  }
  run.begin = ~reduceMaxWarp(~run.begin);
  run.end = reduceMaxWarp(run.end);
  return run;
}

template <u32 Type, u32 Width, u32 Warps, u32 Fragments, u32 Keys>
DEVICE void attend(const AttentionTiledParameters &p, unsigned char *arena) {
  constexpr AttentionTiledShared Shared = attentionTiledShared(Type, Width, Warps, Fragments, Keys);
  constexpr u32 Threads = 32 * Warps, TileQueries = Warps * Fragments * AttentionTiledFragment;
  constexpr u32 Stride = Width + AttentionTiledPad, KeyPairs = Keys / 16, Steps = Width / 16;
  constexpr bool IsConverted = Type != AttentionTiled_f16;
  using Caches = Cache<Type, Width, Warps, Keys>;

  allowNext();
  if (!p.readsEarly) waitForPrevious();
  const u32 thread = threadIndex(), lane = laneIndex(), warp = warpIndex();
  const u32 g = lane / 4, t = lane % 4;
  // The last tiles, which as a rule see the most keys, come first.
  const u32 split = blockIndexX() % p.splits, kvHead = blockIndexX() / p.splits % p.kvHeads;
  const u32 tile = p.tiles - 1 - blockIndexX() / p.splits / p.kvHeads;
  const u32 sharing = p.heads / p.kvHeads;
  const u32 count = *(const u32 *)p.rowCount * sharing;
  const u32 firstQuery = tile * TileQueries;
  if (firstQuery >= count) {
    if (p.readsEarly) waitForPrevious(); // the launch is not to end before those in front of it
    return;
  }
  const u32 firstRow = firstQuery / sharing;
  const u32 rows = (minimum(firstQuery + TileQueries, count) - 1) / sharing + 1 - firstRow;

  u32 *slots = (u32 *)(arena + Shared.slots);
  u32 *positions = (u32 *)(arena + Shared.rows), *sequences = positions + Shared.rowsMax;
  for (u32 i = thread; i < rows; i += Threads) {
    positions[i] = ((const u32 *)p.positions)[firstRow + i];
    sequences[i] = ((const u32 *)p.sequences)[firstRow + i];
  }

  if (p.readsEarly) waitForPrevious();

  // Query n is row n / sharing, head kvHead * sharing + n % sharing. Behind the last one, that again.
  const auto queryOf = [&](u32 fragment, u32 half) {
    return firstQuery + (warp * Fragments + fragment) * AttentionTiledFragment + g + 8 * half;
  };
  const auto placeOf = [&](u32 n) { return (u64)(n / sharing * p.heads + kvHead * sharing + n % sharing) * p.headDim; };
  Query queries[Fragments][2];
  const float *sources[Fragments][2];
  UNROLL for (u32 f = 0; f < Fragments; ++f)
    UNROLL for (u32 half = 0; half < 2; ++half) {
      queries[f][half].maximum = Unseen;
      queries[f][half].total = 0.0f;
      sources[f][half] = (const float *)p.q + placeOf(minimum(queryOf(f, half), count - 1));
    }
  Operands<Width, Fragments, (Width * Fragments > AttentionTiledRegisters)> operands(arena + Shared.queries);
  fillQueries(operands, queries, sources, p.headDim, p.scale);
  syncThreads();

  Caches cache(p, kvHead, arena, Shared);
  const float capped = p.softCap * Log2E;
  float sums[Fragments][2 * Steps][4] = {}; // [query, dimension], as mma has them

  // The tiles of keys of all runs, one after the other, are shared out to the splits.
  u32 from = 0, to = 0xffffffff, used = 1;
  if (p.splits > 1) {
    u32 all = 0;
    for (u32 row = 0; row < rows;) {
      const Run run = findRun(positions, sequences, row, rows, p.window);
      all += (run.end - run.begin + Keys - 1) / Keys;
      row = run.rowEnd;
    }
    used = minimum(p.splits, (all + 1) / 2);
    if (split >= used) return;
    from = all * split / used;
    to = all * (split + 1) / used;
  }

  u32 passed = 0;
  for (u32 row = 0; row < rows && passed < to;) {
    const Run run = findRun(positions, sequences, row, rows, p.window);
    const u32 runTiles = (run.end - run.begin + Keys - 1) / Keys;
    const u32 firstTile = maximum(from, passed) - passed, endTile = minimum(to - passed, runTiles);
    row = run.rowEnd;
    passed += runTiles;
    if (firstTile >= endTile) continue;
    UNROLL for (u32 f = 0; f < Fragments; ++f)
      UNROLL for (u32 half = 0; half < 2; ++half) {
        Query &query = queries[f][half];
        const u32 n = queryOf(f, half), own = n / sharing - firstRow;
        const bool isInRun = n < count && own >= run.rowBegin && own < run.rowEnd;
        query.end = isInRun ? positions[own] + 1 : 0;
        query.begin = query.end - minimum(query.end, p.window);
      }

    const u32 *blocks = (const u32 *)p.blockTables + (u64)run.sequence * p.blocksPerSequence;
    const u32 begin = run.begin + firstTile * Keys, end = run.end, tiles = endTile - firstTile;
    const auto slotOf = [&](u32 key) {
      const u32 position = minimum(key, end - 1);
      return blocks[position / p.blockSize] * p.blockSize + position % p.blockSize;
    };
    for (u32 i = thread; i < 2 * Keys; i += Threads) slots[i] = slotOf(begin + i);
    syncThreads();
    cache.copy(slots, end - begin, 0);

    for (u32 keyTile = 0; keyTile < tiles; ++keyTile) {
      const u32 first = begin + keyTile * Keys;
      // This tile has come, and the one before it is done with.
      copyAsyncWait<0>();
      syncThreads();
      float correction = 1.0f; // of sums, where the values' scale has changed
      if constexpr (IsConverted) correction = cache.convert(slots + keyTile % 2 * Keys);
      if (keyTile + 1 < tiles) cache.copy(slots + (keyTile + 1) % 2 * Keys, end - first - Keys, (keyTile + 1) % 2);
      u32 slot = 0;
      if (thread < Keys && keyTile + 2 < tiles) slot = slotOf(first + 2 * Keys + thread);

      bool isSeen = false, isWhole = true;
      UNROLL for (u32 f = 0; f < Fragments; ++f)
        UNROLL for (u32 half = 0; half < 2; ++half) {
          const Query &query = queries[f][half];
          isSeen = isSeen || (query.end > first && query.begin < first + Keys);
          isWhole = isWhole && query.begin <= first && query.end >= first + Keys;
        }
      if (ballot(isSeen || correction != 1.0f) != 0) {
        const unsigned char *keys = cache.keys(keyTile % 2), *values = cache.values(keyTile % 2);
        float scores[Fragments][2 * KeyPairs][4] = {}; // [query, key]
        const unsigned char *keyPlace = keys + ((lane / 16 * 8 + lane % 8) * Stride + lane / 8 % 2 * 8) * 2;
        UNROLL for (u32 step = 0; step < Steps; ++step) {
          u32 a[Fragments][4];
          UNROLL for (u32 f = 0; f < Fragments; ++f) operands.load(f, step, a[f]);
          UNROLL for (u32 j = 0; j < KeyPairs; ++j) {
            u32 b[4];
            loadMatrix4(b, keyPlace + (16 * j * Stride + 16 * step) * 2);
            UNROLL for (u32 f = 0; f < Fragments; ++f) {
              mmaF16(scores[f][2 * j], a[f], {b[0], b[1]});
              mmaF16(scores[f][2 * j + 1], a[f], {b[2], b[3]});
            }
          }
        }

        const bool isMasked = ballot(!isWhole) != 0;
        bool isCorrected = false;
        float corrections[Fragments][2];
        UNROLL for (u32 f = 0; f < Fragments; ++f)
          UNROLL for (u32 half = 0; half < 2; ++half) {
            Query &query = queries[f][half];
            float factor = query.factor * cache.keyFactor();
            if (p.softCap > 0.0f) {
              UNROLL for (u32 j = 0; j < 2 * KeyPairs; ++j)
                UNROLL for (u32 i = 2 * half; i < 2 * half + 2; ++i)
                  scores[f][j][i] = softCapped(scores[f][j][i] * factor, p.softCap, capped);
              factor = 1.0f;
            }
            if (isMasked) {
              const u32 seenBegin = maximum(query.begin, first) - first, seenEnd = maximum(query.end, first) - first;
              UNROLL for (u32 j = 0; j < 2 * KeyPairs; ++j)
                UNROLL for (u32 i = 0; i < 2; ++i) {
                  const u32 key = 8 * j + 2 * t + i;
                  if (key < seenBegin || key >= seenEnd) scores[f][j][2 * half + i] = Unseen;
                }
            }
            float largest = Unseen;
            UNROLL for (u32 j = 0; j < 2 * KeyPairs; ++j)
              largest = maximum(largest, maximum(scores[f][j][2 * half], scores[f][j][2 * half + 1]));
            largest = maximum(largest, shuffleXor(largest, 1));
            largest = maximum(largest, shuffleXor(largest, 2));
            largest = maximum(query.maximum, largest * factor);
            // Where nothing was seen yet, weights are to be 0 and not NaN.
            const float subtracted = largest == Unseen ? 0.0f : largest;
            const float decay = fastExp2(query.maximum - subtracted);
            query.maximum = largest;
            // The factor is a power of two: what is subtracted is no less than any product.
            const float offset = WeightExponent - subtracted;
            float total = 0.0f;
            UNROLL for (u32 j = 0; j < 2 * KeyPairs; ++j)
              UNROLL for (u32 i = 2 * half; i < 2 * half + 2; ++i) {
                scores[f][j][i] = fastExp2(multiplyAdd(scores[f][j][i], factor, offset));
                total += scores[f][j][i];
              }
            query.total = query.total * decay + total;
            corrections[f][half] = decay * correction;
            isCorrected = isCorrected || corrections[f][half] != 1.0f;
          }
        if (ballot(isCorrected) != 0)
          UNROLL for (u32 f = 0; f < Fragments; ++f)
            UNROLL for (u32 d = 0; d < 2 * Steps; ++d)
              UNROLL for (u32 i = 0; i < 4; ++i) sums[f][d][i] *= corrections[f][i / 2];

        const unsigned char *valuePlace = values + ((lane / 8 % 2 * 8 + lane % 8) * Stride + lane / 16 * 8) * 2;
        UNROLL for (u32 j = 0; j < KeyPairs; ++j) {
          u32 a[Fragments][4];
          UNROLL for (u32 f = 0; f < Fragments; ++f) {
            const float(&even)[4] = scores[f][2 * j], (&odd)[4] = scores[f][2 * j + 1];
            a[f][0] = floatsToHalves(even[0], even[1]);
            a[f][1] = floatsToHalves(even[2], even[3]);
            a[f][2] = floatsToHalves(odd[0], odd[1]);
            a[f][3] = floatsToHalves(odd[2], odd[3]);
          }
          UNROLL for (u32 step = 0; step < Steps; ++step) {
            u32 b[4];
            loadMatrix4Transposed(b, valuePlace + (16 * j * Stride + 16 * step) * 2);
            UNROLL for (u32 f = 0; f < Fragments; ++f) {
              mmaF16(sums[f][2 * step], a[f], {b[0], b[1]});
              mmaF16(sums[f][2 * step + 1], a[f], {b[2], b[3]});
            }
          }
        }
      }
      if (thread < Keys && keyTile + 2 < tiles) slots[keyTile % 2 * Keys + thread] = slot;
    }
  }

  constexpr u32 PartialFloats = TileQueries * (Width + 2);
  const u64 place = (u64)tile * p.kvHeads + kvHead;
  float *partials = (float *)p.partials + place * p.splits * PartialFloats;
  UNROLL for (u32 f = 0; f < Fragments; ++f)
    UNROLL for (u32 half = 0; half < 2; ++half) {
      const Query &query = queries[f][half];
      float total = query.total;
      total += shuffleXor(total, 1);
      total += shuffleXor(total, 2);
      if (used > 1) {
        const u32 n = queryOf(f, half) - firstQuery;
        float *to = partials + split * PartialFloats + n * Width;
        UNROLL for (u32 d = 0; d < 2 * Steps; ++d)
          *(f32x2 *)(to + 8 * d + 2 * t) =
              f32x2{sums[f][d][2 * half], sums[f][d][2 * half + 1]} * (1 / WeightScale) * cache.valueFactor();
        float *ends = partials + split * PartialFloats + TileQueries * Width + 2 * n;
        if (t == 0) *(f32x2 *)ends = f32x2{query.maximum, total / WeightScale};
        continue;
      }
      const float factor = total > 0.0f ? 1.0f / total : 0.0f;
      if (queryOf(f, half) >= count) continue;
      float *out = (float *)p.out + placeOf(queryOf(f, half));
      UNROLL for (u32 d = 0; d < 2 * Steps; ++d)
        if (8 * d < p.headDim)
          *(f32x2 *)(out + 8 * d + 2 * t) =
              f32x2{sums[f][d][2 * half], sums[f][d][2 * half + 1]} * factor * cache.valueFactor();
    }
  if (used == 1) return;

  // The last of the blocks that share this tile puts together what all have summed.
  fence();
  syncThreads();
  u32 *counter = (u32 *)p.counters + place, *isLast = slots;
  if (thread == 0) {
    *isLast = atomicAdd(counter, 1) == used - 1;
    if (*isLast != 0) *counter = 0;
  }
  syncThreads();
  if (*isLast == 0) return;
  fence();
  float *weights = (float *)arena; // [query, split]
  for (u32 query = thread; query < TileQueries; query += Threads) {
    const float *ends = partials + TileQueries * Width + 2 * query;
    float largest = Unseen, total = 0.0f;
    for (u32 i = 0; i < used; ++i) largest = maximum(largest, loadShared(ends + i * PartialFloats));
    for (u32 i = 0; i < used; ++i) {
      const float maximum = loadShared(ends + i * PartialFloats);
      const float weight = maximum == Unseen ? 0.0f : fastExp2(maximum - largest);
      weights[query * used + i] = weight;
      total += weight * loadShared(ends + i * PartialFloats + 1);
    }
    const float factor = total > 0.0f ? 1.0f / total : 0.0f;
    for (u32 i = 0; i < used; ++i) weights[query * used + i] *= factor;
  }
  syncThreads();
  for (u32 cell = thread; cell < TileQueries * Width / 4; cell += Threads) {
    const u32 query = cell / (Width / 4), dimension = cell % (Width / 4) * 4, n = firstQuery + query;
    if (n >= count || dimension >= p.headDim) continue;
    f32x4 sum = {0.0f, 0.0f, 0.0f, 0.0f};
    for (u32 i = 0; i < used; ++i)
      sum += __builtin_bit_cast(f32x4, loadShared16(partials + i * PartialFloats + query * Width + dimension)) * weights[query * used + i];
    float *out = (float *)p.out + placeOf(n) + dimension;
    *(f32x2 *)out = f32x2{sum.x, sum.y};
    *(f32x2 *)(out + 2) = f32x2{sum.z, sum.w};
  }
}

#define KERNEL(width, type, queries, warps, fragments, keys, blocks)                                                    \
  GLOBAL(32 * warps, blocks) void attention_tiled_##width##_##type##_##queries(const AttentionTiledParameters p) { \
    static_assert(queries == warps * fragments * AttentionTiledFragment);                                               \
    SHARED_ARENA(arena);                                                                                                \
    attend<AttentionTiled_##type, width, warps, fragments, keys>(p, arena);                                             \
  }
ATTENTION_TILED_KERNELS(KERNEL)
#undef KERNEL
