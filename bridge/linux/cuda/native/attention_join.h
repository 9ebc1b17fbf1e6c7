/*
 * attention_join.h: puts together what the warps of a block have summed, and then what the blocks of a head have. Part of
 * attention_row.cu.
 *
 * All sums are of weights 2^(score - highest), so that parts are joined as sum = sum_i 2^(highest_i - highest) sum_i.
 * Partials: of each tile of heads and each block [splits][AttentionRowQueries] of [headDim] sums, then
 * [splits][AttentionRowQueries] of (highest, total).
 */

/** The sums of a warp. */
template <u32 HeadDim> struct WarpSums {
  float values[AttentionRowQueries][HeadDim];
  float highest[AttentionRowQueries], total[AttentionRowQueries];
};

/** Where the partials of a tile of heads are. */
template <u32 HeadDim> struct Partials {
  float *values;
  f32x2 *heights; // and totals

  DEVICE_MEMBER Partials(const CudaAttentionRow &p, u64 tile) {
    const u64 rows = (u64)p.splits * AttentionRowQueries;
    values = p.partials + tile * rows * (HeadDim + 2);
    heights = (f32x2 *)(values + rows * HeadDim);
  }
};

/** A query's part of a block: 4 dimensions of it, with what they are relative to. */
struct JoinedSums {
  f32x4 values;
  float highest, total;
};

template <u32 HeadDim>
DEVICE JoinedSums joinWarps(const WarpSums<HeadDim> *sums, u32 warps, u32 query, u32 dimension) {
  JoinedSums joined = {{0, 0, 0, 0}, maskedScore, 0.0f};
  float highest[AttentionRowWarps];
  UNROLL for (u32 w = 0; w < AttentionRowWarps; w++) {
    highest[w] = w < warps ? sums[w].highest[query] : maskedScore;
    joined.highest = maximum(joined.highest, highest[w]);
  }
  UNROLL for (u32 w = 0; w < AttentionRowWarps; w++) {
    if (w >= warps) continue;
    const float weight = fastExp2(highest[w] - joined.highest);
    joined.values += weight * as<f32x4>(&sums[w].values[query][dimension]);
    joined.total += weight * sums[w].total[query];
  }
  return joined;
}

/** out = what the blocks of a tile of heads have summed, over their totals. A thread has four dimensions of a query; where
 * there are threads left, several share out the blocks of the same. */
template <u32 HeadDim>
DEVICE void joinBlocks(const CudaAttentionRow &p, u64 tile, u32 used, u32 group, float *out, unsigned char *arena) {
  constexpr u32 ahead = 8; // partials that are asked for before the first is used
  static_assert(AttentionRowWarps == AttentionRowQueries && AttentionRowMostSplits == 32);
  float *const weights = (float *)arena; // [AttentionRowQueries][AttentionRowMostSplits]
  f32x4 *const parts = (f32x4 *)(weights + AttentionRowQueries * AttentionRowMostSplits); // [AttentionRowThreads]
  const Partials<HeadDim> partials(p, tile);
  const u32 thread = threadIndex(), warp = warpIndex(), lane = laneIndex();
  const u32 items = group * (HeadDim / 4), sharing = items < AttentionRowThreads ? AttentionRowThreads / items : 1;
  const u32 part = items < AttentionRowThreads ? thread / items : 0, firstItem = thread - part * items;
  const bool hasItem = part < sharing;
  f32x4 some[ahead];
  const auto load = [&](u32 item, u32 first) {
    const float *from = partials.values + (u64)(item / (HeadDim / 4)) * HeadDim + item % (HeadDim / 4) * 4;
    UNROLL for (u32 i = 0; i < ahead; i++) {
      const u32 s = first + i * sharing;
      if (s < used) some[i] = __builtin_bit_cast(f32x4, loadShared16(from + (u64)s * AttentionRowQueries * HeadDim));
    }
  };
  if (hasItem) load(firstItem, part);

  f32x2 mine = {maskedScore, 0.0f};
  if (lane < used) {
    const float *from = (const float *)&partials.heights[(u64)lane * AttentionRowQueries + warp];
    mine = f32x2{loadShared(from), loadShared(from + 1)};
  }
  const float weight = fastExp2(mine.x - reduceMaxWarp(mine.x));
  weights[warp * AttentionRowMostSplits + lane] = weight * fastReciprocal(reduceAddWarp(weight * mine.y));
  syncThreads();

  for (u32 item = firstItem; item < items && hasItem; item += AttentionRowThreads) {
    const float *of = weights + item / (HeadDim / 4) * AttentionRowMostSplits;
    f32x4 sum = {0, 0, 0, 0};
    for (u32 first = part; first < used; first += ahead * sharing) {
      if (first != part || item != firstItem) load(item, first);
      UNROLL for (u32 i = 0; i < ahead; i++) {
        const u32 s = first + i * sharing;
        if (s < used) sum += of[s] * some[i];
      }
    }
    if (sharing == 1) as<f32x4>(&out[item * 4]) = sum;
    else parts[thread] = sum;
  }
  if (sharing == 1) return;
  syncThreads();
  if (thread >= items) return;
  f32x4 sum = parts[thread];
  for (u32 i = 1; i < sharing; i++) sum += parts[thread + i * items];
  as<f32x4>(&out[thread * 4]) = sum;
}
