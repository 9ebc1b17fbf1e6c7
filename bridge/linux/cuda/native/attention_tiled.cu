/*
 * attention_tiled.cu: attention of many rows at once, as shaders/attention_tiled.metal, with tensor cores in half precision, as in
 * FlashAttention-2 (Dao 2023). Queries of a key head, their order, and runs of a sequence are those of the original.
 *
 * A block has a tile of queries, a warp 16 of these or more: as operands of mma in registers, like the scores, the weights and
 * the sums. Each tile of keys and values is copied to shared memory while the tile before it is worked on. What bounds the errors
 * stands in attention_tiled_cache.h and at fillQueries. Where there are few tiles of queries, several blocks share out the keys.
 */
#include "exponents.h"

#include "attention_tiled.h"
#include "attention_tiled_cache.h"
#include "attention_tiled_queries.h"
#include "attention_tiled_join.h"

/** Weights are at most 2^WeightExponent, the largest so far of a query, so that those 2^-22 of it still have all bits of a half. */
constexpr float WeightExponent = 8.0f, WeightScale = 256.0f;

/** Scores become cap * tanh(score / cap), all times log2(e): `capped` is cap * log2(e). tanh by its exponential. */
DEVICE float softCapped(float score, float cap, float capped) {
  return capped - 2.0f * capped * fastReciprocal(fastExp2(score * (2.0f / cap)) + 1.0f);
}

/** scores [query, key] = queries keys. `keys` is [key, dimension], which ldmatrix gives as the operand [dimension, key]. */
template <u32 Width, u32 Fragments, u32 Columns, bool IsShared>
DEVICE void scoreKeys(float (&scores)[Fragments][Columns][4], const Operands<Width, Fragments, IsShared> &operands,
                      const unsigned char *keys) {
  constexpr u32 Stride = Width + AttentionTiledPad;
  const u32 lane = laneIndex();
  const unsigned char *place = keys + ((lane / 16 * 8 + lane % 8) * Stride + lane / 8 % 2 * 8) * 2;
  UNROLL for (u32 step = 0; step < Width / 16; ++step) {
    u32 a[Fragments][4];
    UNROLL for (u32 f = 0; f < Fragments; ++f) operands.load(f, step, a[f]);
    UNROLL for (u32 j = 0; j < Columns / 2; ++j) {
      u32 b[4];
      loadMatrix4(b, place + (16 * j * Stride + 16 * step) * 2);
      UNROLL for (u32 f = 0; f < Fragments; ++f) {
        mmaF16(scores[f][2 * j], a[f], {b[0], b[1]});
        mmaF16(scores[f][2 * j + 1], a[f], {b[2], b[3]});
      }
    }
  }
}

/** sums [query, dimension] += weights values. Weights are rounded to halves where mma has left them: as it wants its operand. */
template <u32 Width, u32 Fragments, u32 Columns>
DEVICE void addValues(float (&sums)[Fragments][Width / 8][4], const float (&weights)[Fragments][Columns][4],
                      const unsigned char *values) {
  constexpr u32 Stride = Width + AttentionTiledPad;
  const u32 lane = laneIndex();
  const unsigned char *place = values + ((lane / 8 % 2 * 8 + lane % 8) * Stride + lane / 16 * 8) * 2;
  UNROLL for (u32 j = 0; j < Columns / 2; ++j) {
    u32 a[Fragments][4];
    UNROLL for (u32 f = 0; f < Fragments; ++f) {
      const float(&even)[4] = weights[f][2 * j], (&odd)[4] = weights[f][2 * j + 1];
      a[f][0] = floatsToHalves(even[0], even[1]);
      a[f][1] = floatsToHalves(even[2], even[3]);
      a[f][2] = floatsToHalves(odd[0], odd[1]);
      a[f][3] = floatsToHalves(odd[2], odd[3]);
    }
    UNROLL for (u32 step = 0; step < Width / 16; ++step) {
      u32 b[4];
      loadMatrix4Transposed(b, place + (16 * j * Stride + 16 * step) * 2);
      UNROLL for (u32 f = 0; f < Fragments; ++f) {
        mmaF16(sums[f][2 * step], a[f], {b[0], b[1]});
        mmaF16(sums[f][2 * step + 1], a[f], {b[2], b[3]});
      }
    }
  }
}

/**
 * The scores of a query for the keys from position `first` on, which are every second pair of a fragment's, become weights.
 * `factor` makes scores of products; it is a power of two. Gives what corrects the sums so far.
 */
template <u32 Columns>
DEVICE float weighKeys(Query &query, float (&scores)[Columns][4], u32 half, u32 first, bool isMasked, float factor, float softCap) {
  if (softCap > 0.0f) {
    UNROLL for (u32 j = 0; j < Columns; ++j)
      UNROLL for (u32 i = 2 * half; i < 2 * half + 2; ++i)
        scores[j][i] = softCapped(scores[j][i] * factor, softCap, softCap * Log2OfE);
    factor = 1.0f;
  }
  if (isMasked) {
    const u32 seenBegin = maximum(query.begin, first) - first, seenEnd = maximum(query.end, first) - first;
    UNROLL for (u32 j = 0; j < Columns; ++j)
      UNROLL for (u32 i = 0; i < 2; ++i) {
        const u32 key = 8 * j + 2 * (laneIndex() % 4) + i;
        if (key < seenBegin || key >= seenEnd) scores[j][2 * half + i] = Unseen;
      }
  }
  float largest = Unseen;
  UNROLL for (u32 j = 0; j < Columns; ++j) largest = maximum(largest, maximum(scores[j][2 * half], scores[j][2 * half + 1]));
  largest = maximum(largest, shuffleXor(largest, 1));
  largest = maximum(largest, shuffleXor(largest, 2));
  largest = maximum(query.maximum, largest * factor);
  // Where nothing was seen yet, weights are to be 0 and not NaN.
  const float subtracted = largest == Unseen ? 0.0f : largest;
  const float correction = fastExp2(query.maximum - subtracted);
  query.maximum = largest;
  // The factor is a power of two: what is subtracted is no less than any product.
  const float offset = WeightExponent - subtracted;
  float total = 0.0f;
  UNROLL for (u32 j = 0; j < Columns; ++j)
    UNROLL for (u32 i = 2 * half; i < 2 * half + 2; ++i) {
      scores[j][i] = fastExp2(multiplyAdd(scores[j][i], factor, offset));
      total += scores[j][i];
    }
  query.total = query.total * correction + total;
  return correction;
}

template <u32 Type, u32 Width, u32 Warps, u32 Fragments, u32 Keys>
DEVICE void attend(const AttentionTiledParameters &p, unsigned char *arena) {
  constexpr AttentionTiledShared Shared = attentionTiledShared(Type, Width, Warps, Fragments, Keys);
  constexpr u32 Threads = 32 * Warps, TileQueries = Warps * Fragments * AttentionTiledFragment;
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
  float sums[Fragments][Width / 8][4] = {}; // [query, dimension], as mma has them

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
        float scores[Fragments][Keys / 8][4] = {}; // [query, key]
        scoreKeys<Width>(scores, operands, cache.keys(keyTile % 2));
        const bool isMasked = ballot(!isWhole) != 0;
        bool isCorrected = false;
        float corrections[Fragments][2];
        UNROLL for (u32 f = 0; f < Fragments; ++f)
          UNROLL for (u32 half = 0; half < 2; ++half) {
            Query &query = queries[f][half];
            const float factor = query.factor * cache.keyFactor();
            corrections[f][half] = correction * weighKeys(query, scores[f], half, first, isMasked, factor, p.softCap);
            isCorrected = isCorrected || corrections[f][half] != 1.0f;
          }
        if (ballot(isCorrected) != 0)
          UNROLL for (u32 f = 0; f < Fragments; ++f)
            UNROLL for (u32 d = 0; d < Width / 8; ++d)
              UNROLL for (u32 i = 0; i < 4; ++i) sums[f][d][i] *= corrections[f][i / 2];
        addValues<Width>(sums, scores, cache.values(keyTile % 2));
      }
      if (thread < Keys && keyTile + 2 < tiles) slots[keyTile % 2 * Keys + thread] = slot;
    }
  }

  const u64 place = (u64)tile * p.kvHeads + kvHead;
  const Partials<Width, TileQueries> partials = {(float *)p.partials + place * p.splits * Partials<Width, TileQueries>::Floats};
  UNROLL for (u32 f = 0; f < Fragments; ++f)
    UNROLL for (u32 half = 0; half < 2; ++half) {
      const u32 n = queryOf(f, half), query = n - firstQuery;
      float total = queries[f][half].total;
      total += shuffleXor(total, 1);
      total += shuffleXor(total, 2);
      const bool isWhole = used == 1;
      if (isWhole && n >= count) continue;
      float *to = isWhole ? (float *)p.out + placeOf(n) : partials.sums(split, query);
      const float factor = !isWhole ? 1 / WeightScale : total > 0.0f ? 1.0f / total : 0.0f;
      UNROLL for (u32 d = 0; d < Width / 8; ++d)
        if (8 * d < p.headDim)
          *(f32x2 *)(to + 8 * d + 2 * t) = f32x2{sums[f][d][2 * half], sums[f][d][2 * half + 1]} * factor * cache.valueFactor();
      if (!isWhole && t == 0) *(f32x2 *)partials.ends(split, query) = f32x2{queries[f][half].maximum, total / WeightScale};
    }
  if (used == 1 || !isLastOfTile((u32 *)p.counters + place, used, slots)) return;

  float *weights = (float *)arena;
  weighPartials(partials, used, weights);
  joinPartials(partials, used, weights, p.headDim, [&](u32 query) {
    return firstQuery + query < count ? (float *)p.out + placeOf(firstQuery + query) : nullptr;
  });
}

#define KERNEL(width, type, queries, warps, fragments, keys, blocks)                                                    \
  GLOBAL(32 * warps, blocks) void attention_tiled_##width##_##type##_##queries(const AttentionTiledParameters p) { \
    static_assert(queries == warps * fragments * AttentionTiledFragment);                                               \
    SHARED_ARENA(arena);                                                                                                \
    attend<AttentionTiled_##type, width, warps, fragments, keys>(p, arena);                                             \
  }
ATTENTION_TILED_KERNELS(KERNEL)
#undef KERNEL
